"""What a masking strategy is: a name, a configuration, and one way to make values unreadable, told twice.

`expression` says it in the algebra that stores compile, `masker` in Python; where both exist they agree
for every text. NULL stays NULL under every strategy. A strategy holds no secrets, draws nothing and does
no I/O, so the same input gives the same mask at every run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from habeas.core.errors import BadInput
from habeas.core.expression import Algorithm, Concat, Constant, Expression
from habeas.core.schema import TypeFamily
from habeas.core.values import canonical_text


class Configuration(BaseModel):
    """Settings of one strategy; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FormatPreservation(Configuration):
    """What is appended to the masked text, so that it still looks like an address or a name."""

    suffix: str


class PreservingConfiguration(Configuration):
    """Settings of strategies that can keep a format. A column's length cuts suffix and all."""

    format_preservation: FormatPreservation | None = Field(
        None, description="a suffix that is appended to the masked value, as {suffix: text}"
    )

    @property
    def suffix(self) -> str:
        """What to append; empty where nothing was asked for."""
        return self.format_preservation.suffix if self.format_preservation else ""

    def suffixed(self, expression: Expression) -> Expression:
        """The expression followed by the suffix."""
        return Concat((expression, Constant(self.suffix))) if self.suffix else expression


AlgorithmName = Annotated[
    Literal["SHA-256", "SHA-512"],
    BeforeValidator(lambda value: value.replace("_", "-") if isinstance(value, str) else value),
]
"""fidesops accepts `SHA-256`; its documentation writes `SHA_256`. Both are read."""

ALGORITHMS: dict[str, Algorithm] = {"SHA-256": "sha256", "SHA-512": "sha512"}

C = TypeVar("C", bound=Configuration)
Masker = Callable[[str | None, bytes | None], str | None]
"""From a value and its row's key (None unless the strategy is per row) to the masked value."""


class MaskingStrategy(ABC, Generic[C]):
    """One way to make values unreadable. Stateless; one instance serves all threads."""

    name: ClassVar[str]
    description: ClassVar[str]
    secret_names: ClassVar[tuple[str, ...]] = ()
    per_row: ClassVar[bool] = False  # needs the row's key
    keeps: ClassVar[bool] = False  # leaves the value, by declaration
    configuration_model: type[C]

    def configure(self, raw: Mapping[str, Any] | C | None) -> C:
        """The configuration, checked; a checked one is given back. Raises BadInput without the value given."""
        if isinstance(raw, self.configuration_model):
            return raw
        try:
            return self.configuration_model.model_validate(dict(raw) if isinstance(raw, Mapping) else {})
        except ValidationError as error:
            raise _refusal(self, error) from None

    @abstractmethod
    def expression(self, configuration: C, column: str, secret_prefix: str) -> Expression | None:
        """The mask of a column in the algebra, or None where only `masker` can say it.

        Secrets are named `<secret_prefix>.<secret>`. A result that reads no column is written to rows where
        the column is not NULL.
        """

    @abstractmethod
    def text_masker(self, configuration: C, secrets: Mapping[str, str]) -> Callable[[str, bytes | None], str | None]:
        """The mask of a text that isn't NULL; secrets by their bare names, see `secret_names`."""

    def masker(self, configuration: C, secrets: Mapping[str, str], length: int | None = None) -> Masker:
        """A prepared mask for many values; results longer than `length` characters are cut to it."""
        mask_text = self.text_masker(configuration, secrets)

        def mask(value: str | None, row_key: bytes | None) -> str | None:
            masked = None if value is None else mask_text(value, row_key)
            return masked if masked is None or length is None else masked[:length]

        return mask

    def mask(
        self, configuration: C, value: str | None, secrets: Mapping[str, str], row_key: bytes | None = None
    ) -> str | None:
        """One masked value. For many, `masker` prepares once."""
        return self.masker(configuration, secrets)(value, row_key)

    def fits(self, family: TypeFamily) -> bool:
        """Whether a column of this family can hold the result; text alone, unless a strategy says more."""
        return family is TypeFamily.TEXT


def row_key(place: str, key: Sequence[object]) -> bytes:
    """What stands for a row in masks drawn per row: a place (`dataset:collection:field`) and its key, unambiguous.

    With the field in the place, two columns of a row don't get one value.
    """
    return msgspec.json.encode([place, *(canonical_text(part) for part in key)])


def _refusal(strategy: MaskingStrategy[Any], error: ValidationError) -> BadInput:
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in fault["loc"])
        faults.append(f"{place}: {fault['msg']}" if place else fault["msg"])
    known = ", ".join(strategy.configuration_model.model_fields) or "no settings"
    return BadInput(
        f"bad configuration of masking strategy {strategy.name}: {'; '.join(faults)}",
        where="masking_strategy.configuration",
        fix=f"{strategy.name} takes {known}",
    )
