"""null_rewrite: the value is gone. The one strategy that fits a nullable column of any type."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from habeas.core.expression import Expression, Null
from habeas.core.schema import TypeFamily
from habeas.masking.base import Configuration, MaskingStrategy


class NullRewrite(MaskingStrategy[Configuration]):
    """Writes NULL."""

    name = "null_rewrite"
    description = "Replaces each value with NULL"
    configuration_model = Configuration

    def expression(self, configuration: Configuration, column: str, secret_prefix: str) -> Expression:
        """NULL."""
        return Null()

    def text_masker(
        self, configuration: Configuration, secrets: Mapping[str, str]
    ) -> Callable[[str, bytes | None], str | None]:
        """NULL."""
        return lambda value, row_key: None

    def fits(self, family: TypeFamily) -> bool:
        """Every family; whether the column takes NULL is the plan's question."""
        return True
