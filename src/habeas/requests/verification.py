"""Verification of privacy requests: which need it, the code of each, and what an answered code changes.

A claim becomes a verified identity only by a code that was sent to that very value; until then it seeds nothing, and
its kind doesn't count as given. Public intake hands in one e-mail address to verify and may claim other values, which
stay claims until a reviewer decides about them. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec
from sqlalchemy import Connection

from habeas.core.errors import BadInput, Conflict
from habeas.core.identity import Assurance, Identity, canonical_email
from habeas.deliver.messages.base import check_recipient
from habeas.requests.answer import item_of
from habeas.requests.codes import Verdict, answer_code, check_resend, raise_for, send_code
from habeas.requests.duplicates import Asking, find_first, proven_of, waiting_values, window_of
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.messages import is_configured
from habeas.requests.model import Stage, Status
from habeas.requests.moves import move
from habeas.requests.notices import put_receipt
from habeas.requests.sealing import Alternatives, open_alternatives, seal_identities
from habeas.store import audit
from habeas.store import requests as store

DATA_SUBJECT = "data_subject"
"""The actor of what a person decides with a code."""

NAME = "verification_code"


class NotWaiting(Conflict):
    """The request doesn't wait for a code (fidesops answers 400)."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "not_waiting_for_code"


def address_to_verify(alternatives: Alternatives) -> str:
    """The one e-mail address among a request's identities that a code is sent to.

    Raises BadInput without one, and for several: each would get a message that its owner may not want.
    """
    found = {
        canonical_email(each.value): each.value for group in alternatives for each in group if each.kind == "email"
    }
    if not found:
        raise BadInput("an e-mail address is needed, to send a code to", where="identity.email")
    if len(found) > 1:
        raise BadInput(
            "more than one e-mail address can't be verified at once", where="identity.email", fix="give one of them"
        )
    (address,) = found.values()
    return check_recipient(address)


def kinds_of(identities: Iterable[Identity]) -> dict[str, list[str] | None]:
    """The columns `kinds` (those that may seed) and `claimed` (those given besides, by claim alone)."""
    seeding, claimed = set[str](), set[str]()
    for each in identities:
        (claimed if each.assurance is Assurance.CLAIMED else seeding).add(each.kind)
    return {"kinds": sorted(seeding), "claimed": sorted(claimed - seeding) or None}


def decided_values(
    installation: Installation, row: Mapping[str, Any], decision: Literal["drop", "vouch"]
) -> dict[str, Any]:
    """The columns of a request after a reviewer's decision about its claims: left out, or vouched for."""
    alternatives = open_alternatives(installation.vault, row["id"], row["sealed_identities"])
    decided = tuple(
        tuple(
            msgspec.structs.replace(each, assurance=Assurance.VOUCHED) if each.assurance is Assurance.CLAIMED else each
            for each in group
            if decision == "vouch" or each.assurance is not Assurance.CLAIMED
        )
        for group in alternatives
    )
    kept = tuple(group for group in decided if group)
    sealed = seal_identities(installation.vault, [(row["id"], kept)])[0]
    return {"sealed_identities": sealed, **kinds_of(each for group in kept for each in group)}


def verify(installation: Installation, request_id: str, code: str) -> dict[str, Any]:
    """Take a code for a request that waits for it; its item, as public intake shows it.

    Raises NotFound, NotWaiting, CodeExpired or WrongCode. Of two right answers at once one succeeds.
    """
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = _waiting(connection, request_id)
        alternatives = open_alternatives(installation.vault, request_id, row["sealed_identities"])
        address = address_to_verify(alternatives)
        verdict = answer_code(connection, installation, request_id, address, code, once=True)
        if verdict is Verdict.RIGHT:
            _accept(connection, installation, row, _verified(alternatives, address))
            row = store.find_by_ids(connection, [request_id])[request_id]
    raise_for(verdict, request_id)
    installation.wake()
    return item_of(row, {}, now.date())


def resend(installation: Installation, request_id: str) -> None:
    """Send another code; earlier ones work no more. Raises NotFound, NotWaiting or TooSoon."""
    with installation.database.begin() as connection:
        row = _waiting(connection, request_id)
        check_resend(connection, installation, request_id)
        alternatives = open_alternatives(installation.vault, request_id, row["sealed_identities"])
        send_code(connection, installation, request_id, address_to_verify(alternatives), NAME)
    installation.wake()


def told_config(installation: Installation) -> dict[str, bool]:
    """Whether public requests are verified, and whether a code could be sent (fidesops)."""
    with installation.database.read() as connection:
        sendable = is_configured(connection, installation)
    return {
        "identity_verification_required": installation.settings.subject_identity_verification_required,
        "valid_email_config_exists": sendable,
    }


def after_intake(approval_required: bool) -> tuple[Status, Stage]:
    """Where a request goes whose identity needs no further proof."""
    return Status.PENDING, Stage.APPROVE if approval_required else Stage.QUEUED


def _waiting(connection: Connection, request_id: str) -> dict[str, Any]:
    row = found_request(connection, request_id)
    if row["status"] != Status.IDENTITY_UNVERIFIED:
        raise NotWaiting("it waits for no code (any more)", where=request_id)
    return row


def _verified(alternatives: Alternatives, address: str) -> Alternatives:
    """The identities with that address verified, the others as they were."""
    wanted = canonical_email(address)
    return tuple(
        tuple(
            msgspec.structs.replace(each, assurance=Assurance.VERIFIED)
            if each.kind == "email" and canonical_email(each.value) == wanted
            else each
            for each in group
        )
        for group in alternatives
    )


def _hold_duplicate(
    connection: Connection,
    installation: Installation,
    row: Mapping[str, Any],
    policies: Sequence[Mapping[str, Any]],
    alternatives: Alternatives,
) -> None:
    actions = [each["rule_action_type"] for each in policies if each["rule_id"] is not None]
    window = window_of(installation.settings, policies[0], actions) if policies else None
    if window is None:
        return
    now = installation.clock.now()
    proven = proven_of(installation, [each for group in alternatives for each in group])
    first = find_first(connection, [Asking(row["id"], row["policy_id"], window, proven)], now).get(row["id"])
    if first is not None:
        values = waiting_values(first)
        move(connection, row, values.pop("status"), Stage(row["stage"]), now, **values)


def _accept(
    connection: Connection, installation: Installation, row: Mapping[str, Any], alternatives: Alternatives
) -> None:
    now = installation.clock.now()
    rules = store.find_policies(connection, ids=[row["policy_id"]])
    asked = any(each["approvals"] is not None for each in rules)
    status, stage = after_intake(installation.settings.require_manual_request_approval or asked)
    values: dict[str, Any] = {
        "identity_verified_at": now,
        "sealed_identities": seal_identities(installation.vault, [(row["id"], alternatives)])[0],
        **kinds_of(each for group in alternatives for each in group),
    }
    move(connection, row, status, stage, now, **values)
    actions = [each["rule_action_type"] for each in rules if each["rule_id"] is not None]
    _hold_duplicate(connection, installation, dict(row) | {"status": status, "stage": stage}, rules, alternatives)
    put_receipt(connection, installation, row["id"], address_to_verify(alternatives), actions)
    audit.append(connection, installation.clock, DATA_SUBJECT, "privacy_request.verified", row["id"], None)
