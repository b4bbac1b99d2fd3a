"""Mailgun: its configuration is taken in fidesops' shape and kept; sending through it isn't offered yet.

Whatever would send says so by name, so that nobody waits for a message that can't come.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from habeas.deliver.messages.base import Message, MessageFailed, Model, Vendor


class MailgunDetails(Model):
    """The domain that messages come from, and where its account is."""

    domain: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9.-]+$")
    is_eu_domain: bool = False
    api_version: Literal["v3"] = "v3"


class MailgunSecrets(Model):
    """The key of the account."""

    mailgun_api_key: str = Field(min_length=1, max_length=1024, repr=False)


class Mailgun(Vendor):
    """A Mailgun account."""

    service_type: ClassVar[str] = "mailgun"
    details_model: ClassVar[type[MailgunDetails]] = MailgunDetails
    secrets_model: ClassVar[type[MailgunSecrets]] = MailgunSecrets
    sends: ClassVar[bool] = False

    def __init__(self, details: MailgunDetails, secrets: MailgunSecrets | None) -> None:
        self._details = details
        self._secrets = secrets

    def send(self, message: Message) -> None:
        """Always raises MessageFailed; where it is asked for beforehand, `sends` says no."""
        raise MessageFailed("Mailgun isn't offered yet", cause="not_offered", passing=True, fix="use smtp")
