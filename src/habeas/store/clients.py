"""Queries on OAuth clients and their access tokens. Holds digests of secrets, never secrets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from habeas.store.tables import access_token, app_user, client

KEPT_AFTER_EXPIRY = timedelta(days=1)


class ClientRow(NamedTuple):
    """A client as stored."""

    id: str
    secret_digest: str
    scopes: tuple[str, ...]
    created_by: str | None  # None: the installation's own, the root client
    former_secret_digest: str | None = None
    former_until: datetime | None = None


class TokenRow(NamedTuple):
    """A token with what its holder has now: a client's scopes, or a user's scopes and roles. None: it is gone."""

    client_id: str
    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    client_scopes: tuple[str, ...] | None
    user: tuple[tuple[str, ...], tuple[str, ...]] | None


def find_client(connection: Connection, client_id: str) -> ClientRow | None:
    """The client of that id."""
    row = connection.execute(select(client).where(client.c.id == client_id)).one_or_none()
    if row is None:
        return None
    former = (row.former_secret_digest, row.former_until)
    return ClientRow(row.id, row.secret_digest, tuple(row.scopes), row.created_by, *former)


def find_root(connection: Connection) -> ClientRow | None:
    """The installation's own client; the newest if there were several."""
    columns = (client.c.id, client.c.secret_digest, client.c.scopes, client.c.created_by)
    query = select(*columns).where(client.c.created_by.is_(None)).order_by(client.c.created_at.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else ClientRow(row.id, row.secret_digest, tuple(row.scopes), row.created_by)


def insert_client(connection: Connection, row: ClientRow, now: datetime) -> None:
    """Add a client."""
    values = {
        "id": row.id,
        "secret_digest": row.secret_digest,
        "scopes": list(row.scopes),
        "created_by": row.created_by,
    }
    connection.execute(insert(client).values(**values, created_at=now, updated_at=now))


def set_scopes(connection: Connection, client_id: str, scopes: Sequence[str], now: datetime) -> bool:
    """Replace a client's scopes; False if there is no such client."""
    change = update(client).where(client.c.id == client_id).values(scopes=list(scopes), updated_at=now)
    return connection.execute(change).rowcount == 1


def set_secret(connection: Connection, client_id: str, secret_digest: str, now: datetime) -> None:
    """Replace a client's secret; its tokens end with the old one."""
    values = {"secret_digest": secret_digest, "former_secret_digest": None, "former_until": None, "updated_at": now}
    connection.execute(update(client).where(client.c.id == client_id).values(**values))
    connection.execute(delete(access_token).where(access_token.c.client_id == client_id))


def rotate_secret(
    connection: Connection, client_id: str, secret_digest: str, former_until: datetime | None, now: datetime
) -> None:
    """Replace a client's secret; the present one works until `former_until`, if given. Tokens stay."""
    former = client.c.secret_digest if former_until is not None else None
    values = {"secret_digest": secret_digest, "former_secret_digest": former, "former_until": former_until}
    connection.execute(update(client).where(client.c.id == client_id).values(**values, updated_at=now))


def delete_client(connection: Connection, client_id: str) -> bool:
    """Remove a client with its tokens; False if there was none."""
    connection.execute(delete(access_token).where(access_token.c.client_id == client_id))
    return connection.execute(delete(client).where(client.c.id == client_id)).rowcount == 1


def insert_token(
    connection: Connection, token_id: str, client_id: str, scopes: Sequence[str], issued: datetime, expires: datetime
) -> None:
    """Record a token, and drop those that expired more than a day ago."""
    connection.execute(delete(access_token).where(access_token.c.expires_at < issued - KEPT_AFTER_EXPIRY))
    values = {"id": token_id, "client_id": client_id, "scopes": list(scopes)}
    connection.execute(insert(access_token).values(**values, issued_at=issued, expires_at=expires))


def find_token(connection: Connection, token_id: str) -> TokenRow | None:
    """A token and its client or user, in one statement."""
    joined = access_token.outerjoin(client, client.c.id == access_token.c.client_id)
    joined = joined.outerjoin(app_user, app_user.c.id == access_token.c.client_id)
    columns = (
        access_token.c.client_id,
        access_token.c.scopes,
        access_token.c.issued_at,
        access_token.c.expires_at,
        access_token.c.revoked_at,
        client.c.id.label("known"),
        client.c.scopes.label("client_scopes"),
        app_user.c.id.label("known_user"),
        app_user.c.scopes.label("user_scopes"),
        app_user.c.roles.label("user_roles"),
    )
    query = select(*columns).select_from(joined).where(access_token.c.id == token_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    present = None if row.known is None else tuple(row.client_scopes)
    user = None if row.known_user is None else (tuple(row.user_scopes), tuple(row.user_roles))
    return TokenRow(row.client_id, tuple(row.scopes), row.issued_at, row.expires_at, row.revoked_at, present, user)


def revoke_token(connection: Connection, token_id: str, now: datetime) -> bool:
    """Revoke a token; False if there is none or it was revoked before."""
    live = (access_token.c.id == token_id) & access_token.c.revoked_at.is_(None)
    return connection.execute(update(access_token).where(live).values(revoked_at=now)).rowcount == 1


def revoke_live_tokens(connection: Connection, client_id: str | None, now: datetime) -> int:
    """Revoke all live tokens, of one client or user or of everybody; how many there were."""
    live = [access_token.c.revoked_at.is_(None), access_token.c.expires_at > now]
    if client_id is not None:
        live.append(access_token.c.client_id == client_id)
    return connection.execute(update(access_token).where(*live).values(revoked_at=now)).rowcount


def is_holder(connection: Connection, holder: str) -> bool:
    """Whether there is a client or a user of that id."""
    found = select(client.c.id).where(client.c.id == holder), select(app_user.c.id).where(app_user.c.id == holder)
    return any(connection.execute(each).first() is not None for each in found)


def list_tokens(
    connection: Connection, client_id: str | None, *, offset: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """Tokens not yet dropped, of one holder or all, newest first, and how many there are."""
    matching = [access_token.c.client_id == client_id] if client_id is not None else []
    total = connection.execute(select(func.count()).select_from(access_token).where(*matching)).scalar_one()
    order = (access_token.c.issued_at.desc(), access_token.c.id)
    found = select(access_token).where(*matching).order_by(*order).offset(offset).limit(limit)
    rows = connection.execute(found).mappings()
    return [dict(row) for row in rows], total
