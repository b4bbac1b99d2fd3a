"""The main job over HTTP, as its users do it: hand in, watch, read the log, the plan, the package and the receipt.

One server on each app database for the whole module; a test that erases builds the company anew.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import shopbook
from companybook import ROWS, Company, erased, masker
from serving import Server

# The documented example: a key without its closing quote, and a comma after the last entry.
PRINTED = """[
  {
    "external_id": "a-user-defined-id",
    "requested_at: "2021-10-31T16:00:00.000Z",
    "policy_key": "a-demo-policy",
    "identities": [
      {
        "email": "identity@example.com",
        "phone_number": "+1 202 555 0114",
      }
    ]
  }
]
"""
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_postgres_of_module: Callable[[], str]
) -> Iterator[Server]:
    app = {"HABEAS_DATABASE_URL": make_postgres_of_module()} if request.param == "postgresql" else {}
    made = Server(tmp_path_factory.mktemp("job") / "data", app)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def company(server: Server, tmp_path: Path) -> Company:
    """A fresh company, declared to the server in place of the one before; its shop is SQLite."""
    made = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    made.declare(server)
    return made


def command(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "habeas", *arguments],
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def listed(server: Server, **query: Any) -> list[str]:
    found = server.api.call("GET", "/privacy-request", size=100, **query)
    assert found["total"] == len(found["items"])
    assert (found["page"], found["size"]) == (1, 100)
    return [each["id"] for each in found["items"]]


def test_the_documented_example(server: Server, tmp_path: Path) -> None:
    example = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    with shopbook._connect(example.shop) as connection:
        connection.execute("INSERT INTO customer VALUES (21, 'Identity@Example.com', NULL, 'By Mail', 1)")
        connection.execute("INSERT INTO customer VALUES (22, NULL, '(202) 555-0114', 'By Phone', 2)")
        connection.execute("INSERT INTO customer VALUES (23, 'identity@example.org', '202 555 0115', 'Nobody', 3)")
    example.declare(server)
    server.api.access_policy("a-demo-policy", shopbook.TARGETS)
    answer = server.api.http.post("/api/v1/privacy-request", content=PRINTED, headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "line 4 column 21" in answer.json()["detail"]
    quoted = PRINTED.replace("requested_at:", 'requested_at":')
    answer = server.api.http.post("/api/v1/privacy-request", content=quoted, headers=JSON)
    assert answer.status_code == 400
    assert re.search(r"line 9 column \d+", answer.json()["detail"])
    (item,) = json.loads(quoted.replace('0114",', '0114"'))
    newer = {name: value for name, value in item.items() if name != "identities"} | {"identity": item["identities"][0]}
    for form in (item, newer):
        answer = server.api.call("POST", "/privacy-request", [form])
        assert answer["failed"] == []
        (taken,) = answer["succeeded"]
        done = server.api.wait(taken["id"])
        assert (done["status"], done["outcome"], done["external_id"]) == ("complete", "delivered", "a-user-defined-id")
        assert done["requested_at"].startswith("2021-10-31T16:00:00")
        assert server.package(done["id"])["shop:customer"] == [
            {"email": "Identity@Example.com", "phone": None, "name": "By Mail"},
            {"email": None, "phone": "(202) 555-0114", "name": "By Phone"},
        ]


def test_access_and_erasure_from_hand_in_to_receipt(server: Server, company: Company, tmp_path: Path) -> None:
    before = company.dump()
    (request_id,) = server.api.submit("both", shopbook.SUBJECT, external_id="case-7")
    item = server.api.wait(request_id)
    assert (item["status"], item["stage"], item["outcome"], item["reason"]) == ("complete", "done", "erased", None)
    assert (item["kept"], item["not_searched"], item["reason_detail"]) == (None, None, None)
    assert item["policy"]["key"] == "both"
    assert [rule["action_type"] for rule in item["policy"]["rules"]] == ["access", "erasure"]
    package = server.package(request_id)
    assert {address: len(rows) for address, rows in package.items()} == ROWS
    assert package["shop:customer"][0] == {"email": "ada.one@example.com", "phone": "202-555-0101", "name": "Ada One"}
    expected = erased(masker(server, server.settings.get("HABEAS_DATABASE_URL", ""), request_id))
    assert company.dump() == {table: sorted(rows, key=repr) for table, rows in expected.items()} != before
    plan = server.api.call("GET", f"/privacy-request/{request_id}/plan")
    assert plan["digest"] == item["plan_digest"]
    assert {step["address"] for step in plan["steps"]} == set(ROWS)
    receipt = tmp_path / "receipt.json"
    keys = tmp_path / "keys.json"
    document = server.api.call("GET", f"/privacy-request/{request_id}/receipt")
    receipt.write_text(json.dumps(document))
    keys.write_text(server.api.http.get("/.well-known/habeas-receipt-keys.json").text)
    assert command(server, "receipt", "verify", str(receipt), "--keys", str(keys)).returncode == 0
    for old, new in (('"erased"', '"nothing_found"'), ('"frozen": 2', '"frozen": 3')):
        assert old in json.dumps(document), document
        receipt.write_text(json.dumps(document).replace(old, new))
        told = command(server, "receipt", "verify", str(receipt), "--keys", str(keys))
        assert (told.returncode, "NOT GENUINE" in told.stdout) == (1, True), told
    again = server.api.run("both", shopbook.SUBJECT)
    assert (again["status"], again["outcome"]) == ("complete", "nothing_found")
    assert server.package(again["id"]) == {}


def test_requests_are_found_by_id_external_id_and_status(server: Server, company: Company) -> None:
    tag = f"watch_{time.monotonic_ns()}%"
    ids = server.api.submit("both", {"email": "nobody@example.org"}, {"email": "noone@example.org"}, external_id=tag)
    for each in ids:
        server.api.wait(each)
    assert listed(server, id=ids[0]) == [ids[0]]
    assert listed(server, id=ids[0][:20]) == []
    assert listed(server, request_id=ids[0][:20]) == [ids[0]]
    assert sorted(listed(server, external_id=tag[:-1])) == sorted(ids)
    assert listed(server, external_id="%") == listed(server, external_id=tag.replace("_", "x")) == []
    assert sorted(listed(server, external_id=tag, status=["complete", "error"])) == sorted(ids)
    assert listed(server, external_id=tag, status="pending") == []
    answer = server.api.http.get("/api/v1/privacy-request", params={"status": "finished"})
    assert answer.status_code == 422
    first = server.api.call("GET", "/privacy-request", external_id=tag, page=2, size=1)
    assert (first["total"], len(first["items"]), first["page"]) == (2, 1, 2)


def test_the_log_appears_while_it_runs_and_a_canceled_member_is_left_alone(
    server: Server, tmp_path: Path, make_postgres: Callable[[], str]
) -> None:
    company = Company(tmp_path, make_postgres())
    company.declare(server)
    nobody = {"email": "nobody@example.org", "phone_number": "202-555-0199"}
    server.api.run("both", nobody)  # the plan is made: what the lock below holds up is the execution
    server.api.call("PUT", "/execution", {"paused": True})
    two = {"email": "ada.two@example.com", "phone_number": "202-555-0102"}
    mine, canceled = server.api.submit("both", shopbook.SUBJECT, two)
    before = company.dump()
    with psycopg.connect(company.shop) as blocker:
        blocker.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
        server.api.call("PUT", "/execution", {"paused": False})
        until(lambda: server.api.call("GET", f"/privacy-request/{mine}/log")["total"] > 0)
        running = server.api.show(mine)
        assert (running["status"], running["stage"]) == ("in_processing", "access")
        told = server.api.call("POST", f"/privacy-request/{canceled}/cancel", {"reason": "withdrawn"})
        assert told["status"] == "canceled"
    item = server.api.wait(mine)
    assert (item["status"], item["outcome"]) == ("complete", "erased"), item
    assert server.api.show(canceled)["status"] == "canceled"
    assert not (server.data_dir / "packages" / f"{canceled}.json").exists()
    assert server.api.http.get(f"/api/v1/privacy-request/{canceled}/receipt").status_code == 404
    after = company.dump()
    assert [row for row in after["customer"] if row[0] == 2] == [row for row in before["customer"] if row[0] == 2]
    assert [row for row in after["message"] if row[1] == 2] == [row for row in before["message"] if row[1] == 2]


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.02)


def test_the_log_names_collections_fields_and_counts(server: Server, company: Company) -> None:
    item = server.api.run("both", shopbook.SUBJECT)
    log = server.api.call("GET", f"/privacy-request/{item['id']}/log", size=100)["items"]
    for action in ("access", "erasure"):
        done = {
            f"{each['dataset_name']}:{each['collection_name']}": each
            for each in log
            if (each["action_type"], each["status"]) == (action, "complete")
        }
        assert set(done) == set(ROWS)
        fields = {field["field_name"] for field in done["shop:customer"]["fields_affected"]}
        assert fields == {"email", "phone", "name"}
    assert done["shop:customer"]["counts"] == {"frozen": 2, "masked": 2}
    begun = [each for each in log if each["status"] == "in_processing"]
    assert {each["collection_name"] for each in begun} == {address.split(":")[1] for address in ROWS}
    assert "example.com" not in json.dumps(log)


def test_preview_and_plan_write_nothing(server: Server, company: Company) -> None:
    before, packages = company.dump(), sorted((server.data_dir / "packages").glob("*"))
    total = server.api.call("GET", "/privacy-request")["total"]
    queries = server.api.call("PUT", "/privacy-request/preview", ["shop", "desk"])
    addresses = [
        f"{each['collectionAddress']['dataset']}:{each['collectionAddress']['collection']}" for each in queries
    ]
    assert sorted(addresses) == sorted(ROWS)
    assert all(each["query"] for each in queries)
    asked = {"policy_key": "both", "identity": shopbook.SUBJECT}
    exact = server.api.call("POST", "/privacy-request/plan", asked)
    assert {part["address"]: part["rows"] for part in exact["collections"]} == {
        address: {"own": rows} for address, rows in ROWS.items()
    }
    assert all(part["queries"] and part["reads"] and part["writes"] for part in exact["collections"])
    estimate = server.api.call("POST", "/privacy-request/plan", asked, counts="estimate")
    assert all(part["rows"] is None for part in estimate["collections"])
    assert all("estimated_table_rows" in part for part in estimate["collections"])
    assert any("CREATE INDEX" in warning["fix"] for warning in exact["warnings"])
    assert not any(value in json.dumps([exact, estimate, queries]) for value in ("ada.one", "0101"))
    assert company.dump() == before
    assert sorted((server.data_dir / "packages").glob("*")) == packages
    assert server.api.call("GET", "/privacy-request")["total"] == total


def test_what_the_plan_counts_is_what_is_done(server: Server, company: Company) -> None:
    asked = {"policy_key": "both", "identity": shopbook.SUBJECT}
    plan = server.api.call("POST", "/privacy-request/plan", asked)
    item = server.api.run("both", shopbook.SUBJECT)
    assert item["plan_digest"] == plan["digest"]
    receipt = server.api.call("GET", f"/privacy-request/{item['id']}/receipt")
    body = json.loads(receipt["receipt"]) if isinstance(receipt.get("receipt"), str) else receipt["receipt"]
    assert {address: part["frozen"] for address, part in body["erasure"].items()} == {
        part["address"]: part["rows"]["own"] for part in plan["collections"]
    }


def test_an_idempotency_key_makes_a_repeated_call_answer_the_same(server: Server, company: Company) -> None:
    body = [{"policy_key": "both", "identity": {"email": "nobody@example.org"}}]
    key = {"Idempotency-Key": f"key-{time.monotonic_ns()}"}
    first = server.api.http.post("/api/v1/privacy-request", json=body, headers=key)
    again = server.api.http.post("/api/v1/privacy-request", json=body, headers=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    other = server.api.http.post("/api/v1/privacy-request", json=[*body, *body], headers=key)
    assert other.status_code == 422


def test_fifty_items_are_taken_and_fifty_one_are_not(server: Server, company: Company) -> None:
    item = {"policy_key": "both", "identity": {"email": "nobody@example.org"}, "external_id": f"{time.monotonic_ns()}"}
    assert server.api.http.post("/api/v1/privacy-request", json=[item] * 51).status_code == 422
    assert listed(server, external_id=item["external_id"]) == []
    answer = server.api.call("POST", "/privacy-request", [item] * 49 + [{**item, "policy_key": "no_such"}])
    assert (len(answer["succeeded"]), len(answer["failed"])) == (49, 1)
    assert answer["failed"][0]["data"] == {**item, "policy_key": "no_such"}
    assert "no_such" in answer["failed"][0]["message"]
    ids = [each["id"] for each in answer["succeeded"]]
    for each in ids:
        assert server.api.wait(each)["outcome"] == "nothing_found"
    assert len(set(ids)) == 49


def test_the_pause_switch_holds_back_and_loses_nothing(server: Server, company: Company) -> None:
    assert command(server, "execution", "pause").returncode == 0
    try:
        ids = server.api.submit("both", {"email": "nobody@example.org"}, {"email": "ada.two@example.com"})
        time.sleep(1.5)  # longer than a sweep: what would start, would have started
        assert {server.api.show(each)["status"] for each in ids} == {"pending"}
    finally:
        server.api.call("PUT", "/execution", {"paused": False})
    assert {server.api.wait(each)["status"] for each in ids} == {"complete"}


@pytest.mark.parametrize("form", ["json", "csv"])
def test_packages_that_other_software_opens(server: Server, company: Company, form: str) -> None:
    key = f"pack_{form}"
    place = {"name": key, "key": key, "type": "local", "details": {"naming": "request_id"}, "format": form}
    server.api.access_policy(key, shopbook.TARGETS, place)
    with shopbook._connect(company.shop) as connection:
        connection.execute("UPDATE purchase SET note = '=1+1' WHERE id = 10")
    plain = server.api.run(key, shopbook.SUBJECT)
    sealed = server.api.run(key, shopbook.SUBJECT, encryption_key="0123456789abcdef")
    entries, locked = (
        package_of(server.data_dir / "packages" / f"{item['id']}.{'zip' if form == 'csv' else 'json'}")
        for item in (plain, sealed)
    )
    assert {name: opened(data, b"0123456789abcdef") for name, data in locked.items()} == entries
    assert not any(b"ada" in data for data in locked.values())
    if form == "csv":
        assert set(entries) == {f"{address}.csv" for address in ROWS}
        rows = list(csv.DictReader(io.StringIO(entries["shop:purchase.csv"].decode())))
        assert rows[0] == {"ship_email": "ada.one@example.com", "note": "'=1+1"}
    else:
        (document,) = entries.values()
        assert json.loads(document)["shop:purchase"][0] == {"ship_email": "ada.one@example.com", "note": "=1+1"}


def package_of(path: Path) -> dict[str, bytes]:
    if path.suffix == ".json":
        return {"": path.read_bytes()}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def opened(sealed: bytes, key: bytes) -> bytes:
    """As fidesops' documentation opens it: the nonce goes before and is the associated data."""
    raw = base64.b64decode(sealed)
    return AESGCM(key).decrypt(raw[:12], raw[12:], raw[:12])
