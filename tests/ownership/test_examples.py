"""Every example of docs/identities.md: what an access gives and what an erasure changes, on each kind of store."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from conftest import mariadb_connection
from flowbook import Flow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "identities.md"
Rows = dict[str, list[list[Any]]]


@dataclass
class Example:
    """A section of the page: tables with rows, a dataset, and requests with what comes of them."""

    title: str
    ddl: str
    dataset: dict[str, Any]
    requests: list[dict[str, Any]] = field(default_factory=list)


def read_examples() -> Iterator[Example]:
    for section in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        (ddl,) = re.findall(r"^```sql\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        dataset, *rest = map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
        requests = [request for each in rest for request in each["requests"]]
        assert requests, section[:40]
        yield Example(section.partition("\n")[0], ddl, dataset, requests)


EXAMPLES = list(read_examples())


class Store:
    """An example's database. `statements` end in `;`."""

    def __init__(self, kind: str, url: str, tables: list[str]) -> None:
        self.kind = kind
        self.url = url
        self.tables = tables

    def _connect(self) -> Any:
        if self.kind == "postgres":
            return closing(psycopg.connect(self.url, autocommit=True))
        if self.kind == "mariadb":
            return closing(mariadb_connection(self.url))
        return closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None))

    def make(self, ddl: str) -> None:
        """The tables anew, with their rows."""
        with self._connect() as connection:
            cursor = connection.cursor()
            for table in reversed(self.tables):
                cursor.execute(f"DROP TABLE IF EXISTS {table}{' CASCADE' if self.kind == 'postgres' else ''}")
            for statement in _statements(ddl):
                cursor.execute(statement)

    def fill(self, ddl: str) -> None:
        """The rows anew: a server of MariaDB makes tables slowly."""
        with self._connect() as connection:
            cursor = connection.cursor()
            for table in reversed(self.tables):
                cursor.execute(f"DELETE FROM {table}")
            for statement in _statements(ddl):
                if not statement.lstrip().startswith("CREATE"):
                    cursor.execute(statement)

    def rows(self) -> Rows:
        with self._connect() as connection:
            found: Rows = {}
            cursor = connection.cursor()
            for table in self.tables:
                cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
                found[table] = [list(row) for row in cursor.fetchall()]
            return found


def _statements(ddl: str) -> list[str]:
    return list(filter(str.strip, ddl.split(";\n")))


SERVERS = {"postgres": "postgres_url_of_session", "mariadb": "mariadb_url"}


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest) -> tuple[str, str]:
    if request.param == "sqlite":
        return "sqlite", f"sqlite:///{request.getfixturevalue('sqlite_path')}"
    return request.param, request.getfixturevalue(SERVERS[request.param])


@contextmanager
def described(flow: Flow, example: Example, store: Store) -> Iterator[None]:
    key = example.dataset["fides_key"]
    flow.api.connect(key, store.kind, {"url": store.url})
    try:
        flow.api.describe(key, example.dataset)
        yield
    finally:
        flow.api.call("DELETE", f"/connection/{key}")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_an_example_is_as_the_page_says(flow: Flow, example: Example, url: tuple[str, str]) -> None:
    store = Store(*url, re.findall(r"CREATE TABLE (\w+)", example.ddl))
    store.make(example.ddl)
    with described(flow, example, store):
        for request in example.requests:
            store.fill(example.ddl)
            assert outcome_of(flow, example, store, request) == expected_of(request)


def outcome_of(flow: Flow, example: Example, store: Store, request: dict[str, Any]) -> dict[str, Any]:
    """What an access and then an erasure really do."""
    before = store.rows()
    read = flow.api.run("download_user", request["asks"])
    assert read["status"] == "complete", read["reason_detail"]
    assert store.rows() == before
    package = flow.package(read["id"])
    erased = flow.api.run("delete_user", request["asks"])
    assert erased["status"] == "complete", erased["reason_detail"]
    after = store.rows()
    assert {table: len(rows) for table, rows in after.items()} == {table: len(rows) for table, rows in before.items()}
    return {
        "receives": {address.partition(":")[2]: rows for address, rows in package.items()},
        "leaves": {
            table: [row for row, old in zip(after[table], before[table], strict=True) if row != old]
            for table in after
            if after[table] != before[table]
        },
        "ends": erased["outcome"],
        "kept": erased["kept"],
    }


def expected_of(request: dict[str, Any]) -> dict[str, Any]:
    return {name: request[name] for name in ("receives", "leaves", "ends")} | {"kept": request.get("kept")}


def test_the_page_has_the_examples_that_people_ask_for() -> None:
    titles = " ".join(example.title.lower() for example in EXAMPLES)
    wanted = (
        "shared address",
        "household",
        "sales rep",
        "guest order",
        "second e-mail",
        "merged",
        "phone",
        "look-alikes",
    )
    assert [each for each in wanted if each not in titles] == []
