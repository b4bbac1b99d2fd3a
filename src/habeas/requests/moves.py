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
from habeas.requests.model import Stage, Status, check_stage, check_status
from habeas.store import requests as store

RUNS = (Stage.ACCESS, Stage.DELIVER, Stage.FREEZE, Stage.MASK, Stage.VERIFY, Stage.RECEIPT)
BEFORE_MASKING = frozenset(list(Stage)[: list(Stage).index(Stage.MASK)])


def move(
    connection: Connection,
    row: Mapping[str, Any],
    status: Status,
    stage: Stage,
    now: datetime,
    **values: Any,
) -> None:
    """Move one request from what `row` says; further columns as keywords. Raises Conflict if it may not, or if
    it isn't there any more.
    """
    check_status(Status(row["status"]), status)
    check_stage(Stage(row["stage"]), stage)
    expected = {"status": row["status"], "stage": row["stage"], "attempt": row["attempt"]}
    new = {"status": status, "stage": stage, "updated_at": now, **values}
    if not store.move_request(connection, row["id"], expected, new):
        raise Conflict("the request moved on meanwhile", where=row["id"], fix="look at it again")


def move_cohort(
    connection: Connection,
    cohort_id: str,
    old: tuple[Status, Stage],
    new: tuple[Status, Stage],
    now: datetime,
    **values: Any,
) -> int:
    """Move all members of a cohort that are where `old` says; how many. Those that left it stay as they are."""
    check_status(old[0], new[0])
    check_stage(old[1], new[1])
    expected = {"status": old[0], "stage": old[1]}
    return store.move_members(
        connection, cohort_id, expected, {"status": new[0], "stage": new[1], "updated_at": now, **values}
    )


def requeue_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a request that goes back to the queue: its cohort becomes a former one, its end is undone."""
    earlier = list(row["earlier"] or ())
    if row["cohort_id"] is not None:
        earlier.append([row["cohort_id"], row["member"]])
    return {
        "attempt": row["attempt"] + 1,
        "earlier": earlier or None,
        "cohort_id": None,
        "member": None,
        "reason": None,
        "reason_detail": None,
        "not_searched": None,
        "finished_processing_at": None,
    }
