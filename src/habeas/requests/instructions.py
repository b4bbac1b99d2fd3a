"""Instructions to processors: sent at the end of an erasure, confirmed by a link, and until then the request waits.

A message goes out by the outbox, put there in the transaction that ends the cohort; it names only the identities that
the connection says, and nobody's in its subject. A link works once and for a month, is kept as a digest, and is void
as soon as another one is sent. Nothing counts as erased because a message went out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from habeas.core.errors import BadInput, NotFound
from habeas.core.identity import Assurance, Identity
from habeas.core.log import get_logger
from habeas.execute.members import Member
from habeas.requests.clients import Actor
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.manual_webhooks import NotPossible
from habeas.requests.messages import put_message
from habeas.requests.model import Outcome, Reason, Stage, Status
from habeas.requests.moves import move
from habeas.requests.notices import put_completions
from habeas.requests.processors import Processor, find_processor
from habeas.requests.sealing import open_identities
from habeas.requests.webhook_results import call_after
from habeas.store import audit, receipts
from habeas.store import instructions as store
from habeas.store import requests as request_store
from habeas.store.instructions import CONFIRMED, GIVEN_UP, WAITING, InstructionRow
from habeas.store.session import new_id

PAGE = "/privacy/confirm/"
LINK_LIFE = timedelta(days=30)
NAME = "erasure_instruction"
PROCESSOR = "processor"
"""The actor of what a processor does by a link."""

WAITS = {
    "address": "",
    "problem": "what habeas can erase is erased; processors were told to erase the rest, and haven't confirmed it",
    "fix": "wait, send the instruction again, confirm it, or give it up (docs/manual-work.md)",
    "code": "manual",
}


class Verdict(StrEnum):
    """What a link is worth."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


def put_instructions(connection: Connection, installation: Installation, members: Sequence[Member]) -> frozenset[str]:
    """Tell the processors of some requests that end, in the caller's transaction; the ids of those that wait for them.
    Who confirmed in an earlier attempt isn't told again.
    """
    found = store.of_requests(connection, [each.request_id for each in members])
    known = {(each.privacy_request_id, each.connection_key): each for each in found}
    keys = sorted({key for each in members for key in each.instructs})
    processors = {key: find_processor(connection, installation, key) for key in keys}
    waiting: set[str] = set()
    for each in members:
        for key in each.instructs:
            former = known.get((each.request_id, key))
            if former is None or former.state != CONFIRMED:
                _put(connection, installation, former, each.request_id, key, processors[key], each.identities)
                waiting.add(each.request_id)
    return frozenset(waiting)


def list_instructions(installation: Installation, request_id: str) -> list[dict[str, Any]]:
    """A request's instructions with what became of the last message of each; never to whom it went. Raises NotFound."""
    with installation.database.read() as connection:
        found_request(connection, request_id)
        return store.described(connection, request_id)


def resend(installation: Installation, actor: Actor, request_id: str, connection_key: str) -> None:
    """Send an instruction again with another link; the former is void. Raises NotFound, NotPossible."""
    with installation.database.begin() as connection:
        request, row = _waiting(connection, request_id, connection_key)
        processor = find_processor(connection, installation, connection_key)
        identities = open_identities(installation.vault, request_id, request["sealed_identities"])
        if not _put(connection, installation, row, request_id, connection_key, processor, identities):
            raise NotPossible("can't be sent", where=connection_key, fix=f"see GET /connection/{connection_key}/test")
        _note(connection, installation, actor.client_id, "resent", row)
    installation.wake()


def confirm(installation: Installation, actor: Actor, request_id: str, connection_key: str) -> None:
    """Confirm for a processor, who said so in another way. Raises NotFound, NotPossible."""
    with installation.database.begin() as connection:
        _, row = _waiting(connection, request_id, connection_key)
        _confirm(connection, installation, actor.client_id, row)
    installation.wake()


def give_up(installation: Installation, actor: Actor, request_id: str, connection_key: str) -> None:
    """Wait no longer: the request ends as `error`, reason `delivery`; retry tells the processor anew. Raises NotFound,
    NotPossible.
    """
    now = installation.clock.now()
    with installation.database.begin() as connection:
        request, row = _waiting(connection, request_id, connection_key)
        _end(connection, installation, row, GIVEN_UP, actor.client_id)
        detail = {
            "address": connection_key,
            "problem": "the processor didn't confirm that it erased",
            "fix": "retry to tell it again",
            "code": "delivery",
        }
        values: dict[str, Any] = {"reason": Reason.DELIVERY, "reason_detail": detail, "finished_processing_at": now}
        move(connection, request, Status.ERROR, Stage.DONE, now, **values)
        _note(connection, installation, actor.client_id, "given_up", row)


def look_at_link(installation: Installation, token: str) -> Verdict:
    """What a link is worth. Changes nothing: programs that look at links before people do confirm nothing."""
    with installation.database.read() as connection:
        return _verdict(installation, store.find_by_token(connection, _digest(token)))


def follow_link(installation: Installation, token: str) -> Verdict:
    """Confirm by a link; CONFIRMED also where that was done before."""
    with installation.database.begin() as connection:
        row = store.find_by_token(connection, _digest(token))
        verdict = _verdict(installation, row)
        if row is None or verdict is not Verdict.OPEN:
            return verdict
        request_store.find_locked(connection, row.privacy_request_id)
        _confirm(connection, installation, PROCESSOR, row)
    installation.wake()
    return Verdict.CONFIRMED


def finish_confirmed(connection: Connection, installation: Installation, request_id: str) -> None:
    """End a request whose last open work was confirmed, once it has called the webhooks after; call it with the
    request's row locked, so that of two who confirm at once the second sees the first.
    """
    row = request_store.find_locked(connection, request_id)
    if row is None or row["status"] != Status.REQUIRES_INPUT or row["stage"] != Stage.RECEIPT:
        return
    if any(each.state == WAITING for each in store.of_requests(connection, [request_id])):
        return
    now = installation.clock.now()
    outcome = _outcome(connection, request_id)
    if call_after(connection, row, outcome, now):
        return
    values: dict[str, Any] = {"outcome": outcome, "reason": None, "reason_detail": None, "finished_processing_at": now}
    move(connection, row, Status.COMPLETE, Stage.DONE, now, **values)
    actions = {each["rule_action_type"] for each in request_store.find_policies(connection, ids=[row["policy_id"]])}
    people = [(request_id, open_identities(installation.vault, request_id, row["sealed_identities"]))]
    put_completions(connection, installation, people, accesses="access" in actions, erases=True)


def _outcome(connection: Connection, request_id: str) -> str:
    """That of the receipt; what a person confirmed was erased, where habeas itself had found nothing."""
    told = str(receipts.outcome_of(connection, request_id))
    return Outcome.ERASED if told == Outcome.NOTHING_FOUND else told


def _put(
    connection: Connection,
    installation: Installation,
    former: InstructionRow | None,
    request_id: str,
    connection_key: str,
    processor: Processor | None,
    identities: Iterable[Identity],
) -> bool:
    """Keep an instruction as waiting and put its message into the outbox; whether a message could be made."""
    now = installation.clock.now()
    values: dict[str, Any] = {"state": WAITING, "ended_at": None, "ended_by": None}
    sent = _message(connection, installation, request_id, connection_key, processor, identities)
    if former is None:
        values |= {"id": new_id("ins"), "privacy_request_id": request_id, "connection_key": connection_key}
        store.add(connection, values | {"sent": 1 if sent else 0} | sent, now)
    else:
        values |= {"token_digest": None, "expires_at": None, "sent": former.sent + (1 if sent else 0)}
        store.change(connection, former.id, values | sent, now)
    return bool(sent)


def _message(
    connection: Connection,
    installation: Installation,
    request_id: str,
    connection_key: str,
    processor: Processor | None,
    identities: Iterable[Identity],
) -> dict[str, Any]:
    """Put the message into the outbox: its columns; {} where none can be made, which the instruction then shows."""
    base = installation.settings.public_url
    if processor is None or base is None:
        return {}
    token = secrets.token_urlsafe(32)
    expires = installation.clock.now() + LINK_LIFE
    named = [
        f"{each.kind}: {each.value}"
        for each in identities
        if each.kind in processor.secrets.identities and each.assurance is not Assurance.CLAIMED
    ]
    values = {
        "identities": "\n".join(dict.fromkeys(named)),
        "instructions": processor.secrets.instructions,
        "link": f"{base}{PAGE}{token}",
        "days": str(LINK_LIFE.days),
        "request_id": request_id,
    }
    try:
        to = processor.secrets.to_email
        message_id = put_message(connection, installation, NAME, request_id, to, values, expires_at=expires)
    except BadInput:
        get_logger(__name__).warning("instruction.not_possible", request=request_id, connection=connection_key)
        return {}
    return {"message_id": message_id, "token_digest": _digest(token), "expires_at": expires}


def _waiting(connection: Connection, request_id: str, connection_key: str) -> tuple[Mapping[str, Any], InstructionRow]:
    """The locked request and its waiting instruction. Raises NotFound, NotPossible for one that ended."""
    request = request_store.find_locked(connection, request_id)
    if request is None:
        raise NotFound(f"No privacy request found with id '{request_id}'")
    row = store.find(connection, request_id, connection_key)
    if row is None:
        raise NotFound("this request gave no instruction by that connection", where=connection_key)
    if row.state != WAITING or request["status"] != Status.REQUIRES_INPUT:
        raise NotPossible(f"it is {row.state}, and the request {request['status']}", where=connection_key)
    return request, row


def _confirm(connection: Connection, installation: Installation, actor: str, row: InstructionRow) -> None:
    _end(connection, installation, row, CONFIRMED, actor)
    finish_confirmed(connection, installation, row.privacy_request_id)
    _note(connection, installation, actor, "confirmed", row)


def _end(connection: Connection, installation: Installation, row: InstructionRow, state: str, actor: str) -> None:
    now = installation.clock.now()
    store.change(connection, row.id, {"state": state, "ended_at": now, "ended_by": actor}, now)


def _note(connection: Connection, installation: Installation, actor: str, what: str, row: InstructionRow) -> None:
    detail = {"connection": row.connection_key}
    audit.append(connection, installation.clock, actor, f"{NAME}.{what}", row.privacy_request_id, detail)


def _verdict(installation: Installation, row: InstructionRow | None) -> Verdict:
    if row is None or row.state == GIVEN_UP:
        return Verdict.UNKNOWN
    if row.state == CONFIRMED:
        return Verdict.CONFIRMED
    expired = row.expires_at is None or row.expires_at <= installation.clock.now()
    return Verdict.EXPIRED if expired else Verdict.OPEN


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
