"""The mask algebra: small expressions that every dialect compiles and Python evaluates the same.

An expression holds names of secrets, never secrets; whoever compiles or evaluates it is handed the
values and binds them as parameters. Text is UTF-8. NULL in gives NULL out for everything that reads a
column: no strategy makes a value out of an absent one. Never does I/O.
"""

from __future__ import annotations

import hashlib
import hmac as stdlib_hmac
from collections.abc import Mapping
from typing import Literal, assert_never

import msgspec

Algorithm = Literal["sha256", "sha512"]


class Null(msgspec.Struct, frozen=True, tag="null"):
    """SQL NULL."""


class Constant(msgspec.Struct, frozen=True, tag="constant"):
    """The same value for every row. NULL rows stay NULL all the same: see `keeps_null` of the mask."""

    value: str | int | float | bool


class Column(msgspec.Struct, frozen=True, tag="column"):
    """The row's present value of a column, as canonical text."""

    name: str


class Secret(msgspec.Struct, frozen=True, tag="secret"):
    """A secret of the request, by name; its value is text."""

    name: str


class Concat(msgspec.Struct, frozen=True, tag="concat"):
    """The texts of all parts, one after the other."""

    parts: tuple[Expression, ...]


class Digest(msgspec.Struct, frozen=True, tag="digest"):
    """Lower-case hex digest of the UTF-8 bytes of `of`."""

    algorithm: Algorithm
    of: Expression


class Hmac(msgspec.Struct, frozen=True, tag="hmac"):
    """Lower-case hex HMAC (RFC 2104) of the UTF-8 bytes of `of` under a secret's UTF-8 bytes."""

    algorithm: Algorithm
    key: Secret
    of: Expression


class Truncate(msgspec.Struct, frozen=True, tag="truncate"):
    """The first `length` characters (code points) of `of`."""

    of: Expression
    length: int


Expression = Null | Constant | Column | Secret | Concat | Digest | Hmac | Truncate


def reads_column(expression: Expression) -> bool:
    """Whether the result depends on the row, so that a rerun must write frozen values."""
    match expression:
        case Column():
            return True
        case Concat(parts):
            return any(reads_column(part) for part in parts)
        case Digest(of=of) | Hmac(of=of) | Truncate(of=of):
            return reads_column(of)
        case Null() | Constant() | Secret():
            return False
        case _ as never:
            assert_never(never)


def secret_names(expression: Expression) -> frozenset[str]:
    """Names of all secrets the expression needs."""
    match expression:
        case Secret(name):
            return frozenset({name})
        case Concat(parts):
            return frozenset().union(*(secret_names(part) for part in parts))
        case Hmac(key=key, of=of):
            return secret_names(of) | {key.name}
        case Digest(of=of) | Truncate(of=of):
            return secret_names(of)
        case Null() | Constant() | Column():
            return frozenset()
        case _ as never:
            assert_never(never)


def evaluate(
    expression: Expression, row: Mapping[str, str | None], secrets: Mapping[str, str]
) -> str | int | float | bool | None:
    """The value of the expression for one row of canonical texts; the reference that dialects must equal."""
    match expression:
        case Null():
            return None
        case Constant(value):
            return value
        case Column(name):
            return row[name]
        case Secret(name):
            return secrets[name]
        case Concat(parts):
            texts = [evaluate(part, row, secrets) for part in parts]
            return None if None in texts else "".join(map(str, texts))
        case Digest(of=of) | Hmac(of=of) | Truncate(of=of):
            text = evaluate(of, row, secrets)
            return None if text is None else _transformed(expression, str(text), secrets)
        case _ as never:
            assert_never(never)


def _transformed(expression: Digest | Hmac | Truncate, text: str, secrets: Mapping[str, str]) -> str:
    match expression:
        case Digest(algorithm):
            return hashlib.new(algorithm, text.encode()).hexdigest()
        case Hmac(algorithm, key):
            return stdlib_hmac.new(secrets[key.name].encode(), text.encode(), algorithm).hexdigest()
        case Truncate(_, length):
            return text[:length]
