"""Notices: messages that tell a person how her request goes, where the settings say so. Never a reason to stop it.

They go to an address that is verified or vouched for, never to one that is merely claimed. Each is put into the outbox
by the transaction that makes it true; what becomes of it then is the outbox's to show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from habeas.core.errors import BadInput
from habeas.core.identity import Assurance, Identity
from habeas.core.log import get_logger
from habeas.deliver.messages.wording import word
from habeas.requests.installation import Installation
from habeas.requests.messages import is_configured, put_message


def put_receipt(
    connection: Connection, installation: Installation, request_id: str, address: str | None, actions: Iterable[str]
) -> None:
    """Tell the person that the request was received, where the settings say so and a message can be sent."""
    if not installation.settings.send_request_receipt_notification:
        return
    language = installation.settings.message_language
    told = "\n".join(f"- {word(action, language)}" for action in dict.fromkeys(actions))
    values = {"actions": told, "request_id": request_id}
    notify(connection, installation, "request_received", request_id, address, values)


def notify(
    connection: Connection,
    installation: Installation,
    name: str,
    request_id: str,
    address: str | None,
    values: Mapping[str, str],
) -> None:
    """Put a message about a request into the outbox; where it can have none (no e-mail configured, or no single
    address known to be the person's) only the log says so, as with fidesops.
    """
    if is_configured(connection, installation):
        _put(connection, installation, name, request_id, address, values)


def known_address(identities: Iterable[Identity]) -> str | None:
    """The e-mail address that is verified, else one that is vouched for; never one that is merely claimed."""
    found = [each for each in identities if each.kind == "email" and each.assurance is not Assurance.CLAIMED]
    found.sort(key=lambda each: each.assurance is not Assurance.VERIFIED)
    return found[0].value if found else None


def put_review(
    connection: Connection,
    installation: Installation,
    name: str,
    request_id: str,
    identities: Iterable[Identity],
    values: Mapping[str, str],
) -> None:
    """Tell the person what a reviewer decided."""
    notify(connection, installation, name, request_id, known_address(identities), {"request_id": request_id, **values})


def put_completions(
    connection: Connection,
    installation: Installation,
    ended: Iterable[tuple[str, Iterable[Identity]]],
    *,
    accesses: bool,
    erases: bool,
) -> None:
    """Tell the people of a cohort that their requests are complete, where the settings say so: a message for the copy
    and one for the erasure (fidesops).
    """
    if not installation.settings.send_request_completion_notification:
        return
    if not is_configured(connection, installation):
        return
    names = (["complete_access"] if accesses else []) + (["complete_erasure"] if erases else [])
    for request_id, identities in ended:
        address = known_address(identities)
        for name in names:
            _put(connection, installation, name, request_id, address, {"request_id": request_id})


def _put(
    connection: Connection,
    installation: Installation,
    name: str,
    request_id: str,
    address: str | None,
    values: Mapping[str, str],
) -> None:
    try:
        if address is None:
            raise BadInput("no address is known", where="identity.email")
        put_message(connection, installation, name, request_id, address, values)
    except BadInput as problem:
        get_logger(__name__).warning("message.not_possible", request=request_id, name=name, reason=problem.message)
