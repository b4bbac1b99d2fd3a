"""Queries on runs over the ledger: replays and verifications. Plain functions over a connection.

A run has a row in `cohort` of the same id, so that leases, epochs and take-over hold for it as they do for cohorts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.session import new_or_known
from habeas.store.tables import cohort, ledger_run, setting
from habeas.store.tables import privacy_request as request

_DUE = "erasures_verified"
_AT_ONCE = 500


def insert(connection: Connection, row: Mapping[str, Any], stage: str) -> None:
    """Put in a run that no executor has yet."""
    connection.execute(sa.insert(ledger_run), row)
    theirs = {"id": row["id"], "created_at": row["created_at"], "updated_at": row["created_at"]}
    connection.execute(sa.insert(cohort), theirs | {"plan_digest": "", "size": 0, "stage": stage, "epoch": 0})


def find(connection: Connection, run_id: str, kind: str | None = None) -> dict[str, Any] | None:
    """The run's row; with `kind`, only if it is of that kind."""
    found = sa.select(ledger_run).where(ledger_run.c.id == run_id)
    row = connection.execute(found if kind is None else found.where(ledger_run.c.kind == kind)).one_or_none()
    return None if row is None else row._asdict()


def page(connection: Connection, kind: str, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Runs of a kind, newest first, and how many there are."""
    mine = ledger_run.c.kind == kind
    total = connection.execute(sa.select(sa.func.count()).select_from(ledger_run).where(mine)).scalar_one()
    rows = sa.select(ledger_run).where(mine).order_by(ledger_run.c.created_at.desc(), ledger_run.c.id)
    return [row._asdict() for row in connection.execute(rows.offset(offset).limit(limit))], total


def update(connection: Connection, run_id: str, values: Mapping[str, Any]) -> None:
    """Write to the run's row; the caller has checked its epoch in the same transaction."""
    connection.execute(sa.update(ledger_run).where(ledger_run.c.id == run_id).values(**values))


def members_of(connection: Connection, cohort_ids: Collection[str]) -> list[tuple[str, int, dict[str, Any]]]:
    """Requests that ran in these cohorts, also in an earlier attempt: cohort, number in it, and what is needed of the
    request: `id`, `sealed_seed`, `reappeared`.
    """
    columns = (request.c.id, request.c.sealed_seed, request.c.reappeared)
    wanted, found = list(cohort_ids), []
    for part in range(0, len(wanted), _AT_ONCE):
        some = wanted[part : part + _AT_ONCE]
        now = sa.select(request.c.cohort_id, request.c.member, *columns).where(request.c.cohort_id.in_(some))
        found += [(row.cohort_id, row.member, row._asdict()) for row in connection.execute(now)]
    former = sa.select(request.c.earlier, *columns).where(request.c.earlier.is_not(None))
    known = set(wanted)
    for row in connection.execute(former):
        found += [(cohort_id, member, row._asdict()) for cohort_id, member in row.earlier or () if cohort_id in known]
    return found


def note_reappeared(connection: Connection, counts: Mapping[str, int], now: datetime) -> None:
    """Keep how many erased rows of each request are back, as looked for now."""
    values = [{"wanted": request_id, "back": back} for request_id, back in counts.items()]
    noted = sa.update(request).where(request.c.id == sa.bindparam("wanted"))
    if values:
        connection.execute(noted.values(reappeared=sa.bindparam("back"), reverified_at=now), values)


def take_turn(connection: Connection, now: datetime, due_before: datetime) -> bool:
    """Whether all erasures are to be verified now, by the caller: the last turn was taken before `due_before`. The
    first time it is asked counts as a turn.
    """
    first = new_or_known(connection, setting).values(name=_DUE, value=True, updated_at=now)
    if connection.execute(first.on_conflict_do_nothing().returning(setting.c.name)).one_or_none() is not None:
        return False
    turn = sa.update(setting).where(setting.c.name == _DUE, setting.c.updated_at <= due_before)
    return connection.execute(turn.values(updated_at=now)).rowcount == 1


def is_turn(connection: Connection, due_before: datetime) -> bool:
    """Whether `take_turn` may find one, without writing."""
    last = connection.execute(sa.select(setting.c.updated_at).where(setting.c.name == _DUE)).scalar_one_or_none()
    return last is None or last <= due_before
