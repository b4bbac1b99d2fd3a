"""Codes and what they change, on both databases: expiry, floods, races, and what a verified claim is worth."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from habeas.core.clock import FixedClock
from habeas.core.errors import HabeasError
from habeas.core.identity import Assurance
from habeas.requests import codes
from habeas.requests.clients import PUBLIC
from habeas.requests.codes import CodeExpired, TooSoon, WrongCode
from habeas.requests.installation import Installation
from habeas.requests.sealing import open_identities
from habeas.requests.service import approve, cancel, deny, read_request, resend, submit, verify
from habeas.requests.verification import NotWaiting
from habeas.store import audit
from habeas.store import requests as store
from habeas.store.tables import outbox, verification_code
from requestbook import CLIENT, MAIL, code_of, drafts, item

Open = Callable[..., Installation]


@pytest.fixture
def public(opened: Open) -> Installation:
    return opened(subject_identity_verification_required=True, **MAIL)


def ask(installation: Installation, **given: Any) -> str:
    (taken,) = submit(installation, [item(**given)], actor=PUBLIC).succeeded
    return str(taken["id"])


def test_a_code_is_kept_as_a_digest_and_its_message_sealed(public: Installation) -> None:
    request_id = ask(public)
    code = code_of(public, request_id)
    with public.database.read() as connection:
        rows = [*connection.execute(verification_code.select()), *connection.execute(outbox.select())]
    stored = repr(rows).encode() + b"".join(
        value for row in rows for value in row if isinstance(value, bytes | memoryview)
    )
    assert not re.search(rb"(?<![0-9a-f])" + code.encode() + rb"(?![0-9a-f])", stored)  # in a digest it is chance
    assert b"ada" not in stored


def test_a_right_code_verifies_that_value_and_no_other(public: Installation) -> None:
    request_id = ask(public, identity={"email": "ada@example.com", "phone_number": "+12025550101"})
    assert verify(public, request_id, code_of(public, request_id))["status"] == "pending"
    with public.database.read() as connection:
        row = store.find_by_ids(connection, [request_id])[request_id]
        assert audit.verify_chain(connection).broken_at is None
    assert (row["kinds"], row["claimed"], row["stage"]) == (["email"], ["phone_number"], "queued")
    assert row["identity_verified_at"] == public.clock.now()
    found = open_identities(public.vault, request_id, row["sealed_identities"])
    assert {each.kind: each.assurance for each in found} == {
        "email": Assurance.VERIFIED,
        "phone_number": Assurance.CLAIMED,
    }


def test_approval_still_comes_after_verification(opened: Open) -> None:
    strict = opened(subject_identity_verification_required=True, require_manual_request_approval=True, **MAIL)
    request_id = ask(strict)
    assert approve(strict, [request_id], actor=CLIENT).succeeded == []
    verified = verify(strict, request_id, code_of(strict, request_id))
    assert (verified["status"], verified["stage"]) == ("pending", "approve")
    assert approve(strict, [request_id], actor=CLIENT).succeeded[0]["status"] == "approved"


def test_a_code_expires(public: Installation, clock: FixedClock) -> None:
    request_id = ask(public)
    code = code_of(public, request_id)
    clock.advance(599)
    with pytest.raises(WrongCode):
        verify(public, request_id, "no code")
    clock.advance(1)
    with pytest.raises(CodeExpired):
        verify(public, request_id, code)


def test_wrong_answers_are_counted_though_they_fail(public: Installation) -> None:
    request_id = ask(public)
    for _ in range(codes.MOST_WRONG):
        with pytest.raises(WrongCode):
            verify(public, request_id, "no code")
    with pytest.raises(CodeExpired, match="Too many wrong codes"):
        verify(public, request_id, code_of(public, request_id))


def test_another_code_voids_the_first_and_there_are_five_at_most(public: Installation, clock: FixedClock) -> None:
    request_id = ask(public)
    first = code_of(public, request_id)
    for _ in range(codes.MOST_SENT - 1):
        with pytest.raises(TooSoon):
            resend(public, request_id)
        clock.advance(codes.SECONDS_BETWEEN)
        resend(public, request_id)
    latest = code_of(public, request_id)
    assert len(drafts(public, request_id)) == codes.MOST_SENT
    clock.advance(codes.SECONDS_BETWEEN)
    with pytest.raises(TooSoon):
        resend(public, request_id)
    if first != latest:  # one in a million
        with pytest.raises(WrongCode):
            verify(public, request_id, first)
    assert verify(public, request_id, latest)["status"] == "pending"
    with pytest.raises(NotWaiting):
        resend(public, request_id)


def test_one_address_is_not_flooded_and_nobody_is_told(public: Installation, clock: FixedClock) -> None:
    asked = [ask(public) for _ in range(codes.MOST_PER_ADDRESS + 2)]
    sent = [len(drafts(public, each)) for each in asked]
    assert sent == [1] * codes.MOST_PER_ADDRESS + [0, 0]
    assert [len(drafts(public, ask(public, identity={"email": "bob@example.com"})))] == [1]
    clock.advance(3601)
    resend(public, asked[-1])
    assert verify(public, asked[-1], code_of(public, asked[-1]))["status"] == "pending"


def test_a_code_is_bound_to_its_request(public: Installation) -> None:
    first, second = ask(public), ask(public)
    code = code_of(public, first)
    if code != code_of(public, second):  # one in a million
        with pytest.raises(WrongCode):
            verify(public, second, code)
    assert verify(public, first, code)["status"] == "pending"


def outcomes(calls: list[Callable[[], Any]]) -> list[str]:
    """What calls at once came to: `done`, or an error's code."""

    def told(call: Callable[[], Any]) -> str:
        try:
            answer = call()
        except HabeasError as problem:
            return problem.code
        failed = getattr(answer, "failed", ())
        return "conflict" if failed else "done"

    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(told, call) for call in calls]]


def test_of_many_right_answers_at_once_one_succeeds(public: Installation) -> None:
    request_id = ask(public)
    code = code_of(public, request_id)
    told = outcomes([lambda: verify(public, request_id, code)] * 6)
    assert told.count("done") == 1, told
    assert set(told) <= {"done", "not_waiting_for_code", "code_expired", "conflict"}


def test_many_guesses_at_once_are_all_counted(public: Installation) -> None:
    request_id = ask(public)
    told = outcomes([lambda: verify(public, request_id, "guess")] * 12)
    assert told.count("wrong_code") == codes.MOST_WRONG, told


@pytest.mark.parametrize("decide", [deny, cancel])
def test_verifying_and_deciding_at_once_end_in_one_of_both(public: Installation, decide: Callable[..., Any]) -> None:
    for number in range(4):
        request_id = ask(public, identity={"email": f"ada{number}@example.com"})
        code = code_of(public, request_id)
        told = outcomes([lambda: verify(public, request_id, code), lambda: decide(public, [request_id], actor=CLIENT)])  # noqa: B023 - run before the next round
        status = read_request(public, request_id)["status"]
        # A decision may also come after the verification: it is legal then.
        assert status in ("denied", "canceled", "pending"), told
        assert (status == "pending") == (told[1] != "done"), told


def test_what_the_client_says_of_assurance_is_not_heard(public: Installation) -> None:
    request_id = ask(public, identity={"email": "ada@example.com"}, assurance="verified", client_id="root")
    with public.database.read() as connection:
        row = store.find_by_ids(connection, [request_id])[request_id]
    (identity,) = open_identities(public.vault, request_id, row["sealed_identities"])
    assert (identity.assurance, row["client_id"]) == (Assurance.CLAIMED, None)
