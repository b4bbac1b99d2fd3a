"""A backup of a target is restored: what was erased since is erased again, from the ledger, without any identity, and
nobody else's row is touched; before that, a later verification tells of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import shopbook
from companybook import Company, erased, masker
from evidencebook import execute, restore, run_to_end
from flowbook import flowing
from habeas.requests import erased as erased_rows
from habeas.requests import recovery
from serving import Server

BACK = {"shop:customer": 2, "shop:purchase": 2, "shop:purchase_line": 2, "shop:message": 2} | {
    "desk:ticket": 3,
    "desk:note": 3,
}


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    if request.param == "mariadb":
        return str(request.getfixturevalue("mariadb_url"))
    return str(request.getfixturevalue("make_postgres")())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data")
    yield made
    made.kill()


def sorted_rows(tables: dict[str, Any]) -> dict[str, Any]:
    return {table: sorted(rows, key=repr) for table, rows in tables.items()}


def test_what_a_restored_backup_brought_back_is_erased_again(server: Server, shop: str, tmp_path: Path) -> None:
    company = Company(tmp_path, shop)
    server.start()
    company.declare(server)
    api = server.api
    taken = datetime.now(UTC).isoformat()
    item = api.run("both", shopbook.SUBJECT)
    assert item["outcome"] == "erased"
    assert (item["reappeared"], item["reverified_at"]) == (None, None)
    told = api.call("POST", f"/privacy-request/{item['id']}/verify-erasure")
    assert (told["verified"], told["reappeared"]) == (True, 0)
    assert told["rows"] == sum(BACK.values()) + 1  # of one line, nothing was there to erase
    assert api.show(item["id"])["reappeared"] == 0

    restore(company)
    # Strangers got keys that were erased; one is byte for byte another person's row.
    execute(shop, "UPDATE customer SET email = 'zoe@example.org', phone = NULL, name = 'Zoe' WHERE id = 3")
    execute(company.desk, "UPDATE ticket SET requester = 'zoe@example.org', subject = 'mine' WHERE id = 4")
    told = api.call("POST", f"/privacy-request/{item['id']}/verify-erasure")
    expected_back = BACK | {"shop:customer": 1, "desk:ticket": 2}
    assert {address: each["reappeared"] for address, each in told["collections"].items()} == expected_back
    assert api.show(item["id"])["reappeared"] == sum(expected_back.values())
    run = run_to_end(server, "erasure-verification")
    assert (run["status"], run["reappeared"]) == ("complete", 1)

    run = run_to_end(server, "replay", {"since": taken})
    assert (run["status"], run["problems"]) == ("complete", None)
    assert {address: each["found"] for address, each in run["counts"].items()} == expected_back
    assert {address: each["erased"] for address, each in run["counts"].items()} == expected_back
    left = erased(masker(server, "", item["id"]))
    customers = [row for row in left["customer"] if row[0] != 3]
    left["customer"] = [*customers, (3, "zoe@example.org", None, "Zoe", None)]
    tickets = [row for row in left["ticket"] if row[0] != 4]
    left["ticket"] = [*tickets, (4, None, "zoe@example.org", "mine")]
    assert company.dump() == sorted_rows(left)
    told = api.call("POST", f"/privacy-request/{item['id']}/verify-erasure")
    assert (told["verified"], api.show(item["id"])["reappeared"]) == (True, 0)

    receipt = api.call("GET", f"/replay/{run['id']}/receipt")
    assert receipt["receipt"]["collections"] == run["counts"]
    again = run_to_end(server, "replay", {"since": taken})
    assert sum(each["found"] for each in again["counts"].values()) == 0
    assert company.dump() == sorted_rows(left)


def test_it_is_looked_for_in_one_system_and_from_a_time_on(server: Server, tmp_path: Path) -> None:
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    server.start()
    company.declare(server)
    api = server.api
    item = api.run("both", shopbook.SUBJECT)
    restore(company)
    later = run_to_end(server, "replay", {"since": datetime.now(UTC).isoformat()})
    assert (later["status"], later["counts"]) == ("complete", {})
    run = run_to_end(server, "replay", {"since": item["created_at"], "connection_key": "desk"})
    assert {address: each["erased"] for address, each in run["counts"].items()} == {"desk:ticket": 3, "desk:note": 3}
    assert shopbook.dump(company.shop, ("customer",))["customer"][0][1] == "ada.one@example.com"
    # What was erased again counts as erased now: a backup from before that is covered too.
    assert run_to_end(server, "replay", {"since": later["created_at"]})["counts"]
    for wrong, status in (
        ({"since": "2999-01-01T00:00:00Z"}, 422),
        ({"since": taken_now(), "connection_key": "x"}, 404),
    ):
        assert api.http.post("/api/v1/replay", json=wrong).status_code == status


def taken_now() -> str:
    return datetime.now(UTC).isoformat()


def test_a_system_out_of_reach_is_named_and_the_replay_runs_again(server: Server, tmp_path: Path) -> None:
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    server.start()
    company.declare(server)
    item = server.api.run("both", shopbook.SUBJECT)
    restore(company)
    hidden = tmp_path / "hidden.db"
    Path(company.desk.removeprefix("sqlite:///")).rename(hidden)
    run = run_to_end(server, "replay", {"since": item["created_at"]})
    assert run["status"] == "error"
    assert [each["address"] for each in run["problems"]] == ["desk:ticket"]
    assert shopbook.dump(company.shop, ("customer",))["customer"][0][1] != "ada.one@example.com"  # the rest is done
    assert server.api.call("GET", f"/replay/{run['id']}/receipt")["receipt"]["status"] == "error"
    hidden.rename(company.desk.removeprefix("sqlite:///"))
    assert run_to_end(server, "replay", {"since": item["created_at"]})["status"] == "complete"
    assert company.dump() == sorted_rows(erased(masker(server, "", item["id"])))


def test_the_command_line_verifies_and_replays(server: Server, tmp_path: Path) -> None:
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    server.start()
    company.declare(server)
    item = server.api.run("both", shopbook.SUBJECT)
    assert server.stop() == 0  # it works without a server too
    assert server.run("verify", item["id"]).wait(60) == 0
    assert server.run("verify", "--all").wait(60) == 0
    restore(company)
    assert server.run("verify", item["id"]).wait(60) == 1
    assert server.run("verify", "--all").wait(60) == 1
    assert server.run("replay", "--since", item["created_at"][:19], "--wait").wait(60) == 0
    assert server.run("verify", item["id"]).wait(60) == 0
    assert company.dump() == sorted_rows(erased(masker(server, "", item["id"])))


def make_keyed(url: str) -> None:
    """Natural keys, of which the ledger holds HMACs, a table that is deleted from, and one that points to it."""
    execute(
        url,
        "CREATE TABLE person (handle varchar(40) PRIMARY KEY, email varchar(80) NOT NULL, bio varchar(200))",
        "CREATE TABLE post (id integer PRIMARY KEY, handle varchar(40), body varchar(200))",
        *(
            f"INSERT INTO person VALUES ('h{number}', 'p{number}@example.com', {bio})"
            for number, bio in enumerate(("'likes tea'", "NULL", "'likes rye'"))
        ),
        *(f"INSERT INTO post VALUES ({number}, 'h{number % 3}', 'post {number}')" for number in range(9)),
    )


KEYED = {
    "fides_key": "keyed",
    "collections": [
        {
            "name": "person",
            "fields": [
                {"name": "handle", "fides_meta": {"primary_key": True}},
                {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}},
                {"name": "bio", "data_categories": ["user.content"]},
            ],
        },
        {
            "name": "post",
            "fides_meta": {"masking_strategy_override": {"strategy": "delete"}},
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": True}},
                {
                    "name": "handle",
                    "fides_meta": {"references": [{"dataset": "keyed", "field": "person.handle", "direction": "from"}]},
                },
                {"name": "body", "data_categories": ["user.content"]},
            ],
        },
    ],
}


STRATEGIES = {
    "null_rewrite": {},
    "random_string_rewrite": {"length": 12},
    "string_rewrite": {"rewrite_value": "x"},
}


@pytest.mark.parametrize(
    ("shop", "strategy"),
    [("sqlite", "null_rewrite"), ("postgresql", "random_string_rewrite"), ("mariadb", "string_rewrite")],
    indirect=["shop"],
)
def test_natural_keys_and_deleted_rows_are_found_again(server: Server, shop: str, strategy: str) -> None:
    make_keyed(shop)
    server.start()
    api = server.api
    api.connect("keyed", shop.partition(":")[0].replace("postgresql", "postgres"), {"url": shop})
    api.describe("keyed", KEYED)
    api.erasure_policy(
        "wipe",
        ("user.contact", "user.content"),
        {"strategy": strategy, "configuration": STRATEGIES[strategy]},
    )
    ids = [api.run("wipe", {"email": f"p{number}@example.com"})["id"] for number in (0, 1)]
    gone = shopbook.dump(shop, ("person", "post"))
    assert len(gone["post"]) == 3
    verified = [api.call("POST", f"/privacy-request/{each}/verify-erasure") for each in ids]
    assert [(each["verified"], each["rows"]) for each in verified] == [(True, 4), (True, 4)]
    execute(shop, "DROP TABLE post", "DROP TABLE person")
    make_keyed(shop)
    execute(shop, "UPDATE post SET body = 'somebody else''s' WHERE id = 3")
    run = run_to_end(server, "erasure-verification")
    assert run["reappeared"] == 2
    counts = {address: each["found"] for address, each in run["counts"].items()}
    assert counts == {"keyed:person": 2, "keyed:post": 5}
    run = run_to_end(server, "replay", {"since": api.show(ids[0])["created_at"]})
    assert (run["status"], run["problems"]) == ("complete", None)
    assert {address: each["erased"] for address, each in run["counts"].items()} == counts
    left = shopbook.dump(shop, ("person", "post"))
    assert left["person"] == gone["person"]
    assert left["post"] == sorted([*gone["post"], (3, "h0", "somebody else's")], key=repr)


DOCUMENTS = {
    "fides_key": "keyed",
    "collections": [
        {
            "name": "profile",
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": True}},
                {
                    "name": "mails",
                    "data_categories": ["user.contact.email"],
                    "fides_meta": {"data_type": "string[]", "identity": "email"},
                },
            ],
        }
    ],
}


def test_documents_of_which_elements_were_erased_need_the_person_again(server: Server, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keyed.db'}"
    row = """INSERT OR REPLACE INTO profile VALUES (1, '["p0@example.com", "p1@example.com"]')"""
    execute(url, "CREATE TABLE profile (id integer PRIMARY KEY, mails JSON)", row)
    server.start()
    server.api.connect("keyed", "sqlite", {"url": url})
    server.api.describe("keyed", DOCUMENTS)
    server.api.erasure_policy("wipe", ("user.contact",), {"strategy": "null_rewrite", "configuration": {}})
    item = server.api.run("wipe", {"email": "p0@example.com"})
    assert shopbook.dump(url, ("profile",)) == {"profile": [(1, '[null,"p1@example.com"]')]}
    execute(url, row)
    run = run_to_end(server, "replay", {"since": item["created_at"]})
    (problem,) = run["problems"]
    assert (run["status"], problem["code"], problem["address"]) == ("error", "elements", "keyed:profile")
    assert shopbook.dump(url, ("profile",)) == {"profile": [(1, '["p0@example.com", "p1@example.com"]')]}


def test_the_ledger_and_answers_name_nobody(server: Server, tmp_path: Path) -> None:
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    server.start()
    company.declare(server)
    item = server.api.run("both", shopbook.SUBJECT)
    restore(company)
    told = [
        server.api.call("POST", f"/privacy-request/{item['id']}/verify-erasure"),
        run_to_end(server, "erasure-verification"),
        run_to_end(server, "replay", {"since": item["created_at"]}),
        server.log.read_text(),
    ]
    for trace in ("ada", "555-01", "leave at"):
        assert trace not in json.dumps(told).lower()


def test_a_schedule_verifies_and_raises_one_alarm(
    tmp_path: Path, make_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the worker's own turn; the same statements on both of our databases."""
    monkeypatch.setattr(recovery, "_HOUSEKEEPING_SECONDS", 0.2)
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    with flowing(tmp_path / "data", database_url=make_postgres(), erasure_verification_hours=1) as flow:
        company.declare(flow)  # type: ignore[arg-type] # only its api is asked
        item = flow.api.run("both", shopbook.SUBJECT)
        assert not erased_rows.start_if_due(flow.installation)
        restore(company)
        with flow.installation.database.begin() as connection:
            connection.exec_driver_sql("UPDATE setting SET updated_at = updated_at - interval '2 hours'")
        deadline = time.monotonic() + 60
        while not flow.api.show(item["id"])["reappeared"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        runs = flow.api.call("GET", "/erasure-verification")["items"]
        assert len(runs) == 1
        flow.api.call("POST", f"/privacy-request/{item['id']}/verify-erasure")  # the same rows: no second alarm
        with flow.installation.database.read() as connection:
            alarms = connection.exec_driver_sql(
                "SELECT type, privacy_request_id FROM event WHERE type = 'privacy_request.reappeared'"
            ).all()
            entries = connection.exec_driver_sql(
                "SELECT actor, subject FROM audit_trail WHERE action = 'privacy_request.reappeared'"
            ).all()
    assert alarms == [("privacy_request.reappeared", item["id"])]
    assert entries == [("system", item["id"])]
