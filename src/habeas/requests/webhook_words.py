"""What a webhook is told and what its answer means: the call's body and headers, the words that come back.

Only values that are verified or vouched for are told. Nothing here writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from habeas.core.errors import BadInput, HabeasError
from habeas.core.identity import Assurance
from habeas.deliver.webhooks.sending import Call
from habeas.deliver.webhooks.signing import signing_key
from habeas.requests.answer import identities_of
from habeas.requests.means import Means
from habeas.requests.sealing import open_identities
from habeas.requests.secrets import connector_of
from habeas.requests.webhook_tokens import token_of
from habeas.store import connections
from habeas.store import requests as store
from habeas.store.webhook_calls import CallRow
from habeas.store.webhooks import APPROVAL, POST, PRE

CALLBACK_TYPES = {PRE: "pre", POST: "post", APPROVAL: "pre_approval"}


class Misconfigured(HabeasError):
    """The webhook can't be called as it is configured; `code` says what is wrong."""

    status = 409
    code = "webhook_misconfigured"


class Said(msgspec.Struct):
    """The answer of a webhook that is asked."""

    halt: bool
    derived_identity: dict[str, Any] | None = None


def compose(means: Means, connection: Connection, row: Mapping[str, Any], call: CallRow) -> Call:
    """The call, ready to be sent. Raises Misconfigured, or BadInput for secrets that don't fit."""
    place = connections.find_by_id(connection, call.connection_id)
    if place is None:
        raise Misconfigured("its connection is gone", fix="give the webhook another, or delete it, then retry")
    if place.disabled:
        raise Misconfigured("its connection is disabled", fix="enable it, or delete the webhook, then retry")
    connector = connector_of(means.vault, means.settings, place)
    try:
        target = connector.webhook_target()
    finally:
        connector.close()
    headers = {"Authorization": target.authorization} | _reply_to(means, call)
    keys = [] if target.signing_secret is None else [signing_key(target.signing_secret)]
    body = json.dumps(_body(means, connection, row, call), ensure_ascii=False, separators=(",", ":")).encode()
    return Call(call.id, target.url, body, keys, headers)


def read_answer(body: bytes) -> Said | None:
    """What the receiver says; None where it isn't `{halt: true|false, derived_identity?: {…}}`."""
    try:
        return msgspec.json.decode(body, type=Said)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _reply_to(means: Means, call: CallRow) -> dict[str, str]:
    place = f"/privacy-request/{call.privacy_request_id}"
    if call.phase == APPROVAL:
        return {
            "reply-to-eligible": f"{place}/pre-approve/eligible",
            "reply-to-not-eligible": f"{place}/pre-approve/not-eligible",
            "reply-to-token": token_of(means, call),
        }
    if call.phase == PRE and call.direction == "two_way":
        return {"reply-to": f"{place}/resume", "reply-to-token": token_of(means, call)}
    return {}


def _body(means: Means, connection: Connection, row: Mapping[str, Any], call: CallRow) -> dict[str, Any]:
    known = open_identities(means.vault, row["id"], row["sealed_identities"])
    given = identities_of(each for each in known if each.assurance is not Assurance.CLAIMED)
    plain = {kind: each["value"] if isinstance(each, dict) else each for kind, each in given.items()}
    told: dict[str, Any] = {
        "privacy_request_id": row["id"],
        "direction": call.direction,
        "callback_type": CALLBACK_TYPES[call.phase],
        "identity": {"email": None, "phone_number": None} | plain,
    }
    if call.phase == APPROVAL:
        rules = store.find_policies(connection, ids=[row["policy_id"]])
        told["policy_action"] = next((each["rule_action_type"] for each in rules), None)
    return told


def fault_of(problem: HabeasError) -> str:
    """One word of why a call couldn't be composed."""
    return "misconfigured" if isinstance(problem, Misconfigured | BadInput) else problem.code
