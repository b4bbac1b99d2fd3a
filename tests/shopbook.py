"""A small company in two stores for end-to-end tests: a shop (PostgreSQL, MariaDB or SQLite) and a support desk
(SQLite).

`customer-1` is looked for by e-mail; one row of hers is found by phone in another format only, her tickets
through the shop. Neighbours differ in one character. Nothing of habeas is imported here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUBJECT = {"email": "Ada.One@Example.com", "phone_number": "+1 (202) 555-0101"}
TARGETS = ("user.name", "user.contact", "user.content")

SHOP = """
CREATE TABLE customer (id integer PRIMARY KEY, email varchar(80), phone varchar(40), name varchar(80) NOT NULL,
                       score integer);
CREATE TABLE purchase (id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customer(id),
                       ship_email varchar(80), note text);
CREATE TABLE purchase_line (purchase_id integer NOT NULL REFERENCES purchase(id), line integer NOT NULL,
                            engraving text, PRIMARY KEY (purchase_id, line));
CREATE TABLE message (id integer PRIMARY KEY, customer_id integer REFERENCES customer(id),
                      reply_to integer REFERENCES message(id), body text);
"""
SHOP_ROWS = {
    "customer": [
        (1, "ada.one@example.com", "202-555-0101", "Ada One", 7),
        (2, "ada.two@example.com", "202-555-0102", "Ada One", 8),
        (3, None, "(202) 555 0101", "A. One", None),
        (4, "bda.one@example.com", None, "Ada One", 0),
    ],
    "purchase": [
        (10, 1, "ada.one@example.com", "leave at door"),
        (11, 2, "ada.two@example.com", "ring"),
        (12, 3, None, "gift"),
    ],
    "purchase_line": [(10, 1, "for Ada"), (10, 2, None), (11, 1, "for A2"), (12, 1, "for A3")],
    "message": [(100, 1, None, "hello"), (101, 2, None, "other hello"), (102, 1, 100, "me again")],
}
DESK = """
CREATE TABLE ticket (id integer PRIMARY KEY, customer_id integer, requester text, subject text NOT NULL);
CREATE TABLE note (id integer PRIMARY KEY, ticket_id integer REFERENCES ticket(id), body text);
"""
DESK_ROWS = {
    "ticket": [
        (1, 1, "ada.one@example.com", "broken"),
        (2, 2, "ada.two@example.com", "late"),
        (3, 3, None, "lost"),
        (4, None, "ADA.ONE@example.com ", "by mail"),
    ],
    "note": [(1, 1, "called Ada"), (2, 2, "called A2"), (3, 3, "called A3"), (4, 4, "wrote Ada")],
}
TABLES = {"shop": ("customer", "purchase", "purchase_line", "message"), "desk": ("ticket", "note")}


def build_shop(url: str) -> None:
    """Fill an empty store; `url` is `postgresql://…`, `mariadb://…` or `sqlite:///…`."""
    _build(url, SHOP, SHOP_ROWS)


def build_desk(path: Path) -> None:
    """Make the support desk's SQLite file."""
    _build(f"sqlite:///{path}", DESK, DESK_ROWS)


def dump(url: str, tables: tuple[str, ...]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of these tables in order."""
    with _connect(url) as connection:
        return {
            table: sorted(map(tuple, connection.execute(f"SELECT * FROM {table}").fetchall()), key=repr)
            for table in tables
        }


def datasets() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The shop's and the desk's dataset documents."""
    shop = _dataset(
        "shop",
        customer=[
            _field("id", primary_key=True),
            _field("email", "user.contact.email", identity="email"),
            _field("phone", "user.contact.phone_number", identity="phone_number"),
            _field("name", "user.name"),
            _field("score"),
        ],
        purchase=[
            _field("id", primary_key=True),
            _field("customer_id", references=[_to("shop", "customer.id")]),
            _field("ship_email", "user.contact.email"),
            _field("note", "user.content"),
        ],
        purchase_line=[
            _field("purchase_id", primary_key=True, references=[_to("shop", "purchase.id")]),
            _field("line", primary_key=True),
            _field("engraving", "user.content"),
        ],
        message=[
            _field("id", primary_key=True),
            _field("customer_id", references=[_to("shop", "customer.id")]),
            _field("reply_to", references=[_to("shop", "message.id")]),
            _field("body", "user.content"),
        ],
    )
    desk = _dataset(
        "desk",
        ticket=[
            _field("id", primary_key=True),
            _field("customer_id", references=[_to("shop", "customer.id")]),
            _field("requester", "user.contact.email", identity="email"),
            _field("subject", "user.content"),
        ],
        note=[
            _field("id", primary_key=True),
            _field("ticket_id", references=[_to("desk", "ticket.id")]),
            _field("body", "user.content"),
        ],
    )
    desk["collections"][0]["fides_meta"] = {"person": False}
    return shop, desk


def _dataset(key: str, **collections: list[dict[str, Any]]) -> dict[str, Any]:
    return {"fides_key": key, "collections": [{"name": name, "fields": fields} for name, fields in collections.items()]}


def _field(name: str, category: str | None = None, **meta: Any) -> dict[str, Any]:
    field: dict[str, Any] = {"name": name}
    if category:
        field["data_categories"] = [category]
    return field | ({"fides_meta": meta} if meta else {})


def _to(dataset: str, field: str) -> dict[str, str]:
    return {"dataset": dataset, "field": field, "direction": "from"}


def _connect(url: str) -> Any:
    if url.startswith("postgresql"):
        import psycopg

        return psycopg.connect(url)
    if url.startswith("mariadb"):
        from conftest import mariadb_connection

        return _Executing(mariadb_connection(url))
    return _Closing(url.removeprefix("sqlite:///"))


class _Executing:
    """A connection of MariaDB's driver that executes and closes as psycopg's does."""

    def __init__(self, connection: Any) -> None:
        self.cursor = connection.cursor
        self._connection = connection

    def execute(self, statement: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(statement)
        return cursor

    def __enter__(self) -> _Executing:
        return self

    def __exit__(self, *problem: Any) -> None:
        self._connection.close()


class _Closing(sqlite3.Connection):
    """A connection whose `with` also closes it, as psycopg's does."""

    def __exit__(self, *problem: Any) -> Any:
        try:
            return super().__exit__(*problem)
        finally:
            self.close()


def _build(url: str, schema: str, rows: Mapping[str, list[tuple[Any, ...]]]) -> None:
    with _connect(url) as connection:
        for statement in filter(str.strip, schema.split(";")):
            connection.execute(statement)
        mark = "?" if url.startswith("sqlite") else "%s"
        for table, values in rows.items():
            marks = ", ".join([mark] * len(values[0]))
            connection.cursor().executemany(f"INSERT INTO {table} VALUES ({marks})", values)
