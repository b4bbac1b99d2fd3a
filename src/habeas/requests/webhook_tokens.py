"""The token of a webhook's call: lets its bearer answer for one request and one webhook, once.

It is bound to the call and to how often that was tried anew, so that an earlier round's token is worth nothing. Not
stored: it is derived by a key of the installation.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime, timedelta

from sqlalchemy import Connection

from habeas.core.errors import Forbidden, NotFound
from habeas.requests.means import Means
from habeas.store import webhooks
from habeas.store.webhook_calls import AWAITED, FAILED, WAITING, CallRow
from habeas.store.webhooks import APPROVAL

_PURPOSE = "webhook-token"


def token_of(means: Means, call: CallRow) -> str:
    """The token that a call carries."""
    return f"{call.id}.{_mac(means.vault.key(_PURPOSE), call)}"


def call_of_token(token: str) -> str:
    """The id of the call that a token claims to be of."""
    return token.partition(".")[0]


def check_token(means: Means, token: str, call: CallRow | None, request_id: str) -> CallRow:
    """The call that a token is of. Raises Forbidden for a token that is none, of another request, or of an earlier
    round.
    """
    given = token.partition(".")[2]
    known = call is not None and any(
        hmac.compare_digest(_mac(key, call).encode(), given.encode()) for key in means.vault.keys(_PURPOSE)
    )
    if call is None or not known or call.privacy_request_id != request_id:
        raise Forbidden(
            "the token is not one for this request",
            where="Authorization",
            fix="use the reply-to-token of the webhook's last call",
        )
    return call


def check_fresh(connection: Connection, means: Means, call: CallRow, now: datetime) -> None:
    """Raises NotFound where the webhook is gone, Forbidden where the call was answered before or too long ago. Before
    approval a receiver may say its word before we noted that it took the call.
    """
    if not webhooks.exists(connection, call.webhook_id):
        raise NotFound(f"No webhook found for key '{call.webhook_key}' any more.")
    if call.state != AWAITED and not (call.phase == APPROVAL and call.attempts and call.state in (WAITING, FAILED)):
        raise Forbidden("the token was used, or isn't waited for", where="Authorization")
    lives = timedelta(seconds=means.settings.privacy_request_delay_timeout)
    if call.answered_at is not None and call.answered_at + lives <= now:
        raise Forbidden("the token is too old", where="Authorization", fix="retry the request")


def _mac(key: bytes, call: CallRow) -> str:
    bound = f"{call.id}/{call.privacy_request_id}/{call.webhook_id}/{call.phase}/{call.round}".encode()
    return base64.urlsafe_b64encode(hmac.digest(key, bound, "sha256")).decode().rstrip("=")
