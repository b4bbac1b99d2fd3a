"""What an approval is worth: by two people, for one plan, for the set that was looked at; and nothing runs without."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.errors import BadInput
from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.durable.port import Steps
from habeas.requests.clients import Actor
from habeas.requests.connections import ConnectionInput, save_connections, set_secrets
from habeas.requests.datasets import save_text
from habeas.requests.dispatch import COHORT_WORKFLOW, Dispatcher
from habeas.requests.installation import Installation
from habeas.requests.model import Stage, Status
from habeas.requests.policies import PolicyInput, save_policies
from habeas.requests.review_many import Decision, SelectionChanged, decide_many, preview_decision
from habeas.requests.service import RequestFilter, approve, deny, read_request, resume, retry, submit
from habeas.store import claims, users
from habeas.store.claims import Ready
from habeas.store.tables import audit_trail
from requestbook import CLIENT, START, item

Open = Callable[..., Installation]
READY = Ready(Stage.QUEUED, (Status.PENDING, Status.APPROVED), False)
SHOP = """
dataset:
  - fides_key: shop
    collections:
      - name: customers
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
"""
MORE = "          - {name: name, data_categories: [user.name]}\n"


class Nothing:
    """Ends at once."""

    def __call__(self, steps: Steps, subject: str) -> None:
        steps.run("step", lambda: "done")


def user(installation: Installation, name: str) -> Actor:
    values: dict[str, Any] = {"id": f"fid_{name}", "username": name, "username_key": name}
    with installation.database.begin() as connection:
        users.add(connection, values | {"roles": [], "scopes": [], "permitted": True}, START)
    return Actor(f"fid_{name}", frozenset({"privacy-request:review"}))


def ask(installation: Installation, **options: Any) -> None:
    given = PolicyInput.model_validate({"key": "download", "name": "Download my data", **options})
    assert not save_policies(installation, CLIENT, [given]).failed


def take(installation: Installation, count: int = 1) -> list[str]:
    told = submit(installation, [item() for _ in range(count)], actor=CLIENT)
    return [each["id"] for each in told.succeeded]


def claimable(installation: Installation) -> int:
    """How many requests the dispatcher could start now."""
    with installation.database.read() as connection:
        return sum(group.size for group in claims.waiting_groups(connection, READY))


def audited(installation: Installation, subject: str) -> list[str]:
    with installation.database.read() as connection:
        found = sa.select(audit_trail.c.action).where(audit_trail.c.subject == subject).order_by(audit_trail.c.id)
        return [each.removeprefix("privacy_request.") for each in connection.execute(found).scalars()]


def together(*calls: Callable[[], Any]) -> list[Any]:
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def shop(installation: Installation, text: str = SHOP) -> None:
    path = installation.settings.data_dir / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS customers (id integer PRIMARY KEY, email text, name text)")
    given = ConnectionInput(name="shop", key="shop", connection_type="sqlite", access="write")
    assert not save_connections(installation, CLIENT, [given]).failed
    set_secrets(installation, CLIENT, "shop", {"path": str(path)}, verify=False)
    assert not save_text(installation, CLIENT, "shop", text).failed


@pytest.fixture
def dispatcher(installation: Installation) -> Iterator[Dispatcher]:
    engine = DbosEngine(engine_url(installation.database, installation.settings.data_dir), "exe-approval")
    made = Dispatcher(installation, engine, "exe-approval")
    engine.register(COHORT_WORKFLOW, made.announcing(Nothing()))
    engine.launch()
    yield made
    engine.shutdown(5)


def test_two_people_must_approve_where_the_policy_says_so(installation: Installation) -> None:
    ask(installation, approvals=2)
    ada, bob = user(installation, "ada"), user(installation, "bob")
    (one,) = take(installation)
    assert read_request(installation, one)["stage"] == "approve"
    assert "a client is none" in approve(installation, [one], actor=CLIENT).failed[0].message
    (first,) = approve(installation, [one], actor=ada).succeeded
    assert (first["status"], first["first_approved_by"], first["reviewed_by"]) == ("pending", "fid_ada", None)
    assert "you are the first" in approve(installation, [one], actor=ada).failed[0].message
    assert claimable(installation) == 0
    (second,) = approve(installation, [one], actor=bob).succeeded
    assert (second["status"], second["reviewed_by"]) == ("approved", "fid_bob")
    assert claimable(installation) == 1
    assert audited(installation, one) == ["approved_first", "approved"]


def test_a_denial_by_either_ends(installation: Installation) -> None:
    ask(installation, approvals=2)
    (one,) = take(installation)
    approve(installation, [one], actor=user(installation, "ada"))
    assert deny(installation, [one], actor=user(installation, "bob")).succeeded[0]["status"] == "denied"


def test_a_policy_that_comes_to_ask_for_two_holds_what_one_approved(installation: Installation) -> None:
    ask(installation, approvals=1)
    ada, bob = user(installation, "ada"), user(installation, "bob")
    (one,) = take(installation)
    approve(installation, [one], actor=ada)
    assert claimable(installation) == 1
    ask(installation, approvals=2)
    assert claimable(installation) == 0
    assert approve(installation, [one], actor=bob).succeeded[0]["reviewed_by"] is None
    assert claimable(installation) == 0
    approve(installation, [one], actor=ada)
    assert claimable(installation) == 1


def test_one_person_twice_at_once_counts_once(installation: Installation) -> None:
    ask(installation, approvals=2)
    ada, bob, cyd = (user(installation, name) for name in ("ada", "bob", "cyd"))
    for _ in range(4):
        (one,) = take(installation)
        twice = together(*[lambda: approve(installation, [one], actor=ada)] * 2)  # noqa: B023 – used within the round
        assert sorted(len(each.succeeded) for each in twice) == [0, 1]
        assert read_request(installation, one)["status"] == "pending"
        both = together(
            lambda: approve(installation, [one], actor=bob),  # noqa: B023
            lambda: approve(installation, [one], actor=cyd),  # noqa: B023
        )
        assert sorted(len(each.succeeded) for each in both) == [0, 1]
        assert read_request(installation, one)["status"] == "approved"
        assert audited(installation, one) == ["approved_first", "approved"]


def test_a_plan_that_changed_goes_back_to_a_person(installation: Installation, dispatcher: Dispatcher) -> None:
    shop(installation)
    ask(installation, approvals=1, plan_drift="ask")
    same, other = take(installation, 2)
    approved = approve(installation, [same, other], actor=CLIENT).succeeded
    assert len({each["approved_digest"] for each in approved} - {None}) == 1
    shop(installation, SHOP + MORE)
    assert dispatcher.run_once() == 0
    shown = read_request(installation, other)
    assert (shown["status"], shown["reason"], shown["reviewed_by"]) == ("requires_input", "plan_changed", None)
    for act in (retry(installation, [other], actor=CLIENT), resume(installation, other, actor=CLIENT)):
        assert "waits for approval" in act.failed[0].message
    again = approve(installation, [other], actor=CLIENT).succeeded[0]
    assert (again["status"], again["reason"]) == ("approved", None)
    assert again["approved_digest"] != approved[0]["approved_digest"]
    assert deny(installation, [same], actor=CLIENT).succeeded[0]["status"] == "denied"
    assert dispatcher.run_once() == 1
    assert read_request(installation, other)["plan_digest"] == again["approved_digest"]
    assert audited(installation, other) == ["approved", "plan_changed", "approved"]


def test_a_set_is_approved_as_it_was_previewed_or_not_at_all(opened: Open) -> None:
    careful = opened(require_manual_request_approval=True)
    shop(careful)
    wanted = RequestFilter(policy_key="download", status=(Status.PENDING,))
    ids = take(careful, 3)
    seen = preview_decision(careful, Decision.APPROVE, wanted)
    told = seen.document()
    assert (told["matching"], told["count"]) == (3, 3)
    (planned,) = told["plans"]
    assert (planned["policy_key"], planned["identity_kinds"], planned["count"]) == ("download", ["email"], 3)
    assert len(planned["plan_digest"]) == 64
    ids += take(careful)
    with pytest.raises(SelectionChanged, match="preview"):
        decide_many(careful, Decision.APPROVE, wanted, seen.digest, actor=CLIENT)
    seen = preview_decision(careful, Decision.APPROVE, wanted)
    shop(careful, SHOP + MORE)
    with pytest.raises(SelectionChanged):
        decide_many(careful, Decision.APPROVE, wanted, seen.digest, actor=CLIENT)
    assert {read_request(careful, each)["status"] for each in ids} == {"pending"}
    seen = preview_decision(careful, Decision.APPROVE, wanted)
    bulk = decide_many(careful, Decision.APPROVE, wanted, seen.digest, actor=CLIENT)
    assert {each["id"] for each in bulk.succeeded} == set(ids)


def test_denying_by_filter_and_bounds(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    careful = opened(require_manual_request_approval=True)
    ids = take(careful, 2)
    wanted = RequestFilter(policy_key="download")
    approve(careful, ids[:1], actor=CLIENT)
    seen = preview_decision(careful, Decision.DENY, wanted)
    assert (seen.matching, seen.ids, seen.document()["plans"]) == (2, (ids[1],), [])
    with pytest.raises(SelectionChanged):
        decide_many(careful, Decision.CANCEL, wanted, seen.digest, actor=CLIENT)
    bulk = decide_many(careful, Decision.DENY, wanted, seen.digest, actor=CLIENT, reason="withdrawn")
    assert [each["id"] for each in bulk.succeeded] == [ids[1]]
    monkeypatch.setattr("habeas.requests.review_many.MOST", 1)
    with pytest.raises(BadInput, match="narrow it"):
        preview_decision(careful, Decision.DENY, wanted)
