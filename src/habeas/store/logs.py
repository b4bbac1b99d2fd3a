"""Queries on the execution log: what each collection of a cohort did, counts and never values.

An entry belongs to a cohort and, where `member` is set, to one request of it alone. A request's log is that
of every cohort it was ever in, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import cohort
from habeas.store.tables import execution_log as log
from habeas.store.tables import privacy_request as request

Membership = tuple[str, int]
"""A cohort's id and the request's index in it."""


def append(connection: Connection, cohort_id: str, epoch: int, rows: Sequence[Mapping[str, Any]]) -> bool:
    """What an attempt at a cohort has to say, in one statement; columns as in `tables.execution_log`. False, and
    nothing written, where its epoch doesn't own the cohort any more.
    """
    if not rows:
        return True
    mine = sa.select(cohort.c.id).where(cohort.c.id == cohort_id, cohort.c.epoch == epoch).exists()
    given = sa.select(*(sa.bindparam(name, type_=log.c[name].type) for name in rows[0])).where(mine)
    written = sa.insert(log).inline().from_select(list(rows[0]), given, include_defaults=False)
    said = connection.execute(written, list(rows), execution_options={"preserve_rowcount": True})
    return said.rowcount == len(rows)


def forget_complete(connection: Connection, cohort_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Delete what former attempts said of collections of which these rows say that they are done: what ran twice
    has the effect, and the counts, of having run once.
    """
    done = sorted({(row["dataset_name"], row["collection_name"], row["action_type"]) for row in rows if _is_done(row)})
    for dataset, collection, action in done:
        named = (log.c.dataset_name == dataset, log.c.collection_name == collection, log.c.action_type == action)
        connection.execute(sa.delete(log).where(log.c.cohort_id == cohort_id, log.c.status == "complete", *named))


def _is_done(row: Mapping[str, Any]) -> bool:
    return bool(row["status"] == "complete")


def count(connection: Connection, memberships: Sequence[Membership]) -> int:
    """How many entries a request has."""
    found = sa.select(sa.func.count()).select_from(log).where(_of(memberships))
    return connection.execute(found).scalar_one()


def page(connection: Connection, memberships: Sequence[Membership], offset: int, limit: int) -> list[dict[str, Any]]:
    """A request's entries in the order they were written."""
    found = sa.select(log).where(_of(memberships)).order_by(log.c.updated_at, log.c.id).offset(offset).limit(limit)
    return [row._asdict() for row in connection.execute(found)]


def first_per_dataset(connection: Connection, request_ids: Sequence[str], most: int) -> list[dict[str, Any]]:
    """The first entries of each dataset in each request's present cohort, with `privacy_request_id`."""
    place = sa.func.row_number().over(
        partition_by=(request.c.id, log.c.dataset_name), order_by=(log.c.updated_at, log.c.id)
    )
    theirs = sa.and_(
        log.c.cohort_id == request.c.cohort_id, sa.or_(log.c.member.is_(None), log.c.member == request.c.member)
    )
    ranked = (
        sa.select(log, request.c.id.label("privacy_request_id"), place.label("place"))
        .join(request, theirs)
        .where(request.c.id.in_(request_ids))
        .subquery()
    )
    found = sa.select(ranked).where(ranked.c.place <= most).order_by(ranked.c.updated_at, ranked.c.id)
    return [row._asdict() for row in connection.execute(found)]


def _of(memberships: Sequence[Membership]) -> sa.ColumnElement[bool]:
    return sa.or_(
        sa.false(),
        *(
            sa.and_(log.c.cohort_id == cohort_id, sa.or_(log.c.member.is_(None), log.c.member == member))
            for cohort_id, member in memberships
        ),
    )
