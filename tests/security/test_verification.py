"""Attacks on verification and public intake: guessing, flooding, reuse, forged addresses, and what answers tell."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import sqlalchemy as sa

from flowbook import Flow, opened
from habeas.api.app import PUBLIC_CALLS_PER_ADDRESS, WRONG_CODES_PER_ADDRESS
from habeas.api.limits import CallLimit
from habeas.requests.codes import MOST_PER_ADDRESS
from habeas.requests.messages import Draft
from habeas.store.tables import audit_trail, outbox
from requestbook import MAIL

VERIFYING = {"subject_identity_verification_required": True, **MAIL}
CALLS, WRONG = PUBLIC_CALLS_PER_ADDRESS[0], WRONG_CODES_PER_ADDRESS[0]


@pytest.fixture(autouse=True)
def _a_minute_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits refill with time: on a slow machine they would refill while a test counts."""
    monkeypatch.setattr("habeas.api.app.CallLimit", partial(CallLimit, now=lambda: 0.0))


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    """Public intake behind a proxy at 127.0.0.1; nothing sends what is put into the outbox."""
    with opened(tmp_path / "data", trusted_proxies="127.0.0.0/8", **VERIFYING) as behind_a_proxy:
        yield behind_a_proxy


def public(flow: Flow, method: str, path: str, body: Any = None, *, caller: str = "198.51.100.1") -> httpx2.Response:
    headers = {"Authorization": "", "X-Forwarded-For": caller}
    return flow.api.http.request(method, f"/api/v1{path}", json=body, headers=headers)


def ask(flow: Flow, email: str, *, caller: str = "198.51.100.1") -> str:
    answer = public(flow, "POST", "/privacy-request", [item(email)], caller=caller)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["succeeded"][0]["id"])


def item(email: str) -> dict[str, Any]:
    return {"policy_key": "download", "identity": {"email": email}}


def drafts(flow: Flow) -> dict[str, Draft]:
    """The waiting messages by the request that they are about."""
    here = flow.installation
    with here.database.read() as connection:
        rows = connection.execute(sa.select(outbox).order_by(outbox.c.id)).all()
    return {
        row.subject: msgspec.json.decode(
            here.vault.open("message", row.sealed_body, f"{row.kind}/{row.subject}"), type=Draft
        )
        for row in rows
    }


def answer(flow: Flow, request_id: str, code: str, *, caller: str) -> int:
    return public(flow, "POST", f"/privacy-request/{request_id}/verify", {"code": code}, caller=caller).status_code


def test_guessing_over_many_requests_ends_at_the_address(flow: Flow) -> None:
    victims = [ask(flow, f"victim{number}@example.com", caller=f"203.0.113.{number}") for number in range(6)]
    guesses = [(victim, f"guess{number}") for victim in victims for number in range(4)]
    told = [answer(flow, victim, guess, caller="198.51.100.66") for victim, guess in guesses]
    assert told[:WRONG] == [403] * min(WRONG, CALLS)
    assert set(told[WRONG:]) == {429}
    right = drafts(flow)[victims[-1]].values["code"]
    assert answer(flow, victims[-1], right, caller="198.51.100.66") == 429
    assert answer(flow, victims[-1], right, caller="203.0.113.5") == 200  # the victim isn't locked out by it


def test_an_ipv6_caller_has_one_limit_for_her_network(flow: Flow) -> None:
    told = [
        answer(flow, "pri_unknown", "1", caller=f"2001:db8:0:1:{number:x}::{number:x}") for number in range(CALLS + 3)
    ]
    assert told.count(429) == 3
    assert answer(flow, "pri_unknown", "1", caller="2001:db8:0:2::1") == 404


def test_an_ipv4_address_written_as_ipv6_is_the_same_caller(flow: Flow) -> None:
    for _ in range(CALLS):
        answer(flow, "pri_unknown", "1", caller="198.51.100.7")
    assert answer(flow, "pri_unknown", "1", caller="::ffff:198.51.100.7") == 429


def test_a_forged_address_is_not_believed_without_a_trusted_proxy(tmp_path: Path) -> None:
    with opened(tmp_path / "direct", **VERIFYING) as flow:
        told = [answer(flow, "pri_unknown", "1", caller=f"203.0.113.{number}") for number in range(CALLS + 1)]
    assert told[-1] == 429


def test_no_address_is_flooded_with_codes_through_many_requests(flow: Flow) -> None:
    for number in range(MOST_PER_ADDRESS + 5):
        ask(flow, "Victim@example.com" if number % 2 else "victim@example.com", caller=f"203.0.113.{number}")
    assert len(drafts(flow)) == MOST_PER_ADDRESS


def test_a_code_is_for_one_request_one_address_and_one_time(flow: Flow) -> None:
    mine, hers = ask(flow, "mallory@example.com"), ask(flow, "ada@example.com")
    code = drafts(flow)[mine].values["code"]
    if code != drafts(flow)[hers].values["code"]:  # one in a million
        assert answer(flow, hers, code, caller="198.51.100.2") == 403
    assert answer(flow, mine, code, caller="198.51.100.2") == 200
    assert answer(flow, mine, code, caller="198.51.100.2") == 400


def test_codes_are_of_six_digits_and_hardly_ever_the_same(flow: Flow) -> None:
    for number in range(60):
        ask(flow, f"person{number}@example.com", caller=f"203.0.113.{number}")
    codes = [draft.values["code"] for draft in drafts(flow).values()]
    assert all(len(code) == 6 and code.isascii() and code.isdecimal() for code in codes)
    assert len(set(codes)) >= 58


def test_intake_answers_alike_whoever_is_known(flow: Flow) -> None:
    first, again = (public(flow, "POST", "/privacy-request", [item("ada@example.com")]).json() for _ in range(2))
    other = public(flow, "POST", "/privacy-request", [item("nobody@example.com")]).json()
    unequal = ("id", "created_at", "updated_at", "requested_at", "due_date")
    shown = [
        {name: value for name, value in each["succeeded"][0].items() if name not in unequal}
        for each in (first, again, other)
    ]
    assert shown[0] == shown[1] == shown[2]


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.com\r\nBcc: mallory@example.com",
        "ada@example.com, mallory@example.com",
        "ada@example.com\u2028Bcc: mallory@example.com",
        "mallory@[127.0.0.1]",
        "mallory@localhost",
        '"a b"@example.com',
    ],
)
def test_no_address_smuggles_another_recipient_or_header(flow: Flow, email: str) -> None:
    told = public(flow, "POST", "/privacy-request", [item(email)]).json()
    assert told["succeeded"] == []
    assert "mallory" not in told["failed"][0]["message"]
    assert drafts(flow) == {}


def test_neither_code_nor_address_is_in_answers_or_the_audit_trail(flow: Flow) -> None:
    request_id = ask(flow, "ada@example.com")
    code = drafts(flow)[request_id].values["code"]
    answers = [
        public(flow, "POST", f"/privacy-request/{request_id}/verify", {"code": "1"}),
        public(flow, "POST", f"/privacy-request/{request_id}/verify/resend"),
        public(flow, "POST", f"/privacy-request/{request_id}/verify", {"code": code}),
        public(flow, "POST", f"/privacy-request/{request_id}/verify", {"code": code}),
    ]
    assert [each.status_code for each in answers] == [403, 429, 200, 400]
    with flow.installation.database.read() as connection:
        trail = connection.execute(sa.select(audit_trail)).all()
    told = "".join(each.text for each in answers) + repr(trail)
    assert "ada@example.com" not in told
    assert code not in told


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/privacy-request"),
        ("GET", "/privacy-request/{id}"),
        ("GET", "/privacy-request/{id}/log"),
        ("POST", "/privacy-request/{id}/retry"),
        ("POST", "/privacy-request/{id}/resume_from_requires_input"),
        ("PATCH", "/privacy-request/administrate/approve"),
        ("POST", "/consent-request/preferences"),
        ("GET", "/email/message"),
    ],
)
def test_public_intake_opens_nothing_else(flow: Flow, method: str, path: str) -> None:
    request_id = ask(flow, "ada@example.com")
    assert public(flow, method, path.replace("{id}", request_id)).status_code == 401
