"""Queries that search privacy requests: filters, order, pages. Identities are matched by blind index alone.

Prefixes are compared as text, so `%`, `_` and `\\` in them are literal. Case is folded by the database.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import audit_trail, provided_identity
from habeas.store.tables import privacy_request as request

_ID_LENGTH = 40  # pri_ and a UUID


@dataclass(frozen=True)
class Wanted:
    """What requests are narrowed by; None and empty narrow nothing. Bounds on times are strict."""

    ids: Collection[str] | None = None
    id_prefix: str | None = None
    external_prefix: str | None = None
    statuses: Collection[str] = ()
    indexes: Sequence[bytes] | None = field(default=None, repr=False)  # of one identity value
    policy_key: str | None = None
    after: tuple[tuple[str, datetime], ...] = ()  # column, bound
    before: tuple[tuple[str, datetime], ...] = ()


SORTABLE = frozenset(
    {
        "id",
        "created_at",
        "updated_at",
        "requested_at",
        "started_processing_at",
        "finished_processing_at",
        "reviewed_at",
        "identity_verified_at",
        "paused_at",
        "canceled_at",
        "due_date",
        "status",
        "stage",
        "outcome",
        "reason",
        "external_id",
        "policy_key",
    }
)


def count(connection: Connection, wanted: Wanted) -> int:
    """How many requests match."""
    return connection.execute(sa.select(sa.func.count()).select_from(request).where(*_conditions(wanted))).scalar_one()


def page(
    connection: Connection, wanted: Wanted, *, sort: str, descending: bool, offset: int, limit: int
) -> list[dict[str, Any]]:
    """Rows that match, in order of a column of `SORTABLE`, rows without a value last; ties in order of id."""
    column = request.c[sort]
    order = (column.desc() if descending else column.asc()).nulls_last()
    found = sa.select(request).where(*_conditions(wanted)).order_by(order, request.c.id).offset(offset).limit(limit)
    return [row._asdict() for row in connection.execute(found)]


def decisions_about(connection: Connection, request_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Audit entries about these requests, oldest first."""
    columns = (audit_trail.c[name] for name in ("created_at", "actor", "action", "subject", "detail"))
    found = sa.select(*columns).where(audit_trail.c.subject.in_(request_ids)).order_by(audit_trail.c.id)
    return [row._asdict() for row in connection.execute(found)]


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.ids is not None:
        found.append(request.c.id.in_(wanted.ids))
    if wanted.id_prefix:
        found.append(_starts(request.c.id, wanted.id_prefix, whole=_ID_LENGTH))
    if wanted.external_prefix:
        found.append(_starts(request.c.external_id, wanted.external_prefix))
    if wanted.statuses:
        found.append(request.c.status.in_(wanted.statuses))
    if wanted.indexes is not None:
        holders = sa.select(provided_identity.c.privacy_request_id)
        found.append(request.c.id.in_(holders.where(provided_identity.c.blind_index.in_(wanted.indexes))))
    if wanted.policy_key:
        found.append(request.c.policy_key == wanted.policy_key)
    found.extend(request.c[name] > bound for name, bound in wanted.after)
    found.extend(request.c[name] < bound for name, bound in wanted.before)
    return found


def _starts(column: sa.Column[str], prefix: str, whole: int | None = None) -> sa.ColumnElement[bool]:
    if len(prefix) == whole:
        return column == prefix.lower()  # a whole id, which the primary key finds
    return sa.func.lower(sa.func.substr(column, 1, len(prefix))) == sa.func.lower(prefix)
