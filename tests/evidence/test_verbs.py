"""The API's verbs in any order, and from several threads, never break the tables of statuses and stages.

The real service runs with a worker beside; the model only knows `requests.model`'s tables.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import shopbook
from companybook import Company
from flowbook import Flow, flowing
from habeas.requests import service
from habeas.requests.clients import SCOPES, Actor
from habeas.requests.model import FINAL, STATUS_MOVES, Status

VERBS = ("approve", "deny", "cancel", "retry", "resume_from_requires_input")
THREADS = 4
ROUNDS = 25
PEOPLE = ("ada.one@example.com", "ada.two@example.com", "nobody@example.org")
ACTOR = Actor("tests", frozenset(SCOPES))


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("verbs")
    with flowing(folder / "data", require_manual_request_approval=True) as made:
        Company(Path(folder), f"sqlite:///{folder / 'shop.db'}").declare(made)
        yield made


@cache
def reachable(status: Status) -> frozenset[Status]:
    """Where a request may be when it is looked at later: moves may have been missed."""
    found, more = {status}, {status}
    while more:
        more = {each for old in more for each in STATUS_MOVES[old]} - found
        found |= more
    return frozenset(found)


def check_item(item: dict[str, Any]) -> None:
    """What an item says fits together."""
    status = item["status"]
    assert (status == "complete") == (item["outcome"] is not None), item
    assert (status in ("error", "requires_input")) == (item["reason"] is not None), item
    assert not item["reason"] or item["reason_detail"]["problem"], item
    ended = status in {*FINAL, "error"}
    assert ended == (item["finished_processing_at"] is not None), item
    assert (item["stage"] == "done") == ended, item


class Verbs(RuleBasedStateMachine):
    """Any verb on any request at any time."""

    flow: Flow

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Status] = {}

    @rule(policy=st.sampled_from(["both", "delete", "download"]), who=st.sampled_from(PEOPLE))
    def submit(self, policy: str, who: str) -> None:
        (request_id,) = self.flow.api.submit(policy, {"email": who})
        self.seen[request_id] = Status(self.flow.api.show(request_id)["status"])

    @rule(verb=st.sampled_from(VERBS), place=st.integers(0, 7), repeats=st.integers(1, 2))
    def act(self, verb: str, place: int, repeats: int) -> None:
        if self.seen:
            request_id = sorted(self.seen)[place % len(self.seen)]
            for _ in range(repeats):
                assert call(self.flow, verb, request_id) < 500

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.flow.api.call("PUT", "/execution", {"paused": paused})

    @invariant()
    def every_request_is_where_the_tables_allow(self) -> None:
        for request_id, before in self.seen.items():
            item = self.flow.api.show(request_id)
            now = Status(item["status"])
            assert now in reachable(before), (before, now)
            check_item(item)
            self.seen[request_id] = now

    def teardown(self) -> None:
        self.flow.api.call("PUT", "/execution", {"paused": False})


def call(flow: Flow, verb: str, request_id: str) -> int:
    """One verb over the API; its HTTP status."""
    if verb in ("approve", "deny"):
        path, body = f"administrate/{verb}", {"request_ids": [request_id]}
        return flow.api.http.request("PATCH", f"/api/v1/privacy-request/{path}", json=body).status_code
    return flow.api.http.request("POST", f"/api/v1/privacy-request/{request_id}/{verb}").status_code


def test_verbs_in_any_order_keep_to_the_tables(flow: Flow) -> None:
    Verbs.flow = flow
    run_state_machine_as_test(
        Verbs,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_verbs_from_several_threads_keep_to_the_tables(flow: Flow) -> None:
    """The service itself is called, since one client speaks for one thread."""
    ids = [flow.api.submit("both", {"email": who})[0] for who in PEOPLE for _ in range(4)]
    faults: list[BaseException] = []
    observed: dict[str, list[str]] = {each: [] for each in ids}

    def act(seed: int) -> None:
        dice = random.Random(seed)
        try:
            for _ in range(ROUNDS):
                verb = dice.choice([service.approve, service.deny, service.cancel, service.retry])
                verb(flow.installation, [dice.choice(ids)], actor=ACTOR)
        except BaseException as fault:  # noqa: BLE001 - told by the test, since a thread's own end is silent
            faults.append(fault)

    threads = [threading.Thread(target=act, args=(seed,)) for seed in range(THREADS)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        for request_id in ids:
            observed[request_id].append(service.read_request(flow.installation, request_id)["status"])
    assert not faults, faults
    flow.api.call("PATCH", "/privacy-request/administrate/approve", {"request_ids": ids})
    for request_id in ids:
        item = flow.api.wait(request_id)
        check_item(item)
        way = [Status(each) for each in (*observed[request_id], item["status"])]
        assert all(after in reachable(before) for before, after in pairwise(way)), way
    entries = flow.api.call("GET", "/audit-trail/chain")
    assert entries["verified"]


def test_the_model_has_dead_ends_where_it_says_so() -> None:
    assert {status for status in Status if reachable(status) == {status}} == set(FINAL)
    assert shopbook.SUBJECT
