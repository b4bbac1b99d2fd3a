"""string_rewrite: one constant text for every value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import Field

from habeas.core.expression import Constant, Expression
from habeas.masking.base import MaskingStrategy, PreservingConfiguration


class StringRewriteConfiguration(PreservingConfiguration):
    """The text to write."""

    rewrite_value: str = Field(description="the text that replaces each value")

    @property
    def text(self) -> str:
        """The whole text, suffix included."""
        return self.rewrite_value + self.suffix


class StringRewrite(MaskingStrategy[StringRewriteConfiguration]):
    """Writes a constant."""

    name = "string_rewrite"
    description = "Replaces each value with a given text"
    configuration_model = StringRewriteConfiguration

    def expression(self, configuration: StringRewriteConfiguration, column: str, secret_prefix: str) -> Expression:
        """The constant."""
        return Constant(configuration.text)

    def text_masker(
        self, configuration: StringRewriteConfiguration, secrets: Mapping[str, str]
    ) -> Callable[[str, bytes | None], str | None]:
        """The constant."""
        text = configuration.text
        return lambda value, row_key: text
