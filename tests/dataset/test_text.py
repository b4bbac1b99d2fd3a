"""Reading YAML and JSON: what is refused, where it says so, and that plain values come out as written."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.errors import BadSyntax
from habeas.dataset.load import load_yaml
from habeas.dataset.text import MAX_BYTES, read_text

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

REFUSED = {
    "alias bomb": (BOMB, 5, 8, "aliases stand for more than"),
    "recursive alias": ("a: &a [*a]", 1, 8, "lies inside what it names"),
    "unknown alias": ("a: *b", 1, 4, "names nothing"),
    "python tag": ("a:\n  b: !!python/object/apply:os.system [x]", 2, 6, "tag"),
    "own tag": ("a: !secret x", 1, 4, "tag"),
    "binary tag": ("a: !!binary aGk=", 1, 4, "tag"),
    "repeated key": ("a: 1\nb: 2\na: 3", 3, 1, "'a' stands here a second time"),
    "number as key": ("1: x", 1, 1, "is not text"),
    "list as key": ("? [a]\n: b", 1, 3, "a key must be text"),
    "mapping as key": ("{{a: b}: c}", 1, 2, "a key must be text"),
    "alias as key": ("a: &a b\n*a : c", 2, 1, "can't be an alias"),
    "second document": ("a: 1\n---\nb: 2", 2, 1, "second document"),
    "too deep": ("[" * 60 + "]" * 60, 1, 51, "nested deeper"),
    "unclosed quote": ("a: 'b", 1, 6, ""),
    "merge of text": ("a: 1\n<<: b", 2, 1, "a merge key takes"),
    "tab": ("a:\n\t- b", 2, 1, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_yaml_is_refused_with_its_place(case: str) -> None:
    text, line, column, message = REFUSED[case]
    with pytest.raises(BadSyntax) as caught:
        load_yaml(text, "file.yml")
    assert caught.value.where == f"file.yml:{line}:{column}"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": 1,\n "b": }', "body:2:7"),
        ('{"a": 1,}', "body:1:9"),
        ('{"a": 1, "a": 2}', "body:1:10"),
        ('{"external_id: "a"}', "body:1:17"),
        ("[" * 100_000, "body"),
        ('{"a": NaN}', "body"),
        ('{"a": ' + "9" * 5000 + "}", "body"),
    ],
)
def test_json_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(BadSyntax) as caught:
        load_yaml(text, "body")
    assert caught.value.where == where


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadSyntax, match="5 MB"):
        load_yaml("a" * (MAX_BYTES + 1), "file.yml")


@pytest.mark.parametrize("text", ["a: \x00", "\ud800", "a: \x1b[0m"])
def test_characters_that_yaml_forbids_are_refused(text: str) -> None:
    with pytest.raises(BadSyntax, match="characters"):
        load_yaml(text, "file.yml")


def test_names_that_look_like_something_else_stay_text() -> None:
    text = "[no, on, yes, 12:30, 2020-01-01, 007, 0x10, 1_000, .inf, .nan, 1e999]"
    assert load_yaml(text, "file.yml") == [
        "no", "on", "yes", "12:30", "2020-01-01", "007", "0x10", "1_000", ".inf", ".nan", "1e999",
    ]  # fmt: skip
    assert load_yaml("[1, -2, 1.5, .5, 1e3, true, False, null, ~, '1', \"true\"]", "file.yml") == [
        1, -2, 1.5, 0.5, 1000.0, True, False, None, None, "1", "true",
    ]  # fmt: skip


def test_honest_aliases_and_merge_keys_work() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{x: 4}, *a]}"
    assert load_yaml(text, "file.yml") == {
        "a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}, "d": {"x": 4, "y": 2},
    }  # fmt: skip


def test_places_are_those_of_the_text() -> None:
    document = read_text('{"a": "\\ud83d\\ude00",\n\t"b": [1, {"c": 2}]}', "body")
    assert document.value == {"a": "\U0001f600", "b": [1, {"c": 2}]}
    place = document.place(("b", 1, "c"))
    assert place is not None
    assert (place.line, place.column, place.key_column) == (2, 17, 12)
    assert document.place(("b", 7, "z")) == document.place(("b",))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé :#'\"\n1-"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab<é :1"), inner, max_size=3),
    max_leaves=12,
)


@given(plain.filter(lambda value: isinstance(value, list | dict)))
def test_json_comes_out_as_json_reads_it(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent="\t")):
        assert load_yaml(text, "body") == value


@given(plain)
def test_yaml_comes_out_as_it_was_written(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert load_yaml(text, "file.yml") == value
