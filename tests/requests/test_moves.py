"""Any sequence of decisions, on a real database: only legal moves are written, final statuses stay final."""

from __future__ import annotations

import itertools
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from habeas.core.clock import FixedClock
from habeas.core.errors import Conflict
from habeas.core.settings import Settings
from habeas.requests.installation import open_installation
from habeas.requests.model import FINAL, STAGE_MOVES, STATUS_MOVES, Stage, Status
from habeas.requests.moves import move
from habeas.requests.service import approve, cancel, deny, retry, submit
from habeas.store import requests as store
from requestbook import CLIENT, item


@given(st.sampled_from(list(Status)), st.sampled_from(list(Status)))
def test_final_means_final(old: Status, new: Status) -> None:
    assert not STATUS_MOVES[old] or old not in FINAL
    assert new in STATUS_MOVES or new in FINAL


@given(st.lists(st.sampled_from(list(Stage)), max_size=12))
def test_stages_go_on_or_back_to_the_queue(path: list[Stage]) -> None:
    order = list(Stage)
    for old, new in itertools.pairwise(path):
        if new in STAGE_MOVES[old]:
            retried = old is Stage.DONE and new in (Stage.QUEUED, Stage.MASK, Stage.POST_WEBHOOKS)
            called = (old, new) == (Stage.QUEUED, Stage.PRE_WEBHOOKS)  # a worker lets them come to their webhooks
            assert order.index(new) > order.index(old) or new is Stage.QUEUED or retried or called


class Life(RuleBasedStateMachine):
    """One request under any decisions and any moves that a flow might try."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = FixedClock(datetime(2026, 11, 24, tzinfo=UTC))
        given_settings = Settings(data_dir=Path(self.directory.name), require_manual_request_approval=True)
        self.installation = open_installation(given_settings, clock=self.clock)
        self.seen: dict[str, Any] = {}

    @initialize()
    def begin(self) -> None:
        (answer,) = submit(self.installation, [item()], actor=CLIENT).succeeded
        self.request_id = answer["id"]
        self.seen = self.row()

    def row(self) -> dict[str, Any]:
        with self.installation.database.read() as connection:
            return store.find_by_ids(connection, [self.request_id])[self.request_id]

    @rule(decide=st.sampled_from([approve, deny, cancel, retry]))
    def decision(self, decide: Any) -> None:
        bulk = decide(self.installation, [self.request_id], actor=CLIENT)
        assert len(bulk.succeeded) + len(bulk.failed) == 1

    @precondition(lambda self: Status(self.seen["status"]) not in FINAL)
    @rule(status=st.sampled_from(list(Status)), stage=st.sampled_from(list(Stage)))
    def step(self, status: Status, stage: Stage) -> None:
        old = self.row()
        legal = (status == old["status"] or status in STATUS_MOVES[Status(old["status"])]) and (
            stage == old["stage"] or stage in STAGE_MOVES[Stage(old["stage"])]
        )
        try:
            with self.installation.database.begin() as connection:
                move(connection, old, status, stage, self.clock.now())
        except Conflict:
            assert not legal
        else:
            assert legal

    @invariant()
    def moved_legally(self) -> None:
        if not self.seen:
            return
        old, new = self.seen, self.row()
        if old["status"] != new["status"]:
            assert Status(new["status"]) in STATUS_MOVES[Status(old["status"])]
        if old["stage"] != new["stage"]:
            assert Stage(new["stage"]) in STAGE_MOVES[Stage(old["stage"])]
        self.seen = new

    def teardown(self) -> None:
        self.installation.close()
        self.directory.cleanup()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
