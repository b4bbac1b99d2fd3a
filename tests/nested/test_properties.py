"""Laws of values inside documents, for any document: what is kept is hers, what is covered is hers alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from habeas.core.nested import Entries, cover_parts, is_wanted, keep_elements, values_at
from habeas.core.values import canonical_text

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["x", "y", "1", "true"]))
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=25
)
PATHS = st.lists(NAMES, max_size=3).map(tuple)
ENTRIES = st.dictionaries(PATHS, st.frozensets(st.sampled_from(["x", "y", "0", "1", "true"])), min_size=1, max_size=3)


def texts(document: Any, path: tuple[str, ...]) -> list[str | None]:
    return [canonical_text(each) for each in values_at(document, path)]


def elements(value: Any, entries: Entries) -> Iterator[tuple[Any, Entries]]:
    """Elements of all arrays through which an entry leads, with the entries as seen from them."""
    if isinstance(value, list):
        for each in value:
            yield each, entries
            yield from elements(each, entries)
    elif isinstance(value, dict):
        for name, each in value.items():
            inner = {path[1:]: wanted for path, wanted in entries.items() if path and path[0] == name}
            if inner:
                yield from elements(each, inner)


@given(DOCUMENTS, ENTRIES)
def test_every_element_that_is_kept_is_wanted(document: Any, entries: Entries) -> None:
    kept = keep_elements(document, entries)
    assert all(is_wanted(each, below) for each, below in elements(kept, entries))


@given(DOCUMENTS, ENTRIES)
def test_keeping_twice_keeps_the_same_and_loses_no_wanted_value(document: Any, entries: Entries) -> None:
    kept = keep_elements(document, entries)
    assert keep_elements(kept, entries) == kept
    for path, wanted in entries.items():
        found = [each for each in texts(document, path) if wanted is None or each in wanted]
        assert [each for each in texts(kept, path) if wanted is None or each in wanted] == found


@given(DOCUMENTS, PATHS, ENTRIES)
def test_a_cover_reaches_what_is_kept_and_nothing_else(document: Any, path: tuple[str, ...], entries: Entries) -> None:
    seen: list[Any] = []
    covered = cover_parts(document, {path: lambda value, place: seen.append(value) or value}, entries)
    assert covered == document  # the cover gave each value back
    if not any(entries_below(entries, path)):
        assert sorted(map(str, texts(keep_elements(document, entries), path))) == sorted(map(str, scalars(seen)))


def entries_below(entries: Entries, path: tuple[str, ...]) -> list[bool]:
    """Whether entries lead on below the path, where a part covers the object as a whole or element by element."""
    return [len(entry) > len(path) and entry[: len(path)] == path for entry in entries]


def scalars(values: list[Any]) -> list[str | None]:
    return [text for each in values for text in texts(each, ())]


@given(DOCUMENTS, ENTRIES)
def test_without_a_part_nothing_changes(document: Any, entries: Entries) -> None:
    assert cover_parts(document, {}, entries) == document
    assert keep_elements(document, {}) == document


@given(DOCUMENTS, PATHS)
def test_without_entries_every_value_at_the_path_is_covered(document: Any, path: tuple[str, ...]) -> None:
    assert texts(cover_parts(document, {path: lambda value, place: None}, {}), path) == []
