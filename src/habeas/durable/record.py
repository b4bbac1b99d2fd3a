"""What the durable engine may record: JSON of plain values, and errors by class and code only.

An error's message is never recorded: the engine's tables are not ours, and a message of some library could
hold a value. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from habeas.core.errors import HabeasError


class RecordedError(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it is recorded. `cause` is the word that refusals carry."""

    kind: str
    code: str
    cause: str | None = None


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    value: Any = None
    error: RecordedError | None = None


def encode_record(data: object) -> str:
    """A plain value or an error as JSON text. Raises TypeError for what has no JSON form."""
    if isinstance(data, BaseException):
        return msgspec.json.encode(_Record(error=_recorded(data))).decode()
    return msgspec.json.encode(_Record(value=data)).decode()


def decode_record(text: str) -> Any:
    """The value, or an error of the class it had, without its message."""
    record = msgspec.json.decode(text, type=_Record)
    return record.value if record.error is None else _error(record.error)


def value_free(error: Exception) -> HabeasError:
    """The error itself where it is one of ours, else one that only names its class and where it arose."""
    if isinstance(error, HabeasError):
        return error
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return HabeasError(f"failed with {type(error).__name__}", where=place)


def _recorded(error: BaseException) -> RecordedError:
    if isinstance(error, HabeasError):
        return RecordedError(type(error).__name__, error.code, getattr(error, "cause", None))
    return RecordedError(type(error).__name__, HabeasError.code)


def _error(recorded: RecordedError) -> HabeasError:
    kind = _classes(HabeasError).get(recorded.kind, HabeasError)
    error = kind.__new__(kind)
    # The root's own initialiser: those of subclasses may ask for more than was recorded.
    HabeasError.__init__(error, f"failed before with {recorded.code}", fix="see the execution log")
    if recorded.cause is not None:
        error.__dict__["cause"] = recorded.cause
    return error


def _classes(root: type[HabeasError]) -> dict[str, type[HabeasError]]:
    found = {root.__name__: root}
    for each in root.__subclasses__():
        found |= _classes(each)
    return found
