"""preserve: the value stays, by a declared rule, and the reason with it.

Not a mask: the plan lists the field as kept, so that preview and receipt show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import Field

from habeas.core.expression import Column, Expression
from habeas.core.schema import TypeFamily
from habeas.masking.base import Configuration, MaskingStrategy


class PreserveConfiguration(Configuration):
    """Why the value stays."""

    reason: str = Field("preserved", min_length=1, max_length=200, description="why the value stays, for the receipt")


class Preserve(MaskingStrategy[PreserveConfiguration]):
    """Keeps the value."""

    name = "preserve"
    description = "Keeps each value; preview and receipt say that it was kept, and why"
    configuration_model = PreserveConfiguration
    keeps = True

    def expression(self, configuration: PreserveConfiguration, column: str, secret_prefix: str) -> Expression:
        """The column itself."""
        return Column(column)

    def text_masker(
        self, configuration: PreserveConfiguration, secrets: Mapping[str, str]
    ) -> Callable[[str, bytes | None], str | None]:
        """The value itself."""
        return lambda value, row_key: value

    def fits(self, family: TypeFamily) -> bool:
        """Every family: nothing is written."""
        return True
