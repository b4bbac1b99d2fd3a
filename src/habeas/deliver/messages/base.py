"""What a message is and what a vendor is that sends it: the port between habeas and e-mail.

A vendor takes one message at a time, with an id that stays the same when it is sent again, and says whether it
went out, may go out later, or never will. It knows nothing of requests, texts or the outbox. Errors never hold
an address or a server's words, which may quote one.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from habeas.core.errors import BadInput, HabeasError

LONGEST_ADDRESS = 254  # RFC 5321 §4.5.3.1.3, without the brackets


class MessageFailed(HabeasError):
    """A message didn't go out. `cause` is one word; where it is `passing`, it may go out later."""

    status = 502
    code = "delivery"

    def __init__(self, message: str, *, cause: str, passing: bool, fix: str | None = None) -> None:
        super().__init__(message, where="e-mail", fix=fix)
        self.cause = cause
        self.passing = passing


class NoMessenger(BadInput):
    """Nothing is configured that could send a message."""

    code = "no_email_config"

    def __init__(self) -> None:
        super().__init__(
            "no e-mail is configured",
            where="email",
            fix="set HABEAS_SMTP_HOST and HABEAS_SMTP_FROM, or POST /api/v1/email/config",
        )


class Message(NamedTuple):
    """One message to one person, as plain text. `reference` stays the same when it is sent again."""

    recipient: str
    subject: str
    text: str
    reference: str
    language: str = "en"


class Model(BaseModel):
    """Details or secrets of a vendor; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Vendor(ABC):
    """One configured way of sending. Safe to share between threads; holds no connection between messages."""

    service_type: ClassVar[str]
    details_model: ClassVar[type[BaseModel]]
    secrets_model: ClassVar[type[BaseModel]]
    sends: ClassVar[bool] = True  # False: its configuration is kept, and that is all

    @abstractmethod
    def __init__(self, details: Any, secrets: Any) -> None:
        """`details` and `secrets` are instances of the models; `secrets` is None where none were set."""

    @abstractmethod
    def send(self, message: Message) -> None:
        """Send one message. Returns once the vendor took it; raises MessageFailed."""


def check_recipient(address: str) -> str:
    """The one address that a text is, ready for an envelope. Raises BadInput, without the text, for anything that
    isn't exactly one: a list of addresses would reach others.
    """
    from email_validator import EmailNotValidError, validate_email  # late: not needed where no message is made

    text = address.strip()
    if len(text) > LONGEST_ADDRESS or any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in text):
        raise _bad_address()
    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        raise _bad_address() from None
    return found.normalized


def _bad_address() -> BadInput:
    return BadInput("is no e-mail address that a message can be sent to", where="identity.email")
