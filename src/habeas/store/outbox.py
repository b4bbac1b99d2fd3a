"""The outbox: what must be told to others, written in the transaction that makes it true, sent afterwards.

A message is claimed by an executor before it is sent and claimed anew when the claim grows old, so a sender
may send twice after a crash; receivers get the message's id to tell. What fails is put off and tried again until
its sender gives it up; then it stays, as failed, until somebody sends it again. Bodies are sealed by the caller.
Kinds of one sender begin alike (`message.`), so that each sender claims its own.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

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


def is_due(connection: Connection, clock: Clock, prefix: str = "", *, stale_after_seconds: float) -> bool:
    """Whether `claim` would give something: a look that takes no write lock."""
    return bool(connection.execute(sa.select(due_clause(clock, prefix, stale_after_seconds))).scalar_one())


def due_clause(clock: Clock, prefix: str, stale_after_seconds: float) -> sa.ColumnElement[bool]:
    """The same as a part of a statement."""
    return _free(clock, prefix, stale_after_seconds).order_by(None).exists()


def claim(
    connection: Connection, clock: Clock, claimant: str, *, limit: int, stale_after_seconds: float, prefix: str = ""
) -> list[Outgoing]:
    """Take due messages, of kinds that begin with `prefix`, that nobody has claimed, or not within the given time;
    oldest first.
    """
    free = _free(clock, prefix, stale_after_seconds).limit(limit).with_for_update(skip_locked=True)
    taken = connection.execute(
        sa.update(outbox)
        .where(outbox.c.id.in_(free))
        .values(claimed_by=claimant, claimed_at=clock.now(), attempts=outbox.c.attempts + 1)
        .returning(outbox.c.id, outbox.c.kind, outbox.c.subject, outbox.c.sealed_body, outbox.c.attempts)
    )
    return sorted(Outgoing(*row) for row in taken)


def _free(clock: Clock, prefix: str, stale_after_seconds: float) -> sa.Select[tuple[int]]:
    now = clock.now()
    stale = now - timedelta(seconds=stale_after_seconds)
    return (
        sa.select(outbox.c.id)
        .where(outbox.c.sent_at.is_(None), outbox.c.failed_at.is_(None))
        .where(outbox.c.kind.startswith(prefix, autoescape=True))
        .where(outbox.c.due_at.is_(None) | (outbox.c.due_at <= now))
        .where(outbox.c.claimed_at.is_(None) | (outbox.c.claimed_at < stale))
        .order_by(outbox.c.id)
    )


def mark_sent(connection: Connection, clock: Clock, claimant: str, ids: Collection[int]) -> int:
    """Messages that went out, of those this claimant still holds; how many. Their bodies are dropped."""
    mine = _held(claimant, ids)
    return connection.execute(
        sa.update(outbox).where(*mine).values(sent_at=clock.now(), sealed_body=None, error=None)
    ).rowcount


def release(connection: Connection, claimant: str, ids: Collection[int]) -> None:
    """Give claimed messages back, to be claimed again at once."""
    connection.execute(sa.update(outbox).where(*_held(claimant, ids)).values(claimed_by=None, claimed_at=None))


def put_off(connection: Connection, claimant: str, message_id: int, due_at: datetime, error: str) -> bool:
    """Give a claimed message back, not to be claimed before `due_at`; whether this claimant still held it."""
    values = {"claimed_by": None, "claimed_at": None, "due_at": due_at, "error": error}
    return connection.execute(sa.update(outbox).where(*_held(claimant, [message_id])).values(values)).rowcount == 1


def give_up(
    connection: Connection, clock: Clock, claimant: str, message_id: int, error: str, *, keep_body: bool
) -> bool:
    """End a claimed message as failed, with its body where it may be sent again; whether it was still held."""
    values: dict[str, object] = {"claimed_by": None, "claimed_at": None, "failed_at": clock.now(), "error": error}
    values |= {} if keep_body else {"sealed_body": None}
    return connection.execute(sa.update(outbox).where(*_held(claimant, [message_id])).values(values)).rowcount == 1


def send_again(connection: Connection, prefix: str, message_id: int) -> bool:
    """Let a failed message be claimed anew; whether there was such a one that still has its body."""
    failed = (outbox.c.id == message_id, outbox.c.failed_at.is_not(None), outbox.c.sealed_body.is_not(None))
    values = {"failed_at": None, "due_at": None, "attempts": 0}
    mine = outbox.c.kind.startswith(prefix, autoescape=True)
    return connection.execute(sa.update(outbox).where(*failed, mine).values(values)).rowcount == 1


def forget_bodies(connection: Connection, before: datetime) -> int:
    """Drop the bodies of messages that failed before a moment; how many. They can't be sent again then."""
    old = (outbox.c.failed_at < before, outbox.c.sealed_body.is_not(None))
    return connection.execute(sa.update(outbox).where(*old).values(sealed_body=None)).rowcount


def hold_back(connection: Connection, prefix: str, subjects: str, due_at: datetime) -> int:
    """Let what waits for one receiver, whose subjects begin so, wait until a moment at least; how many."""
    waiting = (*_of(prefix, subjects), outbox.c.claimed_by.is_(None), outbox.c.sent_at.is_(None))
    sooner = outbox.c.due_at.is_(None) | (outbox.c.due_at < due_at)
    held = sa.update(outbox).where(*waiting, outbox.c.failed_at.is_(None), sooner)
    return connection.execute(held.values(due_at=due_at)).rowcount


def give_up_all(connection: Connection, now: datetime, prefix: str, subjects: str, error: str) -> int:
    """End as failed what waits for one receiver; how many."""
    waiting = (*_of(prefix, subjects), outbox.c.sent_at.is_(None), outbox.c.failed_at.is_(None))
    values = {"claimed_by": None, "claimed_at": None, "failed_at": now, "error": error}
    return connection.execute(sa.update(outbox).where(*waiting).values(values)).rowcount


def renew_all(connection: Connection, prefix: str, subjects: str) -> int:
    """Let everything that failed for one receiver be claimed anew; how many. For messages that need no body."""
    values = {"failed_at": None, "due_at": None, "attempts": 0}
    failed = (*_of(prefix, subjects), outbox.c.failed_at.is_not(None))
    return connection.execute(sa.update(outbox).where(*failed).values(values)).rowcount


def drop_all(connection: Connection, prefix: str, subjects: str) -> None:
    """Delete all that there is for one receiver."""
    connection.execute(sa.delete(outbox).where(*_of(prefix, subjects)))


def drop_old(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` messages that ended before a moment and can't be sent again; how many."""
    ended = sa.or_(outbox.c.sent_at < before, outbox.c.failed_at < before)
    old = sa.select(outbox.c.id).where(ended, outbox.c.sealed_body.is_(None)).order_by(outbox.c.id).limit(limit)
    ids = list(connection.execute(old).scalars())
    if not ids:
        return 0
    return connection.execute(sa.delete(outbox).where(outbox.c.id.in_(ids))).rowcount


def release_all(connection: Connection, prefix: str, claimant: str | None = None) -> int:
    """Give back what somebody claimed who is gone (None: whoever claimed, where nobody else can run); how many."""
    held = (outbox.c.claimed_at.is_not(None), outbox.c.sent_at.is_(None), outbox.c.failed_at.is_(None))
    mine = [outbox.c.kind.startswith(prefix, autoescape=True)]
    if claimant is not None:
        mine.append(outbox.c.claimed_by == claimant)
    values = {"claimed_by": None, "claimed_at": None}
    return connection.execute(sa.update(outbox).where(*held, *mine).values(values)).rowcount


def page(
    connection: Connection,
    prefix: str,
    *,
    state: str | None,
    subject: str | None,
    offset: int,
    limit: int,
    subjects: str | None = None,
) -> tuple[list[dict[str, object]], int]:
    """Messages of a sender, newest first, and how many; never their bodies. States are those of `state_of`;
    `subjects`: only subjects that begin so.
    """
    conditions = [outbox.c.kind.startswith(prefix, autoescape=True)]
    if subjects is not None:
        conditions.append(outbox.c.subject.startswith(subjects, autoescape=True))
    if state is not None:
        conditions.append(_STATES[state])
    if subject is not None:
        conditions.append(outbox.c.subject == subject)
    total = connection.execute(sa.select(sa.func.count()).select_from(outbox).where(*conditions)).scalar_one()
    shown = ("id", "created_at", "kind", "subject", "attempts", "due_at", "sent_at", "failed_at", "error")
    query = sa.select(*(outbox.c[name] for name in shown)).where(*conditions)
    rows = connection.execute(query.order_by(outbox.c.id.desc()).offset(offset).limit(limit))
    return [row._asdict() | {"state": state_of(row)} for row in rows], total


def state_of(row: Any) -> str:
    """`waiting`, `sent` or `failed`."""
    return "sent" if row.sent_at is not None else "failed" if row.failed_at is not None else "waiting"


_STATES: dict[str, sa.ColumnElement[bool]] = {
    "waiting": sa.and_(outbox.c.sent_at.is_(None), outbox.c.failed_at.is_(None)),
    "sent": outbox.c.sent_at.is_not(None),
    "failed": outbox.c.failed_at.is_not(None),
}
STATES = tuple(_STATES)


def _of(prefix: str, subjects: str) -> tuple[sa.ColumnElement[bool], ...]:
    kind, subject = outbox.c.kind, outbox.c.subject
    return kind.startswith(prefix, autoescape=True), subject.startswith(subjects, autoescape=True)


def _held(claimant: str, ids: Collection[int]) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        outbox.c.id.in_(ids),
        outbox.c.claimed_by == claimant,
        outbox.c.sent_at.is_(None),
        outbox.c.failed_at.is_(None),
    )
