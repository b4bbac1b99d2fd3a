"""Values of source systems as JSON and as text, exactly: what a package shows and what masks and references read.

JSON: numbers with all digits; timestamps with zone in UTC with `Z` (with their own offset where UTC would
leave the years 1 to 9999), without zone as stored; dates and times ISO 8601 (a time's own offset stays, since
no date says what UTC would be); intervals as ISO 8601 durations of days and seconds; bytes base64; UUIDs as
text; NULL null. NaN and the infinities, which JSON lacks, are the strings "NaN", "Infinity", "-Infinity".
Objects and arrays stay nested as in the source. Pure: never reads a source, never rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import starmap
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import msgspec

Row = tuple[Any, ...]
Tree: TypeAlias = "dict[str, Tree]"
RowEncoder = Callable[[Sequence[Row]], bytes]
"""Rows in column order to JSON objects joined by commas, without brackets; b"" for no rows."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SORTED = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)

# Types that the encoder writes as this module promises, whatever their value.
_EXACT = frozenset({str, int, bool, type(None), bytes, bytearray, memoryview, UUID, date, time, timedelta, msgspec.Raw})


def encode_json(value: object) -> bytes:
    """One value as JSON; raises TypeError for an object that has no text of its own."""
    return _ENCODER.encode(to_json_value(value))


def decode_json(data: bytes | str) -> object:
    """JSON with all digits kept: fractions come as Decimal. Raises msgspec.DecodeError for anything else."""
    return _DECODER.decode(data)


def to_json_value(value: object) -> object:
    """The same value in types that `encode_json`'s encoder writes exactly. Idempotent.

    Types unknown here (network addresses, ranges) become their text; raises TypeError where a class
    defines none.
    """
    kind = type(value)
    if kind in _EXACT:
        return value
    return (_CONVERTERS.get(kind) or _converter_of(value))(value)


def canonical_text(value: object) -> str | None:
    """The text by which values of different types compare and which masks read; None for NULL.

    Text is itself, numbers are their digits without exponent, booleans `true` and `false`, objects and
    arrays compact JSON with sorted keys; all else is as in a package, without quotes.
    """
    if value is None or type(value) is str:
        return value
    if isinstance(value, Decimal | float) and math.isfinite(value):
        digits = format(Decimal(repr(value)) if isinstance(value, float) else value, "f")
        return digits.removesuffix(".0") if isinstance(value, float) else digits
    encoded = _SORTED.encode(to_json_value(value)).decode()
    return str(_DECODER.decode(encoded)) if encoded.startswith('"') else encoded


class RowShape(NamedTuple):
    """Which columns to read, and of which of them only nested paths are shown."""

    columns: tuple[str, ...]
    nested: Mapping[str, tuple[str, ...]]


def row_shape(paths: Iterable[str]) -> RowShape:
    """Dotted paths by column, columns in order of first mention. A column named whole is shown whole."""
    nested: dict[str, list[str]] = {}
    whole: set[str] = set()
    for path in paths:
        column, dot, rest = path.partition(".")
        below = nested.setdefault(column, [])
        if not dot:
            whole.add(column)
        elif rest not in below:
            below.append(rest)
    return RowShape(tuple(nested), {name: tuple(below) for name, below in nested.items() if name not in whole})


def project(value: object, paths: Iterable[str]) -> object:
    """Only these dotted paths of an object, nested as in the source; `msgspec.UNSET` where it has none.

    Arrays give what each element has, without the elements that have nothing. NULL stays NULL. Text is read
    as JSON, since some stores keep it so.
    """
    return _project(value, _tree(paths))


def encoder_for(columns: Sequence[str], nested: Mapping[str, Sequence[str]] | None = None) -> RowEncoder:
    """A fast encoder for rows of one shape; `nested` names the paths to which a column is narrowed.

    A narrowed column that has none of its paths is absent from the row. Column names must differ.
    """
    trees = {columns.index(name): _tree(paths) for name, paths in (nested or {}).items()}
    build = _row_builder(tuple(columns))

    def encode(rows: Sequence[Row]) -> bytes:
        return _ENCODER.encode(build(_exact_rows(rows, trees)))[1:-1]

    return encode


def _row_builder(columns: tuple[str, ...]) -> Callable[[Iterable[Row]], list[Any]]:
    # Struct fields need identifiers and the encoder wants names it needn't escape: real names are renames.
    fields = [f"f{index}" for index in range(len(columns))]
    try:
        row_type: Any = msgspec.defstruct(
            "EncodedRow", [(field, Any) for field in fields], rename=dict(zip(fields, columns, strict=True)), gc=False
        )
    except ValueError:
        return lambda rows: [
            {name: value for name, value in zip(columns, row, strict=True) if value is not msgspec.UNSET}
            for row in rows
        ]
    return lambda rows: list(starmap(row_type, rows))


def _exact_rows(rows: Sequence[Row], trees: Mapping[int, Tree]) -> Iterable[Row]:
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    changed = False
    for index, values in enumerate(columns):
        if index in trees:
            columns[index] = [_project(value, trees[index]) for value in values]
            changed = True
        elif not _EXACT.issuperset(map(type, values)):
            columns[index] = [to_json_value(value) for value in values]
            changed = True
    return zip(*columns, strict=True) if changed else rows


def _tree(paths: Iterable[str]) -> Tree:
    # An empty branch takes everything below it, so a longer path never narrows a shorter one.
    tree: Tree = {}
    for path in sorted(paths, key=lambda each: each.count(".")):
        _grow(tree, path.split("."))
    return tree


def _grow(tree: Tree, parts: list[str]) -> None:
    for part in parts:
        known = part in tree
        tree = tree.setdefault(part, {})
        if known and not tree:
            return


def _project(value: object, tree: Tree) -> object:
    if not tree or value is None:
        return to_json_value(value)
    value = _opened(value)
    if isinstance(value, Mapping):
        return _project_mapping(value, tree)
    if isinstance(value, list | tuple):
        elements = [found for each in value if (found := _project(each, tree)) is not msgspec.UNSET]
        return elements if elements or not value else msgspec.UNSET  # a list that is empty is there, and empty
    return msgspec.UNSET if value is not None else None


def _project_mapping(value: Mapping[str, object], tree: Tree) -> object:
    kept = {name: _project(value[name], below) for name, below in tree.items() if name in value}
    return {name: found for name, found in kept.items() if found is not msgspec.UNSET} or msgspec.UNSET


def _opened(value: object) -> object:
    if not isinstance(value, str | msgspec.Raw):
        return value
    try:
        return _DECODER.decode(value)
    except msgspec.DecodeError:
        return value


def _from_float(value: Any) -> object:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else _infinity(value)


def _from_decimal(value: Any) -> object:
    if value.is_finite():
        return value
    return "NaN" if value.is_nan() else _infinity(value)


def _infinity(value: float | Decimal) -> str:
    return "Infinity" if value > 0 else "-Infinity"


def _from_datetime(value: Any) -> object:
    if value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return value


def _from_mapping(value: Any) -> object:
    return {_key_text(key): to_json_value(each) for key, each in value.items()}


def _from_sequence(value: Any) -> object:
    return [to_json_value(each) for each in value]


def _from_set(value: Any) -> object:
    return sorted((to_json_value(each) for each in value), key=_SORTED.encode)


def _key_text(key: object) -> str:
    return "null" if key is None else str(canonical_text(key))


_CONVERTERS: dict[type, Callable[[Any], object]] = {
    float: _from_float,
    Decimal: _from_decimal,
    datetime: _from_datetime,
    dict: _from_mapping,
    list: _from_sequence,
    tuple: _from_sequence,
    set: _from_set,
    frozenset: _from_set,
}


# Subclasses that drivers bring (enums of text, named tuples, ordered dicts) go as what they extend.
_BASES: dict[type, Callable[[Any], object]] = {
    **_CONVERTERS,
    str: str.__str__,
    int: int,
    bytes: bytes,
    timedelta: lambda value: timedelta(value.days, value.seconds, value.microseconds),
}


def _converter_of(value: object) -> Callable[[Any], object]:
    for base in type(value).__mro__[1:]:
        if base in _BASES:
            return _BASES[base]
    if type(value).__str__ is object.__str__:
        raise TypeError(f"a value of type {type(value).__name__} has no JSON form")
    return str
