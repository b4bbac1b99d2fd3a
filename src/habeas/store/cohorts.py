"""Queries on cohorts: put in, take over under a new epoch, follow, end. Plain functions over a connection.

Every write of a running attempt says which epoch it holds and learns whether it still does; `None` or False
means another attempt owns the cohort. Never decides who may take over: leases and locks do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store import switches
from habeas.store.tables import cohort, executor
from habeas.store.tables import privacy_request as request

_AT_ONCE = 1000  # ids in one statement
_REMEMBERED = 10  # cohorts of a plan that tell how many rows its members have


def insert(connection: Connection, row: Mapping[str, Any]) -> None:
    """Put in a cohort; columns as in `tables.cohort`."""
    connection.execute(sa.insert(cohort), row)


def find(connection: Connection, cohort_id: str) -> dict[str, Any] | None:
    """The cohort's row."""
    row = connection.execute(sa.select(cohort).where(cohort.c.id == cohort_id)).one_or_none()
    return None if row is None else row._asdict()


def pairs_per_member(connection: Connection, plan_digest: str) -> float | None:
    """How many rows a member of the plan's last cohorts had found; None where none of them ended yet."""
    newest = (
        sa.select(cohort.c.pairs, cohort.c.size)
        .where(cohort.c.plan_digest == plan_digest, cohort.c.finished_at.is_not(None), cohort.c.pairs.is_not(None))
        .order_by(cohort.c.finished_at.desc())
        .limit(_REMEMBERED)
        .subquery()
    )
    pairs, members = connection.execute(sa.select(sa.func.sum(newest.c.pairs), sa.func.sum(newest.c.size))).one()
    return int(pairs) / int(members) if members else None


def take_epoch(connection: Connection, cohort_id: str, executor_id: str, now: datetime) -> dict[str, Any] | None:
    """Begin an attempt: the next epoch, this executor. The row as it is then, None where the cohort has ended."""
    taken = (
        sa.update(cohort)
        .where(cohort.c.id == cohort_id, cohort.c.finished_at.is_(None))
        .values(epoch=cohort.c.epoch + 1, executor_id=executor_id, updated_at=now)
        .returning(*cohort.c)
    )
    row = connection.execute(taken).one_or_none()
    return None if row is None else row._asdict()


def present_epoch(connection: Connection, cohort_id: str) -> int | None:
    """The epoch that now owns the cohort, for a fence; None for an unknown one."""
    return connection.execute(sa.select(cohort.c.epoch).where(cohort.c.id == cohort_id)).scalar_one_or_none()


def reopen(connection: Connection, cohort_id: str, stage: str, now: datetime) -> bool:
    """Let an ended cohort go on at a stage, under its next epoch, by whoever takes it; False where it hasn't
    ended, or the key of what it froze is destroyed.
    """
    ended = (cohort.c.id == cohort_id, cohort.c.finished_at.is_not(None), cohort.c.sealed_data_key.is_not(None))
    opened = sa.update(cohort).where(*ended)
    values = {"finished_at": None, "executor_id": None, "stage": stage, "updated_at": now}
    return connection.execute(opened.values(**values)).rowcount == 1


def present_size(connection: Connection, cohort_id: str, status: str) -> tuple[int | None, int]:
    """The epoch that now owns the cohort, and how many of its members have this status. One statement."""
    theirs = sa.and_(request.c.cohort_id == cohort.c.id, request.c.status == status)
    counted = sa.select(sa.func.count()).select_from(request).where(theirs).correlate(cohort).scalar_subquery()
    row = connection.execute(sa.select(cohort.c.epoch, counted).where(cohort.c.id == cohort_id)).one_or_none()
    return (None, 0) if row is None else (row[0], row[1])


def present_members(connection: Connection, cohort_id: str, status: str) -> set[int]:
    """The numbers of a cohort's members that have this status."""
    found = sa.select(request.c.member).where(request.c.cohort_id == cohort_id, request.c.status == status)
    return set(connection.execute(found).scalars())


def members_in(connection: Connection, cohort_id: str, status: str) -> list[str]:
    """The ids of a cohort's requests, also of those that left it, that have this status."""
    found = sa.select(request.c.id).where(request.c.cohort_id == cohort_id, request.c.status == status)
    return list(connection.execute(found).scalars())


def stages_of(connection: Connection, cohort_ids: Collection[str], *, lock: bool = False) -> dict[str, str]:
    """The present stages, by id. `lock`: no attempt moves on until the caller's transaction ends."""
    found = sa.select(cohort.c.id, cohort.c.stage).where(cohort.c.id.in_(cohort_ids))
    return {row.id: row.stage for row in connection.execute(found.with_for_update() if lock else found)}


def advance(
    connection: Connection,
    cohort_id: str,
    epoch: int,
    values: Mapping[str, Any],
    now: datetime,
    *,
    size: int | None = None,
) -> bool:
    """Write stage, progress or the end, if the epoch still owns the cohort; with `size`, only if it has so many
    members left.
    """
    advancing = _advancing(cohort_id, epoch, values, now)
    if size is not None:
        advancing = advancing.where(cohort.c.size == size)
    return connection.execute(advancing).rowcount == 1


def advance_asking(
    connection: Connection,
    cohort_id: str,
    epoch: int,
    values: Mapping[str, Any],
    now: datetime,
    question: sa.ColumnElement[bool],
) -> bool | None:
    """`advance`, and in the same statement the answer to a question of other tables; None if another epoch owns it."""
    asking = _advancing(cohort_id, epoch, values, now).returning(question.label("answer"))
    row = connection.execute(asking).one_or_none()
    return None if row is None else bool(row.answer)


def _advancing(cohort_id: str, epoch: int, values: Mapping[str, Any], now: datetime) -> sa.Update:
    mine = (cohort.c.id == cohort_id, cohort.c.epoch == epoch, cohort.c.finished_at.is_(None))
    return sa.update(cohort).where(*mine).values(updated_at=now, **values)


def shrink(connection: Connection, cohort_id: str, left: int) -> None:
    """So many members left. On the cohort's own row, so that an `advance` that waits for it sees what it finds."""
    connection.execute(sa.update(cohort).where(cohort.c.id == cohort_id).values(size=cohort.c.size - left))


def count_executors(connection: Connection, beaten_within: timedelta) -> int:
    """Executors that beat so lately, by the database's own clock. PostgreSQL only: elsewhere none is listed."""
    now = sa.func.timezone("utc", sa.func.clock_timestamp())
    listed = sa.select(sa.func.count()).where(executor.c.beat_at >= now - beaten_within).select_from(executor)
    return int(connection.execute(listed).scalar_one())


def unfinished(
    connection: Connection, executor_ids: Collection[str] | None = None, *, orphans: bool = False
) -> list[dict[str, Any]]:
    """Cohorts that have not ended, oldest first: of these executors, or of all.

    Those that were reopened are nobody's: they are among them, unless execution is paused. `orphans`: also
    those of executors that aren't listed (any more); only where executors are listed at all.
    """
    found = sa.select(cohort.c.id, cohort.c.epoch, cohort.c.executor_id, cohort.c.stage, cohort.c.updated_at).where(
        cohort.c.finished_at.is_(None),
        sa.or_(cohort.c.executor_id.is_not(None), switches.is_off_clause(switches.PAUSED)),
    )
    if executor_ids is not None:
        theirs = sa.or_(cohort.c.executor_id.in_(executor_ids), cohort.c.executor_id.is_(None))
        listed = sa.exists().where(executor.c.id == cohort.c.executor_id)
        found = found.where(sa.or_(theirs, sa.not_(listed)) if orphans else theirs)
    ordered = found.order_by(cohort.c.created_at, cohort.c.id)
    return [row._asdict() for row in connection.execute(ordered)]


def hand_over(connection: Connection, cohort_id: str, old: str | None, new: str, now: datetime) -> bool:
    """Give an unfinished cohort of one executor to another; False where somebody else was first."""
    held = cohort.c.executor_id.is_(None) if old is None else cohort.c.executor_id == old
    moved = sa.update(cohort).where(cohort.c.id == cohort_id, held, cohort.c.finished_at.is_(None))
    return connection.execute(moved.values(executor_id=new, updated_at=now)).rowcount == 1


def forget_data_key(connection: Connection, cohort_id: str) -> None:
    """Destroy the spool's key: what its frames hold can't be read any more. Safe to call again."""
    connection.execute(sa.update(cohort).where(cohort.c.id == cohort_id).values(sealed_data_key=None))


def without_data_key(connection: Connection, cohort_ids: Sequence[str]) -> list[str]:
    """Those that ended and whose spool's key is destroyed, in the order given. Unknown ids aren't among them."""
    found: set[str] = set()
    for part in range(0, len(cohort_ids), _AT_ONCE):
        asked = sa.select(cohort.c.id).where(
            cohort.c.id.in_(cohort_ids[part : part + _AT_ONCE]),
            cohort.c.sealed_data_key.is_(None),
            cohort.c.finished_at.is_not(None),
        )
        found.update(connection.execute(asked).scalars())
    return [each for each in cohort_ids if each in found]


def keys_to_purge(connection: Connection, finished_before: datetime) -> list[str]:
    """Ended cohorts whose spool can still be read although its retention is over, oldest first; not those that go on
    once somebody answers.
    """
    waits = sa.exists().where(request.c.cohort_id == cohort.c.id, request.c.status == "paused")
    found = sa.select(cohort.c.id).where(
        cohort.c.sealed_data_key.is_not(None), cohort.c.finished_at < finished_before, ~waits
    )
    return list(connection.execute(found.order_by(cohort.c.finished_at)).scalars())
