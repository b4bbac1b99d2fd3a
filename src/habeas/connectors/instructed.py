"""The family of processors who are told what to erase by a message: where it goes, and which identities it may name.

Never sends one itself.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from habeas.connectors.base import Capabilities
from habeas.connectors.outside import OutsideConnector

Kind = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class InstructedSecrets(BaseModel):
    """Where instructions go: `to_email`; `test_email` gets the test message; `identities` are the kinds that may be
    named to the processor; `instructions` is put into each message.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    to_email: str = Field(title="To email", max_length=254)
    test_email: str | None = Field(default=None, title="Test email", max_length=254)
    identities: tuple[Kind, ...] = Field(default=("email",), min_length=1, max_length=20)
    instructions: str = Field(default="", max_length=2000)

    @field_validator("to_email", "test_email")
    @classmethod
    def _is_one_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        from email_validator import EmailNotValidError, validate_email  # late: only where one is configured

        try:
            return validate_email(value.strip(), check_deliverability=False).normalized
        except EmailNotValidError:
            raise ValueError("must be one e-mail address") from None

    @field_validator("instructions")
    @classmethod
    def _is_text(cls, value: str) -> str:
        if any(unicodedata.category(each) in ("Cc", "Cs") for each in value if each not in "\n\t"):
            raise ValueError("must not hold control characters")
        return value.strip()


class InstructedConnector(OutsideConnector):
    """A processor who erases by hand."""

    secrets_model: ClassVar[type[BaseModel]] = InstructedSecrets
    capabilities: ClassVar[Capabilities] = msgspec.structs.replace(OutsideConnector.capabilities, is_instructed=True)

    def __init__(self, secrets: InstructedSecrets) -> None:
        self.secrets = secrets
