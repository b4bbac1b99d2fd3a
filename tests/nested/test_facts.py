"""What fidesops does with elements of lists, replayed on ours where a law wants the same.

Upstream marks elements that an erasure mustn't touch; we cover the others. Groups that follow a path to indices
(refine_target_path, build_refined_target_paths, array_indices_to_preserve, keep_only_indices) are steps inside
upstream's filter: what they keep is replayed, how they name it isn't.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from habeas.core.nested import Entries, cover_parts, keep_elements, values_at
from habeas.core.values import canonical_text, project

LEFT = "<DO_NOT_MASK>"
WHOLE_WHEN_NOTHING_MATCHES = "law 2: upstream shows the whole list when nothing in it matches"
EMPTY = "packages hold values as in the source (design §7): upstream drops empty objects and lists"


@lru_cache
def facts() -> list[dict[str, Any]]:
    folder = Path(os.environ.get("HABEAS_CASES", Path(__file__).resolve().parents[3] / "shared" / "cases"))
    path = folder / "facts.json"
    return json.loads(path.read_text(encoding="utf-8"))["facts"] if path.exists() else []


def of(topic: str) -> list[Any]:
    found = [pytest.param(each, id=each["id"]) for each in facts() if each["topic"] == topic]
    skip = pytest.mark.skip("the folder of cases isn't there (HABEAS_CASES)")
    return found or [pytest.param({}, marks=skip)]


def wanted(query_paths: Any) -> Entries:
    pairs = query_paths.items() if isinstance(query_paths, dict) else query_paths
    return {tuple(path): frozenset(str(canonical_text(each)) for each in values) for path, values in pairs}


def expected(fact: dict[str, Any]) -> Any:
    return fact["expect"]["equals"]


def found(entries: Entries, row: Any) -> Entries:
    """Without the entries that match nothing: upstream lets those filter nothing."""
    return {
        path: texts
        for path, texts in entries.items()
        if texts is not None and any(canonical_text(each) in texts for each in values_at(row, path))
    }


@pytest.mark.parametrize("fact", of("consolidate_query_matches"))
def test_values_of_a_path_are_found_through_lists(fact: dict[str, Any]) -> None:
    given = fact["input"]
    assert list(values_at(given["row"], tuple(given["target_path"]))) == expected(fact)


@pytest.mark.parametrize("fact", of("filter_element_match"))
def test_lists_keep_the_elements_that_match(fact: dict[str, Any]) -> None:
    row, entries = fact["input"]["row"], wanted(fact["input"]["query_paths"])
    entries = found(entries, row)  # see test_a_list_in_which_nothing_matches_shows_nothing
    if fact["input"].get("delete_elements", True):
        assert keep_elements(row, entries) == expected(fact)
        return
    marked = cover_parts(row, {(name,): lambda value, place: value for name in row}, entries)
    assert marked == row  # what isn't covered is as it was
    covered = cover_parts(row, {(name,): lambda value, place: "*" for name in row}, entries)
    assert list(untouched(row, covered)) == list(left_by_upstream(row, expected(fact)))


def untouched(row: Any, covered: Any) -> Iterator[tuple[Any, ...]]:
    """Places of list elements that were left as they are."""
    yield from (place for place, one, other in places(row, covered, ()) if one == other)


def left_by_upstream(row: Any, marked: Any) -> Iterator[tuple[Any, ...]]:
    yield from (place for place, _, other in places(row, marked, ()) if other == LEFT)


def places(row: Any, other: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    if isinstance(row, dict) and isinstance(other, dict):
        for name in row:
            yield from places(row[name], other[name], (*place, name))
    elif isinstance(row, list) and isinstance(other, list):
        for index, pair in enumerate(zip(row, other, strict=True)):
            yield (*place, index), *pair
            yield from places(*pair, (*place, index))


@pytest.mark.parametrize("fact", of("refine_target_path"))
def test_the_elements_at_refined_paths_are_those_kept(fact: dict[str, Any]) -> None:
    given, paths = fact["input"], expected(fact)
    path, texts = tuple(given["target_path"]), given.get("only")
    kept = None if texts is None else frozenset(str(canonical_text(each)) for each in texts)
    values = [each for each in values_at(given["row"], path) if kept is None or canonical_text(each) in kept]
    refined = paths if paths and isinstance(paths[0], list) else [paths] if paths else []
    assert values == [scalar for each in refined for scalar in values_at(at(given["row"], each), ())]


def at(value: Any, path: list[Any]) -> Any:
    for part in path:
        value = value[part]
    return value


@pytest.mark.parametrize("fact", of("select_and_save_field"))
def test_selected_paths_are_projected(fact: dict[str, Any]) -> None:
    """Upstream adds one path after the other to a result; what it adds is ours for that path alone."""
    given = fact["input"]
    path = given["field_path"]
    ours = project(given["row_value"], [".".join(path)])
    theirs = project(expected(fact), [".".join(path)])
    assert without_empty(ours) == without_empty(theirs)


@pytest.mark.parametrize("fact", of("remove_empty_containers"))
def test_what_is_empty_in_the_source_stays(fact: dict[str, Any]) -> None:
    value = fact["input"]["value"]
    assert without_empty(value) == expected(fact)  # the fact as it stands; we don't follow it:
    assert keep_elements(value, {}) == value, EMPTY


def without_empty(value: Any) -> Any:
    if value is msgspec.UNSET:
        return {}
    if isinstance(value, dict):
        kept = {name: without_empty(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in ({}, [])}
    if isinstance(value, list):
        kept_elements = [without_empty(each) for each in value]
        return [each for each in kept_elements if each not in ({}, [])]
    return value


def test_a_list_in_which_nothing_matches_shows_nothing() -> None:
    row = {"A": [1, 2], "B": 3}
    entries: Entries = {("A",): frozenset({"9"}), ("B",): frozenset({"3"})}
    assert keep_elements(row, entries) == {"A": [], "B": 3}, WHOLE_WHEN_NOTHING_MATCHES


def test_several_entries_into_one_list_are_united() -> None:
    row = {"A": [1, 2, 3], "B": 2, "C": [{"D": 3, "E": 4}, {"D": 5, "E": 6}, {"D": 5, "E": 7}]}
    entries: Entries = {("A",): frozenset({"2"}), ("C", "D"): frozenset({"5"}), ("C", "E"): frozenset({"4"})}
    assert keep_elements(row, entries) == {"A": [2], "B": 2, "C": row["C"]}


def test_a_list_inside_an_element_that_stays_is_filtered_too() -> None:
    row = {"T": [{"u": 1, "r": [{"u": 1}, {"u": 2}]}, {"u": 2, "r": [{"u": 1}]}, {"u": 3, "r": []}]}
    entries: Entries = {("T", "u"): frozenset({"1"}), ("T", "r", "u"): frozenset({"1"})}
    assert keep_elements(row, entries) == {"T": [{"u": 1, "r": [{"u": 1}]}, {"u": 2, "r": [{"u": 1}]}]}
