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


class Peer(NamedTuple):
    """Another executor, and whether its lock was free."""

    executor: Executor
    lock_taken: bool


_NOW = sa.func.timezone("utc", sa.func.clock_timestamp())
_AGE = sa.func.extract("epoch", _NOW - executor.c.beat_at)


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
    found = sa.select(executor.c.id, executor.c.lock_key, _AGE).order_by(executor.c.started_at, executor.c.id)
    return [Executor(row[0], row[1], float(row[2])) for row in connection.execute(found)]


def look_at_peers(connection: Connection, executor_id: str) -> list[Peer]:
    """All others, oldest first, and whether the lock of each could be taken: this session then holds it."""
    found = (
        sa.select(executor.c.id, executor.c.lock_key, _AGE, sa.func.pg_try_advisory_lock(executor.c.lock_key))
        .where(executor.c.id != executor_id)
        .order_by(executor.c.started_at, executor.c.id)
    )
    return [Peer(Executor(row[0], row[1], float(row[2])), bool(row[3])) for row in connection.execute(found)]


def is_listed(connection: Connection, executor_id: str) -> bool:
    """Whether the executor is still known."""
    return connection.execute(sa.select(executor.c.id).where(executor.c.id == executor_id)).scalar() is not None


def try_lock(connection: Connection, key: int) -> bool:
    """Take an advisory lock for this session, if it is free."""
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar())


def unlock(connection: Connection, key: int) -> None:
    """Give one back."""
    connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))


def remove(connection: Connection, executor_id: str) -> bool:
    """Forget an executor; False where it was gone already."""
    return connection.execute(sa.delete(executor).where(executor.c.id == executor_id)).rowcount == 1
