"""Queries on events: what happened to requests, in one order. Ids, keys, counts and words; nothing of a person.

Most are written by triggers (`tables.event_triggers`), and transactions end in another order than their rows were
numbered. So an event gets its position afterwards, by `place`, one caller at a time: whoever has seen a position has
every one before it within reach, and whatever is committed later comes behind. Positions only grow.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.session import insert_new
from habeas.store.tables import event, event_head, outbox
from habeas.store.tables import privacy_request as request
from habeas.store.tables.privacy_requests import OPEN_DUE

TYPES = (
    "privacy_request.created",
    "privacy_request.verified",
    "privacy_request.needs_person",
    "privacy_request.approved",
    "privacy_request.denied",
    "privacy_request.step_done",
    "privacy_request.complete",
    "privacy_request.error",
    "privacy_request.canceled",
    "privacy_request.at_risk",
    "privacy_request.overdue",
    "privacy_request.reappeared",
    "event_webhook.disabled",
)
REAPPEARED = "privacy_request.reappeared"
AT_RISK, OVERDUE = "privacy_request.at_risk", "privacy_request.overdue"
WEBHOOK_DISABLED = "event_webhook.disabled"


class Head(NamedTuple):
    """The newest position, that of the newest event that is no longer kept, and whether events wait for one."""

    position: int
    dropped: int
    unplaced: bool


@dataclass(frozen=True)
class Sought:
    """What events are narrowed by: types, and one request, with the cohorts it was in; empty narrows nothing."""

    types: Sequence[str] = ()
    request_id: str | None = None
    cohort_ids: Sequence[str] = ()


def append(connection: Connection, now: datetime, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add events that no trigger knows of, in the transaction that makes them true: `type`, and what else it has."""
    if rows:
        names = ("type", "privacy_request_id", "policy_key", "word", "detail")
        made = [{"created_at": now, **{name: row.get(name) for name in names}} for row in rows]
        connection.execute(sa.insert(event).inline(), made)


def head(connection: Connection) -> Head:
    """Where the order of events stands. One statement."""
    unplaced = sa.select(unplaced_clause().label("unplaced")).subquery()
    found = sa.select(
        sa.func.coalesce(event_head.c.position, 0), sa.func.coalesce(event_head.c.dropped, 0), unplaced.c.unplaced
    ).select_from(unplaced.outerjoin(event_head, sa.true()))
    position, dropped, waiting = connection.execute(found).one()
    return Head(position, dropped, bool(waiting))


def unplaced_clause() -> sa.ColumnElement[bool]:
    """Whether an event has no position yet, as a part of a statement."""
    return sa.exists().where(event.c.position.is_(None))


def place(connection: Connection, most: int) -> tuple[int, int]:
    """Give up to `most` events their positions; the first and the last of them, as a range that may be empty. Other
    callers wait until this transaction ends.
    """
    insert_new(connection, event_head, [{"id": 1, "position": 0, "dropped": 0}])
    last = connection.execute(sa.select(event_head.c.position).with_for_update()).scalar_one()
    number = sa.func.row_number().over(order_by=event.c.id)
    unplaced = (
        sa.select(event.c.id, (number + last).label("place"))
        .where(event.c.position.is_(None))
        .order_by(event.c.id)
        .limit(most)
        .subquery()
    )
    placed = sa.update(event).where(event.c.id == unplaced.c.id).values(position=unplaced.c.place)
    found = connection.execute(placed).rowcount
    if found:
        connection.execute(sa.update(event_head).values(position=last + found))
    return last + 1, last + found


def page(connection: Connection, sought: Sought, after: int, until: int, limit: int) -> list[dict[str, Any]]:
    """Events after a position and up to another, in order."""
    found = sa.select(event).where(event.c.position > after, event.c.position <= until, *_matches(sought))
    return [row._asdict() for row in connection.execute(found.order_by(event.c.position).limit(limit))]


def newest(connection: Connection, sought: Sought, count: int) -> int | None:
    """The position of the oldest of the `count` newest events that match; None where none does."""
    found = sa.select(event.c.position).where(event.c.position.is_not(None), *_matches(sought))
    last = found.order_by(event.c.position.desc()).limit(count).subquery()
    position: int | None = connection.execute(sa.select(sa.func.min(last.c.position))).scalar_one()
    return position


def cohorts_of(connection: Connection, request_id: str) -> list[str] | None:
    """The cohorts a request was ever in; None for an unknown request."""
    row = connection.execute(
        sa.select(request.c.cohort_id, request.c.earlier).where(request.c.id == request_id)
    ).one_or_none()
    if row is None:
        return None
    return [cohort for cohort, _ in row.earlier or ()] + ([row.cohort_id] if row.cohort_id else [])


def _matches(sought: Sought) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if sought.types:
        conditions.append(event.c.type.in_(sought.types))
    if sought.request_id is not None:
        joint = sa.and_(event.c.privacy_request_id.is_(None), event.c.cohort_id.in_(sought.cohort_ids))
        conditions.append(sa.or_(event.c.privacy_request_id == sought.request_id, joint))
    return conditions


def hand_on(connection: Connection, now: datetime, webhook_id: str, types: Sequence[str], first: int, last: int) -> int:
    """Put the events of a range of positions into the outbox, for a webhook that wants them; how many."""
    wanted = sa.select(
        sa.literal(now, outbox.c.created_at.type),
        sa.literal("event.") + event.c.type,
        sa.literal(f"{webhook_id}/") + sa.cast(event.c.position, sa.String),
        sa.literal(0),
    ).where(event.c.position.between(first, last), *([event.c.type.in_(types)] if types else []))
    columns = ("created_at", "kind", "subject", "attempts")
    return connection.execute(sa.insert(outbox).from_select(columns, wanted.order_by(event.c.position))).rowcount


def find(connection: Connection, position: int) -> dict[str, Any] | None:
    """The event at a position; None where it is no longer kept."""
    row = connection.execute(sa.select(event).where(event.c.position == position)).one_or_none()
    return None if row is None else row._asdict()


def tell_late(connection: Connection, now: datetime, soon: datetime, most: int) -> int:
    """Add events of up to `most` open requests of each kind whose due date is over, or is before `soon`, each once for
    that date; how many. A request whose clock stands is not late.
    """
    told = 0
    for type_, late, marks in (
        (OVERDUE, _overdue(now), {"told_overdue": request.c.due_date, "told_at_risk": request.c.due_date}),
        (AT_RISK, _at_risk(now, soon), {"told_at_risk": request.c.due_date}),
    ):
        some = sa.select(request.c.id).where(*late).order_by(request.c.due_date).limit(most)
        marked = sa.update(request).where(request.c.id.in_(some), *late).values(marks)
        rows = connection.execute(marked.returning(request.c.id, request.c.policy_key, request.c.due_date)).all()
        made = [
            {
                "type": type_,
                "privacy_request_id": row.id,
                "policy_key": row.policy_key,
                "detail": {"due_date": row.due_date.isoformat()},
            }
            for row in rows
        ]
        append(connection, now, made)
        told += len(rows)
    return told


def any_late(connection: Connection, now: datetime, soon: datetime) -> bool:
    """Whether `tell_late` would find something: a look that takes no write lock."""
    kinds = [sa.and_(*late) for late in (_overdue(now), _at_risk(now, soon))]
    return bool(connection.execute(sa.select(sa.or_(*(sa.exists().where(late) for late in kinds)))).scalar_one())


def _overdue(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return _untold(request.c.told_overdue), request.c.due_date < now


def _at_risk(now: datetime, soon: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return _untold(request.c.told_at_risk), request.c.due_date >= now, request.c.due_date < soon


def _untold(told: sa.Column[Any]) -> sa.ColumnElement[bool]:
    again = sa.or_(told.is_(None), told != request.c.due_date)
    open_ = sa.literal_column(f"({OPEN_DUE})", sa.Boolean)
    return sa.and_(open_, request.c.clock_stopped_at.is_(None), again)


def drop_old(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` events older than a moment, oldest first; how many. What nobody could be told yet stays."""
    old = (
        sa.select(event.c.position)
        .where(event.c.created_at < before, event.c.position.is_not(None))
        .order_by(event.c.created_at, event.c.position)
        .limit(limit)
    )
    positions: Collection[int] = list(connection.execute(old).scalars())
    if not positions:
        return 0
    connection.execute(sa.delete(event).where(event.c.position.in_(positions)))
    last = sa.case((event_head.c.dropped < max(positions), max(positions)), else_=event_head.c.dropped)
    connection.execute(sa.update(event_head).values(dropped=last))
    return len(positions)
