"""Substitutes: what a column's type takes where the policy's strategy doesn't fit it.

NULL where the column takes it, else a constant of the type, or, where values must differ, one random per row.
Limits are read from the store's own spelling of the type. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from habeas.core.schema import ColumnType, TypeFamily
from habeas.dataset.model import StrategyChoice
from habeas.masking.registry import strategy

NULL, CONSTANT, RANDOM, RANDOM_VALUE = (
    "null_rewrite",
    "string_rewrite",
    "random_string_rewrite",
    "random_value_rewrite",
)
MIN_RANDOM = 4  # characters below which values random per row would meet too often
RANDOM_LENGTH = 30
RANDOM_BYTES = 16

CONSTANTS: Mapping[TypeFamily, str | int | float | bool] = {
    TypeFamily.INTEGER: 0,
    TypeFamily.DECIMAL: 0,
    TypeFamily.FLOAT: 0.0,
    TypeFamily.TEXT: "",
    TypeFamily.BOOLEAN: False,
    TypeFamily.DATE: "1970-01-01",
    TypeFamily.TIME: "00:00:00",
    TypeFamily.TIMESTAMP: "1970-01-01 00:00:00",
    TypeFamily.TIMESTAMP_TZ: "1970-01-01 00:00:00+00:00",
    TypeFamily.INTERVAL: "PT0S",
    TypeFamily.UUID: "00000000-0000-0000-0000-000000000000",
    TypeFamily.BINARY: "",
    TypeFamily.JSON: "{}",
    TypeFamily.ARRAY: "{}",
}
"""What is written to a NOT NULL column that can't hold the policy's mask."""

_NATIVE_CONSTANTS: Mapping[str, str] = {
    "inet": "0.0.0.0/32",  # as its text has it, by which it is verified
    "cidr": "0.0.0.0/32",
    "inet4": "0.0.0.0",  # noqa: S104 - a value to be written; MariaDB's two
    "inet6": "::",
    "macaddr": "00:00:00:00:00:00",
    "macaddr8": "00:00:00:00:00:00:00:00",
    "tsvector": "",
    "hstore": "",
    "xml": "<erased/>",
    "point": "(0,0)",  # PostgreSQL's; MariaDB's catalog spells its own types of places apart
    "int4range": "empty",
    "int8range": "empty",
    "numrange": "empty",
    "daterange": "empty",
    "tsrange": "empty",
    "tstzrange": "empty",
}
"""The same for types that only one store has, by their own name."""

_INTEGER_BITS: Mapping[str, int] = {
    "tinyint": 7,
    "smallint": 15,
    "int2": 15,
    "mediumint": 23,
    "int": 31,
    "int4": 31,
    "integer": 31,
    "bigint": 63,
    "int8": 63,
}
_NARROWEST_BITS = 15  # a domain's name tells nothing of its type
_FEWEST_BITS = 6  # below, values random per row would meet too often
_FEWEST_DIGITS = 2
_WIDEST_DIGITS = 15  # what every store keeps exactly
_PRECISION = re.compile(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


def constant_of(kind: ColumnType) -> str | int | float | bool | None:
    """The type's constant: the first value of an enum; None if habeas knows none."""
    if kind.values:
        return kind.values[0]
    if kind.family is TypeFamily.OTHER and kind.native.lower().startswith("set("):
        return ""  # no member
    if kind.family is TypeFamily.OTHER:
        return _NATIVE_CONSTANTS.get(kind.native.lower())
    return CONSTANTS.get(kind.family)


def random_of(kind: ColumnType) -> StrategyChoice | None:
    """How values of the type are drawn per row within its limits; None if too few or none are known."""
    if kind.family is TypeFamily.TEXT:
        if kind.length is not None and kind.length < MIN_RANDOM:
            return None
        return StrategyChoice(RANDOM, {"length": min(RANDOM_LENGTH, kind.length or RANDOM_LENGTH)})
    if kind.values or not strategy(RANDOM_VALUE).fits(kind.family):
        return None
    limits = _limits(kind)
    return None if limits is None else StrategyChoice(RANDOM_VALUE, {"kind": kind.family.value, **limits})


def _limits(kind: ColumnType) -> dict[str, Any] | None:
    native = kind.native.lower()
    match kind.family:
        case TypeFamily.INTEGER:
            return _sized(_integer_bits(native), _FEWEST_BITS)
        case TypeFamily.FLOAT:
            return _sized(_float_bits(native), _FEWEST_BITS)
        case TypeFamily.DECIMAL:
            return _decimal_limits(native)
        case TypeFamily.BINARY:
            return _sized(min(RANDOM_BYTES, kind.length or RANDOM_BYTES), MIN_RANDOM)
        case _:
            return {}


def _sized(size: int, fewest: int) -> dict[str, Any] | None:
    return {"size": size} if size >= fewest else None


def _integer_bits(native: str) -> int:
    if native.startswith(("year", "bit")):
        return 0  # MariaDB's: years are few, and a number that is joined from its text fits no BIT
    words = re.findall(r"[a-z_0-9]+", native)
    return next((_INTEGER_BITS[word] for word in words if word in _INTEGER_BITS), _NARROWEST_BITS)


def _float_bits(native: str) -> int:
    word = re.match(r"[a-z0-9]*", native)
    bits = 24 if word is not None and word[0] in ("real", "float4", "float") else 53
    found = _PRECISION.search(native)
    if found is None or found[2] is None:
        return bits
    whole: int = 10 ** max(int(found[1]) - int(found[2]), 0)  # MariaDB's float(5,2)
    return min(bits, whole.bit_length() - 1)


def _decimal_limits(native: str) -> dict[str, Any] | None:
    found = _PRECISION.search(native)
    if found is None:
        plain = native in ("numeric", "decimal")
        return {"size": _WIDEST_DIGITS if plain else 4, "scale": 0}
    precision, scale = int(found[1]), int(found[2] or 0)
    if precision < _FEWEST_DIGITS:
        return None
    # The point stays where it is: what is cut is digits before it, then digits after it.
    return {"size": min(precision, _WIDEST_DIGITS), "scale": min(scale, _WIDEST_DIGITS)}
