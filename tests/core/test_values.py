"""Values in JSON and as text: every digit, every zone, every name."""

from __future__ import annotations

import json
import math
from collections import namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.values import canonical_text, decode_json, encode_json, encoder_for, project, row_shape, to_json_value

EAST = timezone(timedelta(hours=2))


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (2**70, "1180591620717411303424"),
        (Decimal("1.00"), "1.00"),
        (
            Decimal("-12345678901234567890.123456789012345678901234567890"),
            "-12345678901234567890.123456789012345678901234567890",
        ),
        (Decimal("NaN"), '"NaN"'),
        (Decimal("sNaN"), '"NaN"'),
        (Decimal("-Infinity"), '"-Infinity"'),
        (0.1, "0.1"),
        (math.nan, '"NaN"'),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
        (datetime(2020, 1, 2, 3, 4, 5), '"2020-01-02T03:04:05"'),
        (datetime(2020, 1, 2, 3, 4, 5, 60), '"2020-01-02T03:04:05.000060"'),
        (datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), '"2020-01-02T03:04:05Z"'),
        (datetime(2020, 1, 2, 3, 4, 5, tzinfo=EAST), '"2020-01-02T01:04:05Z"'),
        (datetime(1, 1, 1, tzinfo=EAST), '"0001-01-01T00:00:00+02:00"'),
        (date(2020, 1, 2), '"2020-01-02"'),
        (time(1, 2, 3), '"01:02:03"'),
        (time(1, 2, 3, 4, tzinfo=EAST), '"01:02:03.000004+02:00"'),
        (timedelta(days=1, hours=2), '"P1DT7200S"'),
        (-timedelta(days=1, hours=2), '"-P1DT7200S"'),
        (b"\x00\xff", '"AP8="'),
        (memoryview(b"\x00\xff"), '"AP8="'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ({"b": [Decimal("1.10"), {"a": math.nan}], 1: None}, '{"b":[1.10,{"a":"NaN"}],"1":null}'),
        (namedtuple("Pair", "a b")(1, Decimal("2.0")), "[1,2.0]"),
        ({3, 1, 2}, "[1,2,3]"),
        (Colour.RED, '"red"'),
        (Level.LOW, "1"),
        (ip_address("192.0.2.1"), '"192.0.2.1"'),
        (msgspec.Raw(b'{"a": 1.10}'), '{"a": 1.10}'),
    ],
)
def test_json_of_a_value(value: object, text: str) -> None:
    assert encode_json(value).decode() == text
    if not isinstance(value, tuple):
        assert encoder_for(["c"])([(value,), (None,)]).decode() == '{"c":' + text + '},{"c":null}'


def test_objects_without_a_text_are_an_error() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        to_json_value(object())


numbers = st.one_of(
    st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False)
)
scalars: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), st.text(), numbers)
trees: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(trees)
def test_json_reads_back_exactly(value: Any) -> None:
    assert json.loads(encode_json(value), parse_float=Decimal, parse_int=Decimal) == _as_decimals(value)


def _as_decimals(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_decimals(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_decimals(each) for each in value]
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


@given(st.lists(st.text(), unique=True, max_size=6), st.data())
def test_rows_equal_their_objects(columns: list[str], data: st.DataObject) -> None:
    row = st.tuples(*(trees for _ in columns))
    rows = data.draw(st.lists(row, max_size=5))
    encoded = encoder_for(columns)(rows)
    assert decode_json(b"[" + encoded + b"]") == [
        decode_json(encode_json(dict(zip(columns, each, strict=True)))) for each in rows
    ]


def test_column_order_and_awkward_names() -> None:
    columns = ["z", "a b", 'quo"te', "self", "", "é"]
    assert encoder_for(columns)([tuple(range(6))]).decode() == '{"z":0,"a b":1,"quo\\"te":2,"self":3,"":4,"é":5}'
    assert encoder_for(["z", "self", "f0", ""])([(1, 2, 3, 4)]).decode() == '{"z":1,"self":2,"f0":3,"":4}'
    assert encoder_for(["a"])([]) == b""


DOCUMENT = {
    "city": "Exampletown",
    "zip": "01234",
    "geo": {"lat": Decimal("1.50"), "lon": None},
    "people": [{"name": "A", "age": 1}, {"age": 2}, {"name": None}],
}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["city"], {"city": "Exampletown"}),
        (["geo.lat", "geo.lon"], {"geo": {"lat": Decimal("1.50"), "lon": None}}),
        (["geo", "geo.lat"], {"geo": {"lat": Decimal("1.50"), "lon": None}}),
        (["geo.lat", "geo"], {"geo": {"lat": Decimal("1.50"), "lon": None}}),
        (["people.name"], {"people": [{"name": "A"}, {"name": None}]}),
        (["zip"], {"zip": "01234"}),
        (["nothing", "city.further"], msgspec.UNSET),
    ],
)
def test_projection(paths: list[str], expected: object) -> None:
    assert project(DOCUMENT, paths) == expected
    assert project(encode_json(DOCUMENT).decode(), paths) == expected


def test_projection_of_null_and_of_text() -> None:
    assert project(None, ["a"]) is None
    assert project("null", ["a"]) is None
    assert project("not json", ["a"]) is msgspec.UNSET
    assert project([{"a": 1}, {"b": 2}], ["a"]) == [{"a": 1}]


def test_projection_keeps_an_empty_list_and_makes_none() -> None:
    assert project({"list": [], "other": 1}, ["list.a"]) == {"list": []}
    assert project({"list": [{"b": 1}], "other": 1}, ["list.a", "other"]) == {"other": 1}


def test_narrowed_columns_in_rows() -> None:
    shape = row_shape(["id", "address.city", "address.geo.lat", "whole", "whole.part"])
    assert shape.columns == ("id", "address", "whole")
    assert shape.nested == {"address": ("city", "geo.lat")}
    encode = encoder_for(shape.columns, shape.nested)
    rows = [(1, {"city": "X", "zip": "1"}, {"part": 1}), (2, {"zip": "1"}, None), (3, None, 0)]
    assert encode(rows).decode() == (
        '{"id":1,"address":{"city":"X"},"whole":{"part":1}},{"id":2,"whole":null},{"id":3,"address":null,"whole":0}'
    )
    awkward = encoder_for(['a"b'], {'a"b': ("c",)})
    assert awkward([({"c": 1},), ({"d": 1},)]).decode() == '{"a\\"b":{"c":1}},{}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("01", "01"),
        (1, "1"),
        (True, "true"),
        (Decimal("1.00"), "1.00"),
        (Decimal("1E+3"), "1000"),
        (1.0, "1"),
        (1e-7, "0.0000001"),
        (1e20, "100000000000000000000"),
        (math.nan, "NaN"),
        (date(2020, 1, 2), "2020-01-02"),
        (datetime(2020, 1, 2, tzinfo=EAST), "2020-01-01T22:00:00Z"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00\xff", "AP8="),
        ({"b": 1, "a": "é"}, '{"a":"é","b":1}'),
        ([1, "2"], '[1,"2"]'),
        (Colour.RED, "red"),
    ],
)
def test_canonical_text(value: object, text: str | None) -> None:
    assert canonical_text(value) == text
