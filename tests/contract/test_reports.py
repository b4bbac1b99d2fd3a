"""Reports over HTTP: what is open and late, how long answers took, the CCPA's yearly table, metrics for Prometheus."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from apibook import Api, open_api
from habeas.api.metrics import Scraper
from habeas.api.metrics_listener import listening
from habeas.core.errors import Unavailable
from habeas.core.settings import split_bind
from habeas.report.metrics import Days
from habeas.requests import export, trail
from habeas.store.tables import audit_trail, execution_log, privacy_request

NOBODY = "ada@example.com"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Requests of 2025 that ended in several ways; today is 2026-01-02."""
    for api in open_api(tmp_path_factory.mktemp("reports") / "data"):
        policy(api, "know_ca", "access", "ccpa")
        policy(api, "forget_ca", "erasure", "ccpa")
        for key, asked, days, values in (
            ("know_ca", "2025-03-01", 10, {"status": "complete", "outcome": "delivered"}),
            ("know_ca", "2025-03-01", 20, {"status": "complete", "outcome": "nothing_found"}),
            ("know_ca", "2025-03-02", 33, {"status": "denied"}),
            ("know_ca", "2024-12-31", 5, {"status": "complete", "outcome": "delivered"}),
            ("forget_ca", "2025-04-01", 40, {"status": "complete", "outcome": "erased_with_kept"}),
            ("forget_ca", "2025-04-01", 3, {"status": "canceled"}),
            ("forget_ca", "2025-11-01", None, {"status": "error", "reason": "refused"}),
            ("forget_ca", "2025-11-20", None, {}),
            ("delete", "2025-05-01", 2, {"status": "complete", "outcome": "erased"}),
        ):
            end(api, submit(api, key, asked), asked, days, values)
        yield api


def policy(api: Api, key: str, action: str, regime: str) -> None:
    api.saved("/policy", {"name": key, "key": key, "regime": regime})
    how: dict[str, Any] = {"storage_destination_key": "local_packages"}
    if action == "erasure":
        how = {"masking_strategy": {"strategy": "null_rewrite", "configuration": {}}}
    api.saved(f"/policy/{key}/rule", {"name": key, "key": f"{key}_rule", "action_type": action, **how})
    target = {"name": key, "key": f"{key}_target", "data_category": "user"}
    api.saved(f"/policy/{key}/rule/{key}_rule/target", target)


def submit(api: Api, key: str, asked: str) -> str:
    item = {"policy_key": key, "identity": {"email": NOBODY}, "requested_at": f"{asked}T08:00:00Z"}
    return str(api.ok("POST", "/privacy-request", json=[item])["succeeded"][0]["id"])


def end(api: Api, request_id: str, asked: str, days: int | None, values: dict[str, Any]) -> None:
    """As a worker would have ended it; how requests end is tested where they do."""
    if days is not None:
        day = datetime.fromisoformat(f"{asked}T23:00:00").replace(tzinfo=UTC)
        values = values | {"finished_processing_at": datetime.fromtimestamp(day.timestamp() + days * 86_400, UTC)}
    if values:
        with api.installation.database.begin() as connection:
            found = sa.update(privacy_request).where(privacy_request.c.id == request_id)
            connection.execute(found.values(**values))


def test_the_summary_of_now(api: Api) -> None:
    told = api.ok("GET", "/report/summary")
    assert told["statuses"] == {"complete": 5, "denied": 1, "canceled": 1, "error": 1, "pending": 1}
    assert (told["open"], told["overdue"], told["at_risk"], told["oldest_open_days"]) == (2, 1, 1, 62)
    assert told["reasons"] == {"refused": 1}


def test_the_summary_by_regime_and_action(api: Api) -> None:
    told = api.ok("GET", "/report/summary", params={"since": "2025-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"})
    groups = {(each["regime"], each["action"]): each for each in told["groups"]}
    assert groups.keys() == {("ccpa", "access"), ("ccpa", "erasure"), (None, "erasure")}
    know = groups["ccpa", "access"]
    assert (know["received"], know["complete"], know["denied"]) == (3, 2, 1)
    assert (know["median_days"], know["mean_days"]) == (20.0, 21.0)
    forget = groups["ccpa", "erasure"]
    assert (forget["received"], forget["canceled"], forget["error"], forget["median_days"]) == (4, 1, 1, 40.0)


def test_the_summary_by_connection(api: Api, tmp_path: Path) -> None:
    api.saved("/connection", {"name": "shop", "key": "shop", "connection_type": "sqlite", "access": "read"})
    dataset = {"fides_key": "shop_data", "collections": [{"name": "person", "fields": [{"name": "id"}]}]}
    assert api.ok("PATCH", "/connection/shop/dataset", json=[dataset])["failed"] == []
    now = api.clock.now()
    entry = {"created_at": now, "updated_at": now, "cohort_id": "coh_1", "collection_name": "person"}
    entry |= {"action_type": "access", "fields_affected": []}
    with api.installation.database.begin() as connection:
        rows = [("shop_data", "error"), ("shop_data", "complete"), ("shop_data", "error"), ("gone", "error")]
        for name, status in rows:
            connection.execute(sa.insert(execution_log), entry | {"dataset_name": name, "status": status})
    found = api.ok("GET", "/report/summary")["connections"]
    assert {(each["connection"], each["status"]): each["steps"] for each in found} == {
        (None, "error"): 1,
        ("shop", "complete"): 1,
        ("shop", "error"): 2,
    }


def test_the_yearly_table(api: Api) -> None:
    told = api.ok("GET", "/report/ccpa", params={"year": 2025, "regime": "ccpa"})
    know, delete = told["lines"]
    assert know == {
        "right": "know",
        "received": 3,
        "complied_in_whole": 2,
        "complied_in_part": 0,
        "denied": 1,
        "withdrawn": 0,
        "open": 0,
        "median_days": 20.0,
        "mean_days": 21.0,
    }
    counted = ("received", "complied_in_whole", "complied_in_part", "denied", "withdrawn", "open")
    assert [delete[name] for name in counted] == [4, 0, 1, 0, 1, 2]
    every = api.ok("GET", "/report/ccpa", params={"year": 2025})["lines"][1]
    assert (every["received"], every["complied_in_whole"], every["median_days"]) == (5, 1, 21.0)
    empty = api.ok("GET", "/report/ccpa", params={"year": 2023})["lines"]
    assert {each["received"] for each in empty} == {0}
    assert {each["median_days"] for each in empty} == {None}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/report/ccpa", "year"),
        ("/report/ccpa?year=1", "year"),
        ("/report/summary?since=2026-01-01T00:00:00Z&until=2025-01-01T00:00:00Z", "since"),
        ("/report/summary?since=yesterday", "since"),
    ],
)
def test_reports_that_are_refused(api: Api, path: str, said: str) -> None:
    answer = api.call("GET", path)
    assert answer.status_code == 422
    assert said in answer.text


def test_metrics_for_prometheus(api: Api) -> None:
    token = {"Authorization": f"Bearer {api.token}"}
    answer = api.runner.run(api.http.request("GET", "/metrics", headers=token))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["habeas_requests", "complete"] == 5
    assert found["habeas_requests_stopped", "refused"] == 1
    assert (found["habeas_requests_overdue",], found["habeas_requests_at_risk",]) == (1, 1)
    assert (found["habeas_oldest_open_request_days",], found["habeas_workers",]) == (62, 0)


def test_metrics_tell_days_and_steps(api: Api) -> None:
    token = {"Authorization": f"Bearer {api.token}"}
    found = {
        (sample.name, sample.labels.get("regime"), sample.labels.get("action")): sample.value
        for family in text_string_to_metric_families(
            api.runner.run(api.http.request("GET", "/metrics", headers=token)).text
        )
        for sample in family.samples
    }
    assert found["habeas_requests_received", "ccpa", "access"] == 3
    assert found["habeas_answer_days_median", "ccpa", "access"] == 20
    assert found["habeas_answer_days_mean", "ccpa", "access"] == 21


def test_metrics_on_an_address_of_their_own_need_no_token(api: Api) -> None:
    with listening("127.0.0.1:0", Scraper(api.installation).scrape) as port, httpx2.Client(trust_env=False) as client:
        base = f"http://127.0.0.1:{port}"
        answer = client.get(f"{base}/metrics")
        assert (answer.status_code, answer.headers["content-type"][:10]) == (200, "text/plain")
        assert 'habeas_requests{status="complete"} 5.0' in answer.text
        assert NOBODY not in answer.text
        assert "pri_" not in answer.text
        for path in ("/", "/metrics/x", "/api/v1/privacy-request", "/api/v1/report/summary"):
            assert client.get(f"{base}{path}").status_code == 404
        assert client.post(f"{base}/metrics").status_code == 501
        with pytest.raises(Unavailable, match="HABEAS_METRICS_BIND"), listening(f"127.0.0.1:{port}", bytes):
            pass


@pytest.mark.parametrize("bind", ["9464", "127.0.0.1", "127.0.0.1:99999", "::1:9464", "host:port"])
def test_a_bind_that_is_none_is_refused(bind: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        split_bind(bind)


def test_nothing_of_a_person_is_in_a_report(api: Api) -> None:
    token = {"Authorization": f"Bearer {api.token_with('report:read')}"}
    for path in ("/metrics", "/api/v1/report/summary", "/api/v1/report/ccpa?year=2025"):
        answer = api.runner.run(api.http.request("GET", path, headers=token))
        assert answer.status_code == 200
        assert NOBODY not in answer.text
        assert "pri_" not in answer.text
        assert api.runner.run(api.http.request("GET", path)).status_code == 401


def test_days_are_counted_in_a_table() -> None:
    days = Days()
    assert (days.median(), days.mean()) == (None, None)
    at = datetime(2026, 1, 1, 23, tzinfo=UTC)
    for day, hour in ((1, 23), (2, 1), (5, 0), (11, 0)):
        days.add(at, datetime(2026, 1, day, hour, tzinfo=UTC))
    assert (days.median(), days.mean()) == (2.5, 3.8)


def test_requests_as_json_lines(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "AT_ONCE", 2)
    given = {"download_jsonl": True, "policy_key": "know_ca", "sort_direction": "asc"}
    answer = api.call("GET", "/privacy-request", params=given)
    assert answer.headers["content-type"].startswith("application/jsonl")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    listed = api.ok("GET", "/privacy-request", params={"policy_key": "know_ca", "sort_direction": "asc"})["items"]
    assert [each["id"] for each in lines] == [each["id"] for each in listed]
    assert listed[0].items() <= lines[0].items()
    assert NOBODY not in answer.text
    shown = api.call("GET", "/privacy-request", params=given | {"include_identities": True})
    assert {json.loads(line)["identity"]["email"] for line in shown.text.splitlines()} == {NOBODY}
    seen = api.ok("GET", "/audit-trail", params={"action": "privacy_request.revealed"})
    assert seen["total"] == 4
    assert api.call("GET", "/privacy-request", params=given | {"policy_key": "none"}).text == ""


def test_requests_by_what_their_policy_does(api: Api) -> None:
    for action, count in (("access", 4), ("erasure", 5)):
        found = api.ok("GET", "/privacy-request", params={"action": action})
        assert found["total"] == count
        lines = api.call("GET", "/privacy-request", params={"action": action, "download_jsonl": True}).text
        assert len(lines.splitlines()) == count
        csv_lines = api.call("GET", "/privacy-request", params={"action": action, "download_csv": True}).text
        assert len(csv_lines.splitlines()) == count + 1
    assert api.call("GET", "/privacy-request", params={"action": "eat"}).status_code == 422


def test_the_audit_trail_is_exported_whole_with_its_chain_checked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "AT_ONCE", 3)
    total = api.ok("GET", "/audit-trail")["total"]
    answer = api.call("GET", "/audit-trail/export")
    assert answer.headers["content-type"].startswith("application/jsonl")
    *entries, end = [json.loads(line) for line in answer.text.splitlines()]
    assert end == api.ok("GET", "/audit-trail/chain")
    assert (end["verified"], end["entries"], len(entries)) == (True, total, total)
    assert [each["previous"] for each in entries[1:]] == [each["digest"] for each in entries[:-1]]
    rows = list(csv.reader(api.call("GET", "/audit-trail/export", params={"format": "csv"}).text.splitlines()))
    assert rows[0] == ["id", "created_at", "actor", "action", "subject", "detail", "previous", "digest"]
    assert (len(rows), rows[-1][0], rows[-1][3]) == (total + 2, "chain", "verified")
    changed = sa.update(audit_trail).where(audit_trail.c.id == entries[2]["id"])
    with api.installation.database.begin() as connection:
        connection.execute(changed.values(actor="somebody"))
    try:
        end = json.loads(api.call("GET", "/audit-trail/export").text.splitlines()[-1])
        assert (end["verified"], end["broken_at"], end["entries"]) == (False, entries[2]["id"], 2)
    finally:
        with api.installation.database.begin() as connection:
            connection.execute(changed.values(actor=entries[2]["actor"]))
    assert api.call("GET", "/audit-trail/export", params={"format": "xml"}).status_code == 422
    assert api.call("GET", "/audit-trail/export", token=api.token_with("report:read")).status_code == 403
