"""The signature of a webhook: HMAC-SHA256 over id, time and body, in the form of standardwebhooks.com. Pure.

Three headers: `webhook-id` stays the same however often a call is sent, so that receivers can tell a repeated one;
`webhook-timestamp` is the second of this attempt; `webhook-signature` is `v1,` and the base64 of the HMAC over
`id.timestamp.body`, one for each key, separated by spaces. Never logs or returns a key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

from habeas.core.errors import BadInput, Forbidden

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
SHORTEST_KEY = 24
TOLERANCE_SECONDS = 300

_VERSION = "v1,"


def signing_key(secret: str) -> bytes:
    """The key that a signing secret stands for: base64 after `whsec_`, else its own characters.

    Raises BadInput for one that is too short or no base64.
    """
    coded = secret.startswith(PREFIX)
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True) if coded else secret.encode()
    except binascii.Error:
        raise BadInput("is not base64 after whsec_", where="signing_secret") from None
    if len(key) < SHORTEST_KEY:
        raise BadInput(
            f"has fewer than {SHORTEST_KEY} bytes",
            where="signing_secret",
            fix="make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return key


def signed_headers(keys: Sequence[bytes], call_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that say which call this is and, where there is a key, prove who sends it."""
    headers = {ID: call_id, TIMESTAMP: str(timestamp)}
    if keys:
        headers[SIGNATURE] = " ".join(_VERSION + _signature(key, call_id, str(timestamp), body) for key in keys)
    return headers


def check_signature(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The id of a call that one of the keys signed within the last five minutes. Raises Forbidden for any other.

    `headers` are found in lower case.
    """
    call_id, timestamp, given = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    fresh = timestamp.isascii() and timestamp.isdigit() and abs(now - int(timestamp[:12])) <= TOLERANCE_SECONDS
    wanted = [_VERSION + _signature(key, call_id, timestamp, body) for key in keys]
    found = [hmac.compare_digest(each.encode(), one.encode()) for each in given.split(" ") for one in wanted]
    if not call_id or not fresh or not any(found):
        raise Forbidden("the call's signature is missing, wrong or too old", where=SIGNATURE)
    return call_id


def _signature(key: bytes, call_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{call_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
