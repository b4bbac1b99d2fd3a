"""A hundred requests in all states, everything killed, caches and temporary folders emptied, and started again: none is
lost, and each ends as it would have.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import shopbook
from companybook import Company
from serving import Server

REQUESTS = 100


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path, make_postgres: Callable[[], str]) -> Iterator[Server]:
    app = {"HABEAS_DATABASE_URL": make_postgres()} if request.param == "postgresql" else {}
    (tmp_path / "tmp").mkdir()
    approval = {"HABEAS_REQUIRE_MANUAL_REQUEST_APPROVAL": "true", "TMPDIR": str(tmp_path / "tmp")}
    made = Server(tmp_path / "data", app | approval)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def test_a_restart_loses_none_of_a_hundred_requests(server: Server, tmp_path: Path) -> None:
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    company.declare(server)
    api = server.api
    desk = company.desk.removeprefix("sqlite:///")
    with closing(sqlite3.connect(desk)) as connection:  # the one erasure that finds rows stops half-way
        connection.execute("CREATE TRIGGER hold BEFORE UPDATE ON ticket BEGIN SELECT RAISE(ABORT, 'held'); END")
        connection.commit()
    strangers = [{"email": f"n{number}@example.org"} for number in range(REQUESTS - 2)]
    ids = [each for part in range(0, len(strangers), 50) for each in api.submit("both", *strangers[part : part + 50])]
    ids += api.submit("both", shopbook.SUBJECT)
    ids += api.submit("delete", {"phone_number": "+1 202 555 0199"})  # the desk's kind of identity is not given
    waiting, denied, canceled, held = ids[:20], ids[20:35], ids[35:50], ids[50:70]
    review("approve", server, ids[70:])
    for each in ids[70:]:
        api.wait(each)
    review("deny", server, denied)
    for each in canceled:
        api.call("POST", f"/privacy-request/{each}/cancel")
    api.call("PUT", "/execution", {"paused": True})
    review("approve", server, held)
    before = {each: api.show(each) for each in ids}
    states = Counter((item["status"], item["reason"]) for item in before.values())
    assert states["pending", None] == 20
    assert states["approved", None] == 20
    assert states["denied", None] == states["canceled", None] == 15
    assert states["error", "incomplete"] == 1
    assert sum(states.values()) == REQUESTS

    server.kill()
    shutil.rmtree(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    server.start()
    assert {each: api.show(each) for each in ids} == before

    api.call("PUT", "/execution", {"paused": False})  # now kill it while they run
    review("approve", server, waiting)
    server.kill()
    server.start()
    for each in (*waiting, *held):
        assert api.wait(each)["status"] == "complete"
    with closing(sqlite3.connect(desk)) as connection:
        connection.execute("DROP TRIGGER hold")
        connection.commit()
    (half,) = [each for each, item in before.items() if item["reason"] == "incomplete"]
    api.call("POST", f"/privacy-request/{half}/retry")
    assert api.wait(half)["outcome"] == "erased"
    for each in (*denied, *canceled):
        assert api.show(each) == before[each]
    assert api.call("GET", "/privacy-request")["total"] == REQUESTS


def review(verdict: str, server: Server, ids: list[str]) -> None:
    for part in range(0, len(ids), 50):
        body = {"request_ids": ids[part : part + 50]}
        answer = server.api.call("PATCH", f"/privacy-request/administrate/{verdict}", body)
        assert not answer["failed"], answer["failed"]
