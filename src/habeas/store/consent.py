"""Queries on consent: requests to see or change preferences, the preferences, and the history of their changes.

A person is the blind index of an e-mail address. The history is append-only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.store.session import new_or_known
from habeas.store.tables import consent_change as change
from habeas.store.tables import consent_preference as preference
from habeas.store.tables import consent_request as request


def add_request(connection: Connection, row: Mapping[str, Any], now: datetime) -> None:
    """Insert a consent request."""
    connection.execute(sa.insert(request).values(**row, created_at=now, updated_at=now))


def find_request(connection: Connection, request_id: str) -> dict[str, Any] | None:
    """The consent request of that id."""
    row = connection.execute(sa.select(request).where(request.c.id == request_id)).one_or_none()
    return None if row is None else row._asdict()


def mark_verified(connection: Connection, request_id: str, now: datetime) -> None:
    """Its code was answered; the first time counts."""
    unverified = (request.c.id == request_id, request.c.verified_at.is_(None))
    connection.execute(sa.update(request).where(*unverified).values(verified_at=now, updated_at=now))


def drop_unverified(connection: Connection, before: datetime) -> int:
    """Forget consent requests made before a moment whose code was never answered; how many."""
    old = (request.c.verified_at.is_(None), request.c.created_at < before)
    return connection.execute(sa.delete(request).where(*old)).rowcount


def preferences_of(connection: Connection, indexes: Collection[bytes]) -> list[dict[str, Any]]:
    """What holds now, by data use: `data_use`, `data_use_description`, `opt_in`, `updated_at`."""
    columns = (preference.c.data_use, preference.c.data_use_description, preference.c.opt_in, preference.c.updated_at)
    found = sa.select(*columns).where(preference.c.blind_index.in_(indexes)).order_by(preference.c.data_use)
    return [row._asdict() for row in connection.execute(found)]


def save(
    connection: Connection, index: bytes, request_id: str, wishes: Sequence[Mapping[str, Any]], now: datetime
) -> int:
    """Let these wishes hold, one a data use; how many changed something. Only changes enter the history."""
    before = {row["data_use"]: row["opt_in"] for row in preferences_of(connection, [index])}
    for wish in wishes:
        fresh = new_or_known(connection, preference).values(blind_index=index, updated_at=now, **wish)
        replaced = {name: fresh.excluded[name] for name in ("data_use_description", "opt_in", "updated_at")}
        connection.execute(
            fresh.on_conflict_do_update(index_elements=[preference.c.blind_index, preference.c.data_use], set_=replaced)
        )
    changed = [wish for wish in wishes if before.get(wish["data_use"]) is not wish["opt_in"]]
    rows = [
        {
            "created_at": now,
            "blind_index": index,
            "data_use": wish["data_use"],
            "opt_in": wish["opt_in"],
            "consent_request_id": request_id,
        }
        for wish in changed
    ]
    if rows:
        connection.execute(sa.insert(change).inline(), rows)
    return len(rows)


def history_of(
    connection: Connection, indexes: Collection[bytes], offset: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """Changes, newest first, and how many."""
    mine = change.c.blind_index.in_(indexes)
    total = connection.execute(sa.select(sa.func.count()).select_from(change).where(mine)).scalar_one()
    columns = (change.c.created_at, change.c.data_use, change.c.opt_in, change.c.consent_request_id)
    found = sa.select(*columns).where(mine).order_by(change.c.id.desc()).offset(offset).limit(limit)
    return [row._asdict() for row in connection.execute(found)], total
