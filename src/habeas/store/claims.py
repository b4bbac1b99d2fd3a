"""Queries of the dispatcher: which groups of requests wait, claiming a group as a cohort, ending a group.

A group is what may run as one cohort: one policy, the same identity kinds. Claiming is one statement whose
own WHERE says what may be claimed, so that of several dispatchers each request falls to exactly one.
Statuses and stages are the caller's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store import manual_webhooks, switches, webhook_calls
from habeas.store.requests import MEMBER
from habeas.store.tables import connection as source
from habeas.store.tables import dataset, policy, rule, rule_target, storage
from habeas.store.tables import privacy_request as request

USUAL = timedelta(days=30)
_TWO = 2


class Ready(NamedTuple):
    """What may be claimed: a stage, its statuses, and, where approval is asked, that it was given.

    In any case a request must have a verified identity, or be an authorised client's under a policy that trusts it, and
    no webhook of its policy may be left to be called before.
    """

    stage: str
    statuses: tuple[str, ...]
    approval_required: bool


class Group(NamedTuple):
    """Waiting requests that may run together. `kinds` is the JSON text as stored; `stamp` changes with every
    change of policies, connections, datasets and destinations, and is equal for equal configurations. `held`: how many
    more there are that wait for a person and can't run. `bound`: how many of all were approved for one plan alone.
    """

    policy_id: str
    policy_key: str
    kinds: str
    size: int
    stamp: str
    held: int = 0
    bound: int = 0


def waiting_groups(connection: Connection, ready: Ready) -> list[Group]:
    """All groups, the one that is due first before others; none while execution is paused. One statement.

    One without a due date takes its turn as if it had been due `USUAL` after its oldest request came, so that others
    can't keep it waiting for ever.
    """
    oldest, due = sa.func.min(request.c.created_at), sa.func.min(request.c.due_date)
    held = sa.func.sum(sa.case((manual_webhooks.waits(), 1), else_=0))
    ready_ones, bound = sa.func.count() - held, sa.func.count(request.c.approved_digest)
    found = (
        sa.select(request.c.policy_id, request.c.policy_key, _kinds(), ready_ones, _stamp(), held, bound, oldest, due)
        .where(*_claimable(ready), switches.is_off_clause(switches.PAUSED))
        .group_by(request.c.policy_id, request.c.policy_key, _kinds())
        .order_by(oldest, request.c.policy_id, _kinds())
    )
    rows = sorted(connection.execute(found), key=lambda row: row[8] or row[7] + USUAL)
    return [Group(*row[:7]) for row in rows]


def configuration_stamp(connection: Connection) -> str:
    """The present stamp, as groups carry it."""
    return connection.execute(sa.select(_stamp())).scalar_one()


def claim(
    connection: Connection, group: Group, ready: Ready, most: int, values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Make the `most` requests of a group that are due first, or else the oldest, members of a cohort; their rows as
    they are then, in order of member, with the columns of `requests.MEMBER`.

    Members are numbered from 0 in that order. `values` are written to each; rows that another dispatcher holds are
    passed over, not waited for.
    """
    claimed = _claiming(group, ready, most, values).returning(*(request.c[name] for name in MEMBER))
    return sorted((row._asdict() for row in connection.execute(claimed)), key=itemgetter("member"))


def claim_unseen(connection: Connection, group: Group, ready: Ready, most: int, values: Mapping[str, Any]) -> int:
    """The same, without reading the rows: how many there are. For more than memory should hold twice."""
    return connection.execute(_claiming(group, ready, most, values)).rowcount


def unapprove(
    connection: Connection, group: Group, ready: Ready, plan_digest: str, values: Mapping[str, Any]
) -> list[str]:
    """Write `values` to those requests of a group that were approved for another plan; their ids."""
    other = (request.c.approved_digest.is_not(None), request.c.approved_digest != plan_digest)
    moved = sa.update(request).where(*_claimable(ready), *_in_group(group), *other).values(**values)
    return list(connection.execute(moved.returning(request.c.id)).scalars())


def _claiming(group: Group, ready: Ready, most: int, values: Mapping[str, Any]) -> sa.Update:
    digest = values.get("plan_digest")
    approved = sa.or_(request.c.approved_digest.is_(None), request.c.approved_digest == digest)
    oldest = (
        sa.select(request.c.id, request.c.created_at, request.c.due_date)
        .where(*_claimable(ready), *_in_group(group), switches.is_off_clause(switches.PAUSED))
        .where(~manual_webhooks.waits(), approved)
        .order_by(request.c.due_date.asc().nulls_last(), request.c.created_at, request.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte("oldest")  # a CTE that locks is run once; as a subquery it could run again per row
    )
    place = (
        sa.func.row_number().over(order_by=(oldest.c.due_date.asc().nulls_last(), oldest.c.created_at, oldest.c.id)) - 1
    )
    numbered = sa.select(oldest.c.id, place.label("member")).cte("numbered")
    return sa.update(request).where(request.c.id == numbered.c.id).values(member=numbered.c.member, **values)


def end_group(connection: Connection, group: Group, ready: Ready, values: Mapping[str, Any]) -> int:
    """Write `values` to every waiting request of a group; how many there were."""
    ended = sa.update(request).where(*_claimable(ready), *_in_group(group)).values(**values)
    return connection.execute(ended).rowcount


def hold_group(connection: Connection, group: Group, ready: Ready, values: Mapping[str, Any]) -> list[str]:
    """Write `values` to every waiting request of a group that a person must do something for first; their ids."""
    held = sa.update(request).where(*_claimable(ready), *_in_group(group), manual_webhooks.waits()).values(**values)
    return list(connection.execute(held.returning(request.c.id)).scalars())


def started_at(now: Any) -> sa.ColumnElement[Any]:
    """A request's first start, kept over retries."""
    return sa.func.coalesce(request.c.started_processing_at, sa.literal(now, request.c.started_processing_at.type))


def waiting_for_webhooks(
    connection: Connection, ready: Ready, limit: int, *, lock: bool = True
) -> list[dict[str, Any]]:
    """Requests that could be claimed but for webhooks of their policy that are to be called before, due first; none
    while execution is paused. `lock`: they are the caller's, those that another holds are passed over.
    """
    found = (
        sa.select(request)
        .where(*_proven(ready), webhook_calls.unpassed(), switches.is_off_clause(switches.PAUSED))
        .order_by(request.c.due_date.asc().nulls_last(), request.c.created_at, request.c.id)
        .limit(limit)
    )
    chosen = found.with_for_update(skip_locked=True) if lock else found
    return [row._asdict() for row in connection.execute(chosen)]


def _claimable(ready: Ready) -> tuple[sa.ColumnElement[bool], ...]:
    return (*_proven(ready), ~webhook_calls.unpassed())


def _proven(ready: Ready) -> tuple[sa.ColumnElement[bool], ...]:
    vouched = sa.and_(request.c.client_id.is_not(None), request.c.must_verify.is_not(True))
    vouched_or_verified = sa.or_(vouched, request.c.identity_verified_at.is_not(None))
    reviewed = sa.or_(_unless_policy(policy.c.approvals.is_not(None)), request.c.reviewed_at.is_not(None))
    by_two = sa.and_(request.c.first_approved_by.is_not(None), request.c.first_approved_by != request.c.reviewed_by)
    approved = (reviewed, sa.or_(_unless_policy(policy.c.approvals == _TWO), by_two))
    conditions = (request.c.stage == ready.stage, request.c.status.in_(ready.statuses), vouched_or_verified, *approved)
    return (*conditions, request.c.reviewed_at.is_not(None)) if ready.approval_required else conditions


def _unless_policy(asks: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return request.c.policy_id.not_in(sa.select(policy.c.id).where(asks))


def _in_group(group: Group) -> tuple[sa.ColumnElement[bool], ...]:
    return request.c.policy_id == group.policy_id, _kinds() == group.kinds


def _kinds() -> sa.Cast[str]:
    return sa.cast(request.c.kinds, sa.Text)


def _stamp() -> sa.ScalarSelect[str]:
    """One text over id and last change of every configuration row: times alone would miss a change that a
    machine with a slower clock makes.
    """
    marks = [
        sa.select((table.c.id + "@" + sa.cast(table.c.updated_at, sa.Text) + extra).label("mark"))
        for table, extra in (
            (policy, sa.literal("")),
            (rule, sa.literal("")),
            (rule_target, sa.literal("")),
            (storage, sa.literal("")),
            (source, sa.literal("#") + sa.cast(source.c.version, sa.Text)),
            (dataset, sa.literal("#") + dataset.c.version),
        )
    ]
    every = sa.union_all(*marks).subquery("configuration")
    return sa.select(sa.func.coalesce(sa.func.aggregate_strings(every.c.mark, ","), "")).scalar_subquery()
