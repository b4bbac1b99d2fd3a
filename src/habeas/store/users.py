"""Queries on users and on failed attempts to sign in. Holds hashes of passwords, never passwords."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from habeas.store.tables import access_token, app_user, sign_in_failure

FORGOTTEN_AFTER = timedelta(hours=1)


def find(connection: Connection, user_id: str) -> RowMapping | None:
    """The user of that id."""
    return connection.execute(sa.select(app_user).where(app_user.c.id == user_id)).mappings().one_or_none()


def find_locked(connection: Connection, user_id: str) -> RowMapping | None:
    """The user of that id; nobody else changes the row until the transaction ends."""
    found = sa.select(app_user).where(app_user.c.id == user_id).with_for_update()
    return connection.execute(found).mappings().one_or_none()


def find_by_name(connection: Connection, username_key: str) -> RowMapping | None:
    """The user of that folded name."""
    found = sa.select(app_user).where(app_user.c.username_key == username_key)
    return connection.execute(found).mappings().one_or_none()


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> bool:
    """Add a user; False if the name is taken."""
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(app_user).values(**values, created_at=now, updated_at=now))
    except IntegrityError:
        return False
    return True


def change(connection: Connection, user_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change columns of a user."""
    connection.execute(sa.update(app_user).where(app_user.c.id == user_id).values(**values, updated_at=now))


def remove(connection: Connection, user_id: str) -> None:
    """Remove a user with all sessions."""
    end_sessions(connection, user_id)
    connection.execute(sa.delete(app_user).where(app_user.c.id == user_id))


def end_sessions(connection: Connection, user_id: str) -> int:
    """End all sessions of a user at once; how many there were."""
    return connection.execute(sa.delete(access_token).where(access_token.c.client_id == user_id)).rowcount


def page(connection: Connection, name_part: str | None, *, offset: int, limit: int) -> tuple[list[RowMapping], int]:
    """Users whose folded name holds that text, taken literally, newest first; and how many there are."""
    matching = [app_user.c.username_key.contains(name_part, autoescape=True)] if name_part else []
    total = connection.execute(sa.select(sa.func.count()).select_from(app_user).where(*matching)).scalar_one()
    order = (app_user.c.created_at.desc(), app_user.c.id)
    found = sa.select(app_user).where(*matching).order_by(*order).offset(offset).limit(limit)
    return list(connection.execute(found).mappings()), total


def take_attempt(connection: Connection, name_digest: bytes, now: datetime) -> RowMapping:
    """Count an attempt as failed, before it is known whether it fails, so that attempts at the same time count too.

    The row as it is then; nobody else counts for this name until the transaction ends. What is older than an hour,
    and locks nobody, is forgotten.
    """
    table = sign_in_failure
    unlocked = sa.or_(table.c.locked_until.is_(None), table.c.locked_until <= now)
    connection.execute(sa.delete(table).where(table.c.last_at < now - FORGOTTEN_AFTER, unlocked))
    mine = table.c.name_digest == name_digest
    counted = sa.update(table).where(mine).values(failed=table.c.failed + 1, last_at=now)
    if connection.execute(counted).rowcount == 0:
        try:
            with connection.begin_nested():
                first = sa.insert(table).values(name_digest=name_digest, failed=1, last_at=now)
                connection.execute(first)
        except IntegrityError:
            connection.execute(counted)
    return connection.execute(sa.select(table).where(mine)).mappings().one()


def lock_name(connection: Connection, name_digest: bytes, until: datetime) -> None:
    """Refuse further attempts for a name until then, and begin to count anew."""
    mine = sign_in_failure.c.name_digest == name_digest
    connection.execute(sa.update(sign_in_failure).where(mine).values(failed=0, locked_until=until))


def forget_failures(connection: Connection, name_digest: bytes) -> None:
    """The name signed in: it starts anew."""
    connection.execute(sa.delete(sign_in_failure).where(sign_in_failure.c.name_digest == name_digest))
