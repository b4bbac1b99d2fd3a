"""Many waiting requests as one execution, on every engine: each word of issue 5 §6 has its test here."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cohortbook import DATASET, Town, cohorts_of, collection, field, mail, paused, run_together, to
from flowbook import Flow
from habeas.requests import flow as stages

SHORT = 60


def outcomes(ends: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    return [(end["status"], end["outcome"], end["kept"]) for end in ends]


def test_each_member_reads_its_own_rows(flow: Flow, town: Town) -> None:
    town.people(7)
    for number, end in enumerate(run_together(flow, "access", *range(1, 7)), 1):
        assert flow.package(end["id"]) == {
            "town:address": [{"street": f"Street {number}"}],
            "town:orders": [{"note": f"order {number}.{at}"} for at in (1, 2)],
            "town:person": [{"email": mail(number)}],
        }


def test_each_members_rows_are_erased_and_counted_in_its_receipt(flow: Flow, town: Town) -> None:
    town.people(5)
    town.put("orders", [(99, 2, "one more")])
    ends = run_together(flow, "erasure", 1, 2, 3)
    assert outcomes(ends) == [("complete", "erased", None)] * 3
    assert [note for _, _, note in town.rows("orders")] == ["X"] * 6 + [
        f"order {who}.{at}" for who in (4, 5) for at in (1, 2)
    ] + ["X"]
    assert [row[1] for row in town.rows("person")] == ["X"] * 3 + [mail(4), mail(5)]
    counts = [_receipt(flow, end)["erasure"]["town:orders"]["masked"] for end in ends]
    assert counts == [2, 3, 2]


def test_members_who_share_a_row_erase_it_together_and_read_it_alone(flow: Flow, town: Town) -> None:
    town.people(4)
    town.run("UPDATE person SET address_id = 1 WHERE id IN (1, 2)", "UPDATE person SET address_id = 3 WHERE id = 4")
    ends = run_together(flow, "both", 1, 2, 3)
    shared = {"shared_row": 1}
    assert outcomes(ends) == [("complete", "erased", None)] * 2 + [("complete", "erased_with_kept", shared)]
    assert [flow.package(end["id"])["town:address"] for end in ends] == [[{}]] * 3
    assert [row[1] for row in town.rows("address")] == ["X", "Street 2", "Street 3", "Street 4"]
    joint = [_receipt(flow, end)["erasure"]["town:address"]["masked"] for end in ends]
    assert joint == [1, 1, 0]


def test_members_who_are_each_others_third_persons(flow: Flow, town: Town) -> None:
    town.people(3)
    town.put("letter", [(1, 1, 2, "between the members"), (2, 1, 3, "to somebody else"), (3, 2, None, "to nobody")])
    ends = run_together(flow, "both", 1, 2)
    assert outcomes(ends) == [("complete", "erased_with_kept", {"shared_row": 1}), ("complete", "erased", None)]
    first, second = (flow.package(end["id"])["town:letter"] for end in ends)
    assert Counter(row["body"] for row in first) == {"between the members": 1, "to somebody else": 1}
    assert Counter(row["body"] for row in second) == {"between the members": 1, "to nobody": 1}
    assert [row[3] for row in town.rows("letter")] == ["X", "to somebody else", "X"]
    assert town.rows("person")[2][1] == mail(3)


def test_one_subject_twice_in_a_cohort(flow: Flow, town: Town) -> None:
    town.people(2)
    ends = run_together(flow, "both", 1, 1, 2)
    assert outcomes(ends) == [("complete", "erased", None)] * 3
    first, again, other = (flow.package(end["id"]) for end in ends)
    assert first == again
    assert other["town:person"] == [{"email": mail(2)}]
    assert first["town:orders"] == [{"note": "order 1.1"}, {"note": "order 1.2"}]
    assert {row[1] for row in town.rows("person")} == {row[2] for row in town.rows("orders")} == {"X"}
    assert [_receipt(flow, end)["erasure"]["town:orders"]["masked"] for end in ends] == [2, 2, 2]


class Held:
    """Stops the next cohort at a stage, so that something happens meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        run: Callable[..., Any] = getattr(stages, name)

        def held(*arguments: Any) -> Any:
            found = run(*arguments)
            if not self.reached.is_set():
                self.reached.set()
                assert self.go_on.wait(SHORT)
            return found

        monkeypatch.setattr(stages, name, held)


@pytest.mark.parametrize("stage", ["run_access", "run_freeze"])
def test_a_member_who_leaves_is_left_alone_and_the_others_go_on(
    flow: Flow, town: Town, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    town.people(3)
    town.run("UPDATE person SET address_id = 1 WHERE id IN (1, 2)")
    held = Held(monkeypatch, stage)
    with paused(flow):
        ids = [flow.api.submit("both", {"email": mail(each)})[0] for each in (1, 2, 3)]
    assert held.reached.wait(SHORT)
    flow.api.call("POST", f"/privacy-request/{ids[1]}/cancel", {"reason": "withdrawn"})
    held.go_on.set()
    ends = [flow.api.wait(each, SHORT) for each in ids]
    # what the two would have owned together is now shared with somebody who isn't erased
    assert outcomes(ends) == [
        ("complete", "erased_with_kept", {"shared_row": 1}),
        ("canceled", None, None),
        ("complete", "erased", None),
    ]
    assert [row[1] for row in town.rows("person")] == ["X", mail(2), "X"]
    assert [row[2] for row in town.rows("orders")] == ["X", "X", "order 2.1", "order 2.2", "X", "X"]
    assert [row[1] for row in town.rows("address")] == ["Street 1", "Street 2", "X"]
    assert flow.api.http.request("GET", f"/api/v1/privacy-request/{ids[1]}/receipt").status_code == 404


def test_one_who_is_refused_does_not_stop_the_others(flow: Flow, town: Town) -> None:
    town.people(4)
    town.run("UPDATE person SET sponsor_id = 2 WHERE id = 4")  # a row that stays holds hers
    flow.api.patch_all("/connection/town/dataset", [_deleting()])
    ends = run_together(flow, "erasure", 1, 2, 3)
    assert [(end["status"], end["outcome"], end["reason"]) for end in ends] == [
        ("complete", "erased", None),
        ("error", None, "refused"),
        ("complete", "erased", None),
    ]
    assert ends[1]["reason_detail"]["code"] == "referenced"
    assert [row[1] for row in town.rows("person")] == [mail(2), mail(4)]
    assert [row[0] // 10 for row in town.rows("orders")] == [2, 2, 4, 4]


@pytest.mark.parametrize("size", [1, 2, 300])
def test_sizes(flow: Flow, town: Town, size: int) -> None:
    """100,000 are run by hand (docs/benchmarks.md)."""
    town.people(size + 1)
    ends = run_together(flow, "both", *range(1, size + 1))
    assert set(outcomes(ends)) == {("complete", "erased", None)}
    packages = [flow.package(end["id"])["town:orders"] for end in ends]
    assert packages == [[{"note": f"order {who}.{at}"} for at in (1, 2)] for who in range(1, size + 1)]
    assert [row[1] for row in town.rows("person")] == ["X"] * size + [mail(size + 1)]
    assert cohorts_of(flow, [end["id"] for end in ends]) == 1


def _deleting() -> dict[str, Any]:
    refuse = {"strategy": "delete", "configuration": {"on_referenced": "refuse"}}
    person = collection(
        "person",
        field("id", primary_key=True),
        field("email", "user.contact.email", identity="email"),
        masking_strategy_override=refuse,
    )
    orders = collection(
        "orders",
        field("id", primary_key=True),
        field("person_id", references=to("person.id")),
        field("note", "user.content"),
        masking_strategy_override={"strategy": "delete"},
    )
    return DATASET | {"collections": [person, orders]}


def _receipt(flow: Flow, end: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = flow.api.call("GET", f"/privacy-request/{end['id']}/receipt")["receipt"]
    return document
