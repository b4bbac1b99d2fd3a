"""`GET /api/v1/events`: what happens to requests, told in one order, resumable, to whoever may hear it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from apibook import Api, open_api
from habeas.api import event_stream, event_watch
from habeas.requests.clients import Actor
from habeas.requests.events import page, settle, tell_late
from habeas.requests.installation import Installation
from habeas.requests.retention import AT_ONCE
from habeas.requests.service import cancel
from habeas.store import events
from habeas.store.events import Sought
from habeas.store.tables import privacy_request
from streambook import Sent, Stream, read_events

NOBODY = "nobody.here@example.com"
REVIEWER = Actor("reviewer", frozenset({"privacy-request:review"}))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An installation without a worker, in which requests wait for approval."""
    yield from open_api(tmp_path_factory.mktemp("events") / "data", require_manual_request_approval=True)


def submit(api: Api, count: int = 1, policy: str = "download") -> list[str]:
    items = [{"policy_key": policy, "identity": {"email": NOBODY}, "external_id": NOBODY} for _ in range(count)]
    return [each["id"] for each in api.ok("POST", "/privacy-request", json=items)["succeeded"]]


def listed(api: Api, **query: Any) -> list[Sent]:
    answer = api.call("GET", "/events", params={"follow": False, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return list(read_events(answer.text.split("\n")))


def stream(api: Api, query: str = "", token: str | None = None, **headers: str) -> Stream:
    sent = {"Authorization": f"Bearer {token or api.token}", **headers}
    return Stream(api.http._transport.app, "/api/v1/events", sent, query)  # type: ignore[attr-defined]


def names(sent: list[Sent]) -> list[str]:
    return [each.name.removeprefix("privacy_request.") for each in sent]


def test_a_request_is_told_from_its_coming_to_its_end(api: Api) -> None:
    (one,), (other,) = submit(api), submit(api, policy="delete")
    api.ok("PATCH", "/privacy-request/administrate/approve", json={"request_ids": [one]})
    api.ok("PATCH", "/privacy-request/administrate/deny", json={"request_ids": [other], "reason": "said no"})
    api.ok("POST", f"/privacy-request/{one}/cancel")
    told = listed(api, request_id=one)
    assert names(told) == ["created", "needs_person", "approved", "canceled"]
    assert told[1].data == {
        "id": told[1].id,
        "type": "privacy_request.needs_person",
        "created_at": "2026-01-02T03:04:05Z",
        "privacy_request_id": one,
        "policy_key": "download",
        "reason": "approval",
    }
    assert names(listed(api, request_id=other)) == ["created", "needs_person", "denied"]
    both = listed(api, last=7)
    assert [each.id for each in both] == list(range(both[0].id, both[0].id + 7))
    assert names(listed(api, type="privacy_request.denied", last=1)) == ["denied"]
    assert [each.name for each in listed(api, type=["privacy_request.approved", "privacy_request.denied"])] == [
        "privacy_request.approved",
        "privacy_request.denied",
    ]
    everything = api.call("GET", "/events", params={"follow": False}).text
    assert NOBODY not in everything
    assert "said no" not in everything


def test_a_stream_goes_on_behind_what_was_seen(api: Api) -> None:
    submit(api, 3)
    seen = listed(api, last=6)
    assert listed(api, after=seen[2].id) == seen[3:]
    answer = api.call("GET", "/events", params={"follow": False}, headers={"Last-Event-ID": str(seen[4].id)})
    assert list(read_events(answer.text.split("\n"))) == seen[5:]
    assert listed(api, last=0) == []


def test_events_arrive_as_they_happen(api: Api) -> None:
    async def follow() -> None:
        reading = stream(api, "type=privacy_request.created")
        await reading.open()
        assert reading.status == 200
        made = await asyncio.to_thread(submit_in_thread)
        (event,) = await reading.events(1)
        assert event.data["privacy_request_id"] == made
        await reading.close()

    def submit_in_thread() -> str:
        from habeas.requests.service import submit as take

        creator = Actor("client-1", frozenset({"privacy-request:create"}))
        item = {"policy_key": "download", "identity": {"email": NOBODY}}
        return str(take(api.installation, [item], actor=creator).succeeded[0]["id"])

    api.runner.run(follow())


def test_a_stream_ends_with_its_token(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "TOKEN_SECONDS", 0.05)
    client_id, secret = api.client_with("event:read")
    token = api.token_of(client_id, secret)

    async def follow() -> str:
        reading = stream(api, token=token)
        await reading.open()
        await reading.part()
        deleted = await api.http.request(
            "DELETE", f"/api/v1/oauth/client/{client_id}", headers={"Authorization": f"Bearer {api.token}"}
        )
        assert deleted.is_success, deleted.text
        said = await reading.rest()
        assert reading.task is not None
        await reading.task
        return said

    assert "the token ended" in api.runner.run(follow())


def test_a_stream_ends_when_its_token_expires(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "TOKEN_SECONDS", 0.05)

    async def follow() -> str:
        reading = stream(api, token=token)
        await reading.open()
        await reading.part()
        api.clock.advance(2 * 3600)
        return await reading.rest()

    token = api.token_with("event:read")
    try:
        assert "the token ended" in api.runner.run(follow())
    finally:
        api.clock.advance(-2 * 3600)


def test_an_idle_stream_is_kept_alive_and_its_position_with_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "BEAT_SECONDS", 0.05)
    submit(api)
    newest = listed(api, last=1)[0].id

    async def follow() -> str:
        reading = stream(api, f"type=privacy_request.reappeared&after={newest - 1}")
        await reading.open()
        await reading.part()
        beat = (await reading.part())["body"].decode()
        await reading.close()
        return beat

    assert api.runner.run(follow()) == f"id: {newest}\n: beat\n\n"


def test_a_slow_reader_holds_one_page_and_is_cut_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(api, 50)
    read, pages = events.page, []

    def counted(*arguments: Any) -> Any:
        pages.append(1)
        return read(*arguments)

    monkeypatch.setattr(events, "page", counted)
    monkeypatch.setattr("habeas.requests.events.AT_ONCE", 10)
    monkeypatch.setattr(event_stream, "SEND_SECONDS", 0.3)

    async def follow() -> None:
        reading = stream(api, "last=100")
        await reading.open()
        assert reading.task is not None
        await asyncio.wait_for(reading.task, 5)  # nobody reads: it ends, without an end of the body
        assert (await reading.part())["more_body"]

    api.runner.run(follow())
    assert len(pages) <= 2


def test_streams_are_counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_watch, "MOST_OF_A_CALLER", 1)

    async def follow() -> int:
        reading = stream(api)
        await reading.open()
        await reading.part()
        refused = stream(api)
        await refused.open()
        await reading.close()
        return refused.status

    assert api.runner.run(follow()) == 429
    assert listed(api, last=0) == []


@pytest.mark.parametrize(
    ("query", "headers", "status", "said"),
    [
        ({"type": "privacy_request.eaten"}, {}, 422, "privacy_request.created"),
        ({"request_id": "pri_none"}, {}, 404, "pri_none"),
        ({"after": "-1"}, {}, 422, "after"),
        ({"after": 10**9}, {}, 410, "no event has this position yet"),
        ({"last": 5000}, {}, 422, "last"),
        ({}, {"Last-Event-ID": "seven"}, 422, "Last-Event-ID"),
        ({}, {"Last-Event-ID": "9" * 30}, 422, "Last-Event-ID"),
    ],
)
def test_what_is_refused(api: Api, query: dict[str, Any], headers: dict[str, str], status: int, said: str) -> None:
    answer = api.call("GET", "/events", params={"follow": False, **query}, headers=headers)
    assert answer.status_code == status, answer.text
    assert said in answer.text


def test_events_need_their_own_scope(api: Api) -> None:
    assert api.call("GET", "/events", token=api.token_with("privacy-request:read")).status_code == 403
    assert api.call("GET", "/events", token=None).status_code == 401


def test_lateness_is_told_once_for_each_due_date(api: Api) -> None:
    policy = {"name": "timed", "key": "timed", "execution_timeframe": 10}
    api.saved("/policy", policy)
    rule = {"name": "timed", "key": "timed", "action_type": "access", "storage_destination_key": "local_packages"}
    api.saved("/policy/timed/rule", rule)
    api.saved("/policy/timed/rule/timed/target", {"name": "timed", "key": "timed", "data_category": "user"})
    before = settle(api.installation).position
    one, other = submit(api, 2, "timed")
    cancel(api.installation, [other], actor=REVIEWER)

    def told() -> list[tuple[str, str]]:
        """Of the requests of this test, whatever time it is for tokens."""
        seen, _ = page(api.installation, Sought(), before, settle(api.installation).position)
        late = [each for each in seen if each["type"] in (events.AT_RISK, events.OVERDUE)]
        assert {each["privacy_request_id"] for each in late} <= {one}
        return [(each["type"].removeprefix("privacy_request."), each["due_date"][:10]) for each in late]

    assert tell_late(api.installation) == 0
    try:
        api.clock.advance(4 * 86_400)
        assert (tell_late(api.installation), tell_late(api.installation)) == (1, 0)
        assert told() == [("at_risk", "2026-01-12")]
        api.clock.advance(7 * 86_400)
        assert (tell_late(api.installation), tell_late(api.installation)) == (1, 0)
        assert told() == [("at_risk", "2026-01-12"), ("overdue", "2026-01-12")]
        extend(api.installation, one)
        assert (tell_late(api.installation), tell_late(api.installation)) == (1, 0)
        assert told()[2:] == [("at_risk", "2026-01-14")]
    finally:
        api.clock.advance(-11 * 86_400)


def extend(installation: Installation, request_id: str) -> None:
    """As if somebody had extended its deadline before it was over."""
    with installation.database.begin() as connection:
        found = sa.update(privacy_request).where(privacy_request.c.id == request_id)
        connection.execute(found.values(due_date=installation.clock.now() + timedelta(days=1)))


def test_old_events_are_deleted_and_nobody_goes_on_over_the_gap(api: Api) -> None:
    submit(api)
    newest = listed(api, last=1)[0]
    later = api.clock.now() + timedelta(seconds=1)
    with api.installation.database.begin() as connection:
        while events.drop_old(connection, later, AT_ONCE):
            continue
    assert listed(api) == []
    assert listed(api, after=newest.id) == []
    answer = api.call("GET", "/events", params={"after": newest.id - 1})
    assert (answer.status_code, answer.json()["code"]) == (410, "events_gone")
    submit(api)
    assert listed(api)[0].id == newest.id + 1
