"""Messages to people, from the moment they are decided on until they are sent: written here, put into the outbox in
the transaction that makes them true, sent by a worker.

A message's body (address, text) is sealed and dropped as soon as it went out. What can't be sent now is tried again,
later each time; what can't be sent at all stays as failed and can be sent again by hand. Names of messages are those of
`deliver.messages.wording`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from habeas.core.errors import BadInput, HabeasError, NotFound
from habeas.deliver.messages.base import Message, NoMessenger, Vendor, check_recipient
from habeas.deliver.messages.registry import open_vendor
from habeas.deliver.messages.wording import write
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.means import Means
from habeas.store import audit, email_configs, outbox
from habeas.store.email_configs import EmailConfigRow

PREFIX = "message."
CONFIG_SECRETS = "email-secrets"

_BODY = "message"


class Draft(msgspec.Struct):
    """A message's sealed body. `expires_at`: after that it is of no use and isn't sent."""

    recipient: str
    values: dict[str, str]
    language: str
    expires_at: datetime | None = None


def put_message(
    connection: Connection,
    means: Means,
    name: str,
    subject: str,
    recipient: str,
    values: Mapping[str, str],
    *,
    expires_at: datetime | None = None,
) -> int:
    """Put a message about `subject` (an id) into the outbox, in the caller's transaction; its id.

    Raises BadInput for a recipient that isn't exactly one address. Wake the workers after the commit.
    """
    draft = Draft(check_recipient(recipient), dict(values), means.settings.message_language, expires_at)
    kind = PREFIX + name
    sealed = means.vault.seal(_BODY, msgspec.json.encode(draft), f"{kind}/{subject}")
    return outbox.put(connection, means.clock, kind, subject, sealed)


def open_message(means: Means, outgoing: outbox.Outgoing) -> tuple[Draft, Message]:
    """A claimed message, written, with what it was written from."""
    if outgoing.sealed_body is None:
        raise NotFound("the message has no body any more", where=f"message {outgoing.id}")
    plain = means.vault.open(_BODY, outgoing.sealed_body, f"{outgoing.kind}/{outgoing.subject}")
    draft = msgspec.json.decode(plain, type=Draft)
    wording = write(outgoing.kind.removeprefix(PREFIX), draft.language, draft.values)
    # A random-looking id that stays the same when it is sent again, and names neither person nor request.
    reference = hashlib.sha256(means.vault.key(_BODY) + str(outgoing.id).encode()).hexdigest()[:32]
    return draft, Message(draft.recipient, wording.subject, wording.text, reference, draft.language)


def is_configured(connection: Connection, means: Means) -> bool:
    """Whether there is anything to send messages with, and it fits."""
    try:
        open_messenger(means, connection)
    except BadInput:
        return False
    return True


def open_messenger(means: Means, connection: Connection) -> Vendor:
    """The vendor that sends: as configured by the API, else by the settings. Raises NoMessenger, or BadInput where
    its settings don't fit.
    """
    row = email_configs.find(connection)
    if row is not None:
        vendor = open_vendor(row.service_type, row.details, open_secrets(means, row))
        if not vendor.sends:
            raise BadInput(
                f"sending by {row.service_type} isn't offered yet",
                where="email",
                fix="configure service_type smtp (Mailgun answers SMTP too, at smtp.mailgun.org)",
            )
        return vendor
    settings = means.settings
    if settings.smtp_host is None:
        raise NoMessenger
    if settings.smtp_from is None:
        raise BadInput("is not set", where="HABEAS_SMTP_FROM", fix="give the address that messages come from")
    details = {
        "host": settings.smtp_host,
        "port": settings.smtp_port,
        "from_email": settings.smtp_from,
        "tls": settings.smtp_starttls,
    }
    secrets = None
    if settings.smtp_user is not None:
        secrets = {"username": settings.smtp_user, "password": settings.smtp_password or ""}
    return open_vendor("smtp", details, secrets)


def open_secrets(means: Means, row: EmailConfigRow) -> dict[str, Any] | None:
    """The stored secrets of the configuration, None where none were set."""
    if row.sealed_secrets is None:
        return None
    opened = means.vault.open_json(CONFIG_SECRETS, row.sealed_secrets, row.id)
    return opened if isinstance(opened, dict) else None


def send_test(means: Means, actor: Actor, recipient: str) -> dict[str, Any]:
    """Send a test message now: `{test_status, failure_reason}`. Raises NoMessenger or BadInput, before anything is
    sent, for what can't be right.
    """
    problem = try_sending(means, recipient)
    with means.database.begin() as connection:
        detail = {"result": "failed" if problem else "succeeded"}
        audit.append(connection, means.clock, actor.client_id, "email.tested", None, detail)
    return {"test_status": "failed" if problem else "succeeded", "failure_reason": problem and str(problem)}


def try_sending(means: Means, recipient: str) -> HabeasError | None:
    """Send the test message now; why it didn't go out. Raises as `send_test` does."""
    check_recipient(recipient)
    with means.database.read() as connection:
        vendor = open_messenger(means, connection)
    language = means.settings.message_language
    wording = write("test", language, {})
    reference = hashlib.sha256(f"{means.clock.now()}".encode()).hexdigest()[:32]
    try:
        vendor.send(Message(recipient, wording.subject, wording.text, reference, language))
    except HabeasError as error:
        return error
    return None


def list_messages(means: Means, *, state: str | None, subject: str | None, page: int, size: int) -> Page:
    """Messages, newest first, each with its `state` (waiting, sent, failed); never text or recipient."""
    with means.database.read() as connection:
        rows, total = outbox.page(
            connection, PREFIX, state=state, subject=subject, offset=(page - 1) * size, limit=size
        )
    items = [row | {"kind": str(row["kind"]).removeprefix(PREFIX)} for row in rows]
    return Page(items, total, page, size)


def send_again(means: Means, actor: Actor, message_id: int) -> None:
    """Let a failed message be tried again. Raises NotFound where there is none that still can be."""
    with means.database.begin() as connection:
        if not outbox.send_again(connection, PREFIX, message_id):
            raise NotFound("no failed message has this number, or it is of no use any more", where="message_id")
        audit.append(connection, means.clock, actor.client_id, "message.retried", str(message_id), None)
