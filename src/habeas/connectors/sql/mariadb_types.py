"""What a column's type says in MariaDB and MySQL: its collation, which values fit, how long an index of it is.

A type is known by its family and by its spelling, to which the catalog adds the collation. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from habeas.connectors.sql.values import as_type
from habeas.core.schema import ColumnType, TypeFamily
from habeas.plan.model import Column

_COLLATION = re.compile(r" collate ((\w+?)(?:_\w+)?)\Z")
_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
_UNSIGNED = re.compile(r"\b(unsigned|zerofill)\b")
_CODECS: Mapping[str, str] = {
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "utf8": "utf-8",
    "latin1": "cp1252",
    "ascii": "ascii",
}
_UNICODE = frozenset({"utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32"})
WHOLE = _UNICODE | {"latin1", "ascii"}
"""Character sets all of whose characters are in Unicode."""
_TEXT_BYTES = {"tinytext": 255, "text": 65_535, "mediumtext": 16_777_215}
KEY_BYTES = 3_000  # of an index, with room for the member
_PREFIX = 100  # characters of a long text that an index of ours covers
OWN_EQUALITY = frozenset(
    {
        TypeFamily.INTEGER,
        TypeFamily.DECIMAL,
        TypeFamily.FLOAT,
        TypeFamily.BOOLEAN,
        TypeFamily.DATE,
        TypeFamily.TIMESTAMP,
        TypeFamily.TIMESTAMP_TZ,
        TypeFamily.BINARY,
    }
)
LANDED_TYPES = {
    TypeFamily.DECIMAL: "DECIMAL(65, 30)",
    TypeFamily.FLOAT: "DOUBLE",
    TypeFamily.DATE: "DATE",
    TypeFamily.TIMESTAMP: "DATETIME(6)",
    TypeFamily.TIMESTAMP_TZ: "DATETIME(6)",
    TypeFamily.BINARY: "LONGBLOB",
}
NUMBERS = frozenset({TypeFamily.INTEGER, TypeFamily.BOOLEAN})

_PLACES = (
    *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"),
    *("geometrycollection", "geomcollection"),
)
SPATIAL = frozenset(f"spatial {name}" for name in _PLACES)
"""Types of places, as plans spell them: PostgreSQL has others of the same names, which take other values."""


def spelled(native: str) -> str:
    """A type's name in plans."""
    return f"spatial {native}" if native in _PLACES else native


def folds_accents(collation: str) -> bool:
    """Whether é and e may be equal, by the collation's name: `_ai_`, or `_ci` without a word of accents."""
    plain = collation.endswith("_ci") and "_as_" not in collation and not collation.startswith("ascii_")
    return plain or "_ai_" in collation


class _Collation(NamedTuple):
    name: str
    charset: str


def _collation(kind: ColumnType) -> _Collation | None:
    # The spelling of a type may come from a dataset's author, so nothing but a name's characters is taken from it.
    found = _COLLATION.search(kind.native) if kind.family is TypeFamily.TEXT else None
    return _Collation(*found.groups()) if found else None


def _collation_of(column: Column, exact: str) -> _Collation | None:
    if column.inside is not None and column.type.family is TypeFamily.TEXT:
        return _Collation(exact, "utf8mb4")
    return _collation(column.type)


def compared(left: str, right: str, columns: tuple[Column, Column], exact: str) -> tuple[str, str]:
    """Operands that compare by the left column's collation, or by any where no character set holds both. `exact` is
    the collation of values inside documents.
    """
    own, other = (_collation_of(column, exact) for column in columns)
    if own is None or other is None or own == other:
        return left, right
    if own.charset == other.charset:
        return left, f"{right} COLLATE {own.name}"
    if own.charset in _UNICODE or other.charset in _UNICODE:
        return left, right
    return f"CONVERT({left} USING utf8mb4)", f"CONVERT({right} USING utf8mb4)"


def charset_of(kind: ColumnType) -> str | None:
    """A text column's character set; None where it isn't known."""
    collation = _collation(kind)
    return collation.charset if collation else None


def codec_of(kind: ColumnType) -> str | None:
    """Python's name of a text column's character set; None where it isn't known."""
    collation = _collation(kind)
    return _CODECS.get(collation.charset) if collation else None


def typed(value: Any, kind: ColumnType) -> Any:
    """A value as the column's type holds it; None if it can't."""
    if kind.family in NUMBERS:
        return _integer(value, kind)
    typed = as_type(value, kind.family)
    if kind.family is TypeFamily.TEXT and typed is not None:
        return _text(typed, kind)
    if isinstance(typed, datetime) and typed.tzinfo is not None:
        return typed.astimezone(UTC).replace(tzinfo=None)
    if isinstance(typed, Decimal) and typed.adjusted() >= 35:  # what DECIMAL(65, 30) leaves before the point
        return None
    return str(typed) if isinstance(typed, UUID) else typed


def _integer(value: Any, kind: ColumnType) -> int | None:
    if isinstance(value, str):
        digits = value.strip()
        truth = as_type(digits, TypeFamily.BOOLEAN) if kind.family is TypeFamily.BOOLEAN else None
        number = int(digits) if _INTEGER.match(digits) else truth
    else:
        number = as_type(value, TypeFamily.DECIMAL)
    low, high = (0, 1 << 64) if _UNSIGNED.search(kind.native) else (-(1 << 63), 1 << 63)
    return int(number) if number is not None and number == int(number) and low <= number < high else None


def _text(text: str, kind: ColumnType) -> str | None:
    collation, codec = _collation(kind), codec_of(kind)
    if kind.length is not None and len(text) > kind.length:
        return None
    if collation is None or codec is None:
        return text
    try:
        size = len(text.encode(codec))
    except UnicodeEncodeError:
        return None
    if collation.charset in ("utf8", "utf8mb3") and any(ord(letter) > 0xFFFF for letter in text):
        return None
    return text if size <= _TEXT_BYTES.get(kind.native.partition(" ")[0], size) else None


def landed_type(kind: ColumnType) -> str:
    """The type in which values of another store are compared with a column that is no text."""
    if kind.family in NUMBERS:
        return "BIGINT UNSIGNED" if _UNSIGNED.search(kind.native) else "BIGINT"
    return LANDED_TYPES[kind.family]


def index_bytes(column: Column) -> int:
    """How many bytes of an index a column takes at most."""
    kind = column.type
    if kind.family in (TypeFamily.TEXT, TypeFamily.BINARY):
        return (kind.length or KEY_BYTES) * (4 if kind.family is TypeFamily.TEXT else 1)
    return KEY_BYTES + 1 if kind.family in (TypeFamily.JSON, TypeFamily.OTHER) else 32


def index_prefix(column: Column | None) -> str:
    """An index of ours covers only the beginning of a type that may be too long for one."""
    lengthy = column is not None and column.type.family in (TypeFamily.TEXT, TypeFamily.BINARY, TypeFamily.JSON)
    if column is None or not lengthy or index_bytes(column) <= _PREFIX * 4:
        return ""
    return f"({_PREFIX})"
