"""kill -9 while rows are deleted, untied, held, let go and counted: the end is that of a run which nobody killed.

One company with each way in which rows go or stay, in each kind of database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import mariadb_connection
from habeas.durable.boundary import OF_DELETES
from serving import Server

TABLES = """
CREATE TABLE address (id integer PRIMARY KEY, street varchar(80));
CREATE TABLE customer (id integer PRIMARY KEY, email varchar(80), parent_id integer REFERENCES customer(id),
                       address_id integer REFERENCES address(id));
CREATE TABLE note (id integer PRIMARY KEY, customer_id integer REFERENCES customer(id));
CREATE TABLE account (id integer PRIMARY KEY, email varchar(80));
CREATE TABLE entry (id integer PRIMARY KEY, account_id integer REFERENCES account(id));
CREATE TABLE badge (id integer PRIMARY KEY, email varchar(80));
CREATE TABLE door (id integer PRIMARY KEY, badge_id integer REFERENCES badge(id));
CREATE TABLE visit (email varchar(80), page varchar(80));
CREATE TABLE trace (email varchar(80), page varchar(80));
INSERT INTO address VALUES (1, 'Elm Street'), (2, 'Oak Street'), (3, 'Ash Street');
INSERT INTO customer VALUES (1, 'ada@example.com', NULL, 1), (2, 'Ada@example.com', 1, 2),
  (3, 'ada@example.com', NULL, 3), (4, 'bob@example.com', NULL, 2), (5, 'ada@example.com', NULL, NULL);
INSERT INTO customer VALUES (6, 'ada@example.com', 5, NULL);
UPDATE customer SET parent_id = 6 WHERE id = 5;
INSERT INTO note VALUES (1, 3);
INSERT INTO account VALUES (1, 'ada@example.com'), (2, 'bob@example.com');
INSERT INTO entry VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO badge VALUES (1, 'ada@example.com'), (2, 'bob@example.com');
INSERT INTO door VALUES (1, 1), (2, 2);
INSERT INTO visit VALUES ('ada@example.com', 'one'), ('ada@example.com', 'one'), ('bob@example.com', 'two');
INSERT INTO trace VALUES ('ada@example.com', 'one'), ('ADA@example.com', 'one'), ('bob@example.com', 'two');
"""
TIED = """
CREATE TABLE husband (id integer PRIMARY KEY, email varchar(80), wife_id integer NOT NULL);
CREATE TABLE wife (id integer PRIMARY KEY, word varchar(80),
                   husband_id integer NOT NULL REFERENCES husband(id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO husband VALUES (1, 'ada@example.com', 1), (2, 'bob@example.com', 2);
INSERT INTO wife VALUES (1, 'hers', 1), (2, 'his', 2);
"""
EXPECTED: Mapping[str, list[tuple[Any, ...]]] = {
    "address": [(2, "Oak Street"), (3, None)],
    "customer": [(3, None, None, 3), (4, "bob@example.com", None, 2)],
    "note": [(1, 3)],
    "account": [(2, "bob@example.com")],
    "entry": [(3, 2)],
    "badge": [(2, "bob@example.com")],
    "door": [(1, None), (2, 2)],
    "visit": [("bob@example.com", "two")],
    "trace": [("bob@example.com", "two"), (None, None), (None, None)],
}
TIED_EXPECTED = {"husband": [(2, "bob@example.com", 2)], "wife": [(2, "his", 2)]}
CRASHES = [
    *(
        ("sqlite", at)
        for at in (
            "freeze.recorded:2",
            "mask.before",
            "mask.chunk",
            "mask.chunk:4",
            *OF_DELETES,
            "verify.chunk:3",
        )
    ),
    *(("postgres", at) for at in (*OF_DELETES, "mask.chunk:3", "ledger.chunk")),
    *(("mariadb", at) for at in ("untie.chunk", "mask.chunk:2", "mask.chunk:5", "end.before")),
]


class Company:
    """The tables in one database, and the dataset that describes them."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind, self.url = kind, url
        self.expected = dict(EXPECTED) | (TIED_EXPECTED if self.tied else {})
        for statement in filter(str.strip, (TABLES + (TIED if self.tied else "")).split(";")):
            self.run(statement)
        if kind == "postgres":
            self.run("ALTER TABLE husband ADD FOREIGN KEY (wife_id) REFERENCES wife(id) DEFERRABLE INITIALLY DEFERRED")

    @property
    def tied(self) -> bool:
        """Whether the database can defer constraints."""
        return self.kind != "mariadb"

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self.url)) as connection, connection:
                if "CREATE TABLE husband" in statement:
                    statement = statement.replace("wife_id integer NOT NULL", f"wife_id {WIFE}")
                return connection.execute(statement).fetchall()
        if self.kind == "mariadb":
            with mariadb_connection(self.url) as maria, maria.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        with psycopg.connect(self.url, autocommit=True) as session:
            cursor = session.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables."""
        return {table: sorted(self.run(f"SELECT * FROM {table}"), key=repr) for table in self.expected}

    def declare(self, server: Server) -> None:
        """Its connection, dataset and policy."""
        secrets = {"path": self.url} if self.kind == "sqlite" else {"url": self.url}
        server.api.connect("db", self.kind, secrets)
        server.api.describe("db", {"fides_key": "db", "collections": list(self._collections())})
        server.api.erasure_policy("wipe", ["user"])

    def _collections(self) -> Iterator[dict[str, Any]]:
        email = _field("email", "user.contact.email", identity="email")
        key = _field("id", primary_key=True)
        to_address = {"references": [{"dataset": "db", "field": "address.id", "direction": "to"}]}
        yield _collection("address", [key, _field("street", "user.contact.address")], "mask")
        yield _collection("customer", [key, email, _field("address_id", **to_address)], "mask")
        yield _collection("account", [key, email], "cascade")
        yield _collection("badge", [key, email], "null")
        yield _collection("visit", [email, _field("page", "user.content")], "mask")
        yield _collection("trace", [email, _field("page", "user.content")])
        if self.tied:
            to_husband = {"references": [{"dataset": "db", "field": "husband.id", "direction": "from"}]}
            yield _collection("husband", [key, email], "mask")
            yield _collection("wife", [key, _field("word", "user.content"), _field("husband_id", **to_husband)], "mask")


WIFE = "integer NOT NULL REFERENCES wife(id) DEFERRABLE INITIALLY DEFERRED"


def _field(name: str, category: str = "", **meta: Any) -> dict[str, Any]:
    return {"name": name, "fides_meta": meta} | ({"data_categories": [category]} if category else {})


def _collection(name: str, fields: list[dict[str, Any]], mode: str = "") -> dict[str, Any]:
    override = {"strategy": "delete", "configuration": {"on_referenced": mode}}
    return {"name": name, "fields": fields} | ({"fides_meta": {"masking_strategy_override": override}} if mode else {})


@pytest.fixture
def make_company(
    request: pytest.FixtureRequest, tmp_path: Path, make_postgres: Callable[[], str]
) -> Callable[[str], Company]:
    """Makes the company in a database of a kind."""

    def make(kind: str) -> Company:
        if kind == "sqlite":
            return Company(kind, str(tmp_path / "company.db"))
        return Company(kind, request.getfixturevalue("mariadb_url") if kind == "mariadb" else make_postgres())

    return make


@pytest.mark.parametrize(("kind", "boundary"), CRASHES, ids=lambda each: each)
def test_killed_while_deleting_it_ends_as_if_never_killed(
    make_company: Callable[[str], Company], tmp_path: Path, kind: str, boundary: str
) -> None:
    company = make_company(kind)
    server = Server(tmp_path / "data")
    try:
        server.start(crash_at=boundary)
        company.declare(server)
        (request_id,) = server.api.submit("wipe", {"email": "ada@example.com"})
        server.wait_for_crash()
        server.kill()
        server.start()
        item = server.api.wait(request_id)
        assert (item["status"], item["outcome"]) == ("complete", "erased_with_kept"), dict(item)
        assert item["kept"] == {"referenced": 2, "shared_row": 1}
        assert company.dump() == {table: sorted(rows, key=repr) for table, rows in company.expected.items()}
    finally:
        server.kill()
