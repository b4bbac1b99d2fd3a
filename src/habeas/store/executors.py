"""Executors and their beats, by the database's own clock: hosts' clocks may differ. Used on PostgreSQL."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.store.tables import executor


class Executor(NamedTuple):
    """An executor as its peers see it; `beat_age` in seconds."""

    id: str
    lock_key: int
    beat_age: float


_NOW = sa.func.timezone("utc", sa.func.clock_timestamp())


def register(connection: Connection, executor_id: str, lock_key: int, version: str) -> None:
    """Make an executor known, its first beat now."""
    row = {"id": executor_id, "lock_key": lock_key, "version": version, "beat_at": _NOW, "started_at": _NOW}
    connection.execute(sa.insert(executor).values(row))


def beat(connection: Connection, executor_id: str) -> bool:
    """Renew the beat; False where the row is gone, because a peer declared this executor dead."""
    return (
        connection.execute(sa.update(executor).where(executor.c.id == executor_id).values(beat_at=_NOW)).rowcount == 1
    )


def list_executors(connection: Connection) -> list[Executor]:
    """All executors, oldest first."""
    age = sa.func.extract("epoch", _NOW - executor.c.beat_at)
    found = sa.select(executor.c.id, executor.c.lock_key, age).order_by(executor.c.started_at, executor.c.id)
    return [Executor(row[0], row[1], float(row[2])) for row in connection.execute(found)]


def remove(connection: Connection, executor_id: str) -> bool:
    """Forget an executor; False where it was gone already."""
    return connection.execute(sa.delete(executor).where(executor.c.id == executor_id)).rowcount == 1
