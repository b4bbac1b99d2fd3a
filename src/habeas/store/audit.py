"""The audit trail: who decided what, append-only and hash-chained, written in the transaction that makes it true.

`detail` holds keys, names and counts, never a value of personal data. Each entry's digest covers the entry
and the digest before it, so a changed, moved or removed entry shows; a dropped tail shows only against a
copy of the last digest kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.core.clock import Clock
from habeas.store.chains import take_turn
from habeas.store.receipt_format import canonical_json
from habeas.store.tables import audit_trail

FIRST = bytes(32)
"""What the first entry has in place of a predecessor."""


class Entry(NamedTuple):
    """One decision: `actor` did `action` (`noun.verb`) to `subject` (an id or key)."""

    actor: str
    action: str
    subject: str | None = None
    detail: Mapping[str, object] | None = None


class ChainReport(NamedTuple):
    """How many entries follow one another; `broken_at` is the id of the first that doesn't, None if all do."""

    entries: int
    broken_at: int | None


def append(
    connection: Connection,
    clock: Clock,
    actor: str,
    action: str,
    subject: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Add one entry, in the caller's write transaction; see `append_all`."""
    append_all(connection, clock, [Entry(actor, action, subject, detail)])


def append_all(connection: Connection, clock: Clock, entries: Sequence[Entry]) -> None:
    """Add entries in order. Other transactions that append wait until this one ends, so do it last in yours.

    Raises BadInput for a detail of anything but texts, integers, booleans, lists and mappings.
    """
    if not entries:
        return
    take_turn(connection)
    previous, now = last_digest(connection), clock.now()
    rows = []
    for entry in entries:
        digest = _digest(previous, now, entry)
        rows.append({"created_at": now, **entry._asdict(), "previous": previous, "digest": digest})
        previous = digest
    connection.execute(sa.insert(audit_trail).inline(), rows)


def verify_chain(connection: Connection) -> ChainReport:
    """Go over the whole trail, oldest first, in flat memory."""
    previous, count = FIRST, 0
    found = connection.execution_options(yield_per=1000).execute(sa.select(audit_trail).order_by(audit_trail.c.id))
    for row in found:
        if not follows(previous, dict(row._mapping)):
            return ChainReport(count, row.id)
        previous, count = row.digest, count + 1
    return ChainReport(count, None)


def follow(connection: Connection, after: int, limit: int) -> list[dict[str, Any]]:
    """Whole entries behind one of an id, oldest first, with both digests."""
    found = sa.select(audit_trail).where(audit_trail.c.id > after).order_by(audit_trail.c.id).limit(limit)
    return [dict(row) for row in connection.execute(found).mappings()]


def follows(previous: bytes, row: Mapping[str, Any]) -> bool:
    """Whether an entry is whole, and follows the one of that digest."""
    entry = Entry(row["actor"], row["action"], row["subject"], row["detail"])
    return bool(row["previous"] == previous and row["digest"] == _digest(previous, row["created_at"], entry))


def last_digest(connection: Connection) -> bytes:
    """The digest of the newest entry, `FIRST` before the first."""
    last = sa.select(audit_trail.c.digest).order_by(audit_trail.c.id.desc()).limit(1)
    digest = connection.execute(last).scalar()
    return FIRST if digest is None else bytes(digest)


def page(
    connection: Connection,
    *,
    actor: str | None,
    action: str | None,
    subject: str | None,
    since: datetime | None,
    until: datetime | None,
    offset: int,
    limit: int,
) -> tuple[list[dict[str, Any]], int]:
    """Entries newest first, and how many match: `action` begins so, the times are from `since` to before `until`."""
    columns = audit_trail.c
    conditions = [
        *([columns.actor == actor] if actor is not None else []),
        *([columns.action.startswith(action, autoescape=True)] if action is not None else []),
        *([columns.subject == subject] if subject is not None else []),
        *([columns.created_at >= since] if since is not None else []),
        *([columns.created_at < until] if until is not None else []),
    ]
    total = connection.execute(sa.select(sa.func.count()).select_from(audit_trail).where(*conditions)).scalar_one()
    found = sa.select(audit_trail).where(*conditions).order_by(columns.id.desc()).offset(offset).limit(limit)
    shown = ("id", "created_at", "actor", "action", "subject", "detail")
    return [
        {name: row[name] for name in shown} | {"digest": row["digest"].hex()}
        for row in connection.execute(found).mappings()
    ], total


def _digest(previous: bytes, created_at: datetime, entry: Entry) -> bytes:
    fields: dict[str, Any] = {"previous": previous.hex(), "created_at": created_at.isoformat(), **entry._asdict()}
    return hashlib.sha256(canonical_json(fields)).digest()
