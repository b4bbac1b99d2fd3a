"""Signing in and out: a session is an access token whose holder is a user.

Neither answer nor time tells whether a name exists: a password is compared and a failure counted for every name, and
every name locks alike. Counts are in our database, so they hold for all web processes. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection, RowMapping

from habeas.core.errors import Forbidden, HabeasError
from habeas.requests.clients import Actor, IssuedToken, SignedToken, record_token, sign_token
from habeas.requests.means import Means
from habeas.requests.passwords import hash_password, is_password
from habeas.requests.scopes import held
from habeas.requests.users import described, invite_digest, name_key, set_password
from habeas.store import audit
from habeas.store import users as store

MOST_FAILURES = 10
LOCKED_FOR = timedelta(minutes=15)

_NAME_KEY = "sign-in-name"


class SignInLocked(HabeasError):
    """Too many attempts failed for this name, whether or not anybody has it."""

    status: ClassVar[int] = 429
    code: ClassVar[str] = "sign_in_locked"
    retryable: ClassVar[bool] = True

    def __init__(self, after: int) -> None:
        super().__init__("too many attempts to sign in failed", fix=f"wait {after} seconds, or ask for an invitation")
        self.after = after


class SignInRefused(Forbidden):
    """Wrong name or password, wrong or old invitation; which of them isn't said."""

    code: ClassVar[str] = "sign_in_refused"


def sign_in(means: Means, username: str, password: str) -> tuple[dict[str, Any], IssuedToken]:
    """The user and a new session. Raises SignInRefused, SignInLocked."""
    digest = _count_attempt(means, username)
    row = _find(means, username)
    if not is_password(password, row["password_hash"] if row is not None else None) or row is None:
        raise SignInRefused("Incorrect username or password.")
    signed = sign_token(means, row["id"], tuple(sorted(held(row["scopes"], row["roles"]))))
    with means.database.begin() as connection:
        current = store.find_locked(connection, row["id"])
        if current is None or any(current[name] != row[name] for name in ("password_hash", "scopes", "roles")):
            raise SignInRefused("Incorrect username or password.")  # changed while this one was compared
        _begin(connection, means, current, digest, signed)
    return described(row), signed.told()


def accept_invitation(means: Means, username: str, code: str, password: str) -> tuple[dict[str, Any], IssuedToken]:
    """Set the password that an invitation asks for, and sign in. The code works once.

    Raises BadInput for a password that breaks a rule, SignInRefused, SignInLocked.
    """
    hashed = hash_password(password, username=username, where="new_password")
    digest = _count_attempt(means, username)
    row = _find(means, username)
    if row is None or not _is_invited(means, row, code):
        raise SignInRefused("This invitation is not valid.", fix="ask for another one")
    signed = sign_token(means, row["id"], tuple(sorted(held(row["scopes"], row["roles"]))))
    with means.database.begin() as connection:
        current = store.find_locked(connection, row["id"])
        if current is None or current["scopes"] != row["scopes"] or current["roles"] != row["roles"]:
            raise SignInRefused("This invitation is not valid.", fix="ask for another one")
        if not _is_invited(means, current, code):
            raise SignInRefused("This invitation is not valid.", fix="ask for another one")
        set_password(connection, means, row["id"], hashed)
        audit.append(connection, means.clock, row["id"], "user.password", row["id"], {"invited": True})
        _begin(connection, means, current, digest, signed)
        told = store.find(connection, row["id"])
    return described(told or current), signed.told()


def sign_out(means: Means, actor: Actor) -> None:
    """End all sessions of the calling user (fidesops); a client's tokens stay."""
    with means.database.begin() as connection:
        if store.find(connection, actor.client_id) is not None and store.end_sessions(connection, actor.client_id):
            audit.append(connection, means.clock, actor.client_id, "user.signed_out", actor.client_id, None)


def _find(means: Means, username: str) -> RowMapping | None:
    with means.database.read() as connection:
        return store.find_by_name(connection, name_key(username))


def _count_attempt(means: Means, username: str) -> bytes:
    """The name's digest, after the attempt was counted; a name that failed too often is locked."""
    now = means.clock.now()
    digest = hmac.digest(means.vault.key(_NAME_KEY), name_key(username).encode(), hashlib.sha256)
    with means.database.begin() as connection:
        row = store.take_attempt(connection, digest, now)
        locked_until = row["locked_until"]
        if (locked_until is None or locked_until <= now) and row["failed"] > MOST_FAILURES:
            locked_until = now + LOCKED_FOR
            store.lock_name(connection, digest, locked_until)
            audit.append(connection, means.clock, "system", "sign_in.locked", digest.hex()[:32], None)
    if locked_until is not None and locked_until > now:
        raise SignInLocked(int((locked_until - now).total_seconds()) + 1)
    return digest


def _begin(connection: Connection, means: Means, row: RowMapping, digest: bytes, signed: SignedToken) -> None:
    now = means.clock.now()
    store.forget_failures(connection, digest)
    store.change(connection, row["id"], {"last_login_at": now}, now)
    record_token(connection, signed)
    audit.append(connection, means.clock, row["id"], "user.signed_in", row["id"], None)


def _is_invited(means: Means, row: RowMapping, code: str) -> bool:
    expected, until = row["invite_digest"], row["invite_expires_at"]
    live = expected is not None and until is not None and until > means.clock.now()
    return hmac.compare_digest(expected or "", invite_digest(code)) and live
