"""How a request moves: every change of status or stage is legal by `model`'s tables and guarded in SQL.

The guard repeats what was read, so that of two movers at once one gets Conflict and nothing is lost. All
functions write in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from habeas.core.errors import Conflict
from habeas.requests.model import Reason, Stage, Status, check_stage, check_status
from habeas.store import cohorts
from habeas.store import requests as store

RUNS = (Stage.ACCESS, Stage.DELIVER, Stage.FREEZE, Stage.MASK, Stage.VERIFY, Stage.RECEIPT)
CONFIRMED = frozenset({Status.COMPLETE, Status.ERROR, Status.IN_PROCESSING, Status.REQUIRES_INPUT})
BEFORE_MASKING = frozenset(list(Stage)[: list(Stage).index(Stage.MASK)])


def move(
    connection: Connection,
    row: Mapping[str, Any],
    status: Status,
    stage: Stage,
    now: datetime,
    *,
    unless_first: bool = False,
    **values: Any,
) -> None:
    """Move one request from what `row` says; further columns as keywords. Raises Conflict if it may not, or if
    it isn't there any more. `unless_first`: nor if somebody else became the first to approve it meanwhile.
    """
    check_status(Status(row["status"]), status)
    if row["stage"] == Stage.RECEIPT and row["status"] == Status.REQUIRES_INPUT and status not in CONFIRMED:
        raise Conflict(
            "habeas did its part; the request waits until people confirm theirs",
            where=row["id"],
            fix="confirm it, send the instruction again, or give it up (docs/manual-work.md)",
        )
    check_stage(Stage(row["stage"]), stage)
    expected = {"status": row["status"], "stage": row["stage"], "attempt": row["attempt"]}
    if unless_first:
        expected |= {"first_approved_by": row["first_approved_by"]}
    new = {"status": status, "stage": stage, "updated_at": now, **values}
    if not store.move_request(connection, row["id"], expected, new):
        raise Conflict("the request moved on meanwhile", where=row["id"], fix="look at it again")


def go_on(connection: Connection, row: Mapping[str, Any], now: datetime) -> int:
    """Let the cohort of an incomplete erasure go on with what it froze; how many requests go on with it.

    All its incomplete members do: their rows are frozen together, and once masked no new plan would find
    them. Raises Conflict where the frozen set is gone.
    """
    if row["cohort_id"] is None or not cohorts.reopen(connection, row["cohort_id"], Stage.MASK, now):
        raise Conflict(
            "can't go on: what was frozen for it is no longer kept",
            where=row["id"],
            fix="submit a new request, which finds what can still be found",
        )
    check_status(Status.ERROR, Status.IN_PROCESSING)
    check_stage(Stage.DONE, Stage.MASK)
    values = {"status": Status.IN_PROCESSING, "stage": Stage.MASK, "updated_at": now, "attempt": store.next_attempt()}
    undone = dict.fromkeys(("reason", "reason_detail", "finished_processing_at"))
    expected = {"status": Status.ERROR, "reason": Reason.INCOMPLETE}
    return store.move_members(connection, row["cohort_id"], expected, values | undone)


def requeue_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a request that goes back to the queue: its cohort becomes a former one, its end is undone."""
    earlier = list(row["earlier"] or ())
    if row["cohort_id"] is not None:
        earlier.append([row["cohort_id"], row["member"]])
    return {
        "attempt": row["attempt"] + 1,
        "replans": None,
        "earlier": earlier or None,
        "cohort_id": None,
        "member": None,
        "reason": None,
        "reason_detail": None,
        "not_searched": None,
        "withheld": None,
        "absent_kinds": None,
        "confirmed": None,
        "finished_processing_at": None,
        "duplicate_of": None,
    }
