"""Deciding about many requests over the API: a preview, the digest that must still hold, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apibook import Api, open_api

PATH = "/privacy-request/administrate"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    yield from open_api(tmp_path_factory.mktemp("review"), require_manual_request_approval=True)


def take(api: Api, external_id: str, count: int = 2) -> list[str]:
    given = {"policy_key": "download", "identity": {"email": "ada@example.com"}, "external_id": external_id}
    return [each["id"] for each in api.ok("POST", "/privacy-request", json=[given] * count)["succeeded"]]


def look(api: Api, decision: str, **wanted: Any) -> dict[str, Any]:
    found: dict[str, Any] = api.ok("POST", f"{PATH}/preview", json={"decision": decision, "filter": wanted})
    return found


@pytest.mark.parametrize(("decision", "status"), [("approve", "approved"), ("deny", "denied"), ("cancel", "canceled")])
def test_a_previewed_set_is_decided_about_once(api: Api, decision: str, status: str) -> None:
    ids = take(api, decision)
    seen = look(api, decision, external_id=decision)
    assert seen["count"] == 2
    body = {"filter": {"external_id": decision}, "digest": seen["digest"]}
    told = api.ok("PATCH", f"{PATH}/{decision}", json=body)
    assert {each["id"]: each["status"] for each in told["succeeded"]} == dict.fromkeys(ids, status)
    again = api.call("PATCH", f"{PATH}/{decision}", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "selection_changed")


def test_what_is_no_decision_is_refused(api: Api) -> None:
    for body in (
        {},
        {"request_ids": [], "filter": {}, "digest": "x"},
        {"filter": {}},
        {"request_ids": [], "digest": "x"},
        {"filter": {"unknown": 1}, "digest": "x"},
        {"request_ids": ["x"] * 51},
    ):
        assert api.call("PATCH", f"{PATH}/approve", json=body).status_code == 422
    assert api.call("POST", f"{PATH}/preview", json={"decision": "forget", "filter": {}}).status_code == 422


def test_bulk_retry_by_ids_tells_which_could_not(api: Api) -> None:
    (one,) = take(api, "retry", 1)
    told = api.ok("POST", "/privacy-request/bulk/retry", json=[one, "pri_unknown"])
    assert told["succeeded"] == []
    assert [each["data"]["id"] for each in told["failed"]] == [one, "pri_unknown"]
    assert look(api, "retry", external_id="retry")["count"] == 0
