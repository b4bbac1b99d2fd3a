"""The outbox: what must be told to others, written in the transaction that makes it true, sent afterwards.

A message is claimed by an executor before it is sent and claimed anew when the claim grows old, so a sender
may send twice after a crash; receivers get the message's id to tell. Bodies are sealed by the caller.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.core.clock import Clock
from habeas.store.tables import outbox


class Outgoing(NamedTuple):
    """A claimed message; `attempts` counts this one too."""

    id: int
    kind: str
    subject: str
    sealed_body: bytes | None
    attempts: int


def put(connection: Connection, clock: Clock, kind: str, subject: str, sealed_body: bytes | None = None) -> int:
    """Add a message; gives its id."""
    row = {"created_at": clock.now(), "kind": kind, "subject": subject, "sealed_body": sealed_body}
    return int(connection.execute(sa.insert(outbox).returning(outbox.c.id), row).scalar_one())


def claim(
    connection: Connection, clock: Clock, claimant: str, *, limit: int, stale_after_seconds: float
) -> list[Outgoing]:
    """Take unsent messages that nobody has claimed, or not within the given time; oldest first."""
    now = clock.now()
    stale = now - timedelta(seconds=stale_after_seconds)
    free = (
        sa.select(outbox.c.id)
        .where(outbox.c.sent_at.is_(None), outbox.c.claimed_at.is_(None) | (outbox.c.claimed_at < stale))
        .order_by(outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = connection.execute(
        sa.update(outbox)
        .where(outbox.c.id.in_(free))
        .values(claimed_by=claimant, claimed_at=now, attempts=outbox.c.attempts + 1)
        .returning(outbox.c.id, outbox.c.kind, outbox.c.subject, outbox.c.sealed_body, outbox.c.attempts)
    )
    return sorted(Outgoing(*row) for row in taken)


def mark_sent(connection: Connection, clock: Clock, claimant: str, ids: Collection[int]) -> int:
    """Messages that went out, of those this claimant still holds; how many. Their bodies are dropped."""
    mine = _held(claimant, ids)
    return connection.execute(sa.update(outbox).where(*mine).values(sent_at=clock.now(), sealed_body=None)).rowcount


def release(connection: Connection, claimant: str, ids: Collection[int]) -> None:
    """Give claimed messages back, to be claimed again at once."""
    connection.execute(sa.update(outbox).where(*_held(claimant, ids)).values(claimed_by=None, claimed_at=None))


def _held(claimant: str, ids: Collection[int]) -> tuple[sa.ColumnElement[bool], ...]:
    return outbox.c.id.in_(ids), outbox.c.claimed_by == claimant, outbox.c.sent_at.is_(None)
