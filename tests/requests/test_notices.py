"""Notices and forgetting, on both databases: who is told what, to which address, and what is gone in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.clock import FixedClock
from habeas.requests.clients import PUBLIC
from habeas.requests.consent import ConsentRequestInput, ask_consent
from habeas.requests.expiry import expire
from habeas.requests.installation import Installation
from habeas.requests.messages import put_message
from habeas.requests.service import approve, deny, read_request, submit, verify
from habeas.store import outbox
from habeas.store.tables import consent_request, verification_code
from habeas.store.tables import outbox as table
from requestbook import CLIENT, MAIL, item

from .test_verification import ask, code_of, drafts

ON = {
    "send_request_receipt_notification": True,
    "send_request_review_notification": True,
    "require_manual_request_approval": True,
    "subject_identity_verification_required": True,
}


@pytest.fixture
def telling(opened: Callable[..., Installation]) -> Installation:
    return opened(**MAIL, **ON)


def kinds(installation: Installation, request_id: str) -> list[str]:
    with installation.database.read() as connection:
        found = sa.select(table.c.kind).where(table.c.subject == request_id).order_by(table.c.id)
        return [kind.removeprefix("message.") for kind in connection.execute(found).scalars()]


def submitted(installation: Installation, **given: Any) -> str:
    (taken,) = submit(installation, [item(**given)], actor=CLIENT).succeeded
    return str(taken["id"])


def test_a_client_s_request_is_confirmed_and_its_approval_told(telling: Installation) -> None:
    request_id = submitted(telling)
    approve(telling, [request_id], actor=CLIENT)
    assert kinds(telling, request_id) == ["request_received", "request_approved"]
    received, _ = drafts(telling, request_id)
    assert received.values == {"actions": "- a copy of your data", "request_id": request_id}


def test_a_denial_tells_the_reason(telling: Installation) -> None:
    request_id = submitted(telling)
    deny(telling, [request_id], actor=CLIENT, reason="We know no such person")
    assert kinds(telling, request_id) == ["request_received", "request_denied"]
    assert drafts(telling, request_id)[1].values["reason"] == "We know no such person"


def test_a_public_request_is_confirmed_once_it_is_verified(telling: Installation) -> None:
    request_id = ask(telling)
    assert kinds(telling, request_id) == ["verification_code"]
    verify(telling, request_id, code_of(telling, request_id))
    assert kinds(telling, request_id) == ["verification_code", "request_received"]


def test_a_claimed_address_is_told_nothing(telling: Installation) -> None:
    request_id = ask(telling)
    deny(telling, [request_id], actor=CLIENT, reason="no")
    assert kinds(telling, request_id) == ["verification_code"]


@pytest.mark.parametrize("identity", [{"phone_number": "+12025550101"}, {"email": "ada@localhost"}])
def test_without_an_address_the_request_is_taken_all_the_same(telling: Installation, identity: dict[str, str]) -> None:
    request_id = submitted(telling, identity=identity)
    approve(telling, [request_id], actor=CLIENT)
    assert kinds(telling, request_id) == []
    assert read_request(telling, request_id)["status"] == "approved"


def test_without_a_mail_server_nothing_is_put(opened: Callable[..., Installation]) -> None:
    bare = opened(**ON)
    request_id = submitted(bare)
    approve(bare, [request_id], actor=CLIENT)
    assert kinds(bare, request_id) == []


def test_what_nobody_proved_is_canceled_after_a_week(telling: Installation, clock: FixedClock) -> None:
    old = ask(telling)
    vouched = submitted(telling)
    ask_consent(telling, ConsentRequestInput(email="ada@example.com"))
    clock.advance(3 * 24 * 3600)
    young = ask(telling, identity={"email": "bob@example.com"})
    assert expire(telling) == 0
    clock.advance(4 * 24 * 3600 + 1)
    assert expire(telling) == 1
    assert expire(telling) == 0
    statuses = {each: read_request(telling, each)["status"] for each in (old, young, vouched)}
    assert statuses == {old: "canceled", young: "identity_unverified", vouched: "pending"}
    assert read_request(telling, old)["cancel_reason"] == "the identity was not verified in time"
    with telling.database.read() as connection:
        assert connection.execute(sa.select(consent_request.c.id)).all() == []
        assert connection.execute(sa.select(verification_code.c.subject)).all() == []
    (refused,) = submit(telling, [item()], actor=PUBLIC).succeeded
    assert refused["status"] == "identity_unverified"


def test_the_text_of_failed_messages_is_forgotten_in_time(telling: Installation, clock: FixedClock) -> None:
    with telling.database.begin() as connection:
        put_message(connection, telling, "request_approved", "pri_1", "ada@example.com", {"request_id": "pri_1"})
        (claimed,) = outbox.claim(connection, clock, "one", limit=1, stale_after_seconds=1, prefix="message.")
        outbox.give_up(connection, clock, "one", claimed.id, "rejected", keep_body=True)
    expire(telling)
    with telling.database.begin() as connection:
        assert connection.execute(sa.select(table.c.sealed_body)).scalar() is not None
    clock.advance(31 * 24 * 3600)
    expire(telling)
    with telling.database.begin() as connection:
        assert connection.execute(sa.select(table.c.sealed_body)).scalar() is None
        assert not outbox.send_again(connection, "message.", claimed.id)
