"""An erasure that stops half-way says so, and retry goes on with what it froze: nothing is masked twice.

The subject can't be found any more once her identities are masked, so a new plan would find nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import shopbook
from companybook import Company, erased, masker
from serving import Server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_postgres_of_module: Callable[[], str]
) -> Iterator[Server]:
    app = {"HABEAS_DATABASE_URL": make_postgres_of_module()} if request.param == "postgresql" else {}
    made = Server(tmp_path_factory.mktemp("retry") / "data", app)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def guard(desk: str, *, on: bool) -> None:
    """The desk refuses changes of one ticket, or takes them again."""
    with sqlite3.connect(desk.removeprefix("sqlite:///")) as connection:
        if on:
            connection.execute(
                "CREATE TRIGGER hold BEFORE UPDATE ON ticket WHEN OLD.id = 3 BEGIN SELECT RAISE(ABORT, 'held'); END"
            )
        else:
            connection.execute("DROP TRIGGER hold")
    connection.close()


def test_what_a_trigger_refused_is_finished_after_the_fix(
    server: Server, tmp_path: Path, make_postgres: Callable[[], str]
) -> None:
    company = Company(tmp_path, make_postgres())
    company.declare(server)
    guard(company.desk, on=True)
    item = server.api.run("both", shopbook.SUBJECT)
    assert (item["status"], item["reason"]) == ("error", "incomplete"), item
    assert item["reason_detail"]["address"] == "desk:ticket"
    assert item["reason_detail"]["fix"]
    assert item["resume_endpoint"] == f"/privacy-request/{item['id']}/retry"
    half = company.dump()
    guard(company.desk, on=False)
    server.api.call("POST", f"/privacy-request/{item['id']}/retry")
    item = server.api.wait(item["id"])
    assert (item["status"], item["outcome"], item["reason"], item["attempt"]) == ("complete", "erased", None, 1), item
    expected = erased(masker(server, server.settings.get("HABEAS_DATABASE_URL", ""), item["id"]))
    assert company.dump() == {table: sorted(rows, key=repr) for table, rows in expected.items()}
    assert half != company.dump()
    receipt = server.api.call("GET", f"/privacy-request/{item['id']}/receipt")
    assert "example.com" not in json.dumps(receipt)
    assert not list((server.data_dir / "spool").glob("*/*"))


def test_a_revoked_privilege_is_told_and_members_go_on_together(
    server: Server, tmp_path: Path, make_postgres: Callable[[], str]
) -> None:
    url = make_postgres()
    company = Company(tmp_path, url)
    company.declare(server)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''held''; END'")
        connection.execute("CREATE TRIGGER hold BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION hold()")
    server.api.call("PUT", "/execution", {"paused": True})
    two = {"email": "ada.two@example.com", "phone_number": "202-555-0102"}
    ids = server.api.submit("both", shopbook.SUBJECT, two)
    server.api.call("PUT", "/execution", {"paused": False})
    for each in ids:
        item = server.api.wait(each)
        assert (item["status"], item["reason"]) == ("error", "incomplete"), item
    with psycopg.connect(url) as connection:
        connection.execute("DROP TRIGGER hold ON customer")
    server.api.call("POST", f"/privacy-request/{ids[0]}/retry")
    for each in ids:
        item = server.api.wait(each)
        assert (item["status"], item["outcome"]) == ("complete", "erased"), item
    left = json.dumps(company.dump())
    assert "ada.one" not in left.lower()
    assert "ada.two" not in left
    assert "bda.one@example.com" in left
