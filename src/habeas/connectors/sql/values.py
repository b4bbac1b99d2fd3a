"""Values of one store as the type of a column of another: what a given text or a landed value means there.

A value that the type can't hold becomes None, which no row matches. Pure; never raises for a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from habeas.core.schema import TypeFamily
from habeas.core.values import canonical_text

_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
_WIDEST = 1 << 63
_BOOLEANS = {
    "true": True,
    "t": True,
    "1": True,
    "yes": True,
    "false": False,
    "f": False,
    "0": False,
    "no": False,
}


def as_type(value: Any, family: TypeFamily) -> Any:
    """The value as the family's Python type, or None. NULL stays None."""
    if value is None:
        return None
    convert = _CONVERTERS.get(family)
    if convert is None:
        return canonical_text(value)
    try:
        return convert(value)
    except (ValueError, InvalidOperation, OverflowError, TypeError):
        return None


def _integer(value: Any) -> int | None:
    if isinstance(value, str):
        number = int(value) if _INTEGER.match(value.strip()) else None
    elif isinstance(value, float | Decimal):
        number = int(value) if value == int(value) else None
    else:
        number = int(value)
    return number if number is not None and -_WIDEST <= number < _WIDEST else None


def _decimal(value: Any) -> Decimal | None:
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() else None


def _boolean(value: Any) -> bool | None:
    return _BOOLEANS.get(str(value).strip().lower())


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value).strip())


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        raise ValueError("a date has no time")
    return value if isinstance(value, date) else date.fromisoformat(str(value).strip())


def _timestamp(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    if moment.tzinfo is not None:
        raise ValueError("a local time has no zone")
    return moment


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    if moment.tzinfo is None:
        raise ValueError("a moment needs its zone")
    return moment


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        raise ValueError("text is not bytes")
    return bytes(value)


_CONVERTERS: dict[TypeFamily, Callable[[Any], Any]] = {
    TypeFamily.INTEGER: _integer,
    TypeFamily.DECIMAL: _decimal,
    TypeFamily.FLOAT: float,
    TypeFamily.BOOLEAN: _boolean,
    TypeFamily.UUID: _uuid,
    TypeFamily.DATE: _date,
    TypeFamily.TIMESTAMP: _timestamp,
    TypeFamily.TIMESTAMP_TZ: _moment,
    TypeFamily.BINARY: _bytes,
}
