"""The log of webhook calls, and sending one again by hand. Reads, but for that; never what was sent or answered.

A call that is sent again keeps its id, and changes nothing about its request: it is for a receiver that lost it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from habeas.core.errors import Conflict, HabeasError, NotFound
from habeas.deliver.webhooks.sending import Answer, send
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.webhook_words import compose, fault_of
from habeas.store import audit
from habeas.store import webhook_calls as calls


def list_deliveries(
    installation: Installation,
    *,
    privacy_request_id: str | None = None,
    webhook_key: str | None = None,
    state: str | None = None,
    page: int,
    size: int,
) -> Page:
    """Calls that match, newest first, each with its attempts."""
    wanted = {"privacy_request_id": privacy_request_id, "webhook_key": webhook_key, "state": state}
    with installation.database.read() as connection:
        rows, total = calls.page(connection, offset=(page - 1) * size, limit=size, **wanted)
    return Page([_shown(row) for row in rows], total, page, size)


def read_delivery(installation: Installation, call_id: str) -> dict[str, Any]:
    """One call with its attempts; raises NotFound."""
    with installation.database.read() as connection:
        call = _found(calls.find(connection, call_id))
        return _shown(call._asdict() | {"tried": calls.attempts_of(connection, [call_id]).get(call_id, [])})


def replay_delivery(installation: Installation, actor: Actor, call_id: str, client: httpx2.Client) -> dict[str, Any]:
    """Send a call again that was taken before; the call with its attempts, the last of them this one.

    Raises NotFound; Conflict for one that was never taken: the request is retried instead.
    """
    with installation.database.begin() as connection:
        call = _found(calls.find(connection, call_id))
        if call.state in (calls.WAITING, calls.FAILED, calls.DROPPED):
            raise Conflict(f"it was not taken yet: it is {call.state}", where=call_id, fix="retry the privacy request")
        attempt = calls.begin_attempt(connection, call.id, installation.clock.now(), actor.client_id)
        detail = {"privacy_request": call.privacy_request_id, "webhook": call.webhook_key}
        audit.append(connection, installation.clock, actor.client_id, "webhook.replayed", call_id, detail)
    try:
        with installation.database.read() as connection:
            ready = compose(installation, connection, found_request(connection, call.privacy_request_id), call)
        answer = send(client, ready, timestamp=int(installation.clock.now().timestamp()))
    except HabeasError as problem:
        answer = Answer(None, fault_of(problem), 0)
    with installation.database.begin() as connection:
        told = {"milliseconds": answer.milliseconds, "status_code": answer.status, "cause": answer.cause}
        calls.end_attempt(connection, attempt, told)
    return read_delivery(installation, call_id)


def _found(call: calls.CallRow | None) -> calls.CallRow:
    if call is None:
        raise NotFound("No webhook call found with this id.")
    return call


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "created_at", "privacy_request_id", "webhook_key", "phase", "direction", "state", "due_at")
    attempts = [
        {name: each[name] for name in ("began_at", "milliseconds", "status_code", "cause", "actor")}
        for each in row["tried"]
    ]
    waiting = row["state"] == calls.WAITING
    shown = {name: row[name] for name in names} | {"due_at": row["due_at"] if waiting else None}
    return shown | {"answered_at": row["answered_at"], "attempts": attempts}
