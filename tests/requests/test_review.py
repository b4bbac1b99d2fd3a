"""Decisions: approve, deny, cancel, retry, the pause switch; their audit; and that no illegal move is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.requests.installation import Installation
from habeas.requests.model import Reason, Stage, Status
from habeas.requests.moves import move
from habeas.requests.service import (
    approve,
    cancel,
    deny,
    is_paused,
    pause_all,
    read_request,
    resume_all,
    retry,
    submit,
)
from habeas.store import cohorts
from habeas.store import requests as store
from habeas.store.tables import audit_trail
from requestbook import CLIENT, START, item


@pytest.fixture
def reviewed(opened: Callable[..., Installation]) -> Installation:
    """An installation that asks for approval."""
    return opened(require_manual_request_approval=True)


def take(installation: Installation) -> str:
    return str(submit(installation, [item()], actor=CLIENT).succeeded[0]["id"])


def put(installation: Installation, request_id: str, **values: Any) -> None:
    with installation.database.begin() as connection:
        store.move_request(connection, request_id, {}, values)


def run(installation: Installation, request_id: str, stage: Stage) -> None:
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = {"id": f"coh_{request_id}", "created_at": now, "updated_at": now, "plan_digest": "0", "size": 1}
        cohorts.insert(connection, row | {"stage": stage, "epoch": 1, "executor_id": "e"})
    put(
        installation,
        request_id,
        status=Status.IN_PROCESSING,
        stage=Stage.ACCESS,
        cohort_id=f"coh_{request_id}",
        member=0,
    )


def audited(installation: Installation, subject: str) -> list[str]:
    with installation.database.read() as connection:
        found = sa.select(audit_trail.c.action).where(audit_trail.c.subject == subject).order_by(audit_trail.c.id)
        return list(connection.execute(found).scalars())


def test_approving_queues_and_is_audited(reviewed: Installation) -> None:
    first = take(reviewed)
    bulk = approve(reviewed, [first, "pri_unknown", first], actor=CLIENT)
    assert [(each["status"], each["stage"]) for each in bulk.succeeded] == [("approved", "queued")]
    assert bulk.succeeded[0]["reviewed_by"] == CLIENT.client_id
    assert bulk.succeeded[0]["reviewed_at"] == START
    assert [(each.message, each.data) for each in bulk.failed] == [
        ("No privacy request found with id 'pri_unknown'", {"id": "pri_unknown"})
    ]
    assert audited(reviewed, first) == ["privacy_request.approved"]
    assert [each.message for each in approve(reviewed, [first], actor=CLIENT).failed] == ["Cannot transition status"]


def test_denying_ends_what_hasnt_begun(reviewed: Installation) -> None:
    request_id = take(reviewed)
    (answer,) = deny(reviewed, [request_id], actor=CLIENT, reason="not a customer").succeeded
    assert (answer["status"], answer["stage"]) == ("denied", "done")
    for again in (approve, deny, cancel, retry):
        assert again(reviewed, [request_id], actor=CLIENT).failed
    assert audited(reviewed, request_id) == ["privacy_request.denied"]


@pytest.mark.parametrize(
    ("stage", "may"), [(stage, stage not in (Stage.MASK, Stage.VERIFY, Stage.RECEIPT)) for stage in list(Stage)[5:11]]
)
def test_a_running_request_is_canceled_before_masking_only(installation: Installation, stage: Stage, may: bool) -> None:
    request_id = take(installation)
    run(installation, request_id, stage)
    bulk = cancel(installation, [request_id], actor=CLIENT, reason="withdrawn")
    assert bool(bulk.succeeded) is may
    if may:
        assert (bulk.succeeded[0]["status"], bulk.succeeded[0]["cancel_reason"]) == ("canceled", "withdrawn")
    else:
        assert "masking has begun" in bulk.failed[0].message


@pytest.mark.parametrize("status", [Status.ERROR, Status.REQUIRES_INPUT])
def test_retry_queues_anew_and_keeps_the_former_cohort(installation: Installation, status: Status) -> None:
    request_id = take(installation)
    ended = {"finished_processing_at": START, "reason": Reason.REFUSED, "reason_detail": {"problem": "x"}}
    put(installation, request_id, status=status, stage=Stage.DONE, cohort_id="coh_1", member=3, **ended)
    (answer,) = retry(installation, [request_id], actor=CLIENT).succeeded
    assert (answer["status"], answer["stage"], answer["attempt"]) == ("pending", "queued", 1)
    assert (answer["reason"], answer["reason_detail"], answer["finished_processing_at"]) == (None, None, None)
    with installation.database.read() as connection:
        row = store.find_by_ids(connection, [request_id])[request_id]
    assert (row["earlier"], row["cohort_id"], row["member"]) == ([["coh_1", 3]], None, None)
    assert retry(installation, [request_id], actor=CLIENT).failed


def stop_half_way(installation: Installation, size: int, *, key: bytes | None = b"key") -> list[str]:
    """Requests whose common erasure stopped after its first write; one more was canceled before."""
    ids = [take(installation) for _ in range(size + 1)]
    cancel(installation, [ids[-1]], actor=CLIENT)
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = {"id": "coh_half", "created_at": now, "updated_at": now, "plan_digest": "0", "size": size + 1, "epoch": 1}
        ended = {"stage": Stage.DONE, "finished_at": now, "sealed_data_key": key, "executor_id": "exe-gone"}
        cohorts.insert(connection, row | ended)
    half = {"status": Status.ERROR, "reason": Reason.INCOMPLETE, "reason_detail": {"problem": "x"}}
    for member, request_id in enumerate(ids):
        end = half if member < size else {}
        put(installation, request_id, stage=Stage.DONE, cohort_id="coh_half", member=member, **end)
        put(installation, request_id, finished_processing_at=START)
    return ids


def test_retry_of_a_half_done_erasure_goes_on_with_all_of_its_cohort(installation: Installation) -> None:
    first, second, canceled = stop_half_way(installation, 2)
    bulk = retry(installation, [first, second, canceled], actor=CLIENT)
    assert [each["status"] for each in bulk.succeeded[:2]] == ["in_processing", "in_processing"]
    for request_id in (first, second):
        answer = read_request(installation, request_id)
        assert (answer["status"], answer["stage"], answer["attempt"]) == ("in_processing", "mask", 1)
        assert (answer["reason"], answer["reason_detail"], answer["finished_processing_at"]) == (None, None, None)
    assert read_request(installation, canceled)["status"] == "canceled"
    assert [each.data for each in bulk.failed] == [{"id": canceled}]
    with installation.database.read() as connection:
        left = cohorts.unfinished(connection, ["exe-any"])
    assert [(each["id"], each["executor_id"], each["stage"]) for each in left] == [("coh_half", None, "mask")]


def test_a_reopened_cohort_waits_while_execution_is_paused(installation: Installation) -> None:
    (request_id, _) = stop_half_way(installation, 1)
    pause_all(installation, actor=CLIENT)
    assert not retry(installation, [request_id], actor=CLIENT).failed
    with installation.database.read() as connection:
        assert cohorts.unfinished(connection, ["exe-any"]) == cohorts.unfinished(connection) == []
    resume_all(installation, actor=CLIENT)
    with installation.database.read() as connection:
        assert len(cohorts.unfinished(connection)) == 1


def test_without_its_frozen_set_a_half_done_erasure_can_not_go_on(installation: Installation) -> None:
    (request_id, _) = stop_half_way(installation, 1, key=None)
    (failure,) = retry(installation, [request_id], actor=CLIENT).failed
    assert "no longer kept" in failure.message
    assert read_request(installation, request_id)["status"] == "error"


def test_a_half_done_erasure_can_not_be_canceled(installation: Installation) -> None:
    (request_id, _) = stop_half_way(installation, 1)
    (failure,) = cancel(installation, [request_id], actor=CLIENT).failed
    assert "masking has begun" in failure.message


def test_a_move_loses_against_one_that_was_first(installation: Installation) -> None:
    request_id = take(installation)
    with installation.database.read() as connection:
        stale = store.find_by_ids(connection, [request_id])[request_id]
    cancel(installation, [request_id], actor=CLIENT)
    with pytest.raises(Exception, match="moved on meanwhile"), installation.database.begin() as connection:
        move(connection, stale, Status.IN_PROCESSING, Stage.ACCESS, START)
    assert read_request(installation, request_id)["status"] == "canceled"


def test_the_pause_switch_is_audited_once(installation: Installation) -> None:
    assert not is_paused(installation)
    for _ in range(2):
        pause_all(installation, actor=CLIENT)
        assert is_paused(installation)
    for _ in range(2):
        resume_all(installation, actor=CLIENT)
        assert not is_paused(installation)
    with installation.database.read() as connection:
        actions = connection.execute(sa.select(audit_trail.c.action).order_by(audit_trail.c.id)).scalars().all()
    assert actions == ["execution.paused", "execution.resumed"]
