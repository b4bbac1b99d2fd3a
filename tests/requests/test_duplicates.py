"""A second request of the same person waits, linked to the first; nothing that is only claimed attaches or holds up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from habeas.core.clock import FixedClock
from habeas.requests.clients import PUBLIC
from habeas.requests.duplicates import close_answered
from habeas.requests.installation import Installation
from habeas.requests.model import Outcome, Stage, Status
from habeas.requests.policies import PolicyInput, save_policies
from habeas.requests.service import (
    RequestFilter,
    approve,
    cancel,
    deny,
    find,
    read_request,
    resume,
    submit,
    verify,
)
from habeas.store import requests as store
from requestbook import CLIENT, MAIL, code_of, item

Open = Callable[..., Installation]
DAYS = 30
DAY = 86_400
ADA = {"email": "ada@example.com"}
BOTH = {"email": "Ada@Example.com", "phone_number": "+12025550101"}


@pytest.fixture
def watching(opened: Open) -> Installation:
    return opened(duplicate_window_days=DAYS, subject_identity_verification_required=True, **MAIL)


def take(installation: Installation, *identities: dict[str, str], actor: Any = CLIENT, **more: Any) -> list[str]:
    told = submit(installation, [item(identity=each, **more) for each in identities], actor=actor)
    assert not told.failed
    return [each["id"] for each in told.succeeded]


def end(installation: Installation, request_id: str, status: Status) -> None:
    with installation.database.begin() as connection:
        values = {"status": status, "stage": Stage.DONE, "finished_processing_at": installation.clock.now()}
        values |= {"outcome": Outcome.DELIVERED} if status is Status.COMPLETE else {}
        store.move_request(connection, request_id, {}, values)


def first_of(installation: Installation, request_id: str) -> str | None:
    shown = read_request(installation, request_id)
    assert (shown["duplicate_of"] is not None) == (shown["reason"] == "duplicate")
    return shown["duplicate_of"]


def test_a_repetition_waits_linked_to_the_first(watching: Installation) -> None:
    (first,) = take(watching, ADA)
    again, third, other = take(watching, {"email": " ADA@example.com "}, ADA, {"email": "bob@example.com"})
    shown = read_request(watching, again)
    assert (shown["status"], shown["reason"], shown["duplicate_of"]) == ("requires_input", "duplicate", first)
    assert shown["reason_detail"]["address"] == first
    assert (first_of(watching, third), first_of(watching, other)) == (first, None)
    assert {each["id"] for each in find(watching, RequestFilter(duplicates=True)).items} == {again, third}
    assert {each["id"] for each in find(watching, RequestFilter(duplicates=False)).items} == {first, other}


def test_of_one_call_the_first_is_the_first(watching: Installation) -> None:
    first, again = take(watching, ADA, ADA)
    assert (first_of(watching, first), first_of(watching, again)) == (None, first)


def test_an_identity_that_the_first_lacks_is_not_lost(watching: Installation) -> None:
    (first,) = take(watching, ADA)
    (more,) = take(watching, BOTH)
    assert first_of(watching, more) is None
    (same,) = take(watching, BOTH)
    assert first_of(watching, same) == more != first


def test_other_windows_policies_and_ends_are_no_duplicates(watching: Installation, clock: FixedClock) -> None:
    (denied,) = take(watching, ADA)
    end(watching, denied, Status.DENIED)
    (failed,) = take(watching, ADA)
    end(watching, failed, Status.ERROR)
    (first,) = take(watching, ADA)
    (erasing,) = take(watching, ADA, policy_key="delete")
    assert [first_of(watching, each) for each in (failed, first, erasing)] == [None, None, None]
    end(watching, first, Status.COMPLETE)
    clock.advance((DAYS - 1) * DAY)
    (soon,) = take(watching, ADA)
    assert first_of(watching, soon) == first
    clock.advance(2 * DAY)
    (late,) = take(watching, ADA)
    assert first_of(watching, late) is None


def test_a_policy_says_otherwise(watching: Installation) -> None:
    rule = {"window_days": 5, "identities": ["phone_number"]}
    given = PolicyInput.model_validate({"key": "download", "name": "Download my data", "duplicates": rule})
    saved = save_policies(watching, CLIENT, [given]).succeeded
    assert saved[0]["duplicates"] == rule
    assert [first_of(watching, each) for each in take(watching, ADA, ADA)] == [None, None]
    (both,) = take(watching, BOTH)
    (number,) = take(watching, {"phone_number": "(202) 555-0101"})
    assert first_of(watching, number) == both
    off = PolicyInput.model_validate({"key": "download", "name": "Download my data", "duplicates": {"window_days": 0}})
    save_policies(watching, CLIENT, [off])
    assert [first_of(watching, each) for each in take(watching, BOTH)] == [None]


def test_nothing_is_compared_where_nothing_says_so(opened: Open) -> None:
    plain = opened()
    assert [first_of(plain, each) for each in take(plain, ADA, ADA)] == [None, None]
    erasures = opened(duplicate_window_days=DAYS, duplicate_actions=("erasure",))
    assert first_of(erasures, take(erasures, ADA)[0]) is None
    assert first_of(erasures, take(erasures, ADA, ADA, policy_key="delete")[1]) is not None


def test_a_claim_neither_attaches_nor_holds_up(watching: Installation) -> None:
    """GHSA-qx5f-ghc2-7g5c: whoever claims somebody's address must not stop that person's request."""
    (claim,) = take(watching, ADA, actor=PUBLIC)
    (real,) = take(watching, ADA)
    assert first_of(watching, real) is None
    assert read_request(watching, claim)["status"] == "identity_unverified"
    assert not approve(watching, [claim], actor=CLIENT).succeeded
    assert verify(watching, claim, code_of(watching, claim))["status"] == "requires_input"
    assert first_of(watching, claim) == real
    mine = {"email": "mallory@example.com", "phone_number": "+12025550199"}
    (mallory,) = take(watching, mine, actor=PUBLIC)
    verify(watching, mallory, code_of(watching, mallory))
    (victim,) = take(watching, {"phone_number": "+12025550199"})
    assert first_of(watching, victim) is None


def test_an_operator_undoes_it(opened: Open) -> None:
    careful = opened(duplicate_window_days=DAYS, require_manual_request_approval=True)
    first, again = take(careful, ADA, ADA)
    assert not approve(careful, [again], actor=CLIENT).succeeded
    shown = resume(careful, again, actor=CLIENT).succeeded[0]
    assert (shown["status"], shown["stage"], shown["duplicate_of"]) == ("pending", "approve", None)
    assert approve(careful, [again], actor=CLIENT).succeeded
    (third, fourth) = take(careful, ADA, ADA)
    assert first_of(careful, third) in (first, again)  # which were taken in at one moment
    assert deny(careful, [third], actor=CLIENT).succeeded[0]["status"] == "denied"
    shown = cancel(careful, [fourth], actor=CLIENT).succeeded[0]
    assert (shown["status"], shown["reason"], shown["duplicate_of"]) == (
        "canceled",
        None,
        read_request(careful, third)["duplicate_of"],
    )


def test_duplicates_are_closed_when_the_first_is_complete(opened: Open) -> None:
    closing = opened(duplicate_window_days=DAYS, duplicate_then="close")
    first, again = take(closing, ADA, ADA)
    end(closing, first, Status.ERROR)
    assert close_answered(closing) == 0
    end(closing, first, Status.COMPLETE)
    assert close_answered(closing) == 1
    shown = read_request(closing, again)
    assert (shown["status"], shown["stage"], shown["duplicate_of"]) == ("canceled", "done", first)
    assert first in shown["cancel_reason"]
    assert close_answered(closing) == 0


def test_of_two_at_once_one_is_the_duplicate(opened: Open) -> None:
    watching = opened(duplicate_window_days=DAYS)
    gate = threading.Barrier(4)

    def at_once(_: int) -> str:
        gate.wait(30)
        return take(watching, ADA)[0]

    for _ in range(3):
        with ThreadPoolExecutor(4) as threads:
            taken = list(threads.map(at_once, range(4)))
        firsts = [first_of(watching, each) for each in taken]
        assert firsts.count(None) == 1
        assert {each for each in firsts if each} == {taken[firsts.index(None)]}
        end(watching, taken[firsts.index(None)], Status.CANCELED)
        for each in taken:
            if each != taken[firsts.index(None)]:
                cancel(watching, [each], actor=CLIENT)
