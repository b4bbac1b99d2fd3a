"""Keys beyond every bound: they go to key tables and to frames on disk, and cross stores, at the same result.

The bounds are set to almost nothing, so that a few people spill what a hundred thousand would.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cohortbook import Town, collection, connect, disconnect, field, mail, run_together, to
from conftest import mariadb_connection
from flowbook import Flow
from habeas.connectors.sql import mariadb_session, postgres_session, reader, seeds, sqlite_session
from habeas.spool.directory import Directory
from habeas.spool.frames import Spool

PEOPLE = 9
TINY = 2

ROOT = """
CREATE TABLE person (id integer PRIMARY KEY, email varchar(80), code varchar(40) UNIQUE);
"""
MIDDLE = """
CREATE TABLE account (id integer PRIMARY KEY, code varchar(40), plan varchar(80));
"""
LEAF = """
CREATE TABLE dossier (id integer PRIMARY KEY, title varchar(80));
CREATE TABLE ticket (id integer PRIMARY KEY, account_id integer, dossier_id integer, body varchar(80),
                     FOREIGN KEY (dossier_id) REFERENCES dossier(id));
"""


def described(key: str, *collections: dict[str, Any]) -> dict[str, Any]:
    return {"fides_key": key, "collections": list(collections)}


ROOT_DATASET = described(
    "root",
    collection(
        "person",
        field("id", primary_key=True),
        field("email", "user.contact.email", identity="email"),
        field("code"),
    ),
)
MIDDLE_DATASET = described(
    "middle",
    collection(
        "account",
        field("id", primary_key=True),
        field("code", references=to("person.code", dataset="root")),
        field("plan", "user.content"),
    ),
)
LEAF_DATASET = described(
    "leaf",
    collection("dossier", field("id", primary_key=True), field("title", "user.content")),
    collection(
        "ticket",
        field("id", primary_key=True),
        field("account_id", references=to("account.id", dataset="middle")),
        field("dossier_id", references=to("dossier.id", "to", "leaf")),
        field("body", "user.content"),
    ),
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every bound at almost nothing; the names of frames that went to disk."""
    for module, name in (
        (reader, "CHUNK_ROWS"),
        (reader, "LANDING_ROWS"),
        (reader, "ANALYZED_FROM"),
        (seeds, "VALUES_AT_ONCE"),
        (sqlite_session, "BATCH"),
        (postgres_session, "BATCH"),
        (mariadb_session, "BATCH"),
    ):
        monkeypatch.setattr(module, name, TINY)
    monkeypatch.setitem(Spool.__init__.__kwdefaults__, "memory", 64)
    on_disk: list[str] = []
    put = Directory.put

    def noted(self: Directory, cohort_id: str, frame: Any, sealed: bytes, *, durable: bool) -> None:
        on_disk.append(frame.name)
        put(self, cohort_id, frame, sealed, durable=durable)

    monkeypatch.setattr(Directory, "put", noted)
    return on_disk


def test_keys_that_spill_within_a_store(flow: Flow, town: Town, tiny: list[str]) -> None:
    town.people(PEOPLE + 1)
    town.run("UPDATE person SET address_id = 1 WHERE id IN (1, 2)", "UPDATE person SET address_id = 9 WHERE id = 10")
    town.put("letter", [(each, each, each % PEOPLE + 1, f"letter {each}") for each in range(1, PEOPLE + 1)])
    ends = run_together(flow, "both", *range(1, PEOPLE + 1))
    assert {end["status"] for end in ends} == {"complete"}
    assert [end["outcome"] for end in ends] == ["erased"] * 8 + ["erased_with_kept"]
    for number, end in enumerate(ends, 1):
        package = flow.package(end["id"])
        assert package["town:person"] == [{"email": mail(number)}]
        assert package["town:orders"] == [{"note": f"order {number}.{at}"} for at in (1, 2)]
        before = (number - 2) % PEOPLE + 1
        assert sorted(row["body"] for row in package["town:letter"]) == sorted([f"letter {number}", f"letter {before}"])
    assert [row[1] for row in town.rows("person")] == ["X"] * PEOPLE + [mail(10)]
    assert {row[3] for row in town.rows("letter")} == {"X"}
    assert [row[2] for row in town.rows("orders")] == ["X"] * 2 * PEOPLE + ["order 10.1", "order 10.2"]
    kept = {"Street 2": 1, "Street 9": 1, "Street 10": 1}
    assert [row[1] for row in town.rows("address")] == ["X", "Street 2", *["X"] * 6, "Street 9", "Street 10"], kept
    frozen = [name for name in tiny if name.startswith("frozen-")]
    assert len(frozen) > 2 * PEOPLE  # chunks of two rows
    assert any(name.startswith("rows-") for name in tiny)


@pytest.fixture
def chain(flow: Flow, tmp_path: Path, postgres_url: str, mariadb_server: str) -> Iterator[tuple[Town, Town, Town]]:
    """People in SQLite, their accounts in PostgreSQL, their tickets in MariaDB: subjects' keys cross twice."""
    name = "habeas_test_chain_" + tmp_path.name[-20:].replace("-", "_")
    with mariadb_connection(mariadb_server) as admin:
        admin.query(f"CREATE OR REPLACE DATABASE {name}")
    stores = (
        Town("sqlite", f"sqlite:///{tmp_path / 'root.db'}"),
        Town("postgres", postgres_url),
        Town("mariadb", f"{mariadb_server}/{name}"),
    )
    disconnect(flow, "town", "leaf", "middle", "root")
    for store, key, schema, dataset in zip(
        stores,
        ("root", "middle", "leaf"),
        (ROOT, MIDDLE, LEAF),
        (ROOT_DATASET, MIDDLE_DATASET, LEAF_DATASET),
        strict=True,
    ):
        store.run(*filter(str.strip, schema.split(";")))
        connect(flow, key, store, dataset)
    yield stores
    disconnect(flow, "leaf", "middle", "root")
    with mariadb_connection(mariadb_server) as admin:
        admin.query(f"DROP DATABASE IF EXISTS {name}")


def test_keys_that_spill_over_stores_in_between(flow: Flow, chain: tuple[Town, Town, Town], tiny: list[str]) -> None:
    root, middle, leaf = chain
    numbers = range(1, PEOPLE + 2)
    root.put("person", [(each, mail(each), f"code {each}") for each in numbers])
    middle.put("account", [(10 * each + at, f"code {each}", f"plan {each}.{at}") for each in numbers for at in (1, 2)])
    # dossier 1 is of two members; dossier 2 of a member and of somebody else; dossier 3 of nobody who asks
    leaf.put("dossier", [(1, "of two members"), (2, "of a member and another"), (3, "of another")])
    dossiers = {11: 1, 21: 1, 31: 2, 101: 2, 102: 3}
    accounts = [10 * each + at for each in numbers for at in (1, 2)]
    leaf.put("ticket", [(each, each, dossiers.get(each), f"ticket {each}") for each in accounts])
    ends = run_together(flow, "both", *range(1, PEOPLE + 1))
    assert [each["reason_detail"] for each in ends if each["reason"]] == []
    assert [(end["status"], end["outcome"], end["kept"]) for end in ends] == [
        ("complete", "erased_with_kept" if each == 3 else "erased", {"shared_row": 1} if each == 3 else None)
        for each in range(1, PEOPLE + 1)
    ]
    for number, end in enumerate(ends, 1):
        package = flow.package(end["id"])
        assert package["root:person"] == [{"email": mail(number)}]
        assert package["middle:account"] == [{"plan": f"plan {number}.{at}"} for at in (1, 2)]
        assert package["leaf:ticket"] == [{"body": f"ticket {10 * number + at}"} for at in (1, 2)]
        assert ("leaf:dossier" in package) == (number in (1, 2, 3))
    assert [row[1] for row in root.rows("person")] == ["X"] * PEOPLE + [mail(10)]
    assert [row[2] for row in middle.rows("account")] == ["X"] * 2 * PEOPLE + ["plan 10.1", "plan 10.2"]
    assert [row[3] for row in leaf.rows("ticket")] == ["X"] * 2 * PEOPLE + ["ticket 101", "ticket 102"]
    assert [row[1] for row in leaf.rows("dossier")] == ["X", "of a member and another", "of another"]
    assert sum(name.startswith("landings-") for name in tiny) > 2 * PEOPLE / TINY  # keys on their way, on disk
