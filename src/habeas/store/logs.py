"""Queries on the execution log: what each collection of a cohort did, counts and never values.

An entry belongs to a cohort and, where `member` is set, to one request of it alone. A request's log is that
of every cohort it was ever in, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import execution_log as log
from habeas.store.tables import privacy_request as request

Membership = tuple[str, int]
"""A cohort's id and the request's index in it."""


def append(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """One statement for all rows; columns as in `tables.execution_log`."""
    if rows:
        connection.execute(sa.insert(log).inline(), list(rows))


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
