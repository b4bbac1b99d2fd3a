"""Types of fields that several request bodies share: bounded text without control characters, keys, categories."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from habeas.requests.bulk import KEY_PATTERN


def clean(text: str) -> str:
    """The text, for a model's field; raises ValueError where it holds control characters."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("must not hold control characters")
    return text


def _clean_lines(text: str) -> str:
    clean(text.replace("\n", " ").replace("\r", " ").replace("\t", " "))
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True), AfterValidator(clean)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=KEY_PATTERN)]
Description = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_clean_lines)]
Category = Annotated[str, StringConstraints(max_length=255)]
"""A data category, as written. Which are known is asked where what is stored can be read."""


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a typing error can't pass unseen.

    What an answer shows and nobody sets (`id`, `created_at`, …) is taken and ignored, so that an object that was
    read can be sent back.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def without_answer_fields(value: Any, *names: str) -> Any:
    """The body without the fields that only answers have."""
    ignored = {"id", "created_at", "updated_at", *names}
    return {key: each for key, each in value.items() if key not in ignored} if isinstance(value, dict) else value
