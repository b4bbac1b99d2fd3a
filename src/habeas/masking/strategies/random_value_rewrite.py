"""random_value_rewrite: a value of the column's own type, another one for each row.

Where a plan uses it, `kind` and the sizes come from the column. Drawn from the request's secret and the
row's key, so that a rerun writes the same. Values lie far from where sequences begin.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import Field

from habeas.core.errors import BadInput
from habeas.core.expression import Expression
from habeas.core.schema import TypeFamily
from habeas.masking.base import Configuration, MaskingStrategy

Kind = Literal[
    "integer", "decimal", "float", "date", "time", "timestamp", "timestamp_tz", "interval", "uuid", "binary", "json"
]
_FIRST_DAY, _DAYS = date(1000, 1, 1), 328_000  # up to the 19th century: all stores know these days
_FIRST_MOMENT, _MOMENTS = datetime(1971, 1, 1, tzinfo=UTC), 2_000_000_000  # seconds within 31 bits


class RandomValueRewriteConfiguration(Configuration):
    """Which type of value, and its limits."""

    kind: Kind = Field("integer", description="the type of the values; of a column, its own")
    size: int = Field(
        15, ge=1, le=1024, description="bits of an integer or float without sign, digits of a decimal, bytes of binary"
    )
    scale: int = Field(0, ge=0, le=1024, description="digits of a decimal after the point")


class RandomValueRewrite(MaskingStrategy[RandomValueRewriteConfiguration]):
    """Writes a value of a type, drawn per row."""

    name = "random_value_rewrite"
    description = "Replaces each value with a random one of the column's own type, another one for each row"
    configuration_model = RandomValueRewriteConfiguration
    secret_names = ("key",)
    per_row = True

    def expression(
        self, configuration: RandomValueRewriteConfiguration, column: str, secret_prefix: str
    ) -> Expression | None:
        """None: no expression knows a row's key."""
        return None

    def text_masker(
        self, configuration: RandomValueRewriteConfiguration, secrets: Mapping[str, str]
    ) -> Callable[[str, bytes | None], str | None]:
        """The canonical text of the value; bytes as hex. Raises BadInput where no row key is given."""
        secret = secrets["key"].encode()

        def mask(value: str, row_key: bytes | None) -> str:
            if row_key is None:
                raise BadInput("values random per row need the row's key", where=self.name)
            return _value(configuration, _draw(secret, row_key, configuration))

        return mask

    def fits(self, family: TypeFamily) -> bool:
        """Every family of which it knows values; in text columns a plan puts `random_string_rewrite` in its place."""
        return family is TypeFamily.TEXT or family.value in Kind.__args__  # type: ignore[attr-defined] # a Literal's values


def _draw(secret: bytes, row_key: bytes, configuration: RandomValueRewriteConfiguration) -> int:
    length = max(32, configuration.size + 16) if configuration.kind == "binary" else 32
    blocks = -(-length // 32)
    parts = (hmac.digest(secret, row_key + block.to_bytes(4, "big"), hashlib.sha256) for block in range(blocks))
    return int.from_bytes(b"".join(parts), "big")


def _value(configuration: RandomValueRewriteConfiguration, drawn: int) -> str:
    size = configuration.size
    match configuration.kind:
        case "integer" | "float":  # the upper half: its highest bit is set
            return str((1 << (size - 1)) + drawn % (1 << (size - 1)))
        case "decimal":
            return _decimal(size, configuration.scale, drawn)
        case "binary":
            return (drawn % (1 << 8 * size)).to_bytes(size, "big").hex()
        case "uuid":
            return str(UUID(int=drawn % (1 << 128), version=4))
        case "json":
            return f'{{"erased": "{drawn % (1 << 128):032x}"}}'
        case _:
            return _moment(configuration.kind, drawn)


def _decimal(digits: int, scale: int, drawn: int) -> str:
    text = str(10 ** (digits - 1) + drawn % (9 * 10 ** (digits - 1)))
    if not scale:
        return text
    text = text.rjust(scale + 1, "0")
    return f"{text[:-scale]}.{text[-scale:]}"


def _moment(kind: Kind, drawn: int) -> str:
    match kind:
        case "date":
            return (_FIRST_DAY + timedelta(days=drawn % _DAYS)).isoformat()
        case "time":
            return str(timedelta(seconds=drawn % 86_400)).rjust(8, "0")
        case "interval":
            return f"PT{drawn % (1 << 31)}S"
        case _:
            moment = _FIRST_MOMENT + timedelta(seconds=drawn % _MOMENTS)
            text = moment.replace(tzinfo=None).isoformat(" ")
            return f"{text}+00:00" if kind == "timestamp_tz" else text
