"""Systems that fail, over the API: a database down, wrong password, missing grant, lock, timeout, full disk, and our
own database locked or gone. A clear error or a visible wait; nothing half done, nothing lost.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import flowbook
import shopbook
from clusterbook import Cluster, clustered
from companybook import Company, erased, masker
from flowbook import Flow
from serving import Server

TABLES = shopbook.TABLES["shop"]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowbook.flowing(tmp_path_factory.mktemp("fail") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with clustered() as made:
        yield made


@pytest.fixture(autouse=True)
def forgotten(flow: Flow) -> Iterator[None]:
    """A policy acts on all that is connected: what a test connected is gone after it."""
    yield
    for connection in flow.api.call("GET", "/connection")["items"]:
        flow.api.call("DELETE", f"/connection/{connection['key']}")


def declare(flow: Flow, secrets: dict[str, Any], *, test: bool = True) -> None:
    """The shop behind a PostgreSQL connection, with policies `look` and `both`."""
    body = {"name": "shop", "key": "shop", "connection_type": "postgres", "access": "write"}
    flow.api.patch_all("/connection", [body])
    told = flow.api.call("PUT", "/connection/shop/secret", secrets, verify=test)
    assert not test or told["test_status"] == "succeeded", told
    flow.api.describe("shop", shopbook.datasets()[0])
    flow.api.access_policy("look", shopbook.TARGETS)
    flow.api.access_policy("both", shopbook.TARGETS)
    flow.api.erasure_policy("both", shopbook.TARGETS)


def refused(item: dict[str, Any], code: str) -> None:
    assert (item["status"], item["reason"], item["outcome"]) == ("error", "refused", None), item
    detail = item["reason_detail"]
    assert (detail["code"], detail["address"].split(":")[0], bool(detail["fix"])) == (code, "shop", True), detail


def retried(flow: Flow, request_id: str) -> dict[str, Any]:
    flow.api.call("POST", f"/privacy-request/{request_id}/retry")
    return flow.api.wait(request_id)


def until(true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.02)


def test_a_database_that_is_down_then_up_and_a_wrong_password(flow: Flow, cluster: Cluster) -> None:
    shopbook.build_shop(cluster.url())
    before = shopbook.dump(cluster.url(), TABLES)
    cluster.stop()
    declare(flow, {"url": cluster.url()}, test=False)
    told = flow.api.call("GET", "/connection/shop/test")
    assert told["test_status"] == "failed"
    assert "reached" in told["failure_reason"] or "reached" in json.dumps(told)
    item = flow.api.run("both", shopbook.SUBJECT)
    refused(item, "unreachable")
    cluster.start()
    flow.api.call("PUT", "/connection/shop/secret", {"url": cluster.url(password="wrong-password-77")}, verify=False)
    told = flow.api.call("GET", "/connection/shop/test")
    assert (told["test_status"], "wrong-password-77" in json.dumps(told)) == ("failed", False)
    assert "password" in json.dumps(told)
    item = retried(flow, item["id"])
    refused(item, "unreachable")
    assert "password" in json.dumps(item["reason_detail"])
    assert "wrong-password-77" not in json.dumps(item)
    flow.api.call("PUT", "/connection/shop/secret", {"url": cluster.url()})
    assert shopbook.dump(cluster.url(), TABLES) == before
    assert retried(flow, item["id"])["outcome"] == "erased"


def test_a_database_that_goes_down_while_it_is_read(flow: Flow, cluster: Cluster) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE halfway")
    url = cluster.url("halfway")
    shopbook.build_shop(url)
    declare(flow, {"url": url})
    flow.api.run("both", {"email": "nobody@example.org", "phone_number": "202-555-0199"})  # the plan is made
    blocker = psycopg.connect(url)
    blocker.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
    (request_id,) = flow.api.submit("both", shopbook.SUBJECT)
    until(lambda: flow.api.call("GET", f"/privacy-request/{request_id}/log")["total"] > 0)
    cluster.stop()
    until(lambda: "retrying" in statuses(flow, request_id))
    item = flow.api.wait(request_id)
    refused(item, "unreachable")
    cluster.start()
    assert retried(flow, request_id)["outcome"] == "erased"


def statuses(flow: Flow, request_id: str) -> set[str]:
    return {each["status"] for each in flow.api.call("GET", f"/privacy-request/{request_id}/log", size=100)["items"]}


@pytest.fixture
def shop(flow: Flow, postgres_url: str) -> str:
    """A fresh shop on the shared server."""
    shopbook.build_shop(postgres_url)
    declare(flow, {"url": postgres_url})
    return postgres_url


def test_a_read_only_grant(flow: Flow, shop: str) -> None:
    role = f"reader_{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(shop, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        try:
            flow.api.call("PUT", "/connection/shop/secret", {"url": shop, "username": role})
            before = shopbook.dump(shop, TABLES)
            item = flow.api.run("look", shopbook.SUBJECT)
            assert (item["status"], item["outcome"]) == ("complete", "delivered")
            item = flow.api.run("both", shopbook.SUBJECT)
            refused(item, "no_privilege")
            assert shopbook.dump(shop, TABLES) == before
            admin.execute(f"GRANT UPDATE ON ALL TABLES IN SCHEMA public TO {role}")
            assert retried(flow, item["id"])["outcome"] == "erased"
        finally:
            flow.api.call("PUT", "/connection/shop/secret", {"url": shop})
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")


def test_a_lock_that_isnt_let_go_is_waited_for_visibly_then_told(flow: Flow, shop: str) -> None:
    flow.api.call("PUT", "/connection/shop/secret", {"url": shop, "lock_timeout_seconds": 0.3})
    flow.api.run("look", {"email": "nobody@example.org", "phone_number": "202-555-0199"})
    with psycopg.connect(shop) as blocker:
        blocker.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
        item = flow.api.run("look", shopbook.SUBJECT)
        refused(item, "timeout")
        assert "retrying" in statuses(flow, item["id"])
    assert retried(flow, item["id"])["outcome"] == "delivered"


def test_a_statement_that_takes_too_long_leaves_nothing_half_done(flow: Flow, shop: str) -> None:
    with psycopg.connect(shop) as owner:
        owner.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(20); RETURN NEW; END'"
        )
        owner.execute("CREATE TRIGGER slow BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION slow()")
    flow.api.call("PUT", "/connection/shop/secret", {"url": shop, "write_timeout_seconds": 0.3})
    before = shopbook.dump(shop, TABLES)
    item = flow.api.run("both", shopbook.SUBJECT)
    assert item["status"] == "error", item
    assert item["reason"] in ("incomplete", "refused")
    assert (item["reason_detail"]["code"], item["reason_detail"]["address"]) == ("timeout", "shop:customer")
    assert shopbook.dump(shop, TABLES)["customer"] == before["customer"]
    with psycopg.connect(shop) as owner:
        owner.execute("DROP TRIGGER slow ON customer")
    item = retried(flow, item["id"])
    assert (item["status"], item["outcome"]) == ("complete", "erased")
    assert not any("ada.one" in json.dumps(row).lower() for row in shopbook.dump(shop, TABLES)["customer"])


@contextmanager
def small_disk(place: Path) -> Iterator[Callable[[], object]]:
    """A file system of 8 KiB at `place`; what it gives makes it large."""
    place.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        pytest.skip("n/a: no file system can be mounted here")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=16m", str(place)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_under_the_spool_is_waited_for_visibly(flow: Flow, tmp_path: Path) -> None:
    path = tmp_path / "many.db"
    shopbook.build_shop(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        rows = [(number, 1, "ada.one@example.com", f"note {number}") for number in range(1000, 2000)]
        connection.executemany("INSERT INTO purchase VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    flow.api.connect("many", "sqlite", {"path": str(path)})
    text = json.dumps(shopbook.datasets()[0]).replace('"shop"', '"many"')
    flow.api.describe("many", json.loads(text))
    flow.api.erasure_policy("wipe", shopbook.TARGETS, {"strategy": "hmac", "configuration": {"algorithm": "SHA-256"}})
    before = path.read_bytes()
    with small_disk(flow.installation.settings.data_dir / "spool") as enlarge:
        (request_id,) = flow.api.submit("wipe", shopbook.SUBJECT)
        until(lambda: "retrying" in statuses(flow, request_id))
        item = flow.api.show(request_id)
        assert (item["status"], item["stage"]) == ("in_processing", "freeze")
        log = flow.api.call("GET", f"/privacy-request/{request_id}/log", size=100)["items"]
        assert any("no space left for the spool" in each["message"] for each in log)
        assert path.read_bytes() == before
        enlarge()
        item = flow.api.wait(request_id)
        assert (item["status"], item["outcome"]) == ("complete", "erased"), item["reason_detail"]


def test_our_own_sqlite_database_locked_for_a_while(flow: Flow, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    shopbook.build_shop(f"sqlite:///{path}")
    flow.api.connect("locked", "sqlite", {"path": str(path)})
    flow.api.describe("locked", json.loads(json.dumps(shopbook.datasets()[0]).replace('"shop"', '"locked"')))
    flow.api.erasure_policy("wipe", shopbook.TARGETS)
    own = flow.installation.settings.data_dir / "habeas.sqlite"
    with locked(own, 1.5):
        began = time.monotonic()
        (request_id,) = flow.api.submit("wipe", shopbook.SUBJECT)  # it waits; what it answers then is durable
        assert time.monotonic() - began > 1
    until(lambda: flow.api.show(request_id)["status"] != "pending")
    with locked(own, 1.5):
        assert flow.api.show(request_id)["id"] == request_id  # reading goes on
    assert flow.api.wait(request_id)["outcome"] == "erased"


LOCKING = """
import sqlite3, sys, time
other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
other.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
other.execute("ROLLBACK")
"""


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Another process holds the write lock of a SQLite file for so long."""
    line = [sys.executable, "-c", LOCKING, str(path), str(seconds)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield
    assert other.returncode == 0


def test_our_own_postgresql_database_gone_for_a_while(tmp_path: Path, cluster: Cluster) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE habeas_app")
    app = cluster.url("habeas_app")
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    server = Server(tmp_path / "data", {"HABEAS_DATABASE_URL": app})
    try:
        server.start()
        company.declare(server)
        server.api.call("PUT", "/execution", {"paused": True})
        ids = server.api.submit("both", shopbook.SUBJECT, *[{"email": f"n{each}@example.org"} for each in range(20)])
        server.api.call("PUT", "/execution", {"paused": False})
        cluster.stop()
        with ThreadPoolExecutor() as pool:  # each waits its bounded time
            health = pool.submit(server.api.http.get, "/health")
            answer = server.api.http.post("/api/v1/privacy-request", json=[])
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.headers["retry-after"]
        assert health.result().status_code == 503
        cluster.start()
        until(lambda: server.api.http.get("/health").status_code == 200)
        for each in ids:
            assert server.api.wait(each, 90)["status"] == "complete"
        expected = erased(masker(server, app, ids[0]))
        assert company.dump() == {table: sorted(rows, key=repr) for table, rows in expected.items()}
        log = server.log.read_text()
        assert "right-password-of-the-tests" not in log
        assert "example.com" not in log
    finally:
        server.kill()
