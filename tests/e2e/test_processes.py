"""Processes come and go, work doesn't: SIGTERM, web and worker apart, a killed worker, approval."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import shopbook
from companybook import Company, erased, masker
from serving import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest, make_postgres: Callable[[], str]) -> str:
    """The URL of our own database, empty for the embedded one."""
    return make_postgres() if request.param == "postgresql" else ""


@pytest.fixture
def server(tmp_path: Path, app: str) -> Iterator[Server]:
    made = Server(tmp_path / "data", {"HABEAS_DATABASE_URL": app} if app else {})
    yield made
    made.kill()


def test_work_goes_on_over_ends_of_processes(server: Server, app: str, tmp_path: Path) -> None:
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    server.start()
    company.declare(server)
    ids = server.api.submit("both", *[{"email": f"n{number}@example.org"} for number in range(40)])
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 10

    server.start("--no-worker")
    (mine,) = server.api.submit("both", shopbook.SUBJECT)
    workers = [server.run("worker", HABEAS_CRASH_AT="mask.chunk:2")]
    try:
        assert workers[0].wait(60) == -signal.SIGKILL
        assert server.api.show(mine)["status"] in ("pending", "in_processing")
        workers.append(server.run("worker"))
        for each in (mine, *ids):
            assert server.api.wait(each)["status"] == "complete"
        expected = erased(masker(server, app, mine))
        assert company.dump() == {table: sorted(rows, key=repr) for table, rows in expected.items()}
        workers[1].terminate()
        assert workers[1].wait(10) == 0
        assert server.stop() == 0
    finally:
        for each in workers:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
                each.wait(10)


@pytest.mark.parametrize("app", [""], ids=["sqlite"])
def test_where_approval_is_asked_nothing_starts_without(server: Server, app: str, tmp_path: Path) -> None:
    server.settings["HABEAS_REQUIRE_MANUAL_REQUEST_APPROVAL"] = "true"
    server.start()
    Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}").declare(server)
    yes, no, later = server.api.submit("both", *[{"email": f"{each}@example.org"} for each in "abc"])
    assert {server.api.show(each)["stage"] for each in (yes, no, later)} == {"approve"}
    for verb, request_id in (("approve", yes), ("deny", no)):
        told = server.api.call("PATCH", f"/privacy-request/administrate/{verb}", {"request_ids": [request_id]})
        assert told["failed"] == []
    assert server.api.wait(yes)["status"] == "complete"
    assert server.api.show(yes)["reviewed_by"] == "root"
    assert (server.api.show(no)["status"], server.api.show(later)["status"]) == ("denied", "pending")
    told = server.api.call("PATCH", "/privacy-request/administrate/approve", {"request_ids": [no, yes]})
    assert len(told["failed"]) == 2


def test_an_operator_sees_how_many_workers_are_alive(server: Server) -> None:
    def alive(expected: int) -> None:
        deadline = time.monotonic() + 30
        while server.api.call("GET", "/execution")["workers"] != expected:
            assert time.monotonic() < deadline, f"not {expected} workers"
            time.sleep(0.05)

    server.start("--no-worker")
    alive(0)
    worker = server.run("worker")
    try:
        alive(1)
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(10)
    alive(0)
