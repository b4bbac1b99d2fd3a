"""What people decide about requests: approve, deny, cancel, retry; and the switch that pauses everything.

Each request moves in a transaction of its own with its audit entry, so that one that can't move never stops
the others. Approval says nothing about identity: both are asked again where execution starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy.engine import Connection

from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.durable.leases import LeaseTimes
from habeas.requests.answer import item_of, policies_of
from habeas.requests.approval import PlanKey, Planned, approve_one, bound_plans, is_asked_again
from habeas.requests.bulk import MAX_ITEMS, Bulk, Failure
from habeas.requests.clients import Actor
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.manual_webhooks import check_answered
from habeas.requests.model import FINAL, Reason, Stage, Status
from habeas.requests.moves import BEFORE_MASKING, go_on, move, requeue_values
from habeas.requests.notices import put_review
from habeas.requests.sealing import open_identities
from habeas.requests.verification import decided_values
from habeas.requests.webhook_results import tell_again
from habeas.store import audit, cohorts, questions, switches
from habeas.store import requests as store

MAX_REASON = 200
_HIDDEN = "privacy_request.soft_deleted"
_NO_REASON: dict[str, Any] = {
    "reason": None,
    "reason_detail": None,
}  # what stopped it before isn't how it ended

Change = Callable[[Connection, dict[str, Any], datetime], str | None]
"""Moves one request; the action to be audited, where it isn't the usual one."""


def approve(
    installation: Installation,
    ids: Sequence[str],
    *,
    actor: Actor,
    plans: Mapping[PlanKey, Planned] | None = None,
    most: int = MAX_ITEMS,
) -> Bulk:
    """Let pending requests run, or note the first of two approvals (`approval`). fidesops' messages for what can't be
    approved. `plans`: those that were looked at; else those of now, where a policy binds an approval to one.
    """
    wanted = bound_plans(installation, ids) if plans is None and len(ids) <= most else plans or {}

    def change(connection: Connection, row: dict[str, Any], now: datetime) -> str | None:
        if not approve_one(connection, row, actor, wanted, now):
            return "privacy_request.approved_first"
        _tell(connection, installation, row, "request_approved", {})
        return None

    return _each(installation, ids, actor, "privacy_request.approved", change, wakes=True, most=most)


def deny(
    installation: Installation, ids: Sequence[str], *, actor: Actor, reason: str | None = None, most: int = MAX_ITEMS
) -> Bulk:
    """Refuse requests that haven't begun. The reason is kept in the audit trail."""
    _check_reason(reason)

    def change(connection: Connection, row: dict[str, Any], now: datetime) -> None:
        if not may_be_denied(row):
            raise Conflict("Cannot transition status", where=row["id"], fix=f"it is {row['status']}")
        values: dict[str, Any] = {"reviewed_at": now, "reviewed_by": actor.client_id, "finished_processing_at": now}
        move(connection, row, Status.DENIED, Stage.DONE, now, **values, **_NO_REASON)
        _tell(connection, installation, row, "request_denied", {"reason": reason or ""})

    return _each(installation, ids, actor, "privacy_request.denied", change, detail=_detail(reason), most=most)


def cancel(
    installation: Installation, ids: Sequence[str], *, actor: Actor, reason: str | None = None, most: int = MAX_ITEMS
) -> Bulk:
    """Stop requests, also running ones as long as nothing of them is masked yet."""
    _check_reason(reason)

    def change(connection: Connection, row: dict[str, Any], now: datetime) -> None:
        running = row["status"] == Status.IN_PROCESSING
        if row["settled"] is not None:
            raise Conflict(
                "can't be canceled any more: its work is done, and only webhooks are to be told", where=row["id"]
            )
        masking = row["status"] == Status.PAUSED and Stage(row["stage"]) not in BEFORE_MASKING
        if masking or row["reason"] == Reason.INCOMPLETE or (running and not _may_leave(connection, row)):
            raise Conflict("can't be canceled any more: masking has begun", where=row["id"])
        if running and row["cohort_id"] is not None:
            cohorts.shrink(connection, row["cohort_id"], 1)
        values: dict[str, Any] = {"canceled_at": now, "cancel_reason": reason, "finished_processing_at": now}
        move(connection, row, Status.CANCELED, Stage.DONE, now, **values, **_NO_REASON)
        if row["status"] == Status.PAUSED:
            questions.forget(connection, [row["id"]])

    return _each(installation, ids, actor, "privacy_request.canceled", change, detail=_detail(reason), most=most)


def soft_delete(installation: Installation, ids: Sequence[str], *, actor: Actor) -> Bulk:
    """Hide requests that ended, or failed before anything was written, from lists."""

    def change(connection: Connection, row: dict[str, Any], now: datetime) -> None:
        failed = row["status"] == Status.ERROR and row["reason"] != Reason.INCOMPLETE
        if Status(row["status"]) not in FINAL and not failed:
            raise Conflict(f"can't be deleted: it is {row['status']}", where=row["id"], fix="cancel it first")
        move(connection, row, Status(row["status"]), Stage(row["stage"]), now, deleted_at=now)

    return _each(installation, ids, actor, _HIDDEN, change)


def retry(installation: Installation, ids: Sequence[str], *, actor: Actor, most: int = MAX_ITEMS) -> Bulk:
    """Put requests that ended in error, or wait for somebody, back into the queue, to be planned anew.

    An erasure that stopped after its first write goes on instead, with the rows it froze and with all requests
    of its cohort that stopped there too. What was done stays done; one whose webhooks weren't told is only told again.
    """
    going_on: set[str] = set()

    def change(connection: Connection, row: dict[str, Any], now: datetime) -> None:
        if row["cohort_id"] in going_on and row["status"] != Status.CANCELED:
            return  # it went on with another request of this call
        if row["status"] not in (Status.ERROR, Status.REQUIRES_INPUT):
            raise Conflict(f"can't be retried: it is {row['status']}, not error or requires_input", where=row["id"])
        if row["settled"] is not None:
            tell_again(connection, installation, row, now)
            return
        if row["reason"] == Reason.INCOMPLETE:
            go_on(connection, row, now)
            going_on.add(row["cohort_id"])
            return
        _check_not_asked_again(row)
        move(connection, row, Status.PENDING, _stage_again(row), now, **requeue_values(row))

    return _each(installation, ids, actor, "privacy_request.retried", change, wakes=True, most=most)


def resume(
    installation: Installation, request_id: str, *, actor: Actor, claimed: Literal["drop", "vouch"] | None = None
) -> Bulk:
    """Let a request that waits for somebody go on, planned anew. `claimed` decides about values that nobody vouches
    for: `drop` goes on without them, `vouch` makes them as good as an authorised client's.

    Raises BadInput where the request waits for that decision and there is none, Forbidden for one without the scope
    `privacy-request:review`.
    """
    if claimed is not None:
        actor.require("privacy-request:review")

    def change(connection: Connection, row: dict[str, Any], now: datetime) -> None:
        if row["status"] != Status.REQUIRES_INPUT:
            raise Conflict(f"can't be resumed: it is {row['status']}, not requires_input", where=row["id"])
        check_answered(connection, row["id"])
        _check_not_asked_again(row)
        values = requeue_values(row)
        if claimed is not None:
            values |= decided_values(installation, row, claimed)
        elif row["reason"] == Reason.IDENTITIES_DISAGREE:
            raise BadInput("the given identities disagree", where="claimed_identities", fix="say drop or vouch")
        move(connection, row, Status.PENDING, _stage_again(row), now, **values)

    detail = {"claimed_identities": claimed} if claimed else None
    return _each(installation, [request_id], actor, "privacy_request.resumed", change, detail=detail, wakes=True)


def pause_all(installation: Installation, *, actor: Actor) -> None:
    """Start no more executions; those that run go on, what comes in waits. Safe to call again."""
    now = installation.clock.now()
    with installation.database.begin() as connection:
        if switches.turn_on(connection, switches.PAUSED, now):
            audit.append(connection, installation.clock, actor.client_id, "execution.paused", None, None)


def resume_all(installation: Installation, *, actor: Actor) -> None:
    """Start executions again. Safe to call again."""
    with installation.database.begin() as connection:
        if switches.turn_off(connection, switches.PAUSED):
            audit.append(connection, installation.clock, actor.client_id, "execution.resumed", None, None)
    installation.wake()


def is_paused(installation: Installation) -> bool:
    """Whether the pause switch is on."""
    with installation.database.read() as connection:
        return switches.is_on(connection, switches.PAUSED)


def count_workers(installation: Installation) -> int:
    """Workers that take work now: on SQLite that of the data directory, on PostgreSQL all, on whatever host."""
    if installation.database.dialect != "postgresql":
        return int(installation.waker.is_heard_here())
    with installation.database.read() as connection:
        return cohorts.count_executors(connection, timedelta(seconds=LeaseTimes().expiry))


def _each(
    installation: Installation,
    ids: Sequence[str],
    actor: Actor,
    action: str,
    change: Change,
    *,
    detail: dict[str, Any] | None = None,
    wakes: bool = False,
    most: int = MAX_ITEMS,
) -> Bulk:
    if len(ids) > most:
        raise BadInput(f"more than {most} ids", where="request_ids", fix=f"send {most} at a time")
    bulk = Bulk()
    for request_id in dict.fromkeys(ids):
        try:
            bulk.succeeded.append(_one(installation, request_id, actor, action, change, detail))
        except (Conflict, NotFound) as problem:
            bulk.failed.append(Failure(problem.message, {"id": request_id}))
    if wakes and bulk.succeeded:
        installation.wake()
    return bulk


def _one(
    installation: Installation,
    request_id: str,
    actor: Actor,
    action: str,
    change: Change,
    detail: dict[str, Any] | None,
) -> dict[str, Any]:
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = found_request(connection, request_id)
        if row["deleted_at"] is not None or (row["purged_at"] is not None and action != _HIDDEN):
            raise Conflict("it was deleted", where=request_id, fix="submit a new request")
        noted = change(connection, row, now) or action
        audit.append(connection, installation.clock, actor.client_id, noted, request_id, detail)
        moved = store.find_by_ids(connection, [request_id])[request_id]
        policies = policies_of(store.find_policies(connection, ids=[moved["policy_id"]]))
    return item_of(moved, policies, now.date())


def _tell(
    connection: Connection, installation: Installation, row: dict[str, Any], name: str, values: dict[str, str]
) -> None:
    if installation.settings.send_request_review_notification:
        identities = open_identities(installation.vault, row["id"], row["sealed_identities"])
        put_review(connection, installation, name, row["id"], identities, values)


def may_be_denied(row: Mapping[str, Any]) -> bool:
    """Whether denying comes in time: a request that ended, runs or was approved is canceled instead."""
    return row["status"] in (Status.PENDING, Status.IDENTITY_UNVERIFIED, Status.REQUIRES_INPUT)


def _check_not_asked_again(row: dict[str, Any]) -> None:
    if is_asked_again(row):
        raise Conflict("it waits for approval, since its plan changed", where=row["id"], fix="approve or deny it")


def _stage_again(row: dict[str, Any]) -> Stage:
    """Where a request goes on that waited: one that was held as a duplicate had got no further than where it is."""
    return Stage(row["stage"]) if row["reason"] == Reason.DUPLICATE else Stage.QUEUED


def _may_leave(connection: Connection, row: dict[str, Any]) -> bool:
    """Whether the cohort hasn't begun to mask; it can't begin before the caller's transaction ends. Without a cohort
    the request is at the webhooks before.
    """
    if row["cohort_id"] is None:
        return True
    stages = cohorts.stages_of(connection, [row["cohort_id"]], lock=True)
    return Stage(stages.get(row["cohort_id"], row["stage"])) in BEFORE_MASKING


def _detail(reason: str | None) -> dict[str, Any] | None:
    return {"reason": reason} if reason else None


def _check_reason(reason: str | None) -> None:
    if reason is not None and len(reason) > MAX_REASON:
        raise BadInput(f"is longer than {MAX_REASON} characters", where="reason")
