"""Queries on calls of webhooks: planned as rows, claimed in order, recorded attempt by attempt.

A call is one of a request and a webhook and keeps its id in every attempt, so that a receiver can tell a repeated one.
A claim grows stale, so that what a dead process had in hand is sent again; nothing is skipped. Statuses and stages of
requests are the caller's words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.store import switches
from habeas.store.session import new_ids
from habeas.store.tables import privacy_request as request
from habeas.store.tables import webhook, webhook_attempt
from habeas.store.tables import webhook_call as table
from habeas.store.webhooks import APPROVAL, PRE, WebhookRow

WAITING, DELIVERED, FAILED, DROPPED = "waiting", "delivered", "failed", "dropped"
AWAITED = "awaited"  # the receiver took it; its word is still to come
ELIGIBLE, NOT_ELIGIBLE, COUNTED = "eligible", "not_eligible", "counted"
STATES = (WAITING, DELIVERED, FAILED, DROPPED, AWAITED, ELIGIBLE, NOT_ELIGIBLE, COUNTED)

_OPEN = (WAITING, AWAITED, FAILED)


class CallRow(NamedTuple):
    """A call as stored."""

    id: str
    created_at: datetime
    privacy_request_id: str
    webhook_id: str
    webhook_key: str
    connection_id: str
    phase: str
    direction: str
    position: int
    state: str
    round: int
    attempts: int
    due_at: datetime | None
    claimed_by: str | None
    claimed_at: datetime | None
    answered_at: datetime | None


class Place(NamedTuple):
    """Where a request must be for its calls of a phase to be sent."""

    phase: str
    stage: str
    statuses: tuple[str, ...]


_COLUMNS = [table.c[name] for name in CallRow._fields]


def unpassed(phase: str = PRE) -> sa.ColumnElement[bool]:
    """Whether the request of an enclosing statement has a webhook of its policy whose call isn't delivered yet."""
    told = _called(phase).where(table.c.state == DELIVERED)
    mine = (webhook.c.policy_id == request.c.policy_id, webhook.c.phase == phase)
    return sa.exists().where(*mine, ~told).correlate(request)


def unasked() -> sa.ColumnElement[bool]:
    """Whether there is a webhook that is asked before approval, and the request has no call of it."""
    return sa.exists().where(webhook.c.phase == APPROVAL, ~_called(APPROVAL)).correlate(request)


def _called(phase: str) -> sa.Exists:
    # Two levels down nothing correlates by itself: unsaid, another request's call would count.
    mine = (table.c.privacy_request_id == request.c.id, table.c.phase == phase, table.c.webhook_id == webhook.c.id)
    return sa.exists().where(*mine).correlate(request, webhook)


def to_do_clause() -> sa.ColumnElement[bool]:
    """Whether there is a webhook, or a call that may lead to something, as a part of a statement; without either there
    is nothing to look for.
    """
    return sa.or_(sa.exists(sa.select(webhook.c.id)), sa.exists().where(table.c.state.in_((WAITING, ELIGIBLE))))


def to_ask(connection: Connection, stage: str, status: str, limit: int) -> list[str]:
    """Requests that wait for approval and about which a webhook wasn't asked yet, oldest first; their ids."""
    found = sa.select(request.c.id).where(request.c.stage == stage, request.c.status == status, unasked())
    return list(connection.execute(found.order_by(request.c.created_at, request.c.id).limit(limit)).scalars())


def plan(
    connection: Connection, request_ids: Sequence[str], phase: str, hooks: Sequence[WebhookRow], now: datetime
) -> None:
    """Have these requests call these webhooks, in their order. What was delivered stays so; what wasn't is tried anew
    under the same id; calls of webhooks that are gone are dropped.
    """
    kept = [hook.id for hook in hooks]
    mine = (table.c.privacy_request_id.in_(request_ids), table.c.phase == phase)
    gone = sa.update(table).where(*mine, table.c.state.in_(_OPEN), table.c.webhook_id.not_in(kept))
    connection.execute(gone.values(state=DROPPED, updated_at=now))
    known = connection.execute(sa.select(*_COLUMNS).where(*mine)).all()
    by_place = {(row.privacy_request_id, row.webhook_id): row for row in known}
    missing = [(each, hook) for each in request_ids for hook in hooks if (each, hook.id) not in by_place]
    rows = [_new(new, each, hook, now) for new, (each, hook) in zip(new_ids("whc", len(missing)), missing, strict=True)]
    if rows:
        connection.execute(sa.insert(table), rows)
    for hook in hooks:
        if phase != APPROVAL and any((each, hook.id) in by_place for each in request_ids):
            again = sa.update(table).where(*mine, table.c.webhook_id == hook.id, table.c.state != DELIVERED)
            connection.execute(again.values(**_anew(hook), round=table.c.round + 1, updated_at=now))


def _new(call_id: str, request_id: str, hook: WebhookRow, now: datetime) -> dict[str, Any]:
    row = {"id": call_id, "created_at": now, "updated_at": now, "privacy_request_id": request_id, "phase": hook.phase}
    return row | {"webhook_id": hook.id, "round": 0} | _anew(hook)


def _anew(hook: WebhookRow) -> dict[str, Any]:
    fresh = {"state": WAITING, "attempts": 0, "due_at": None, "claimed_by": None, "claimed_at": None}
    shown = {"webhook_key": hook.key, "connection_id": hook.connection_id, "direction": hook.direction}
    return fresh | shown | {"position": hook.position, "answered_at": None}


def claim(
    connection: Connection,
    now: datetime,
    claimant: str,
    places: Sequence[Place],
    *,
    stale_after_seconds: float,
    busy: Collection[str] = (),
) -> CallRow | None:
    """Take the call that is due first and begin its attempt; None without one. `busy`: connections to be left alone.

    The calls of a request in one phase are taken in order, each after the one before was delivered; those that are
    asked before approval, in any order.
    """
    due = due_id(now, places, stale_after_seconds=stale_after_seconds, busy=busy)
    locked = due.with_for_update(skip_locked=True, of=table).cte("due")  # a CTE that locks is run once
    taken = (
        sa.update(table)
        .where(table.c.id == locked.c.id)
        .values(claimed_by=claimant, claimed_at=now, attempts=table.c.attempts + 1, updated_at=now)
        .returning(*_COLUMNS)
    )
    row = connection.execute(taken).one_or_none()
    return None if row is None else CallRow(*row)


def due_id(
    now: datetime, places: Sequence[Place], *, stale_after_seconds: float, busy: Collection[str] = ()
) -> sa.Select[tuple[str]]:
    """The statement that finds the id of the call that `claim` would take: a look that takes no write lock."""
    stale = now - timedelta(seconds=stale_after_seconds)
    before = table.alias("before")
    earlier = sa.exists().where(
        before.c.privacy_request_id == table.c.privacy_request_id,
        before.c.phase == table.c.phase,
        before.c.position < table.c.position,
        before.c.state.in_(_OPEN),
    )
    there = sa.or_(
        *(
            sa.and_(table.c.phase == each.phase, request.c.stage == each.stage, request.c.status.in_(each.statuses))
            for each in places
        )
    )
    return (
        sa.select(table.c.id)
        .join(request, request.c.id == table.c.privacy_request_id)
        .where(table.c.state == WAITING, there, switches.is_off_clause(switches.PAUSED))
        .where(sa.or_(table.c.due_at.is_(None), table.c.due_at <= now))
        .where(sa.or_(table.c.claimed_at.is_(None), table.c.claimed_at < stale))
        .where(sa.or_(table.c.phase == APPROVAL, ~earlier.correlate(table)))
        .where(table.c.connection_id.not_in(busy))
        .order_by(request.c.due_date.asc().nulls_last(), table.c.created_at, table.c.position, table.c.id)
        .limit(1)
    )


def find(connection: Connection, call_id: str) -> CallRow | None:
    """The call of that id."""
    row = connection.execute(sa.select(*_COLUMNS).where(table.c.id == call_id)).one_or_none()
    return None if row is None else CallRow(*row)


def open_calls(connection: Connection, request_id: str, phase: str) -> int:
    """How many calls of a request in a phase aren't delivered yet."""
    mine = (table.c.privacy_request_id == request_id, table.c.phase == phase, table.c.state.in_(_OPEN))
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(*mine)).scalar_one()


def move(connection: Connection, call: CallRow, values: Mapping[str, Any], now: datetime) -> bool:
    """Write to a call that is still as it was read: same state, round and claim. Gives the claim back."""
    held = [table.c[name].is_not_distinct_from(getattr(call, name)) for name in ("claimed_by", "claimed_at")]
    mine = (table.c.id == call.id, table.c.state == call.state, table.c.round == call.round, *held)
    freed = {"claimed_by": None, "claimed_at": None, "updated_at": now, **values}
    return connection.execute(sa.update(table).where(*mine).values(**freed)).rowcount == 1


def awaited_since(connection: Connection, phase: str, before: datetime, limit: int) -> list[CallRow]:
    """Calls whose receiver's word has been awaited since before a moment, oldest first."""
    late = (table.c.phase == phase, table.c.state == AWAITED, table.c.answered_at < before)
    rows = connection.execute(sa.select(*_COLUMNS).where(*late).order_by(table.c.answered_at).limit(limit))
    return [CallRow(*row) for row in rows]


def agreed(connection: Connection, stage: str, status: str, limit: int) -> list[str]:
    """Requests that wait for approval and of which every call before approval was answered with eligible."""
    mine = (table.c.privacy_request_id == request.c.id, table.c.phase == APPROVAL)
    eligible = sa.exists().where(*mine, table.c.state == ELIGIBLE)
    others = sa.exists().where(*mine, table.c.state.not_in((ELIGIBLE, DROPPED)))
    found = sa.select(request.c.id).where(request.c.stage == stage, request.c.status == status, eligible, ~others)
    return list(connection.execute(found.where(~unasked()).order_by(request.c.id).limit(limit)).scalars())


def count_answers(connection: Connection, request_id: str, now: datetime) -> None:
    """Note that what was answered before approval has been acted on."""
    mine = (table.c.privacy_request_id == request_id, table.c.phase == APPROVAL, table.c.state == ELIGIBLE)
    connection.execute(sa.update(table).where(*mine).values(state=COUNTED, updated_at=now))


def release_all(connection: Connection, claimant: str | None = None) -> int:
    """Give back what somebody claimed who is gone (None: whoever claimed, where nobody else can run); how many."""
    held = [table.c.claimed_at.is_not(None)] if claimant is None else [table.c.claimed_by == claimant]
    return connection.execute(sa.update(table).where(*held).values(claimed_by=None, claimed_at=None)).rowcount


def begin_attempt(connection: Connection, call_id: str, now: datetime, actor: str | None = None) -> int:
    """Note that an attempt begins; its number."""
    row = {"call_id": call_id, "began_at": now, "actor": actor}
    return int(connection.execute(sa.insert(webhook_attempt).returning(webhook_attempt.c.id), row).scalar_one())


def end_attempt(connection: Connection, attempt_id: int, values: Mapping[str, Any]) -> None:
    """Note how an attempt ended."""
    connection.execute(sa.update(webhook_attempt).where(webhook_attempt.c.id == attempt_id).values(**values))


def page(connection: Connection, *, offset: int, limit: int, **wanted: str | None) -> tuple[list[dict[str, Any]], int]:
    """Calls, newest first, and how many; `wanted` are columns and the value each must have. With their attempts."""
    conditions = [table.c[name] == value for name, value in wanted.items() if value is not None]
    total = connection.execute(sa.select(sa.func.count()).select_from(table).where(*conditions)).scalar_one()
    query = sa.select(*_COLUMNS).where(*conditions).order_by(table.c.created_at.desc(), table.c.position.desc())
    rows = [row._asdict() for row in connection.execute(query.offset(offset).limit(limit))]
    attempts = attempts_of(connection, [row["id"] for row in rows])
    return [row | {"tried": attempts.get(row["id"], [])} for row in rows], total


def attempts_of(connection: Connection, call_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The attempts of calls, by call, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    query = sa.select(webhook_attempt).where(webhook_attempt.c.call_id.in_(call_ids)).order_by(webhook_attempt.c.id)
    for row in connection.execute(query):
        found.setdefault(row.call_id, []).append(row._asdict())
    return found
