"""Personal data has four homes. After all that can happen to a request, nothing of a person is anywhere else: not in
the log, our database, the engine's, receipts, answers about requests, temporary files, nor in the spool; not as it is,
nor in another writing, nor as a hash without a key that anybody could look for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

import shopbook
from companybook import Company
from evidencebook import restore, run_to_end
from serving import Api, Server

TRACES = (
    *("ada.one", "ada one", "a. one", "2025550101", "202-555-0101", "555 0101", "555-0101", "leave at door"),
    *("for ada", "me again", "called ada", "wrote ada", "nobody.here", "swordfish", "2025550188"),
)
EXTERNAL = "external-canary-7"


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path, make_postgres: Callable[[], str]) -> Iterator[Server]:
    app = {"HABEAS_DATABASE_URL": make_postgres()} if request.param == "postgresql" else {}
    (tmp_path / "tmp").mkdir()
    made = Server(tmp_path / "data", app | {"HABEAS_LOG_LEVEL": "DEBUG", "TMPDIR": str(tmp_path / "tmp")})
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
    told += later(api, ids, company)
    assert server.stop() == 0
    assert not list((tmp_path / "tmp").rglob("*"))
    kept = {"answers": json.dumps(told), "log": server.log.read_text()} | files(server.data_dir)
    if app := server.settings.get("HABEAS_DATABASE_URL"):
        kept |= rows(app)
        assert len(kept) > 20
    assert any("ticket" in text for place, text in kept.items() if place not in ("answers", "log"))  # it can see
    forms = written(TRACES)
    for place, text in kept.items():
        assert not [trace for trace in TRACES if trace in text.lower()], place
        assert not [name for name, form in forms.items() if form in text], place
    assert EXTERNAL not in kept["log"]
    assert not list((server.data_dir / "spool").glob("*/*"))


def later(api: Api, ids: list[str], company: Company) -> list[Any]:
    """What can be asked when all is done, a backup that is restored, and every list there is."""
    since = api.show(ids[-1])["created_at"]
    restore(company)
    told = [api.call("POST", f"/privacy-request/{each}/verify-erasure") for each in ids]
    assert any(each["reappeared"] for each in told)
    told.append(run_to_end(api, "erasure-verification"))
    told.append(run_to_end(api, "replay", {"since": since}))
    told.append(api.call("GET", f"/replay/{told[-1]['id']}/receipt"))
    assert told[-2]["status"] == "complete", told[-2]
    told += [
        api.call("GET", path, size=100)
        for path in ("/audit-trail", "/receipt/chain", "/privacy-request", "/replay", "/erasure-verification")
    ]
    told += [api.http.get(path).text for path in ("/metrics", "/api/v1/events?follow=false")]
    assert "habeas_requests" in told[-2]
    assert "privacy_request.reappeared" in told[-1]
    listed = api.call("GET", "/privacy-request", verbose=True, size=100)
    told.append([item["results"] for item in listed["items"]])
    for request in told:  # the caller's own id is the caller's to see
        strike_out(request)
    return told


def strike_out(value: Any) -> None:
    if isinstance(value, dict):
        value.pop("external_id", None)
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        strike_out(each)


def written(traces: Sequence[str]) -> dict[str, str]:
    """Other writings of the values by which a person is found, as text of the bytes they would stand in."""
    forms = {}
    values = {"ada.one@example.com", "Ada.One@Example.com", "+12025550101", "+1 (202) 555-0101", "leave at door"} | {
        "nobody.here@example.org",
        "swordfish@example.org",
    }
    for value in values:
        raw = value.encode()
        for shift in range(3):  # base64 of a longer text shows one of three alignments
            whole = base64.b64encode(b"x" * shift + raw).decode()
            forms[f"base64/{shift} of {value}"] = whole[4 if shift else 0 : -4]
        forms[f"hex of {value}"] = raw.hex()
        forms[f"HEX of {value}"] = raw.hex().upper()
        forms[f"URL of {value}"] = quote(value, safe="")
        forms[f"JSON of {value}"] = json.dumps(value)
        forms[f"UTF-16 of {value}"] = value.encode("utf-16-le").decode("latin-1")
        forms[f"backwards {value}"] = value[::-1]
        for kind in ("md5", "sha1", "sha256", "sha512"):
            for salted in (raw, raw.lower(), b"email" + raw):
                digest = hashlib.new(kind, salted).digest()
                forms[f"{kind} of {salted!r}"] = digest.hex()
                forms[f"raw {kind} of {salted!r}"] = digest.decode("latin-1")
                forms[f"base64 {kind} of {salted!r}"] = base64.b64encode(digest).decode()
    assert traces
    return forms


def test_the_search_sees_what_it_looks_for() -> None:
    """The search itself is tried: each writing of a value is found in a file that holds it."""
    forms = written(TRACES)
    text = "https://x.example/?q=ada.one%40example.com and " + base64.b64encode(b"k: ada.one@example.com.").decode()
    seen = {name.partition(" of ")[0] for name, form in forms.items() if form in text}
    assert "URL" in seen
    assert any(name.startswith("base64") for name in seen)


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
