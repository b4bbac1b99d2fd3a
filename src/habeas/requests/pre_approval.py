"""Webhooks that are asked before approval: where all say that a request is eligible it is approved, as one approver
would; where one says that it isn't, or can't be asked, a person decides. A person may decide at any time.
"""

from __future__ import annotations

from habeas.core.errors import Forbidden
from habeas.durable.boundary import reach
from habeas.requests.clients import Actor
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.model import Stage, Status
from habeas.requests.review import approve
from habeas.requests.webhook_tokens import call_of_token, check_fresh, check_token
from habeas.store import audit, webhook_calls, webhooks
from habeas.store.webhooks import APPROVAL

ACTOR = Actor("pre_approval_webhooks", frozenset({"privacy-request:review"}))

_AT_ONCE = 50


def ask_before_approval(installation: Installation) -> int:
    """Have the webhooks asked about requests that wait for approval; about how many."""
    with installation.database.look() as connection:
        found = webhook_calls.to_ask(connection, Stage.APPROVE, Status.PENDING, _AT_ONCE)
    if found:
        with installation.database.begin() as connection:
            hooks = webhooks.list_of(connection, APPROVAL, None)
            webhook_calls.plan(connection, found, APPROVAL, hooks, installation.clock.now())
        reach("webhook.asked")
    return len(found)


def answer(installation: Installation, request_id: str, token: str, *, eligible: bool) -> None:
    """Take the word of a webhook about a request. Raises Forbidden for a token that isn't of such a call, was used, or
    is too old. For a request that somebody decided about meanwhile it has no effect.
    """
    with installation.database.begin() as connection:
        now = installation.clock.now()
        call = check_token(installation, token, webhook_calls.find(connection, call_of_token(token)), request_id)
        found_request(connection, request_id)
        if call.phase != APPROVAL:
            raise Forbidden("the token is of another kind of webhook", where="Authorization")
        check_fresh(connection, installation, call, now)
        state = webhook_calls.ELIGIBLE if eligible else webhook_calls.NOT_ELIGIBLE
        if not webhook_calls.move(connection, call, {"state": state, "answered_at": now}, now):
            raise Forbidden("the token was used", where="Authorization")
        action = "privacy_request.eligible" if eligible else "privacy_request.not_eligible"
        detail = {"webhook": call.webhook_key}
        audit.append(connection, installation.clock, ACTOR.client_id, action, request_id, detail)
    reach("webhook.answered")
    approve_agreed(installation)


def approve_agreed(installation: Installation) -> int:
    """Approve requests that every webhook found eligible; how many. Safe to call again, and from several at once."""
    with installation.database.look() as connection:
        found = webhook_calls.agreed(connection, Stage.APPROVE, Status.PENDING, _AT_ONCE)
    if found:
        approve(installation, found, actor=ACTOR)
        with installation.database.begin() as connection:
            for request_id in found:
                webhook_calls.count_answers(connection, request_id, installation.clock.now())
    return len(found)
