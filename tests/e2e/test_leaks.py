"""Personal data has four homes. After all that can happen to a request, nothing of a person is anywhere else: not in
the log, our database, the engine's, receipts, answers about requests, nor in the spool.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

import shopbook
from companybook import Company
from serving import Server

TRACES = (
    *("ada.one", "ada one", "a. one", "2025550101", "202-555-0101", "555 0101", "555-0101", "leave at door"),
    *("for ada", "me again", "called ada", "wrote ada", "nobody.here", "swordfish", "2025550188"),
)
EXTERNAL = "external-canary-7"


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path, make_postgres: Callable[[], str]) -> Iterator[Server]:
    app = {"HABEAS_DATABASE_URL": make_postgres()} if request.param == "postgresql" else {}
    made = Server(tmp_path / "data", app | {"HABEAS_LOG_LEVEL": "DEBUG"})
    try:
        made.start()
        yield made
    finally:
        made.kill()


def test_nothing_of_a_person_is_left_anywhere_else(server: Server, tmp_path: Path) -> None:
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    company.declare(server)
    api = server.api
    told = [api.call("POST", "/privacy-request/plan", {"policy_key": "both", "identity": shopbook.SUBJECT})]
    body = [{"policy_key": "both", "identity": {"email": "nobody.here@example.org"}, "external_id": EXTERNAL}]
    answer = api.http.post("/api/v1/privacy-request", json=body, headers={"Idempotency-Key": "leaks"})
    ids = [answer.json()["succeeded"][0]["id"]]
    api.http.post("/api/v1/privacy-request", content='[{"identity": {"email": "swordfish@example.org"}')
    api.http.post("/api/v1/privacy-request", json=[body[0] | {"identity": {"email": "swordfish"}}])
    api.call("GET", "/privacy-request", identity="ada.one@example.com", external_id=EXTERNAL)
    with closing(sqlite3.connect(company.desk.removeprefix("sqlite:///"))) as desk:
        desk.execute("CREATE TRIGGER hold BEFORE UPDATE ON ticket BEGIN SELECT RAISE(ABORT, 'held ada.one'); END")
        stopped = api.run("both", shopbook.SUBJECT)
        assert stopped["reason"] == "incomplete"
        told.append(stopped)
        desk.execute("DROP TRIGGER hold")
        desk.commit()
    api.call("POST", f"/privacy-request/{stopped['id']}/retry")
    ids.append(stopped["id"])
    ids += api.submit("both", {"phone_number": "+1 202 555 0188"}, shopbook.SUBJECT)
    for each in ids:
        told.append(api.wait(each))
        told.append(api.call("GET", f"/privacy-request/{each}/log", size=100))
        if told[-2]["status"] == "complete":
            told += [api.call("GET", f"/privacy-request/{each}/{part}") for part in ("receipt", "plan")]
    assert told[-1]
    assert server.stop() == 0
    kept = {"answers": json.dumps(told), "log": server.log.read_text()} | files(server.data_dir)
    if app := server.settings.get("HABEAS_DATABASE_URL"):
        kept |= rows(app)
        assert len(kept) > 20
    assert any("ticket" in text for place, text in kept.items() if place not in ("answers", "log"))  # it can see
    for place, text in kept.items():
        assert not [trace for trace in TRACES if trace in text.lower()], place
    assert EXTERNAL not in kept["log"]
    assert not list((server.data_dir / "spool").glob("*/*"))


def files(data_dir: Path) -> dict[str, str]:
    """All files of the data directory as text, byte by byte; packages aside, which are one of the homes."""
    found = [path for path in data_dir.rglob("*") if path.is_file() and path.parent.name != "packages"]
    assert {"app.key"} <= {path.name for path in found}
    return {str(path.relative_to(data_dir)): path.read_bytes().decode("latin-1") for path in found}


def rows(url: str) -> dict[str, str]:
    """All tables of a PostgreSQL database as text, byte columns opened as they are."""
    found = {}
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in tables:
            with connection.cursor(binary=True) as cursor:
                every = cursor.execute(f"SELECT t.* FROM {table} AS t").fetchall()
            found[table] = "\n".join(
                value.decode("latin-1") if isinstance(value, bytes) else str(value) for row in every for value in row
            )
    return found
