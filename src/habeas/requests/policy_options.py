"""What a policy says of the life of its requests, as given: duplicates, custom fields, approval, retention. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from habeas.requests.inputs import Body, Name

MAX_FIELDS = 50
MAX_CHOICES = 200
MAX_TEXT = 2_000

Kind = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,58}$")]
FieldType = Literal["string", "integer", "number", "boolean", "date", "choice"]


class DuplicateRule(Body):
    """When a later request of the same person counts as a duplicate, and what then becomes of it."""

    window_days: int = Field(ge=0, le=3_660, description="how long after the first one; 0: never")
    identities: list[Kind] | None = Field(
        default=None, min_length=1, max_length=20, description="kinds that must be the same; null: all that are given"
    )
    then: Literal["ask", "close"] = Field(
        default="ask", description="close: canceled when the first one is complete; ask: a person decides"
    )


class CustomField(Body):
    """A field that requests of the policy may carry besides identities."""

    label: Name | None = None
    type: FieldType = "string"
    required: bool = False
    max_length: int = Field(default=255, ge=1, le=MAX_TEXT, description="characters of a string")
    choices: list[Name] | None = Field(default=None, min_length=1, max_length=MAX_CHOICES)
    search: bool = Field(default=False, description="requests can be found by its exact value")
    identity: Kind | None = Field(default=None, description="the identity kind that its value is")

    @model_validator(mode="after")
    def _fits(self) -> CustomField:
        if (self.type == "choice") != (self.choices is not None):
            raise ValueError("choices belong to the type choice, which needs them")
        if self.identity is not None and self.type not in ("string", "integer"):
            raise ValueError("an identity is a string or an integer")
        return self
