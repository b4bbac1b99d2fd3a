"""What an approval is worth: by how many people, and for which plan.

Where a policy asks for two, they are two users: a client's approval doesn't count, nor one person's second one. Where
it says so, an approval holds for the plan of that moment alone. Both are asked again where execution starts, in SQL
(`store.claims`). Moves one request in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from habeas.core.errors import Conflict, HabeasError
from habeas.requests.clients import Actor
from habeas.requests.installation import Installation
from habeas.requests.model import Reason, Stage, Status
from habeas.requests.moves import move
from habeas.store import requests as store
from habeas.store import users

BOTH = 2

Row = Mapping[str, Any]
PlanKey = tuple[str, tuple[str, ...]]
"""A policy's key and the identity kinds that seed."""


class Planned(NamedTuple):
    """The digest of a plan as it would be made now, or why there is none."""

    digest: str | None
    problem: str | None = None


def plan_key(row: Row) -> PlanKey:
    """What of a request decides about its plan."""
    return row["policy_key"], tuple(sorted(row["kinds"]))


def plans_of(installation: Installation, rows: Sequence[Row]) -> dict[PlanKey, Planned]:
    """The plans by which these requests would run now."""
    found: dict[PlanKey, Planned] = {}
    for key in sorted({plan_key(row) for row in rows}):
        try:
            found[key] = Planned(installation.planner.plan(*key)[0])
        except HabeasError as problem:
            found[key] = Planned(None, str(problem))
    return found


def bound_plans(installation: Installation, ids: Sequence[str]) -> dict[PlanKey, Planned]:
    """The plans of those requests whose policy binds an approval to one; nothing is planned for others."""
    with installation.database.read() as connection:
        rows = list(store.find_by_ids(connection, ids).values())
        policies = store.find_policies(connection, ids={row["policy_id"] for row in rows}) if rows else []
    binding = {each["id"] for each in policies if each["plan_drift"] == "ask"}
    return plans_of(installation, [row for row in rows if row["policy_id"] in binding])


def approve_one(
    connection: Connection, row: Row, actor: Actor, plans: Mapping[PlanKey, Planned], now: datetime
) -> bool:
    """Approve one request; whether it is approved now, or waits for a second person. Raises Conflict."""
    policies = store.find_policies(connection, ids=[row["policy_id"]])
    policy = policies[0] if policies else {"approvals": None, "plan_drift": None}
    two = policy["approvals"] == BOTH
    if not _waits(row, two):
        raise Conflict("Cannot transition status", where=row["id"], fix=f"it is {row['status']}, not pending")
    digest = _digest(row, plans) if policy["plan_drift"] == "ask" else None
    if two and not _is_second(connection, row, actor, digest):
        first = {"first_approved_by": actor.client_id, "first_approved_at": now, "approved_digest": digest}
        unreviewed = {"reviewed_at": None, "reviewed_by": None}
        move(connection, row, Status(row["status"]), Stage(row["stage"]), now, unless_first=True, **first, **unreviewed)
        return False
    values = {"reviewed_at": now, "reviewed_by": actor.client_id, "approved_digest": digest}
    if row["status"] == Status.REQUIRES_INPUT:
        move(connection, row, Status.PENDING, Stage(row["stage"]), now, reason=None, reason_detail=None)
        row = {**row, "status": Status.PENDING}
    move(connection, row, Status.APPROVED, Stage.QUEUED, now, unless_first=two, **values)
    return True


def is_asked_again(row: Row) -> bool:
    """Whether it waits since its plan changed after it was approved."""
    return Status(row["status"]) is Status.REQUIRES_INPUT and bool(row["reason"] == Reason.PLAN_CHANGED)


def changed_values(now: datetime) -> dict[str, Any]:
    """The columns of a request that was approved for another plan: nobody has approved it any more."""
    gone = ("reviewed_at", "reviewed_by", "first_approved_by", "first_approved_at", "approved_digest")
    return dict.fromkeys(gone) | {
        "status": Status.REQUIRES_INPUT,
        "reason": Reason.PLAN_CHANGED,
        "reason_detail": {
            "address": "",
            "problem": "it was approved for a plan that has changed since",
            "fix": "look at the plan as it is now (habeas plan explain), then approve or deny it",
            "code": str(Reason.PLAN_CHANGED),
        },
        "updated_at": now,
    }


def _waits(row: Row, two: bool) -> bool:
    status = Status(row["status"])
    if status is Status.PENDING or is_asked_again(row):
        return True
    # The policy came to ask for two after one had approved.
    lacks = row["first_approved_by"] is None or row["reviewed_by"] is None
    return two and lacks and status is Status.APPROVED


def _is_second(connection: Connection, row: Row, actor: Actor, digest: str | None) -> bool:
    """Whether this is the second person's approval of the same plan. Raises Conflict where it can't count."""
    if users.find(connection, actor.client_id) is None:
        raise Conflict("two people must approve it, and a client is none", where=row["id"], fix="sign in as a user")
    if row["first_approved_by"] is None or row["approved_digest"] != digest:
        return False
    if row["first_approved_by"] == actor.client_id:
        raise Conflict("two people must approve it, and you are the first", where=row["id"], fix="ask somebody else")
    return True


def _digest(row: Row, plans: Mapping[PlanKey, Planned]) -> str:
    planned = plans.get(plan_key(row), Planned(None, "it isn't planned"))
    if planned.digest is None:
        raise Conflict(f"can't be planned now: {planned.problem}", where=row["id"], fix="mend that, then approve it")
    return planned.digest
