"""What the tests of cohorts share: a town on each of the three engines, whose people ask all at once.

Two people may live at one address, and letters have a sender and a recipient: rows that several members own, and
members who are each other's third persons.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from conftest import mariadb_connection
from flowbook import Flow
from habeas.store import requests as store

KINDS = ("sqlite", "postgres", "mariadb")
SCHEMA = """
CREATE TABLE address (id integer PRIMARY KEY, street varchar(80));
CREATE TABLE person (id integer PRIMARY KEY, email varchar(80), address_id integer, sponsor_id integer,
                     FOREIGN KEY (address_id) REFERENCES address(id), FOREIGN KEY (sponsor_id) REFERENCES person(id));
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer, note varchar(80),
                     FOREIGN KEY (person_id) REFERENCES person(id));
CREATE TABLE letter (id integer PRIMARY KEY, sender_id integer, recipient_id integer, body varchar(80),
                     FOREIGN KEY (sender_id) REFERENCES person(id), FOREIGN KEY (recipient_id) REFERENCES person(id));
"""
TABLES = ("address", "person", "orders", "letter")


def field(name: str, category: str | None = None, **meta: Any) -> dict[str, Any]:
    """A field of a dataset document."""
    made: dict[str, Any] = {"name": name} | ({"data_categories": [category]} if category else {})
    return made | ({"fides_meta": meta} if meta else {})


def to(target: str, direction: str = "from", dataset: str = "town") -> list[dict[str, str]]:
    """References to a field."""
    return [{"dataset": dataset, "field": target, "direction": direction}]


def collection(name: str, *fields: dict[str, Any], **meta: Any) -> dict[str, Any]:
    """A collection of a dataset document."""
    return {"name": name, "fields": list(fields)} | ({"fides_meta": meta} if meta else {})


DATASET = {
    "fides_key": "town",
    "collections": [
        collection("address", field("id", primary_key=True), field("street", "user.contact.address.street")),
        collection(
            "person",
            field("id", primary_key=True),
            field("email", "user.contact.email", identity="email"),
            field("address_id", references=to("address.id", "to")),
        ),
        collection(
            "orders",
            field("id", primary_key=True),
            field("person_id", references=to("person.id")),
            field("note", "user.content"),
        ),
        collection(
            "letter",
            field("id", primary_key=True),
            field("sender_id", references=to("person.id")),
            field("recipient_id", references=to("person.id")),
            field("body", "user.content"),
        ),
    ],
}


class Town:
    """One store. Rows are put in by table; statements are plain enough for all three engines."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind, self.url = kind, url

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        if self.kind == "sqlite":
            connection: Any = sqlite3.connect(self.url.removeprefix("sqlite:///"))
        else:
            connection = psycopg.connect(self.url) if self.kind == "postgres" else mariadb_connection(self.url)
        try:
            yield connection.cursor()
            connection.commit()
        finally:
            connection.close()

    def run(self, *statements: str) -> None:
        """Each of them, committed together."""
        with self._cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def put(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of a table."""
        mark = "?" if self.kind == "sqlite" else "%s"
        with self._cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join([mark] * len(rows[0]))})", rows)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """All rows in order."""
        with self._cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
            return [tuple(row) for row in cursor.fetchall()]

    def people(self, count: int) -> None:
        """Persons 1 to `count` with an address and two orders each."""
        numbers = range(1, count + 1)
        self.put("address", [(each, f"Street {each}") for each in numbers])
        self.put("person", [(each, mail(each), each, None) for each in numbers])
        self.put("orders", [(10 * each + at, each, f"order {each}.{at}") for each in numbers for at in (1, 2)])


def mail(number: int) -> str:
    """Whose e-mail it is."""
    return f"person{number}@example.com"


def connect(flow: Flow, key: str, town: Town, dataset: dict[str, Any]) -> None:
    """Make the connection anew, with its dataset."""
    disconnect(flow, key)
    flow.api.connect(key, town.kind, {"url": town.url})
    flow.api.describe(key, dataset)


def disconnect(flow: Flow, *keys: str) -> None:
    """Delete connections with their datasets, where they are."""
    for key in keys:
        flow.api.http.request("DELETE", f"/api/v1/connection/{key}")


@contextmanager
def paused(flow: Flow) -> Iterator[None]:
    """What is submitted inside becomes one cohort."""
    flow.api.call("PUT", "/execution", {"paused": True})
    try:
        yield
    finally:
        flow.api.call("PUT", "/execution", {"paused": False})


def run_together(flow: Flow, policy: str, *people: int) -> list[dict[str, Any]]:
    """Submit one request a person; their ends in order, once it is made sure that they ran as one cohort."""
    with paused(flow):
        ids = [each for at in range(0, len(people), 50) for each in _submitted(flow, policy, people[at : at + 50])]
    ends = [flow.api.wait(each, 300) for each in ids]
    assert cohorts_of(flow, ids) == 1
    return ends


def _submitted(flow: Flow, policy: str, people: Sequence[int]) -> list[str]:
    return flow.api.submit(policy, *({"email": mail(each)} for each in people))


def cohorts_of(flow: Flow, ids: Sequence[str]) -> int:
    """In how many cohorts these requests ran."""
    found = set()
    with flow.installation.database.read() as connection:
        for at in range(0, len(ids), 500):
            rows = store.find_by_ids(connection, ids[at : at + 500])
            found |= {row["cohort_id"] for row in rows.values()}
    return len(found)
