"""Event webhooks: registered, told of events, signed; again where a receiver fails, and never silently not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from apibook import Api, open_api
from habeas.deliver.webhooks.signing import check_signature, signing_key
from habeas.requests.event_delivery import EventSender, take_over
from habeas.requests.event_webhooks import PREFIX
from habeas.requests.events import settle
from habeas.requests.watching import Watch
from habeas.store import outbox
from hookbook import Receiver, receiving

NOBODY = "nobody.here@example.com"
SECRET = "a secret of the tests, 24 or more"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An installation without a worker; what is sent, a test sends."""
    yield from open_api(tmp_path_factory.mktemp("webhooks") / "data", egress_allow="127.0.0.0/8")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as found:
        yield found


@pytest.fixture
def hook(api: Api, receiver: Receiver) -> Iterator[dict[str, Any]]:
    """A webhook that hears of new requests."""
    receiver.reset()
    given = {"name": "desk", "url": receiver.url(), "types": ["privacy_request.created"], "secret": SECRET}
    yield api.ok("POST", "/event-webhook", json=given)
    api.call("DELETE", "/event-webhook/desk")


def submit(api: Api) -> str:
    item = {"policy_key": "download", "identity": {"email": NOBODY}, "external_id": NOBODY}
    (taken,) = api.ok("POST", "/privacy-request", json=[item])["succeeded"]
    settle(api.installation)
    return str(taken["id"])


def send_all(api: Api, client: httpx2.Client) -> int:
    sender, sent = EventSender(api.installation, "exe-tests"), 0
    while sender.send_one(client):
        sent += 1
    return sent


def deliveries(api: Api, **query: Any) -> list[dict[str, Any]]:
    return list(api.ok("GET", "/event-webhook/desk/delivery", params=query)["items"])


def test_an_event_is_sent_signed_and_once(
    api: Api, receiver: Receiver, client: httpx2.Client, hook: dict[str, Any]
) -> None:
    request_id = submit(api)
    api.ok("POST", f"/privacy-request/{request_id}/cancel")  # of a type that it doesn't want
    settle(api.installation)
    assert send_all(api, client) == 1
    (call,) = receiver.calls
    assert call.body["type"] == "privacy_request.created"
    assert call.body["privacy_request_id"] == request_id
    assert call.id == f"{hook['id']}.{call.body['id']}"
    now = api.clock.now().timestamp()
    assert check_signature([signing_key(SECRET)], call.headers, call.raw, now) == call.id
    assert NOBODY.encode() not in call.raw
    (sent,) = deliveries(api)
    assert (sent["event_id"], sent["type"], sent["state"], sent["attempts"], sent["error"]) == (
        call.body["id"],
        "privacy_request.created",
        "sent",
        1,
        None,
    )
    assert send_all(api, client) == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (500, "failing_500"),
        (404, "rejected_404"),
        ("reset_before", "lost"),
        ("garbage", "lost"),
        ("redirect", "redirected_307"),
    ],
)
def test_a_failing_receiver_is_asked_again_later(
    api: Api, receiver: Receiver, client: httpx2.Client, hook: dict[str, Any], fault: Any, error: str
) -> None:
    receiver.answers = [fault]
    first, second = submit(api), submit(api)
    assert send_all(api, client) == 1  # the second waits with the first, whose receiver fails
    told = deliveries(api, state="waiting")
    assert {each["error"] for each in told} == {error, None}
    try:
        api.clock.advance(3)
        assert send_all(api, client) == 2
    finally:
        api.clock.advance(-3)
    assert [each.body["privacy_request_id"] for each in receiver.calls[-2:]] == [first, second]
    assert len(receiver.effects()) == 2
    assert hook["failures"] == 0


def test_who_fails_for_long_is_disabled_and_everybody_hears_it(
    api: Api, receiver: Receiver, client: httpx2.Client, hook: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("habeas.requests.event_delivery.MOST_ATTEMPTS", 1)
    receiver.answer = 503
    requests = [submit(api) for _ in range(4)]
    before = settle(api.installation).position
    assert send_all(api, client) == 3
    shown = api.ok("GET", "/event-webhook/desk")
    assert (shown["disabled"], shown["disabled_reason"], shown["failures"]) == (True, "failures", 3)
    assert {each["state"] for each in deliveries(api)} == {"failed"}
    assert {each["error"] for each in deliveries(api)} == {"failing_503", "disabled"}
    (entry,) = api.ok("GET", "/audit-trail", params={"action": "event_webhook.disabled"})["items"]
    assert entry["detail"] == {"cause": "failing_503", "waiting": 1}
    told = api.call("GET", "/events", params={"follow": False, "after": before}).text
    assert '"type":"event_webhook.disabled"' in told
    assert '"webhook":"desk"' in told
    refused = api.call("POST", "/event-webhook/desk/replay", json={"failed": True})
    assert refused.status_code == 409

    receiver.reset()
    assert api.ok("PATCH", "/event-webhook/desk", json={"disabled": False})["failures"] == 0
    assert api.ok("POST", "/event-webhook/desk/replay", json={"failed": True}) == {"events": 4}
    assert send_all(api, client) == 4
    assert [each.body["privacy_request_id"] for each in receiver.calls] == requests


def test_everything_behind_an_event_is_sent_again(
    api: Api, receiver: Receiver, client: httpx2.Client, hook: dict[str, Any]
) -> None:
    first, second = submit(api), submit(api)
    assert send_all(api, client) == 2
    after = receiver.calls[0].body["id"]
    assert api.ok("POST", "/event-webhook/desk/replay", json={"after": after}) == {"events": 1}
    assert send_all(api, client) == 1
    assert [each.body["privacy_request_id"] for each in receiver.calls] == [first, second, second]
    assert len(receiver.effects()) == 2, "a repeated event has the id it had"
    assert hook["key"] == "desk"


def test_what_a_dead_process_had_claimed_is_taken_up_at_once(
    api: Api, receiver: Receiver, client: httpx2.Client, hook: dict[str, Any]
) -> None:
    submit(api)
    with api.installation.database.begin() as connection:
        claimed = outbox.claim(
            connection, api.installation.clock, "exe-dead", limit=1, stale_after_seconds=60, prefix=PREFIX
        )
    assert len(claimed) == 1
    assert send_all(api, client) == 0
    take_over(api.installation, "exe-dead")
    assert send_all(api, client) == 1
    assert receiver.calls[0].id.startswith(hook["id"])


def test_a_disabled_webhook_hears_nothing(
    api: Api, receiver: Receiver, client: httpx2.Client, hook: dict[str, Any]
) -> None:
    submit(api)
    shown = api.ok("PATCH", "/event-webhook/desk", json={"disabled": True})
    assert (shown["disabled"], shown["disabled_reason"]) == (True, "asked")
    submit(api)
    assert send_all(api, client) == 0
    assert [(each["state"], each["error"]) for each in deliveries(api)] == [("failed", "disabled")]
    assert receiver.calls == []
    assert hook["disabled"] is False


def test_the_secret_shows_once(api: Api) -> None:
    made = api.ok("POST", "/event-webhook", json={"name": "Once only", "url": "https://example.org/hook"})
    assert made["key"] == "once_only"
    assert len(signing_key(made["secret"])) == 32
    for path in ("/event-webhook", "/event-webhook/once_only"):
        assert "secret" not in api.call("GET", path).text
    changed = api.ok("PATCH", "/event-webhook/once_only", json={"secret": SECRET, "types": [], "name": "Twice"})
    assert "secret" not in changed
    assert (changed["name"], changed["types"]) == ("Twice", [])
    assert api.ok("GET", "/event-webhook")["total"] == 1
    assert api.call("DELETE", "/event-webhook/once_only").status_code == 204
    assert api.call("GET", "/event-webhook/once_only").status_code == 404


GOOD = {"name": "bad", "url": "https://example.org/hook"}


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"url": "ftp://example.org/hook"}, 422, "url"),
        ({"url": "http://10.0.0.1/hook"}, 422, "HABEAS_EGRESS_ALLOW"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, 422, "HABEAS_EGRESS_ALLOW"),
        ({"types": ["privacy_request.eaten"]}, 422, "privacy_request.created"),
        ({"secret": "short"}, 422, "secret"),
        ({"secret": "whsec_" + "!" * 40}, 422, "base64"),
        ({"key": "a b"}, 422, "key"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_what_is_refused(api: Api, given: dict[str, Any], status: int, said: str) -> None:
    answer = api.call("POST", "/event-webhook", json=GOOD | given)
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert api.ok("GET", "/event-webhook")["total"] == 0


def test_named_errors(api: Api, hook: dict[str, Any]) -> None:
    assert api.call("POST", "/event-webhook", json=GOOD | {"key": hook["key"]}).status_code == 409
    for method, path, body in (
        ("GET", "/event-webhook/none", None),
        ("PATCH", "/event-webhook/none", {}),
        ("DELETE", "/event-webhook/none", None),
        ("GET", "/event-webhook/none/delivery", None),
        ("POST", "/event-webhook/none/replay", {"failed": True}),
    ):
        assert api.call(method, path, json=body).status_code == 404, path
    for both in ({}, {"failed": True, "after": 1}, {"after": -1}):
        assert api.call("POST", "/event-webhook/desk/replay", json=both).status_code == 422


def test_who_may_not_hear_events_can_not_have_them_sent(api: Api, hook: dict[str, Any]) -> None:
    writer = api.token_with("webhook:create_or_update")
    for method, path, body in (
        ("POST", "/event-webhook", GOOD),
        ("PATCH", f"/event-webhook/{hook['key']}", {"url": "https://example.org/mine"}),
        ("POST", f"/event-webhook/{hook['key']}/replay", {"after": 0}),
    ):
        assert api.call(method, path, json=body, token=writer).status_code == 403
    assert api.ok("GET", "/event-webhook/desk")["url"] == hook["url"]


def test_a_worker_sends_by_itself(api: Api, receiver: Receiver, hook: dict[str, Any]) -> None:
    import threading

    stop, watch = threading.Event(), Watch(api.installation)
    sender = EventSender(api.installation, "exe-thread")
    sending = threading.Thread(target=sender.serve, args=(watch.wake.deliveries, stop), daemon=True)
    watching = threading.Thread(target=watch.serve, args=(stop,), daemon=True)
    began = time.monotonic()
    sending.start()
    watching.start()
    submit(api)
    assert receiver.await_calls(1)[0].id.startswith(hook["id"])
    stop.set()
    for each in (sending, watching):
        each.join(10)
        assert not each.is_alive()
    assert time.monotonic() - began < 30
