"""Queries that search privacy requests: filters, order, pages. Identities are matched by blind index alone.

No query looks at every request, however many there are. A filter that picks few (ids, prefixes, an identity) is
answered first, apart from the order, so that no database walks an index of the order to find them. Other filters
are answered in the order of an index: one walk a status, and rows without a value after those with one. Prefixes
are compared as text, so `%`, `_` and `\\` in them are literal. Case is folded by the database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import audit_trail, provided_identity, rule
from habeas.store.tables import privacy_request as request

_ID_LENGTH = 40  # pri_ and a UUID
_AFTER_ALL = "\U0010ffff"  # no character comes later
_WORDS = frozenset({"status", "stage", "outcome", "reason", "policy_key"})  # many rows have the same

Column = sa.ColumnElement[Any]


@dataclass(frozen=True)
class Wanted:
    """What requests are narrowed by; None and empty narrow nothing. Bounds on times are strict."""

    ids: Collection[str] | None = None
    id_prefix: str | None = None
    external_prefix: str | None = None
    statuses: Collection[str] = ()
    indexes: Sequence[bytes] | None = field(default=None, repr=False)  # of one identity value
    field_index: bytes | None = field(default=None, repr=False)  # of one custom field's value
    policy_key: str | None = None
    action: str | None = None  # that a rule of the policy has today
    after: tuple[tuple[str, datetime], ...] = ()  # column, bound
    before: tuple[tuple[str, datetime], ...] = ()
    running: bool = False  # only those whose clock doesn't stand
    duplicates: bool | None = None
    deleted: bool = False  # also those that were deleted

    @property
    def picks_few(self) -> bool:
        """Whether it names requests, an identity or a prefix."""
        indexed = self.indexes is not None or self.field_index is not None
        return self.ids is not None or indexed or bool(self.id_prefix or self.external_prefix)


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
    return _count(connection, _source(connection, wanted), wanted)


def page(
    connection: Connection, wanted: Wanted, *, sort: str, descending: bool, offset: int, limit: int
) -> list[dict[str, Any]]:
    """Rows that match, in order of a column of `SORTABLE`, rows without a value last; ties in the same direction by
    id, or by age where many rows have the same value. One statement; where a nullable column's values don't fill
    the page, one or two more.
    """
    rows = _source(connection, wanted)
    column = rows.c[sort]
    if not request.c[sort].nullable:
        return _slice(connection, rows, wanted, _order(rows, sort, descending), offset, limit)
    valued = (column.is_not(None),)
    found = _slice(connection, rows, wanted, _order(rows, sort, descending), offset, limit, *valued)
    if len(found) == limit:
        return found
    before = offset + len(found) if found or not offset else _count(connection, rows, wanted, *valued)
    order = _order(rows, "created_at", descending)
    rest = (max(0, offset - before), limit - len(found))
    return found + _slice(connection, rows, wanted, order, *rest, column.is_(None))


def page_beyond(
    connection: Connection, wanted: Wanted, last: tuple[datetime, str] | None, *, descending: bool, limit: int
) -> list[dict[str, Any]]:
    """Rows that match, by age: those that come after the row of this `created_at` and `id`. One statement."""
    rows = _source(connection, wanted)
    order, more = _order(rows, "created_at", descending), []
    if last is not None:
        place = sa.tuple_(rows.c.created_at, rows.c.id)
        reached = sa.tuple_(*(sa.literal(value, each.type) for value, each in zip(last, place.clauses, strict=True)))
        more = [place < reached if descending else place > reached]
    return _slice(connection, rows, wanted, order, 0, limit, *more)


def decisions_about(connection: Connection, request_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Audit entries about these requests, oldest first."""
    columns = (audit_trail.c[name] for name in ("created_at", "actor", "action", "subject", "detail"))
    found = sa.select(*columns).where(audit_trail.c.subject.in_(request_ids)).order_by(audit_trail.c.id)
    return [row._asdict() for row in connection.execute(found)]


def _count(connection: Connection, rows: sa.FromClause, wanted: Wanted, *more: Column) -> int:
    """Those that are deleted are taken off: an index tells them, and none those that aren't."""
    shown = replace(wanted, deleted=True)
    counted = sa.select(sa.func.count()).select_from(rows).where(*_others(rows, shown), *more)
    if not wanted.deleted:
        hidden = sa.select(rows).where(rows.c.deleted_at.is_not(None)).cte("hidden").prefix_with("MATERIALIZED")
        conditions = [sa.sql.visitors.replacement_traverse(each, {}, _of(rows, hidden)) for each in more]
        deleted = sa.select(sa.func.count()).select_from(hidden).where(*_others(hidden, shown), *conditions)
        counted = sa.select(counted.scalar_subquery() - deleted.scalar_subquery())
    return int(connection.execute(counted).scalar_one())


def _of(rows: sa.FromClause, others: sa.FromClause) -> Callable[..., Any]:
    """Says a condition about columns of `rows` of `others`."""
    return lambda element, **_: others.c[element.key] if getattr(element, "table", None) is rows else None


def _slice(
    connection: Connection,
    rows: sa.FromClause,
    wanted: Wanted,
    order: Sequence[tuple[str, bool]],
    offset: int,
    limit: int,
    *more: Column,
) -> list[dict[str, Any]]:
    statuses = sorted(wanted.statuses) if not wanted.picks_few else []
    if len(statuses) < 2:
        found = sa.select(rows).where(*_others(rows, wanted), *more).order_by(*_by(rows, order))
        return _all(connection, found.offset(offset).limit(limit))
    walks = [
        sa.select(rows)
        .where(*_others(rows, replace(wanted, statuses=(each,))), *more)
        .order_by(*_by(rows, order))
        .limit(offset + limit)
        .subquery()
        for each in statuses
    ]
    merged = sa.union_all(*(sa.select(walk) for walk in walks)).subquery()
    return _all(connection, sa.select(merged).order_by(*_by(merged, order)).offset(offset).limit(limit))


def _all(connection: Connection, found: sa.Select[Any]) -> list[dict[str, Any]]:
    return [row._asdict() for row in connection.execute(found)]


def _order(rows: sa.FromClause, sort: str, descending: bool) -> list[tuple[str, bool]]:
    names = [sort, "created_at", "id"] if sort in _WORDS else [sort, "id"]
    return [(name, descending) for name in dict.fromkeys(names)]


def _by(rows: sa.FromClause, order: Sequence[tuple[str, bool]]) -> list[Column]:
    return [rows.c[name].desc() if descending else rows.c[name].asc() for name, descending in order]


def _source(connection: Connection, wanted: Wanted) -> sa.FromClause:
    """All requests, or, as rows of their own, those that a filter picks which picks few."""
    if not wanted.picks_few:
        return request
    picked: list[Column] = []
    if wanted.ids is not None:
        picked.append(request.c.id.in_(wanted.ids))
    if wanted.id_prefix:
        picked.append(_id_starts(connection, wanted.id_prefix.lower()))
    if wanted.external_prefix:
        folded = _text(connection, sa.func.lower(request.c.external_id))
        picked.append(_between(folded, sa.func.lower(wanted.external_prefix)))
    for indexes in (wanted.indexes, None if wanted.field_index is None else [wanted.field_index]):
        if indexes is not None:
            holders = sa.select(provided_identity.c.privacy_request_id)
            picked.append(request.c.id.in_(holders.where(provided_identity.c.blind_index.in_(indexes))))
    return sa.select(request).where(*picked).cte("picked").prefix_with("MATERIALIZED")


def _id_starts(connection: Connection, prefix: str) -> Column:
    if len(prefix) == _ID_LENGTH:
        return request.c.id == prefix  # a whole id, which the primary key finds
    return _between(_text(connection, request.c.id), sa.literal(prefix))


def _text(connection: Connection, text: Column) -> Column:
    """As an index has it that orders by characters alone, as SQLite does anyway."""
    return sa.collate(text, "C") if connection.dialect.name == "postgresql" else text


def _between(text: Column, prefix: Column) -> Column:
    return sa.and_(text >= prefix, text < prefix.concat(_AFTER_ALL))


def _others(rows: sa.FromClause, wanted: Wanted) -> list[Column]:
    found: list[Column] = []
    if wanted.statuses:
        found.append(rows.c.status.in_(wanted.statuses) if len(wanted.statuses) > 1 else _only(rows, wanted))
    if wanted.policy_key:
        found.append(rows.c.policy_key == wanted.policy_key)
    if wanted.action:
        acting = sa.select(rule.c.policy_id).where(rule.c.action_type == wanted.action)
        found.append(rows.c.policy_id.in_(acting))
    if wanted.running:
        found.append(rows.c.clock_stopped_at.is_(None))
    if not wanted.deleted:
        found.append(rows.c.deleted_at.is_(None))
    if wanted.duplicates is not None:
        linked = rows.c.duplicate_of.is_not(None)
        found.append(linked if wanted.duplicates else sa.not_(linked))
    found.extend(rows.c[name] > bound for name, bound in wanted.after)
    found.extend(rows.c[name] < bound for name, bound in wanted.before)
    return found


def _only(rows: sa.FromClause, wanted: Wanted) -> Column:
    (status,) = wanted.statuses
    return rows.c.status == status
