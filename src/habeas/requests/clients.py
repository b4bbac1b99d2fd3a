"""OAuth clients, their access tokens, and who is calling: the actor.

Client credentials only. A token is a signed JWT that names a row; the row decides, so that revoking is
immediate. Scopes only narrow: nobody gives away a scope that he doesn't hold. Secrets are random, shown
once and kept as SHA-256 digests. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from habeas.core.clock import Clock
from habeas.core.errors import BadInput, Forbidden, NotFound, Unauthorised
from habeas.core.settings import Settings
from habeas.requests.bulk import Page
from habeas.requests.means import Means
from habeas.requests.scopes import EVERY_SCOPE, SCOPES, held
from habeas.store import audit
from habeas.store import clients as store
from habeas.store.session import Database

_TOKEN_KEY = "access-token"  # noqa: S105 – the name of a purpose, not a secret


@dataclass(frozen=True)
class Actor:
    """Who is calling: a client, or a user by its session (then `client_id` is the user's id), and what it may do in
    this call. `PUBLIC` is public intake.
    """

    client_id: str
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Raises Forbidden without that scope."""
        if scope not in self.scopes:
            raise InsufficientScope(scope)


class InsufficientScope(Forbidden):
    """A valid token without the scope that this needs."""

    def __init__(self, scope: str) -> None:
        super().__init__("Not Authorized for this action", fix=f"the token needs the scope {scope}")
        self.scope = scope


PUBLIC = Actor("", frozenset())


@dataclass(frozen=True)
class RootClient:
    """The root client; `secret` only when it was made by this very call."""

    client_id: str
    secret: str | None


@dataclass(frozen=True)
class IssuedToken:
    """A new access token."""

    access_token: str
    expires_in: int
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class SignedToken:
    """A signed token with what is recorded of it."""

    id: str
    holder: str
    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    text: str

    def told(self) -> IssuedToken:
        """What its holder is told."""
        lifetime = int((self.expires_at - self.issued_at).total_seconds())
        return IssuedToken(self.text, lifetime, tuple(sorted(held(self.scopes))))


def open_root_client(database: Database, clock: Clock, settings: Settings) -> RootClient:
    """Make the root client known: the one of the settings, else one made once. Safe to call at every start.

    Settings win: a root client made or set before is then removed. Raises BadInput if only one of id and
    secret is set.
    """
    given_id, given_secret = settings.oauth_root_client_id, settings.oauth_root_client_secret
    if bool(given_id) != bool(given_secret):
        raise BadInput(
            "one is set without the other", where="oauth_root_client_id, oauth_root_client_secret", fix="set both"
        )
    with database.begin() as connection:
        known = store.find_root(connection)
        if given_id is None or given_secret is None:
            if known is not None:
                return RootClient(known.id, None)
            secret = new_secret()
            row = store.ClientRow(uuid4().hex, _digest(secret), (EVERY_SCOPE,), None)
            store.insert_client(connection, row, clock.now())
            return RootClient(row.id, secret)
        if known is not None and known.id == given_id and known.secret_digest != _digest(given_secret):
            store.set_secret(connection, given_id, _digest(given_secret), clock.now())
        elif known is None or known.id != given_id:
            for old in {given_id, known.id if known else given_id}:
                store.delete_client(connection, old)
            row = store.ClientRow(given_id, _digest(given_secret), (EVERY_SCOPE,), None)
            store.insert_client(connection, row, clock.now())
        return RootClient(given_id, None)


def issue_token(means: Means, client_id: str, client_secret: str, scope: str | None = None) -> IssuedToken:
    """A token for a client that proves its secret; `scope` (words) narrows it to a part of the client's scopes.

    Raises Unauthorised for a wrong id or secret, without saying which; BadInput for scopes it doesn't hold.
    """
    row = _proven(means, client_id, client_secret)
    scopes = row.scopes
    if scope and scope.split():
        wanted = tuple(dict.fromkeys(scope.split()))
        if not set(wanted) <= held(row.scopes):
            raise BadInput(
                "names scopes that this client doesn't hold", where="scope", fix="ask for a part of its scopes"
            )
        scopes = wanted
    return _issue(means, client_id, scopes)


def issue_local_token(means: Means) -> IssuedToken:
    """A root token for the operator at this data directory: who can open it holds every key anyway."""
    with means.database.read() as connection:
        root = store.find_root(connection)
    if root is None:
        raise NotFound("there is no root client yet", fix="start habeas serve once")
    return _issue(means, root.id, root.scopes)


def _issue(means: Means, client_id: str, scopes: tuple[str, ...]) -> IssuedToken:
    signed = sign_token(means, client_id, scopes)
    with means.database.begin() as connection:
        record_token(connection, signed)
    return signed.told()


def sign_token(means: Means, holder: str, scopes: tuple[str, ...]) -> SignedToken:
    """A token for a client or user, which works from when it is recorded."""
    from joserfc import jwt  # brings cryptography, which a start without a call doesn't need
    from joserfc.jwk import OctKey

    now = means.clock.now().replace(microsecond=0)
    until = now + timedelta(minutes=means.settings.oauth_access_token_expire_minutes)
    token_id = str(uuid4())
    claims = {"jti": token_id, "sub": holder, "iat": int(now.timestamp()), "exp": int(until.timestamp())}
    text = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(means.vault.key(_TOKEN_KEY)))
    return SignedToken(token_id, holder, scopes, now, until, text)


def record_token(connection: Connection, signed: SignedToken) -> None:
    """Make a signed token work, in the caller's transaction."""
    store.insert_token(connection, signed.id, signed.holder, signed.scopes, signed.issued_at, signed.expires_at)


def resolve_token(means: Means, text: str) -> Actor:
    """The actor of a token, with the scopes that both the token and its client hold now. One statement.

    Raises Unauthorised for a token that isn't ours, has expired, was revoked, or whose client is gone.
    """
    token_id = _token_id(means, text)
    if token_id is None:
        raise Unauthorised("the token is not valid", fix="get a new one from POST /api/v1/oauth/token")
    with means.database.read() as connection:
        row = store.find_token(connection, token_id)
    present = None if row is None else _present_scopes(row)
    if row is None or present is None or row.revoked_at is not None:
        raise Unauthorised("the token was revoked", fix="get a new one from POST /api/v1/oauth/token")
    if row.expires_at <= means.clock.now():
        raise Unauthorised("the token has expired", fix="get a new one from POST /api/v1/oauth/token")
    return Actor(row.client_id, held(row.scopes) & present)


def _present_scopes(row: store.TokenRow) -> frozenset[str] | None:
    """What the token's client or user holds now; None if it is gone."""
    if row.client_scopes is not None:
        return held(row.client_scopes)
    return None if row.user is None else held(*row.user)


def _token_id(means: Means, text: str) -> str | None:
    """The row a token names if its signature is ours; whether it is still good is the row's to say."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import OctKey

    for key in means.vault.keys(_TOKEN_KEY):
        try:
            token = jwt.decode(text, OctKey.import_key(key), algorithms=["HS256"])
        except (JoseError, ValueError):
            continue
        token_id = token.claims.get("jti") if isinstance(token.claims, dict) else None
        return token_id if isinstance(token_id, str) else None
    return None


def authenticate(means: Means, client_id: str, client_secret: str) -> Actor:
    """The client itself, by its secret. Raises Unauthorised."""
    row = _proven(means, client_id, client_secret)
    return Actor(row.id, held(row.scopes))


def _proven(means: Means, client_id: str, client_secret: str) -> store.ClientRow:
    with means.database.read() as connection:
        row = store.find_client(connection, client_id)
    given, known, former = _digest(client_secret), _digest(""), _digest("")
    if row is not None:
        known = row.secret_digest
        overlaps = row.former_until is not None and row.former_until > means.clock.now()
        former = (row.former_secret_digest if overlaps else None) or known
    matches = [hmac.compare_digest(each, given) for each in (known, former)]
    if row is None or not any(matches):
        raise Unauthorised("Authentication Failure", fix="check client_id and client_secret")
    return row


def revoke_token(means: Means, actor: Actor, text: str) -> None:
    """Revoke a token of the actor's own, or any with `client:delete` (RFC 7009). Unknown tokens are no error.

    Raises Forbidden for another client's token.
    """
    token_id = _token_id(means, text)
    if token_id is None:
        return
    with means.database.begin() as connection:
        row = store.find_token(connection, token_id)
        if row is None:
            return
        if row.client_id != actor.client_id and "client:delete" not in actor.scopes:
            raise Forbidden("the token was issued to another client")
        if store.revoke_token(connection, token_id, means.clock.now()):
            audit.append(connection, means.clock, actor.client_id, "token.revoked", token_id, None)


def revoke_token_by_id(means: Means, actor: Actor, token_id: str) -> None:
    """Revoke a listed token. Raises NotFound if there is none, or it was revoked before."""
    with means.database.begin() as connection:
        if not store.revoke_token(connection, token_id, means.clock.now()):
            raise NotFound("no live token has this id", where="token_id")
        audit.append(connection, means.clock, actor.client_id, "token.revoked", token_id, None)


def revoke_all_tokens(means: Means, actor: Actor, client_id: str | None = None) -> int:
    """Revoke every token of a client or user, or of all, the actor's own too; how many were live.

    As with a single listed token, it is no matter what the holders may do. Raises NotFound for an unknown holder.
    """
    now = means.clock.now()
    with means.database.begin() as connection:
        if client_id is not None and not store.is_holder(connection, client_id):
            raise NotFound("there is no client or user of this id", where="client_id")
        count = store.revoke_live_tokens(connection, client_id, now)
        audit.append(connection, means.clock, actor.client_id, "token.all_revoked", client_id, {"tokens": count})
    return count


def introspect_token(means: Means, actor: Actor, text: str) -> dict[str, Any]:
    """What a token is worth now (RFC 7662 §2.2): `{active: False}` alone for one that isn't good, or that is neither
    the actor's own nor shown to it by `client:read`.
    """
    token_id = _token_id(means, text)
    with means.database.read() as connection:
        row = store.find_token(connection, token_id) if token_id is not None else None
    present = None if row is None else _present_scopes(row)
    if row is None or present is None or row.revoked_at is not None or row.expires_at <= means.clock.now():
        return {"active": False}
    if row.client_id != actor.client_id and "client:read" not in actor.scopes:
        return {"active": False}
    told: dict[str, Any] = {"active": True, "scope": " ".join(sorted(held(row.scopes) & present))}
    told |= {"client_id": row.client_id, "sub": row.client_id, "token_type": "Bearer", "jti": token_id}
    return told | {"exp": int(row.expires_at.timestamp()), "iat": int(row.issued_at.timestamp())}


def list_tokens(means: Means, page: int, size: int, client_id: str | None = None) -> Page:
    """Issued tokens, of one client or user or of all, newest first; never the tokens themselves."""
    with means.database.read() as connection:
        rows, total = store.list_tokens(connection, client_id, offset=(page - 1) * size, limit=size)
    items = [row | {"scopes": sorted(held(row["scopes"]))} for row in rows]
    return Page(items, total, page, size)


def create_client(means: Means, actor: Actor, scopes: Sequence[str]) -> tuple[str, str]:
    """A new client's id and secret; the secret is never shown again. Raises BadInput or Forbidden for scopes."""
    wanted = check_scopes(actor, scopes)
    secret = new_secret()
    row = store.ClientRow(uuid4().hex, _digest(secret), wanted, actor.client_id)
    with means.database.begin() as connection:
        store.insert_client(connection, row, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "client.created", row.id, {"scopes": list(wanted)})
    return row.id, secret


def rotate_secret(means: Means, actor: Actor, client_id: str, overlap: timedelta) -> dict[str, Any]:
    """Another secret for a client: `{client_id, client_secret, former_valid_until}`; the one before works until then,
    one before that no more. Tokens stay. Raises NotFound; Forbidden for the root client and for one that holds more.
    """
    secret, now = new_secret(), means.clock.now()
    until = now + overlap if overlap else None
    with means.database.begin() as connection:
        row = store.find_client(connection, client_id)
        if row is None:
            raise NotFound("there is no client of this id", where="client_id")
        _check_reach(actor, row)
        store.rotate_secret(connection, client_id, _digest(secret), until, now)
        detail = {"overlap_minutes": int(overlap.total_seconds() // 60)}
        audit.append(connection, means.clock, actor.client_id, "client.secret", client_id, detail)
    return {"client_id": client_id, "client_secret": secret, "former_valid_until": until}


def delete_client(means: Means, actor: Actor, client_id: str) -> None:
    """Remove a client; its tokens end at once. Nothing happens if there is none (fidesops).

    Raises Forbidden for the root client, and for one that holds more than the actor.
    """
    with means.database.begin() as connection:
        row = store.find_client(connection, client_id)
        if row is None:
            return
        _check_reach(actor, row)
        store.delete_client(connection, client_id)
        audit.append(connection, means.clock, actor.client_id, "client.deleted", client_id, None)


def read_scopes(means: Means, client_id: str) -> list[str]:
    """A client's scopes, sorted; empty if there is no such client (fidesops)."""
    with means.database.read() as connection:
        row = store.find_client(connection, client_id)
    return sorted(held(row.scopes)) if row is not None else []


def replace_scopes(means: Means, actor: Actor, client_id: str, scopes: Sequence[str]) -> None:
    """Give a client other scopes; live tokens narrow at once. Nothing happens if there is none (fidesops).

    Raises BadInput for unknown scopes, Forbidden for those the actor lacks, and for the root client.
    """
    wanted = check_scopes(actor, scopes)
    with means.database.begin() as connection:
        row = store.find_client(connection, client_id)
        if row is None:
            return
        _check_reach(actor, row)
        store.set_scopes(connection, client_id, wanted, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "client.scopes", client_id, {"scopes": list(wanted)})


def check_scopes(actor: Actor, scopes: Sequence[str]) -> tuple[str, ...]:
    """The scopes sorted, each once. Raises BadInput for an unknown one, Forbidden for one the actor lacks."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        named = [scope for scope in unknown if re.fullmatch(r"[a-z_:-]{1,64}", scope)]
        raise BadInput(f"unknown scope {', '.join(named)}", where="scopes", fix="GET /api/v1/oauth/scope lists them")
    lacking = sorted(set(scopes) - actor.scopes)
    if lacking:
        raise Forbidden(f"you don't hold {', '.join(lacking)}", where="scopes", fix="scopes can only be narrowed")
    return tuple(sorted(set(scopes)))


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def _check_reach(actor: Actor, row: store.ClientRow) -> None:
    if row.created_by is None:
        raise Forbidden(
            "the root client is changed by settings only", fix="set HABEAS_OAUTH_ROOT_CLIENT_ID and _SECRET"
        )
    if not held(row.scopes) <= actor.scopes:
        raise Forbidden("this client holds scopes that you don't")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
