"""One-time codes: made, sent by e-mail, answered. What a right answer means is the caller's.

Six digits from the system's randomness, kept as a keyed digest that is bound to subject and identity, so that a code
works for the one request and the one address it was sent for. Five wrong answers or ten minutes end it. A subject gets
five codes at most, one a minute; an address gets ten an hour from everybody together, and what is asked beyond that is
taken as it is and sent nothing, so that no answer tells whether others asked.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import Connection

from habeas.core.errors import Forbidden, HabeasError
from habeas.core.log import get_logger
from habeas.requests.means import Means
from habeas.requests.messages import put_message
from habeas.requests.sealing import identity_index
from habeas.store import verification as store

DIGITS = 6
MOST_WRONG = 5
MOST_SENT = 5
SECONDS_BETWEEN = 60
MOST_PER_ADDRESS = 10
ADDRESS_WINDOW = timedelta(hours=1)

_KEY = "verification-code"


class Verdict(StrEnum):
    """What an answer was worth."""

    RIGHT = "right"
    WRONG = "wrong"
    EXPIRED = "expired"
    USED_UP = "used_up"


class CodeExpired(HabeasError):
    """The code is too old, was used, or was answered wrongly too often (fidesops answers 400)."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "code_expired"


class WrongCode(Forbidden):
    """The code is another one."""

    code: ClassVar[str] = "wrong_code"


class TooSoon(HabeasError):
    """Another code was sent just before, or too many were."""

    status: ClassVar[int] = 429
    code: ClassVar[str] = "too_many_codes"
    retryable: ClassVar[bool] = True

    def __init__(self, after: int) -> None:
        super().__init__("no further code is sent for this now", fix=f"wait {after} seconds, or make a new request")
        self.after = after


def send_code(connection: Connection, means: Means, subject: str, email: str, name: str) -> None:
    """Make a code for a subject and put the message `name` with it into the outbox, in the caller's transaction.

    Earlier codes of the subject work no more. Raises BadInput for what is no single address.
    """
    now, settings = means.clock.now(), means.settings
    index = identity_index(means.vault, "email", email, settings.phone_region)
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    lifetime = timedelta(seconds=settings.identity_verification_code_ttl_seconds)
    flooded = store.count_sent(connection, index, now - ADDRESS_WINDOW) >= MOST_PER_ADDRESS
    store.put(
        connection,
        {
            "subject": subject,
            "kind": "email",
            "blind_index": index,
            "digest": _digest(means.vault.key(_KEY), subject, index, code),
            "issued_at": now,
            "expires_at": now + lifetime,
        },
    )
    if flooded:
        get_logger(__name__).warning("verification.flooded", subject=subject)
        return
    minutes = max(1, settings.identity_verification_code_ttl_seconds // 60)
    values = {"code": code, "minutes": str(minutes)}
    put_message(connection, means, name, subject, email, values, expires_at=now + lifetime)


def check_resend(connection: Connection, means: Means, subject: str) -> None:
    """Raises TooSoon where the subject may have no further code now. Holds its row until the transaction ends."""
    row = store.find_locked(connection, subject)
    if row is None:
        return
    if row["sent"] >= MOST_SENT:
        raise TooSoon(int(ADDRESS_WINDOW.total_seconds()))
    wait = SECONDS_BETWEEN - (means.clock.now() - row["issued_at"]).total_seconds()
    if wait > 0:
        raise TooSoon(int(wait) + 1)


def answer_code(connection: Connection, means: Means, subject: str, email: str, code: str, *, once: bool) -> Verdict:
    """What an answer is worth; a wrong one is counted, a right one uses the code up where it works `once`.

    Commit also after a wrong answer, and only then tell the caller.
    """
    row = store.find_locked(connection, subject)
    now = means.clock.now()
    if row is None or row["used_at"] is not None or row["expires_at"] <= now:
        return Verdict.EXPIRED
    if row["wrong"] >= MOST_WRONG:
        return Verdict.USED_UP
    index = identity_index(means.vault, "email", email, means.settings.phone_region)
    digests = [_digest(key, subject, index, code.strip()) for key in means.vault.keys(_KEY)]
    if not any([hmac.compare_digest(row["digest"], each) for each in digests]):
        store.count_wrong(connection, subject)
        return Verdict.WRONG
    if once:
        store.use(connection, subject, now)
    return Verdict.RIGHT


def raise_for(verdict: Verdict, subject: str) -> None:
    """Raise what an answer that isn't right is answered with (fidesops' words)."""
    if verdict is Verdict.WRONG:
        raise WrongCode(f"Incorrect identification code for '{subject}'")
    if verdict is Verdict.EXPIRED:
        raise CodeExpired(f"Identification code expired for {subject}.", fix="ask for another code")
    if verdict is Verdict.USED_UP:
        raise CodeExpired(f"Too many wrong codes were given for {subject}.", fix="ask for another code")


def _digest(key: bytes, subject: str, index: bytes, code: str) -> bytes:
    bound = b"\0".join((subject.encode(), index, hashlib.sha256(code.encode("utf-8", "replace")).digest()))
    return hmac.digest(key, bound, "sha256")
