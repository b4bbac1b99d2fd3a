"""Deadlines over HTTP: by regime, extended, stopped and started, filtered by; and what is due first runs first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from apibook import ROOT_ID, ROOT_SECRET, Api, open_api
from habeas.requests.dispatch import WAITING
from habeas.requests.model import Stage
from habeas.store import claims
from habeas.store.claims import Ready

DAY = 24 * 3600
WHY = {"reason": "the request is complex"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    for api in open_api(tmp_path / "data"):
        for regime in ("gdpr", "ccpa", "lgpd"):
            policy(api, regime, regime=regime)
        yield api


def policy(api: Api, key: str, **more: Any) -> None:
    api.saved("/policy", {"name": key, "key": key, **more})
    rule = {"name": key, "key": f"{key}_rule", "action_type": "access", "storage_destination_key": "local_packages"}
    api.saved(f"/policy/{key}/rule", rule)
    target = {"name": key, "key": f"{key}_target", "data_category": "user"}
    api.saved(f"/policy/{key}/rule/{key}_rule/target", target)


def submit(api: Api, key: str, **more: Any) -> str:
    item = {"policy_key": key, "identity": {"email": "ada@example.com"}, **more}
    told = api.ok("POST", "/privacy-request", json=[item])
    assert told["failed"] == []
    return str(told["succeeded"][0]["id"])


def show(api: Api, request_id: str) -> dict[str, Any]:
    return dict(api.ok("GET", f"/privacy-request/{request_id}"))


def advance(api: Api, days: float) -> None:
    """Let days go by; tokens don't live as long."""
    api.clock.advance(days * DAY)
    api.token = api.token_of(ROOT_ID, ROOT_SECRET)


def listed(api: Api, **filters: Any) -> list[str]:
    return [each["id"] for each in api.ok("GET", "/privacy-request", params=filters)["items"]]


def refused(api: Api, path: str, body: dict[str, Any], status: int, said: str) -> None:
    answer = api.call("POST", f"/privacy-request/{path}", json=body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_a_regime_says_when_a_request_is_due(api: Api) -> None:
    item = show(api, submit(api, "gdpr", requested_at="2026-01-31T12:00:00Z"))
    assert (item["due_date"], item["regime"], item["policy"]["regime"]) == ("2026-02-28T12:00:00Z", "gdpr", "gdpr")
    assert item["days_left"] == 57
    deadline = api.ok("GET", f"/privacy-request/{submit(api, 'ccpa')}/deadline")
    assert deadline["due_date"][:10] == "2026-02-16"
    assert deadline["acknowledge_by"][:10] == "2026-01-16"
    assert deadline["extendable_to"][:10] == "2026-04-02"


def test_the_regimes_are_listed(api: Api) -> None:
    found = {each["key"]: each for each in api.ok("GET", "/deadline-regime")}
    assert found["gdpr"]["respond"] == {"months": 1, "days": None, "business_days": None}
    assert {"uk_gdpr", "ccpa", "lgpd", "pipeda", "quebec"} <= found.keys()


def test_policies_whose_deadline_makes_no_sense(api: Api) -> None:
    assert "unknown regime" in api.failure("/policy", {"name": "p", "key": "p", "regime": "gpdr"})
    both = {"name": "p", "key": "p", "regime": "gdpr", "execution_timeframe": 7}
    assert "execution_timeframe" in api.failure("/policy", both)
    assert "execution_timeframe" in api.failure("/policy", {"name": "gdpr", "key": "gdpr", "execution_timeframe": 7})
    [changed] = api.saved("/policy", {"name": "gdpr", "key": "gdpr", "execution_timeframe": 7, "regime": None})
    assert (changed["execution_timeframe"], changed["regime"]) == (7, None)
    assert show(api, submit(api, "gdpr"))["days_left"] == 7


def test_an_own_regime_that_went_away_is_named(tmp_path: Path) -> None:
    own = tmp_path / "regimes.toml"
    own.write_text('[regime.house]\nname = "House"\nrespond = {days = 3}\n')
    for api in open_api(tmp_path / "data", regimes_file=own):
        policy(api, "house", regime="house")
        assert show(api, submit(api, "house"))["days_left"] == 3
    for api in open_api(tmp_path / "data"):
        item = {"policy_key": "house", "identity": {"email": "ada@example.com"}}
        told = api.ok("POST", "/privacy-request", json=[item])
        assert "regime that is gone" in told["failed"][0]["message"]


def test_a_deadline_is_extended_once_and_in_time(api: Api) -> None:
    request_id = submit(api, "gdpr", requested_at="2025-12-31T12:00:00Z")
    told = api.ok("POST", f"/privacy-request/{request_id}/deadline/extend", json=WHY)
    assert (told["due_date"][:10], told["extendable_to"]) == ("2026-03-31", None)
    assert show(api, request_id)["due_date"] == told["due_date"]
    refused(api, f"{request_id}/deadline/extend", WHY, 409, "extended already")
    (entry,) = api.ok("GET", "/audit-trail", params={"action": "privacy_request.deadline_extended"})["items"]
    assert (entry["subject"], entry["detail"]) == (request_id, WHY)


def test_extensions_that_are_refused(api: Api) -> None:
    request_id, late = submit(api, "ccpa"), submit(api, "gdpr", requested_at="2025-11-01T00:00:00Z")
    refused(api, f"{request_id}/deadline/extend", WHY | {"days": 46}, 422, "2026-04-02")
    refused(api, f"{request_id}/deadline/extend", {"reason": " "}, 422, "reason")
    refused(api, f"{request_id}/deadline/extend", {}, 422, "reason")
    refused(api, f"{late}/deadline/extend", WHY, 409, "is over")
    refused(api, f"{submit(api, 'lgpd')}/deadline/extend", WHY, 409, "allows no extension")
    refused(api, f"{submit(api, 'download')}/deadline/extend", WHY, 409, "has no deadline")
    refused(api, "pri_unknown/deadline/extend", WHY, 404, "pri_unknown")
    policy(api, "days", execution_timeframe=5)
    own = submit(api, "days")
    refused(api, f"{own}/deadline/extend", WHY, 422, "number of days")
    told = api.ok("POST", f"/privacy-request/{own}/deadline/extend", json=WHY | {"days": 3})
    assert told["due_date"][:10] == "2026-01-10"
    api.ok("PATCH", "/privacy-request/administrate/deny", json={"request_ids": [request_id]})
    refused(api, f"{request_id}/deadline/extend", WHY, 409, "denied")


def test_a_deadline_stands_and_runs_on(api: Api) -> None:
    request_id = submit(api, "gdpr", requested_at="2026-01-02T00:00:00Z")
    before = datetime.fromisoformat(show(api, request_id)["due_date"])
    refused(api, f"{request_id}/deadline/start", WHY, 409, "doesn't stand")
    api.ok("POST", f"/privacy-request/{request_id}/deadline/stop", json=WHY)
    refused(api, f"{request_id}/deadline/stop", WHY, 409, "stands already")
    left = show(api, request_id)["days_left"]
    advance(api, 40)
    assert show(api, request_id)["days_left"] == left == 31
    assert listed(api, overdue=True) == []
    told = api.ok("POST", f"/privacy-request/{request_id}/deadline/start", json=WHY)
    assert (datetime.fromisoformat(told["due_date"]) - before).days == 40
    assert told["clock_stopped_seconds"] == 40 * DAY
    assert show(api, request_id)["days_left"] == left
    longest = api.ok("POST", f"/privacy-request/{request_id}/deadline/extend", json=WHY)
    assert longest["due_date"][:10] == "2026-05-12"  # three months from January 2, and 40 days


def test_requests_at_risk_and_overdue(api: Api) -> None:
    late = submit(api, "gdpr", requested_at="2025-11-20T00:00:00Z")
    soon = submit(api, "gdpr", requested_at="2025-12-05T00:00:00Z")
    submit(api, "gdpr")
    submit(api, "download")
    denied = submit(api, "gdpr", requested_at="2025-11-20T00:00:00Z")
    api.ok("PATCH", "/privacy-request/administrate/deny", json={"request_ids": [denied]})
    assert listed(api, overdue=True) == [late]
    assert listed(api, at_risk=True) == [soon]
    assert listed(api, at_risk=True, at_risk_days=2) == []
    assert listed(api, at_risk=True, overdue=True, sort_field="due_date", sort_direction="asc") == [late, soon]
    assert listed(api, overdue=True, status="denied") == []
    assert set(listed(api, due_lt="2026-01-01T00:00:00Z")) == {late, denied}
    assert (
        api.call("GET", "/privacy-request?due_lt=2026-01-01T00:00:00Z&due_gt=2026-02-01T00:00:00Z").status_code == 400
    )


def test_what_is_due_first_runs_first(api: Api) -> None:
    usual = submit(api, "download")
    late = [submit(api, "ccpa"), submit(api, "ccpa", requested_at="2025-12-20T00:00:00Z")]
    first = submit(api, "lgpd")
    ready = Ready(Stage.QUEUED, WAITING, approval_required=False)
    with api.installation.database.begin() as connection:
        groups = claims.waiting_groups(connection, ready)
        # A request without a deadline takes its turn as if it were due 30 days after it came.
        assert [each.policy_key for each in groups] == ["lgpd", "download", "ccpa"]
        taken = [row["id"] for each in groups for row in claims.claim(connection, each, ready, 1, {})]
    assert taken == [first, usual, late[1]]
