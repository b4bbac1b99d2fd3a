"""What a webhook that halted a request says later: that it may go on, and perhaps identities that it derived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from habeas.core.errors import Conflict, Forbidden
from habeas.durable.boundary import reach
from habeas.requests.derived import ACTOR, derive
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.model import Status
from habeas.requests.moves import move
from habeas.requests.search import read_request
from habeas.requests.webhook_results import go_on
from habeas.requests.webhook_tokens import call_of_token, check_fresh, check_token
from habeas.store import audit, webhook_calls
from habeas.store.webhooks import PRE


class NotPaused(Conflict):
    """The request doesn't wait for a webhook (fidesops answers 400)."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "not_paused"


def resume_by_webhook(
    installation: Installation, request_id: str, token: str, derived_identity: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Let a request go on that a webhook halted: with the next webhook, else to the queue; its item.

    Raises Forbidden for a token that isn't of such a call, was used, or is too old; NotFound where the webhook is gone;
    NotPaused; BadInput for identities that can't be taken. Then nothing has changed, and the token still works.
    """
    with installation.database.begin() as connection:
        now = installation.clock.now()
        call = check_token(installation, token, webhook_calls.find(connection, call_of_token(token)), request_id)
        row = found_request(connection, request_id)
        if call.phase != PRE:
            raise Forbidden("the token is of another kind of webhook", where="Authorization")
        if row["status"] != Status.PAUSED:
            raise NotPaused(f"it is {row['status']}, not paused", where=request_id)
        check_fresh(connection, installation, call, now)
        values = derive(connection, installation, row, derived_identity, call.webhook_key)
        delivered = {"state": webhook_calls.DELIVERED, "answered_at": now}
        if not webhook_calls.move(connection, call, delivered, now):
            raise Forbidden("the token was used", where="Authorization")
        if values:
            move(connection, row, Status(row["status"]), row["stage"], now, **values)
        go_on(connection, installation, row, PRE, now)
        detail = {"webhook": call.webhook_key}
        audit.append(connection, installation.clock, ACTOR, "privacy_request.resumed", request_id, detail)
    reach("webhook.answered")
    installation.wake()
    return read_request(installation, request_id)
