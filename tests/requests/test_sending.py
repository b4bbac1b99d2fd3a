"""The outbox and its sender, on both databases: nothing is lost, what fails is put off or shows as failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.clock import FixedClock
from habeas.core.errors import BadInput, NotFound
from habeas.deliver.pauses import pause_after
from habeas.requests.installation import Installation
from habeas.requests.messages import PREFIX, list_messages, put_message, send_again, send_test
from habeas.requests.outgoing import claim_one
from habeas.requests.sending import MOST_ATTEMPTS, STALE_SECONDS, Sender, take_over
from habeas.store import outbox
from habeas.store.tables import outbox as table
from mailbook import Mailbox, mail_server, settings_for
from requestbook import CLIENT


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as opened:
        yield opened


@pytest.fixture
def office(opened: Callable[..., Installation], box: Mailbox) -> Installation:
    return opened(**settings_for(box))


def put(installation: Installation, *recipients: str, **more: Any) -> list[int]:
    with installation.database.begin() as connection:
        return [
            put_message(connection, installation, "request_approved", "pri_1", each, {"request_id": "pri_1"}, **more)
            for each in recipients
        ]


def states(installation: Installation) -> list[tuple[str, Any, Any]]:
    """State, attempts and error of the messages, oldest first."""
    found = list_messages(installation, state=None, subject=None, page=1, size=100).items
    return [(each["state"], each["attempts"], each["error"]) for each in reversed(found)]


def test_messages_leave_in_order_and_their_text_is_gone(office: Installation, box: Mailbox) -> None:
    put(office, "ada@example.com", "bob@example.com")
    sender = Sender(office, "one")
    assert [sender.send_one(), sender.send_one(), sender.send_one()] == [True, True, False]
    assert [recipients for _, recipients in box.envelopes] == [["ada@example.com"], ["bob@example.com"]]
    assert states(office) == [("sent", 1, None)] * 2
    with office.database.read() as connection:
        assert connection.execute(sa.select(table.c.sealed_body)).scalars().all() == [None, None]


def test_what_fails_for_now_is_put_off_ever_longer_and_given_up_visibly(
    office: Installation, box: Mailbox, clock: FixedClock
) -> None:
    (message_id,) = put(office, "ada@example.com")
    box.refusing = True
    sender = Sender(office, "one")
    for attempt in range(1, MOST_ATTEMPTS):
        assert sender.send_one()
        assert states(office) == [("waiting", attempt, "deferred")]
        assert not sender.send_one()
        clock.advance(pause_after(attempt))
    assert sender.send_one()
    assert states(office) == [("failed", MOST_ATTEMPTS, "deferred")]
    clock.advance(10**6)
    assert not sender.send_one()
    box.refusing = False
    send_again(office, CLIENT, message_id)
    assert sender.send_one()
    assert states(office) == [("sent", 1, None)]
    with pytest.raises(NotFound):
        send_again(office, CLIENT, message_id)


def test_one_that_is_refused_for_good_fails_at_once_and_stops_no_other(office: Installation, box: Mailbox) -> None:
    put(office, "gone@example.com", "ada@example.com")
    sender = Sender(office, "one")
    assert [sender.send_one(), sender.send_one()] == [True, True]
    assert states(office) == [("failed", 1, "rejected"), ("sent", 1, None)]
    assert len(box.letters) == 1


def test_what_a_dead_sender_claimed_is_sent_by_another_under_the_same_id(
    office: Installation, box: Mailbox, clock: FixedClock
) -> None:
    put(office, "ada@example.com")
    dead = Sender(office, "dead")
    claimed = claim_one(office, "dead", PREFIX, STALE_SECONDS)  # it dies between sending and saying so
    assert claimed is not None
    assert dead._send(claimed) is None
    heir = Sender(office, "heir")
    assert not heir.send_one()
    clock.advance(STALE_SECONDS + 1)
    assert heir.send_one()
    first, second = box.letters
    assert first["Message-ID"] == second["Message-ID"]
    with office.database.begin() as connection:
        assert outbox.mark_sent(connection, clock, "dead", [claimed.id]) == 0
    assert states(office) == [("sent", 2, None)]


def test_what_the_dead_held_is_taken_over_at_once(office: Installation, box: Mailbox) -> None:
    put(office, "ada@example.com")
    assert claim_one(office, "dead", PREFIX, STALE_SECONDS) is not None
    heir = Sender(office, "heir")
    take_over(office, "another")
    assert not heir.send_one()
    take_over(office, "dead")
    assert heir.send_one()
    put(office, "bea@example.com")
    assert claim_one(office, "dead", PREFIX, STALE_SECONDS) is not None
    take_over(office, None)
    assert heir.send_one()
    assert len(box.letters) == 2


def test_a_message_that_is_of_no_use_any_more_is_not_sent(
    office: Installation, box: Mailbox, clock: FixedClock
) -> None:
    (message_id,) = put(office, "ada@example.com", expires_at=clock.now())
    assert Sender(office, "one").send_one()
    assert states(office) == [("failed", 1, "expired")]
    with pytest.raises(NotFound):
        send_again(office, CLIENT, message_id)
    assert box.letters == []


def test_without_a_configuration_messages_wait(opened: Callable[..., Installation], box: Mailbox) -> None:
    bare = opened()
    put(bare, "ada@example.com")
    assert Sender(bare, "one").send_one()
    assert states(bare) == [("waiting", 1, "no_email_config")]
    configured = opened(**settings_for(box))
    configured.clock.advance(10)  # type: ignore[attr-defined] # the tests' clock
    assert Sender(configured, "one").send_one()
    assert len(box.letters) == 1


def test_a_webhook_in_the_outbox_is_none_of_its_business(office: Installation) -> None:
    with office.database.begin() as connection:
        outbox.put(connection, office.clock, "webhook", "pri_1", b"sealed")
    assert not Sender(office, "one").send_one()
    assert states(office) == []


def test_a_message_to_several_is_never_put(office: Installation) -> None:
    with pytest.raises(BadInput):
        put(office, "ada@example.com, bob@example.com")
    assert states(office) == []


def test_a_test_message_is_sent_at_once(opened: Callable[..., Installation], box: Mailbox) -> None:
    german = opened(**settings_for(box, message_language="de"))
    assert send_test(german, CLIENT, "ada@example.com") == {"test_status": "succeeded", "failure_reason": None}
    assert box.letters[0]["Subject"] == "Testnachricht"
    told = send_test(german, CLIENT, "gone@example.com")
    assert told["test_status"] == "failed"
    assert "example.com" not in told["failure_reason"]
