"""Dispatching: cohorts form, each request is claimed once, switch and settings are honoured, in few statements."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.durable.port import Steps
from habeas.requests import dispatch
from habeas.requests.clients import PUBLIC
from habeas.requests.dispatch import COHORT_WORKFLOW, Dispatcher
from habeas.requests.installation import Installation
from habeas.requests.model import Stage, Status
from habeas.requests.recovery import Recovery
from habeas.requests.service import RequestFilter, approve, find, pause_all, read_request, resume_all, submit
from habeas.store import cohorts
from habeas.store import requests as store
from habeas.store.tables import cohort, privacy_request
from requestbook import CLIENT, MAIL, item, statements_of, wait_until

SHORT = 10.0


class Work:
    """A dispatcher over the real engine, with a workflow that ends cohorts when it is let."""

    def __init__(self, installation: Installation, data_dir: Path) -> None:
        self.installation = installation
        self.ran: list[str] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.engine = DbosEngine(engine_url(installation.database, data_dir), "exe-test")
        self.dispatcher = Dispatcher(installation, self.engine, "exe-test")
        self.engine.register(COHORT_WORKFLOW, self.dispatcher.announcing(self._run))
        self.engine.launch()

    def _run(self, steps: Steps, cohort_id: str) -> None:
        self.ran.append(cohort_id)
        assert self.may_end.wait(SHORT)
        now = self.installation.clock.now()
        with self.installation.database.begin() as connection:
            cohorts.take_epoch(connection, cohort_id, "exe-test", now)
            cohorts.advance(connection, cohort_id, 2, {"stage": Stage.DONE, "finished_at": now}, now)

    def idle(self) -> bool:
        return self.engine.running() == 0

    def members(self) -> dict[str, list[int]]:
        """Members by cohort."""
        found: dict[str, list[int]] = {}
        with self.installation.database.read() as connection:
            columns = (privacy_request.c.cohort_id, privacy_request.c.member)
            for cohort_id, member in connection.execute(sa.select(*columns).where(columns[0].is_not(None))):
                found.setdefault(cohort_id, []).append(member)
        return {key: sorted(each) for key, each in found.items()}


@pytest.fixture
def work(installation: Installation) -> Iterator[Work]:
    made = Work(installation, installation.settings.data_dir)
    yield made
    made.may_end.set()
    made.engine.shutdown(SHORT)


def take(installation: Installation, size: int = 1, **given: Any) -> list[str]:
    return [each["id"] for each in submit(installation, [item(**given)] * size, actor=CLIENT).succeeded]


def test_what_waits_becomes_one_cohort_in_order(work: Work) -> None:
    taken = take(work.installation, 3)
    work.installation.clock.advance(1)  # type: ignore[attr-defined]
    (last,) = take(work.installation)
    work.may_end.clear()  # so that it is looked at while it runs
    assert work.dispatcher.run_once() == 4
    (members,) = work.members().values()
    assert members == [0, 1, 2, 3]
    with work.installation.database.read() as connection:
        rows = store.find_by_ids(connection, [*taken, last])
        (row,) = connection.execute(sa.select(cohort)).all()
    assert rows[last]["member"] == 3
    assert {(each["status"], each["stage"]) for each in rows.values()} == {("in_processing", "access")}
    assert (row.size, row.executor_id, row.stage) == (4, "exe-test", "access")
    work.may_end.set()
    wait_until(lambda: work.ran == [row.id] and work.idle())
    assert work.dispatcher.run_once() == 0


def test_policies_and_kinds_of_identity_part_cohorts(work: Work) -> None:
    take(work.installation, 2)
    take(work.installation, 2, identity={"phone_number": "+12025550143"})
    take(work.installation, 1, policy_key="delete")
    assert work.dispatcher.run_once() == 5
    assert Counter(len(each) for each in work.members().values()) == {2: 2, 1: 1}


def test_while_a_cohort_runs_the_next_ones_gather(work: Work) -> None:
    work.may_end.clear()
    take(work.installation)
    assert work.dispatcher.run_once() == 1
    take(work.installation, 2)
    take(work.installation, 3)
    assert work.dispatcher.run_once() == 0
    work.may_end.set()
    wait_until(work.idle)
    assert work.dispatcher.run_once() == 5
    assert sorted(len(each) for each in work.members().values()) == [1, 5]


def test_only_so_many_cohorts_run_at_once(work: Work) -> None:
    work.may_end.clear()
    for number in range(dispatch.MOST_COHORTS + 2):
        take(work.installation, identity={f"kind_{number}": "7"})
    assert work.dispatcher.run_once() == dispatch.MOST_COHORTS
    assert work.dispatcher.run_once() == 0
    work.may_end.set()
    wait_until(work.idle)
    assert work.dispatcher.run_once() == 2


def test_a_cohort_has_a_largest_size(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "LARGEST_COHORT", 3)
    take(work.installation, 5)
    assert work.dispatcher.run_once() == 3
    wait_until(work.idle)
    assert work.dispatcher.run_once() == 2
    assert sorted(work.members().values()) == [[0, 1], [0, 1, 2]]


def end(installation: Installation, pairs: int) -> None:
    """As if the cohorts that ended had found so many rows in all."""
    with installation.database.begin() as connection:
        connection.execute(sa.update(cohort).values(pairs=pairs).where(cohort.c.pairs.is_(None)))


def test_a_cohort_is_split_by_what_earlier_ones_of_its_plan_found(opened: Callable[..., Installation]) -> None:
    installation = opened(cohort_pairs=1_000)
    work = Work(installation, installation.settings.data_dir)
    try:
        take(installation, 40)
        sizes = []
        for found in (200, 80, 30):  # a plan that never ran: 100 rows a member, 10 members; then 20; then 280 / 30
            sizes.append(work.dispatcher.run_once())
            wait_until(work.idle)
            end(installation, found)
        assert sizes == [10, 40 - 10, 0]
        for _ in range(4):
            take(installation, 50)
        assert work.dispatcher.run_once() == int(1_000 / (280 / 40))
    finally:
        work.engine.shutdown(SHORT)


def test_a_plan_whose_members_have_more_rows_than_the_limit_runs_one_by_one(
    opened: Callable[..., Installation],
) -> None:
    installation = opened(cohort_pairs=7)
    work = Work(installation, installation.settings.data_dir)
    try:
        take(installation, 3)
        for _ in range(3):
            assert work.dispatcher.run_once() == 1
            wait_until(work.idle)
        assert sorted(work.members().values()) == [[0], [0], [0]]
    finally:
        work.engine.shutdown(SHORT)


def test_several_dispatchers_claim_each_request_once(work: Work) -> None:
    others = [Dispatcher(work.installation, work.engine, f"exe-{number}") for number in range(4)]
    taken = [take(work.installation, 25) for _ in range(4)]

    def drain(dispatcher: Dispatcher) -> int:
        return sum(dispatcher.run_once() for _ in range(3))

    with ThreadPoolExecutor(4) as pool:
        claimed = sum(pool.map(drain, others))
    members = work.members()
    assert claimed == sum(map(len, members.values())) == sum(map(len, taken))
    assert all(each == list(range(len(each))) for each in members.values())
    wait_until(lambda: sorted(work.ran) == sorted(members) and work.idle())


def test_nothing_starts_while_paused(work: Work) -> None:
    pause_all(work.installation, actor=CLIENT)
    take(work.installation)
    assert work.dispatcher.run_once() == 0
    resume_all(work.installation, actor=CLIENT)
    assert work.dispatcher.run_once() == 1


def test_approval_and_identity_are_asked_again_at_the_start(opened: Callable[..., Installation]) -> None:
    before = opened()
    (unapproved, approved) = take(before, 2)
    strict = opened(require_manual_request_approval=True, subject_identity_verification_required=True, **MAIL)
    (claimed,) = (each["id"] for each in submit(strict, [item()], actor=PUBLIC).succeeded)
    approve(strict, [approved], actor=CLIENT)
    with strict.database.begin() as connection:  # as if something had queued it without a verification
        now = strict.clock.now()
        store.move_request(connection, claimed, {}, {"status": "approved", "stage": "queued", "reviewed_at": now})
    work = Work(strict, strict.settings.data_dir)
    try:
        assert work.dispatcher.run_once() == 1
        statuses = {each: read_request(strict, each)["status"] for each in (unapproved, approved, claimed)}
        assert statuses == {unapproved: "pending", approved: "in_processing", claimed: "approved"}
    finally:
        work.engine.shutdown(SHORT)


def test_a_policy_that_is_gone_ends_its_requests_as_refused(work: Work) -> None:
    (request_id,) = take(work.installation)
    with work.installation.database.begin() as connection:
        connection.execute(sa.text("delete from policy where key = 'download'"))
    assert work.dispatcher.run_once() == 1
    answer = read_request(work.installation, request_id)
    assert (answer["status"], answer["stage"], answer["reason"]) == ("error", "done", "refused")
    assert answer["reason_detail"]["code"] == "policy_missing"
    assert answer["resume_endpoint"].endswith("/retry")


def test_a_lone_request_is_claimed_in_three_statements(work: Work) -> None:
    take(work.installation)
    work.dispatcher.run_once()  # plans, and stores the plan
    wait_until(work.idle)
    take(work.installation)
    work.may_end.clear()
    with statements_of(work.installation) as seen:
        work.dispatcher.run_once()
    assert len(seen) == 3, seen


def test_intake_wakes_a_dispatcher_that_serves(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "SWEEP_SECONDS", 30.0)  # so that only a wake can be the cause
    stop = threading.Event()
    serving = threading.Thread(target=work.dispatcher.serve, args=(stop,))
    serving.start()
    try:
        wait_until(lambda: (work.installation.settings.data_dir / "wake.sock").exists())
        for round_number in range(3):
            take(work.installation)
            wait_until(lambda expected=round_number + 1: len(work.ran) == expected, 2.0)
        work.may_end.clear()
        take(work.installation)
        wait_until(lambda: len(work.ran) == 4, 2.0)
        take(work.installation, 2)
        work.may_end.set()  # its end wakes the dispatcher for those that gathered
        wait_until(lambda: len(work.ran) == 5, 2.0)
    finally:
        stop.set()
        serving.join(SHORT)
    assert not serving.is_alive()


def test_workers_elsewhere_are_woken_on_postgresql(opened: Callable[..., Installation], tmp_path: Path) -> None:
    from habeas.store.wake import Listener

    installation = opened()
    if installation.database.dialect != "postgresql":
        pytest.skip("n/a: a SQLite database has no workers elsewhere")
    elsewhere = tmp_path / ("a long path " * 12)
    elsewhere.mkdir()
    with Listener(installation.database, elsewhere) as listener:
        assert not listener.wait(0)
        installation.wake()
        installation.wake()
        assert listener.wait(SHORT)
        assert not listener.wait(0)


def test_what_was_claimed_but_never_started_is_taken_up(work: Work) -> None:
    (request_id,) = take(work.installation)
    now = work.installation.clock.now()
    with work.installation.database.begin() as connection:
        row = {"id": "coh_left", "created_at": now, "updated_at": now, "plan_digest": "0", "size": 1, "epoch": 0}
        cohorts.insert(connection, row | {"stage": "access", "executor_id": "exe-dead"})
        moved = {"status": Status.IN_PROCESSING, "stage": Stage.ACCESS, "cohort_id": "coh_left", "member": 0}
        store.move_request(connection, request_id, {}, moved)
    recovery = Recovery(work.installation, work.engine, work.dispatcher, "exe-test")
    assert recovery.take_over(["exe-living"]) == 0
    assert recovery.take_over(["exe-dead"]) == 1
    wait_until(lambda: work.ran == ["coh_left"] and work.idle())
    assert recovery.take_over(["exe-dead"]) == 0
    recovery.sweep()
    assert work.ran == ["coh_left"]


def test_a_cohort_whose_workflow_failed_is_started_again(work: Work) -> None:
    now = work.installation.clock.now()
    with work.installation.database.begin() as connection:
        row = {"id": "coh_stray", "created_at": now, "updated_at": now, "plan_digest": "0", "size": 1, "epoch": 2}
        cohorts.insert(connection, row | {"stage": "access", "executor_id": "exe-test"})
    recovery = Recovery(work.installation, work.engine, work.dispatcher, "exe-test")
    work.may_end.clear()
    recovery.sweep()
    wait_until(lambda: work.ran == ["coh_stray"])
    recovery.sweep()  # it runs: nothing to do
    work.may_end.set()
    wait_until(work.idle)
    assert work.ran == ["coh_stray"]


def test_old_spools_and_answers_are_swept_out(work: Work) -> None:
    installation = work.installation
    submit(installation, [item()], actor=CLIENT, idempotency_key="k-1")
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = {"id": "coh_old", "created_at": now, "updated_at": now, "plan_digest": "0", "size": 1, "epoch": 1}
        ended = {"stage": "done", "finished_at": now, "sealed_data_key": b"key"}
        cohorts.insert(connection, row | ended | {"executor_id": "exe-test"})
    recovery = Recovery(installation, work.engine, work.dispatcher, "exe-test")
    recovery.clean()
    with installation.database.read() as connection:
        assert cohorts.find(connection, "coh_old")["sealed_data_key"] == b"key"  # type: ignore[index]
    installation.clock.advance(31 * 86_400)  # type: ignore[attr-defined]
    recovery.clean()
    with installation.database.read() as connection:
        assert cohorts.find(connection, "coh_old")["sealed_data_key"] is None  # type: ignore[index]
    submit(installation, [item(external_id="new body")], actor=CLIENT, idempotency_key="k-1")
    assert find(installation, RequestFilter(external_id="new")).total == 1
