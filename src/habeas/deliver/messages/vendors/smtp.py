"""SMTP: a message is handed to a mail server, with STARTTLS unless told otherwise.

One connection a message, with timeouts. A password is never sent in the clear to another machine. What the server
refuses for good (5xx for this recipient or message) is never tried again; all else may pass.
"""

from __future__ import annotations

import ipaddress
import smtplib
import ssl
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from habeas.core.errors import BadInput
from habeas.deliver.messages.base import Message, MessageFailed, Model, Vendor, check_recipient

TIMEOUT_SECONDS = 20.0
IMPLICIT_TLS_PORT = 465

Tls = Literal["starttls", "implicit", "none"]


class SmtpDetails(Model):
    """Where the mail server is, and who writes. `tls` is true or false too: true is STARTTLS, on port 465 TLS from
    the first byte.
    """

    host: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.:-]+$")
    port: int = Field(default=587, ge=1, le=65535)
    from_email: str = Field(max_length=320)
    tls: Tls = "starttls"

    @model_validator(mode="before")
    @classmethod
    def _told_by_truth(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("tls", True), bool):
            secure: Tls = "implicit" if value.get("port") == IMPLICIT_TLS_PORT else "starttls"
            return {**value, "tls": secure if value.get("tls", True) else "none"}
        return value

    @field_validator("from_email")
    @classmethod
    def _one_address(cls, value: str) -> str:
        if any(each in value for each in "\r\n\0"):
            raise ValueError("must be one line")
        _, address = parseaddr(value)
        try:
            check_recipient(address)
        except BadInput:
            raise ValueError("must be one e-mail address, with or without a name before it") from None
        return value


class SmtpSecrets(Model):
    """Who sends, where the server asks."""

    username: str = Field(min_length=1, max_length=255)
    password: str = Field(min_length=1, max_length=1024, repr=False)


class Smtp(Vendor):
    """A mail server."""

    service_type: ClassVar[str] = "smtp"
    details_model: ClassVar[type[SmtpDetails]] = SmtpDetails
    secrets_model: ClassVar[type[SmtpSecrets]] = SmtpSecrets

    def __init__(self, details: SmtpDetails, secrets: SmtpSecrets | None) -> None:
        self._details = details
        self._secrets = secrets

    def send(self, message: Message) -> None:
        """Hand the message to the server; `Message-ID` carries its reference."""
        recipient = check_recipient(message.recipient)
        if self._secrets is not None and self._details.tls == "none" and not _is_loopback(self._details.host):
            raise MessageFailed(
                "a password would be sent in the clear", cause="insecure", passing=True, fix="turn tls on"
            )
        try:
            server = self._connect()
            try:
                server.send_message(self._written(message, recipient), self._sender.addr_spec, [recipient])
            finally:
                with suppress(smtplib.SMTPException, OSError):  # it was taken, or not, whatever QUIT is answered
                    server.quit()
        except smtplib.SMTPAuthenticationError:
            raise MessageFailed("the mail server refuses the login", cause="denied", passing=True) from None
        except smtplib.SMTPSenderRefused:
            raise MessageFailed("the mail server refuses the sender", cause="sender", passing=True) from None
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            raise _refused(error) from None
        except smtplib.SMTPNotSupportedError:
            raise MessageFailed("the mail server lacks what is needed", cause="unsupported", passing=True) from None
        except (ssl.SSLError, smtplib.SMTPException, OSError) as error:
            raise MessageFailed("the mail server can't be used", cause=_cause(error), passing=True) from None

    @property
    def _sender(self) -> Address:
        name, address = parseaddr(self._details.from_email)
        return Address(name, addr_spec=address)

    def _connect(self) -> smtplib.SMTP:
        host, port, tls = self._details.host, self._details.port, self._details.tls
        context = ssl.create_default_context() if tls != "none" else None
        server: smtplib.SMTP
        if tls == "implicit":
            server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
        try:
            if tls == "starttls":
                server.starttls(context=context)
            if self._secrets is not None:
                server.login(self._secrets.username, self._secrets.password)
        except BaseException:
            server.close()
            raise
        return server

    def _written(self, message: Message, recipient: str) -> EmailMessage:
        letter = EmailMessage(policy=SMTP)
        letter["From"] = self._sender
        letter["To"] = Address(addr_spec=recipient)
        letter["Subject"] = message.subject
        letter["Date"] = formatdate()
        letter["Message-ID"] = f"<{message.reference}@{self._sender.domain}>"
        letter["Content-Language"] = message.language
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        letter.set_content(message.text)
        return letter


def _refused(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) -> MessageFailed:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    else:
        codes = [error.smtp_code]
    final = all(code >= 500 for code in codes)  # RFC 5321 §4.2.1
    cause = "rejected" if final else "deferred"
    return MessageFailed("the mail server doesn't take the message", cause=cause, passing=not final)


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "timeout" if isinstance(error, TimeoutError) else "unreachable"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
