"""Webhooks in the life of a request, on both databases: order, halting, derived identities, retries, giving up, taking
over. The receiver is real HTTP with faults; the clock stands still, so that pauses cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.clock import FixedClock
from habeas.core.errors import BadInput, Conflict, Forbidden, NotFound
from habeas.requests import deliveries, service, webhooks
from habeas.requests.calling import STALE_SECONDS, Caller, take_over
from habeas.requests.clients import SCOPES, Actor
from habeas.requests.connections import ConnectionInput, save_connections, set_secrets
from habeas.requests.installation import Installation
from habeas.requests.pre_approval import answer
from habeas.requests.resuming import NotPaused, resume_by_webhook
from habeas.requests.webhook_client import open_webhook_client
from habeas.requests.webhook_results import expire
from habeas.requests.webhooks import APPROVAL, PRE, ApprovalWebhookInput, WebhookInput
from habeas.store import claims
from habeas.store.claims import Ready
from habeas.store.tables import outbox, privacy_request, provided_identity, webhook_attempt, webhook_call
from hookbook import Receiver, receiving
from requestbook import item

ACTOR = Actor("tests", frozenset(SCOPES))
HALT, GO_ON = {"halt": True}, {"halt": False}
SECRET = "a signing secret of the tests"
READY = Ready("queued", ("pending", "approved", "in_processing"), False)


@dataclass
class Office:
    """An installation, its receiver and its caller."""

    installation: Installation
    receiver: Receiver
    caller: Caller
    clock: FixedClock

    def hooks(self, *hooks: tuple[str, str], phase: str = PRE, policy: str = "download") -> None:
        """Have the policy call `/<key>` in each direction."""
        given = [
            WebhookInput.model_validate({"key": key, "name": key, "connection_config_key": key, "direction": direction})
            for key, direction in hooks
        ]
        for key, _ in hooks:
            self.connect(key)
        webhooks.replace_webhooks(self.installation, ACTOR, phase, policy, given)

    def connect(self, key: str, **more: Any) -> None:
        secrets = {"url": self.receiver.url(f"/{key}"), "authorization": f"Bearer of-{key}", "signing_secret": SECRET}
        place = {"name": key, "key": key, "connection_type": "https", "access": "read"} | more
        assert not save_connections(self.installation, ACTOR, [ConnectionInput.model_validate(place)]).failed
        set_secrets(self.installation, ACTOR, key, secrets, verify=False)

    def submit(self, *items: dict[str, Any]) -> list[str]:
        bulk = service.submit(self.installation, items or [item()], actor=ACTOR)
        assert not bulk.failed
        return [each["id"] for each in bulk.succeeded]

    def run(self, most: int = 20) -> int:
        """Call until nothing is due; how many calls."""
        for made in range(most):
            if not self.caller.call_one():
                return made
        raise AssertionError("it goes on calling")

    def show(self, request_id: str) -> dict[str, Any]:
        return service.read_request(self.installation, request_id)

    def claimable(self) -> int:
        with self.installation.database.read() as connection:
            return sum(group.size for group in claims.waiting_groups(connection, READY))

    def states(self, request_id: str) -> dict[str, str]:
        found = deliveries.list_deliveries(self.installation, privacy_request_id=request_id, page=1, size=50).items
        return {each["webhook_key"]: each["state"] for each in found}

    def causes(self) -> list[Any]:
        with self.installation.database.read() as connection:
            query = sa.select(webhook_attempt.c.status_code, webhook_attempt.c.cause).order_by(webhook_attempt.c.id)
            return [tuple(row) for row in connection.execute(query)]

    def actions(self, request_id: str) -> list[str]:
        from habeas.requests.trail import TrailFilter, entries

        found = entries(self.installation, TrailFilter(subject=request_id), page=1, size=50).items
        return [str(each["action"]) for each in reversed(found)]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def open_office(
    opened: Callable[..., Installation], receiver: Receiver, clock: FixedClock
) -> Iterator[Callable[..., Office]]:
    receiver.reset()
    with ExitStack() as held:

        def make(**settings: Any) -> Office:
            made = opened(**{"egress_allow": "127.0.0.0/8"} | settings)
            client = held.enter_context(open_webhook_client(made.settings))
            return Office(made, receiver, Caller(made, "one", client), clock)

        yield make


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


def test_one_way_hooks_are_told_in_order_before_anything_runs(office: Office) -> None:
    office.hooks(("first", "one_way"), ("second", "one_way"))
    (request_id,) = office.submit()
    assert office.claimable() == 0
    assert office.run() == 2
    first, second = office.receiver.calls
    assert (first.path, second.path) == ("/first", "/second")
    assert first.body == {
        "privacy_request_id": request_id,
        "direction": "one_way",
        "callback_type": "pre",
        "identity": {"email": "ada@example.com", "phone_number": None},
    }
    assert first.headers["authorization"] == "Bearer of-first"
    assert first.id != second.id
    assert "reply-to-token" not in first.headers
    shown = office.show(request_id)
    assert (shown["status"], shown["stage"]) == ("in_processing", "queued")
    assert shown["started_processing_at"] is not None
    assert office.claimable() == 1
    assert office.states(request_id) == {"first": "delivered", "second": "delivered"}


def test_every_request_is_told_whatever_others_were(office: Office) -> None:
    office.hooks(("first", "one_way"))
    told = []
    for _ in range(2):
        told += office.submit()
        assert office.claimable() == len(told) - 1
        assert office.run() == 1
        assert office.claimable() == len(told)
    assert [each.body["privacy_request_id"] for each in office.receiver.calls] == told


def test_a_policy_without_webhooks_passes(office: Office) -> None:
    office.hooks(("first", "one_way"), policy="delete")
    (request_id,) = office.submit()
    assert office.run() == 0
    assert office.show(request_id)["stage"] == "queued"
    assert office.claimable() == 1


def test_what_fails_is_tried_again_later_under_the_same_id(office: Office) -> None:
    office.hooks(("first", "one_way"), ("second", "one_way"))
    (request_id,) = office.submit()
    faults = [500, "reset_after", "garbage", 302, 404]
    office.receiver.answers = list(faults)
    for pause in (2, 8, 32, 128, 512):
        assert office.run() == 1
        assert office.show(request_id)["stage"] == "pre_webhooks"
        office.clock.advance(pause - 1)
        assert office.run() == 0
        office.clock.advance(1)
    assert office.run() == 2
    assert office.receiver.effects("/first") == [office.receiver.calls[0].id]
    assert [each.path for each in office.receiver.calls] == ["/first"] * 6 + ["/second"]
    assert [cause for _, cause in office.causes()] == ["failing", "lost", "lost", "redirected", "rejected", None, None]
    assert len({each.headers["webhook-timestamp"] for each in office.receiver.calls[:6]}) == 6


def test_a_receiver_may_ask_for_more_time_and_one_that_hangs_is_cut_off(office: Office) -> None:
    office.hooks(("first", "one_way"))
    office.submit()
    office.receiver.answers = ["reset_before"]
    assert office.run() == 1
    office.clock.advance(2)
    assert office.run() == 1
    assert office.causes() == [(None, "lost"), (200, None)]


def test_given_up_the_request_ends_and_a_retry_calls_only_what_was_not_told(open_office: Callable[..., Office]) -> None:
    office = open_office(webhook_attempts=2)
    office.hooks(("first", "one_way"), ("second", "one_way"))
    (request_id,) = office.submit()
    office.receiver.by_path["/second"] = 503
    assert office.run() == 2
    office.clock.advance(2)
    assert office.run() == 1
    shown = office.show(request_id)
    assert (shown["status"], shown["stage"], shown["reason"]) == ("error", "done", "webhook")
    assert shown["reason_detail"]["address"] == "webhook:second"
    assert shown["reason_detail"]["code"] == "failing"
    assert office.claimable() == 0
    office.clock.advance(10**6)
    assert office.run() == 0
    service.retry(office.installation, [request_id], actor=ACTOR)
    office.receiver.by_path.clear()
    assert office.run() == 1
    assert [each.path for each in office.receiver.calls] == ["/first", "/second", "/second", "/second"]
    assert len(office.receiver.effects()) == 2
    assert office.claimable() == 1


def test_a_hook_that_is_deleted_is_not_called_any_more(open_office: Callable[..., Office]) -> None:
    office = open_office(webhook_attempts=1)
    office.hooks(("first", "one_way"))
    (request_id,) = office.submit()
    office.receiver.answer = 500
    assert office.run() == 1
    office.hooks()
    service.retry(office.installation, [request_id], actor=ACTOR)
    assert office.run() == 0
    assert office.claimable() == 1


def test_what_cannot_be_called_as_configured_ends_at_once(office: Office) -> None:
    office.hooks(("first", "one_way"))
    office.connect("first", disabled=True)
    (request_id,) = office.submit()
    assert office.run() == 1
    assert office.show(request_id)["reason_detail"]["code"] == "misconfigured"
    office.connect("first", disabled=False)
    service.retry(office.installation, [request_id], actor=ACTOR)
    assert office.run() == 1
    assert len(office.receiver.calls) == 1


def test_an_address_of_the_own_network_is_not_called(open_office: Callable[..., Office]) -> None:
    """Where it was saved while calls might go there; else it is refused then."""
    office = open_office(webhook_attempts=1)
    office.hooks(("first", "one_way"))
    (request_id,) = office.submit()
    closed = office.installation.settings.model_copy(update={"egress_allow": ()})
    with open_webhook_client(closed) as client:
        office.caller = Caller(office.installation, "closed", client)
        assert office.run() == 1
    assert office.show(request_id)["reason_detail"]["code"] == "egress_refused"
    assert office.receiver.calls == []


def test_two_way_hooks_answer_and_garbage_is_no_answer(office: Office) -> None:
    office.hooks(("asks", "two_way"))
    (request_id,) = office.submit()
    bad = ["no_json", {}, {"halt": "yes"}, [], {"halt": False, "derived_identity": {"email": "none"}}]
    office.receiver.answers = [*bad, GO_ON]
    for attempt in range(len(bad)):
        assert office.run() == 1
        assert office.show(request_id)["stage"] == "pre_webhooks"
        office.clock.advance(2 * 4**attempt)
    assert office.run() == 1
    assert office.show(request_id)["stage"] == "queued"
    assert [cause for _, cause in office.causes()] == ["bad_answer"] * len(bad) + [None]


def test_derived_identities_are_added_sealed_and_audited_and_change_nothing_given(office: Office) -> None:
    office.hooks(("asks", "two_way"), ("then", "one_way"))
    (request_id,) = office.submit()
    derived = {"phone_number": "+1 202 555 0101", "email": "other@example.com"}
    office.receiver.by_path["/asks"] = {"halt": False, "derived_identity": derived}
    assert office.run() == 2
    told = office.receiver.calls[1].body["identity"]
    assert told == {"email": "ada@example.com", "phone_number": "+1 202 555 0101"}
    assert office.show(request_id)["identity_kinds"] == ["email", "phone_number"]
    assert office.actions(request_id) == ["privacy_request.identities_derived"]
    with office.installation.database.read() as connection:
        (sealed,) = connection.execute(sa.select(privacy_request.c.sealed_identities)).scalars()
        kinds = sorted(connection.execute(sa.select(provided_identity.c.kind)).scalars())
    assert b"555" not in sealed
    assert kinds == ["email", "phone_number"]
    found = service.find(office.installation, service.RequestFilter(identity="+12025550101"), page=1, size=5)
    assert [each["id"] for each in found.items] == [request_id]


def test_a_kind_that_no_dataset_knows_is_no_answer(office: Office) -> None:
    office.hooks(("asks", "two_way"))
    (request_id,) = office.submit()
    office.receiver.answers = [{"halt": False, "derived_identity": {"shoe_size": "44"}}]
    assert office.run() == 1
    assert office.causes() == [(200, "bad_answer")]
    assert office.show(request_id)["identity_kinds"] == ["email"]


def halted(office: Office, *hooks: tuple[str, str]) -> tuple[str, str]:
    """A request that the first of the hooks halted, and the token to resume it."""
    office.hooks(*(hooks or (("asks", "two_way"), ("then", "one_way"))))
    office.receiver.answers = [HALT]
    (request_id,) = office.submit()
    assert office.run() == 1
    call = office.receiver.calls[-1]
    assert call.headers["reply-to"] == f"/privacy-request/{request_id}/resume"
    return request_id, call.headers["reply-to-token"]


def test_a_halted_request_is_paused_until_the_hook_lets_it_go_on(office: Office) -> None:
    request_id, token = halted(office)
    shown = office.show(request_id)
    assert (shown["status"], shown["stage"], shown["paused_at"]) == ("paused", "pre_webhooks", office.clock.now())
    assert office.run() == 0
    assert office.claimable() == 0
    told = resume_by_webhook(office.installation, request_id, token, {"phone_number": "+1 202 555 0102"})
    assert (told["status"], told["stage"], told["paused_at"]) == ("in_processing", "pre_webhooks", None)
    assert office.run() == 1
    assert office.receiver.calls[-1].body["identity"]["phone_number"] == "+1 202 555 0102"
    assert office.claimable() == 1
    assert office.actions(request_id) == ["privacy_request.identities_derived", "privacy_request.resumed"]
    with pytest.raises(NotPaused):
        resume_by_webhook(office.installation, request_id, token, None)


def test_a_token_is_for_one_request_one_hook_and_one_time(office: Office) -> None:
    request_id, token = halted(office, ("asks", "two_way"), ("asks_too", "two_way"))
    office.receiver.answers = [HALT]
    (other,) = office.submit()
    assert office.run() == 1
    installation = office.installation
    for wrong in ("", "x", token[:-1], token + "x", "whc_unknown." + token.partition(".")[2], f"é{token}"):
        with pytest.raises(Forbidden):
            resume_by_webhook(installation, request_id, wrong, None)
    with pytest.raises(Forbidden):
        resume_by_webhook(installation, other, token, None)
    with pytest.raises(BadInput):
        resume_by_webhook(installation, request_id, token, {"shoe_size": "44"})
    with pytest.raises(BadInput):
        resume_by_webhook(installation, request_id, token, {"email": "no address"})
    with pytest.raises(Forbidden):
        answer(installation, request_id, token, eligible=True)
    resume_by_webhook(installation, request_id, token, None)
    office.receiver.answers = [HALT]
    assert office.run() == 1
    assert office.show(request_id)["status"] == "paused"
    with pytest.raises(Forbidden):
        resume_by_webhook(installation, request_id, token, None)
    second = office.receiver.calls[-1].headers["reply-to-token"]
    assert resume_by_webhook(installation, request_id, second, None)["stage"] == "queued"


def test_a_hook_that_never_answers_ends_the_request_and_a_retry_asks_anew(office: Office) -> None:
    request_id, token = halted(office)
    office.clock.advance(office.installation.settings.privacy_request_delay_timeout - 1)
    assert expire(office.installation) == 0
    office.clock.advance(2)
    with pytest.raises(Forbidden):
        resume_by_webhook(office.installation, request_id, token, None)
    assert expire(office.installation) == 1
    shown = office.show(request_id)
    assert (shown["status"], shown["reason"], shown["reason_detail"]["code"]) == ("error", "webhook", "no_reply")
    service.retry(office.installation, [request_id], actor=ACTOR)
    office.receiver.answers = [HALT]
    assert office.run() == 1
    first, again = office.receiver.calls
    assert first.id == again.id
    with pytest.raises(Forbidden):
        resume_by_webhook(office.installation, request_id, token, None)
    resume_by_webhook(office.installation, request_id, again.headers["reply-to-token"], None)


def test_a_deleted_hook_has_no_say(office: Office) -> None:
    request_id, token = halted(office)
    office.hooks(("then", "one_way"))
    with pytest.raises(NotFound):
        resume_by_webhook(office.installation, request_id, token, None)


def test_a_paused_request_can_be_canceled(office: Office) -> None:
    request_id, token = halted(office)
    assert not service.cancel(office.installation, [request_id], actor=ACTOR).failed
    with pytest.raises(NotPaused):
        resume_by_webhook(office.installation, request_id, token, None)
    assert office.run() == 0
    office.clock.advance(10**7)
    expire(office.installation)
    assert office.show(request_id)["status"] == "canceled"


def test_one_canceled_while_its_hook_is_called_stays_canceled(office: Office) -> None:
    office.hooks(("first", "one_way"), ("second", "one_way"))
    (request_id,) = office.submit()
    office.caller.enter()
    claimed = office.caller._claim()
    assert claimed is not None
    assert not service.cancel(office.installation, [request_id], actor=ACTOR).failed
    office.caller._finish(*claimed)
    assert office.run() == 0
    assert office.show(request_id)["status"] == "canceled"
    assert office.states(request_id) == {"first": "delivered", "second": "waiting"}


def test_what_a_dead_caller_had_in_hand_is_sent_again_under_the_same_id(office: Office) -> None:
    office.hooks(("first", "one_way"))
    (request_id,) = office.submit()
    office.caller.enter()
    claimed = office.caller._claim()
    assert claimed is not None
    office.caller._send(claimed[0])  # it dies between sending and saying so
    heir = Caller(office.installation, "heir", office.caller._client)
    assert not heir.call_one()
    office.clock.advance(STALE_SECONDS + 1)
    assert heir.call_one()
    assert len(office.receiver.calls) == 2
    assert len(office.receiver.effects()) == 1
    office.caller._finish(*claimed)  # a late answer of the dead one moves nothing
    assert office.show(request_id)["stage"] == "queued"


def test_what_the_dead_held_is_taken_over_at_once(office: Office) -> None:
    office.hooks(("first", "one_way"))
    office.submit()
    office.caller.enter()
    assert office.caller._claim() is not None
    heir = Caller(office.installation, "heir", office.caller._client)
    take_over(office.installation, "another")
    assert not heir.call_one()
    take_over(office.installation, "one")
    assert heir.call_one()


def test_nothing_is_called_while_execution_is_paused(office: Office) -> None:
    office.hooks(("first", "one_way"))
    office.submit()
    service.pause_all(office.installation, actor=ACTOR)
    assert office.run() == 0
    service.resume_all(office.installation, actor=ACTOR)
    assert office.run() == 1


def test_nothing_is_called_before_approval(open_office: Callable[..., Office]) -> None:
    office = open_office(require_manual_request_approval=True)
    office.hooks(("first", "one_way"))
    (request_id,) = office.submit()
    assert office.run() == 0
    service.approve(office.installation, [request_id], actor=ACTOR)
    assert office.run() == 1


def test_a_delivery_is_shown_without_values_and_can_be_replayed(office: Office) -> None:
    office.hooks(("first", "one_way"))
    (request_id,) = office.submit()
    office.receiver.answers = [500]
    assert office.run() == 1
    installation, client = office.installation, office.caller._client
    (waiting,) = deliveries.list_deliveries(installation, page=1, size=5).items
    assert waiting["due_at"] is not None
    with pytest.raises(Conflict):
        deliveries.replay_delivery(installation, ACTOR, waiting["id"], client)
    office.clock.advance(2)
    assert office.run() == 1
    office.receiver.answers = [429]
    told = deliveries.replay_delivery(installation, ACTOR, waiting["id"], client)
    assert told["state"] == "delivered"
    assert [(each["status_code"], each["cause"], each["actor"]) for each in told["attempts"]] == [
        (500, "failing", None),
        (200, None, None),
        (429, "rejected", "tests"),
    ]
    assert not re.search(r"\bada\b", str(told))  # within an id it is chance
    assert len(office.receiver.effects()) == 1
    assert office.show(request_id)["stage"] == "queued"
    assert office.actions(waiting["id"]) == ["webhook.replayed"]
    with pytest.raises(NotFound):
        deliveries.replay_delivery(installation, ACTOR, "whc_unknown", client)


def test_nothing_personal_is_stored_of_a_call(office: Office) -> None:
    office.hooks(("first", "one_way"))
    office.submit()
    office.run()
    with office.installation.database.read() as connection:
        for table in (webhook_call, webhook_attempt, outbox):
            assert "ada" not in str(connection.execute(sa.select(table)).all())


def test_a_request_that_is_deleted_takes_its_calls_along(office: Office) -> None:
    office.hooks(("first", "one_way"))
    (request_id,) = office.submit()
    office.run()
    with office.installation.database.begin() as connection:
        connection.execute(sa.delete(privacy_request).where(privacy_request.c.id == request_id))
    with office.installation.database.read() as connection:
        assert connection.execute(sa.select(webhook_call)).all() == []
        assert connection.execute(sa.select(webhook_attempt)).all() == []


def asked(office: Office, *keys: str) -> tuple[str, dict[str, str]]:
    """A request about which webhooks were asked before approval, and the token of each."""
    for key in keys:
        office.connect(key)
    given = [ApprovalWebhookInput.model_validate({"key": key, "connection_config_key": key}) for key in keys]
    webhooks.replace_webhooks(office.installation, ACTOR, APPROVAL, None, given)
    (request_id,) = office.submit()
    assert office.run() == len(keys)
    calls = [each for each in office.receiver.calls if each.body["privacy_request_id"] == request_id]
    for each in calls:
        assert each.headers["reply-to-eligible"] == f"/privacy-request/{request_id}/pre-approve/eligible"
        assert each.headers["reply-to-not-eligible"] == f"/privacy-request/{request_id}/pre-approve/not-eligible"
        assert (each.body["callback_type"], each.body["policy_action"]) == ("pre_approval", "access")
    return request_id, {each.path.strip("/"): each.headers["reply-to-token"] for each in calls}


def test_all_eligible_is_an_approval(open_office: Callable[..., Office]) -> None:
    office = open_office(require_manual_request_approval=True)
    request_id, tokens = asked(office, "crm", "legal")
    answer(office.installation, request_id, tokens["crm"], eligible=True)
    assert office.show(request_id)["status"] == "pending"
    with pytest.raises(Forbidden):
        answer(office.installation, request_id, tokens["crm"], eligible=True)
    answer(office.installation, request_id, tokens["legal"], eligible=True)
    shown = office.show(request_id)
    assert (shown["status"], shown["stage"]) == ("approved", "queued")
    assert shown["reviewed_by"] == "pre_approval_webhooks"
    assert office.actions(request_id) == ["privacy_request.eligible"] * 2 + ["privacy_request.approved"]
    office.submit()
    assert office.run() == 2
    assert set(office.states(request_id).values()) == {"counted"}


def test_a_word_may_come_before_its_call_was_noted(open_office: Callable[..., Office]) -> None:
    office = open_office(require_manual_request_approval=True)
    office.receiver.answers = ["reset_after"]
    request_id, tokens = asked(office, "crm")
    answer(office.installation, request_id, tokens["crm"], eligible=True)
    assert office.show(request_id)["status"] == "approved"
    office.clock.advance(2)
    assert office.run() == 0


def test_one_not_eligible_leaves_it_to_a_person(open_office: Callable[..., Office]) -> None:
    office = open_office(require_manual_request_approval=True)
    request_id, tokens = asked(office, "crm", "legal")
    answer(office.installation, request_id, tokens["crm"], eligible=False)
    answer(office.installation, request_id, tokens["legal"], eligible=True)
    office.run()
    assert office.show(request_id)["status"] == "pending"
    service.approve(office.installation, [request_id], actor=ACTOR)
    assert office.show(request_id)["status"] == "approved"


def test_one_that_cannot_be_asked_leaves_it_to_a_person_too(open_office: Callable[..., Office]) -> None:
    office = open_office(require_manual_request_approval=True, webhook_attempts=1)
    office.receiver.by_path["/legal"] = 500
    request_id, tokens = asked(office, "crm", "legal")
    answer(office.installation, request_id, tokens["crm"], eligible=True)
    office.run()
    assert office.show(request_id)["status"] == "pending"
    assert office.states(request_id) == {"crm": "eligible", "legal": "failed"}


def test_a_decision_of_a_person_stands(open_office: Callable[..., Office]) -> None:
    office = open_office(require_manual_request_approval=True)
    request_id, tokens = asked(office, "crm")
    service.deny(office.installation, [request_id], actor=ACTOR)
    answer(office.installation, request_id, tokens["crm"], eligible=True)
    assert office.show(request_id)["status"] == "denied"


def test_an_approval_that_a_crash_cut_off_is_made_up_for(open_office: Callable[..., Office]) -> None:
    office = open_office(require_manual_request_approval=True)
    request_id, _ = asked(office, "crm")
    with office.installation.database.begin() as connection:
        connection.execute(sa.update(webhook_call).values(state="eligible"))
    office.caller.enter()
    assert office.show(request_id)["status"] == "approved"
