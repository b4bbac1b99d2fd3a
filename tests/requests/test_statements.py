"""How many statements a lone request costs on our own tables, from its taking in to its end: counted, so that it
can't grow unseen. Advisory locks touch no table and aren't counted, nor are the engine's own statements.
"""

from __future__ import annotations

import gc
import re
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from habeas.connectors.sql import reader, seeds, sqlite_session
from habeas.connectors.sql.sqlite_session import SqliteSession
from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.execute import members, own_values
from habeas.requests import attempt, dispatch, packaging, receipting
from habeas.requests.connections import ConnectionInput, save_connections, set_secrets
from habeas.requests.datasets import save_text
from habeas.requests.dispatch import COHORT_WORKFLOW, Dispatcher
from habeas.requests.flow import cohort_workflow
from habeas.requests.installation import Installation
from habeas.requests.service import read_request, submit
from habeas.spool.frames import Spool
from requestbook import CLIENT, item, statements_of, wait_until

BASE, PER_COLLECTION = 12, 2  # design.md §10
SLOWEST = 60.0  # seconds between two steps of a cohort
MOST_A_MEMBER = 10_000  # bytes held at once for a member of a cohort of some hundreds
HELD_A_MEMBER = 1_000  # the same where next to nothing is held together: what grows with members

SHOP = """
dataset:
  - fides_key: {key}
    collections:
      - name: customers
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - {{name: email, data_categories: [user.contact.email], fides_meta: {{identity: email}}}}
          - {{name: name, data_categories: [user.name]}}
"""
ORDERS = """
      - name: orders{number}
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - name: customer_id
            fides_meta: {{references: [{{dataset: {key}, field: customers.id, direction: from}}]}}
          - {{name: note, data_categories: [user.content]}}
"""


class Worker:
    """Dispatcher, engine and workflow as a worker process has them."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.engine = DbosEngine(engine_url(installation.database, installation.settings.data_dir), "exe-counts")
        self._dispatcher = Dispatcher(installation, self.engine, "exe-counts")
        workflow = cohort_workflow(installation, "exe-counts", self._dispatcher.take_claim)
        self.engine.register(COHORT_WORKFLOW, self._dispatcher.announcing(workflow))
        self.engine.launch()

    def count(self, policy: str, number: int) -> int:
        """Statements of one request alone, its taking in included."""
        given = item(policy_key=policy, identity={"email": f"person{number}@example.com"})
        with statements_of(self._installation) as seen:
            (taken,) = submit(self._installation, [given], actor=CLIENT).succeeded
            self._dispatcher.run_once()
            wait_until(lambda: self.engine.running() == 0)
        shown = read_request(self._installation, taken["id"])
        assert shown["status"] == "complete", shown
        assert shown["outcome"] in ("delivered", "erased"), shown
        return len([each for each in seen if not re.search("pg_advisory|pg_notify", each)])

    def count_cohort(self, policy: str, people: range) -> Costs:
        """What these people's requests cost as one cohort, without taking them in, and the peak of what it held."""
        given = [item(policy_key=policy, identity={"email": f"person{number}@example.com"}) for number in people]
        taken = [
            each["id"]
            for at in range(0, len(given), 50)
            for each in submit(self._installation, given[at : at + 50], actor=CLIENT).succeeded
        ]
        commits: list[object] = []
        engine, note = self._installation.database._engine, commits.append
        sa.event.listen(engine, "commit", note)
        gc.collect()
        tracemalloc.start()
        try:
            with statements_of(self._installation) as seen, asked_of_the_store() as asked:
                assert self._dispatcher.run_once() == len(taken)
                wait_until(lambda: self.engine.running() == 0, 120)
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            sa.event.remove(engine, "commit", note)
        shown = [read_request(self._installation, each) for each in (taken[0], taken[-1])]
        assert {(each["status"], each["outcome"]) for each in shown} <= {
            ("complete", "delivered"),
            ("complete", "erased"),
        }
        return Costs(len(seen), len(commits), len(asked), held)


class Costs(NamedTuple):
    """Statements and commits of our own database, statements of the store, bytes held at most."""

    statements: int
    commits: int
    asked: int
    held: int


@contextmanager
def asked_of_the_store() -> Iterator[list[str]]:
    """Names of the calls by which sessions of SQLite stores are asked while the block runs."""
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        for name in ("change", "fetch", "stream", "put"):
            patched.setattr(SqliteSession, name, _noting(asked, name, getattr(SqliteSession, name)))
        yield asked


def _noting(asked: list[str], name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*arguments: Any, **named: Any) -> Any:
        asked.append(name)
        return ask(*arguments, **named)

    return noted


@pytest.fixture
def worker(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """However slow the machine is, a write isn't too long ago to count as a look at the epoch; else chance decides
    whether one more statement is counted.
    """
    monkeypatch.setattr(attempt, "FRESH_SECONDS", SLOWEST)
    made = Worker(installation)
    yield made
    made.engine.shutdown(10)


def connect(installation: Installation, folder: Path, collections: int, store: str = "shop", people: int = 5) -> None:
    path = folder / f"{store}.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id integer PRIMARY KEY, email text, name text)")
        rows = [(number, f"person{number}@example.com", f"Name {number}") for number in range(people)]
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows)
        for table in range(1, collections):
            columns = "id integer PRIMARY KEY, customer_id integer REFERENCES customers, note text"
            connection.execute(f"CREATE TABLE orders{table} ({columns})")
            orders = [(number, number, f"note {number}") for number in range(people)]
            connection.executemany(f"INSERT INTO orders{table} VALUES (?, ?, ?)", orders)
    connection.close()
    given = ConnectionInput(name=store, key=store, connection_type="sqlite", access="write")
    assert not save_connections(installation, CLIENT, [given]).failed
    set_secrets(installation, CLIENT, store, {"path": str(path)}, verify=True)
    text = SHOP.format(key=store) + "".join(ORDERS.format(key=store, number=each) for each in range(1, collections))
    assert not save_text(installation, CLIENT, store, text).failed


@pytest.mark.parametrize("collections", [1, 4])
def test_a_lone_access_costs_few_statements(
    installation: Installation, worker: Worker, tmp_path: Path, collections: int
) -> None:
    connect(installation, tmp_path, collections)
    worker.count("download", 1)  # the first one also plans
    assert worker.count("download", 2) <= BASE + PER_COLLECTION * collections


def test_an_access_of_two_stores_costs_few_statements(
    installation: Installation, worker: Worker, tmp_path: Path
) -> None:
    connect(installation, tmp_path, 2)
    connect(installation, tmp_path, 1, "desk")
    worker.count("download", 1)
    assert worker.count("download", 2) <= BASE + PER_COLLECTION * 3


@pytest.mark.parametrize("collections", [1, 4])
def test_a_lone_erasure_costs_few_statements(
    installation: Installation, worker: Worker, tmp_path: Path, collections: int
) -> None:
    connect(installation, tmp_path, collections)
    worker.count("delete", 1)
    assert worker.count("delete", 2) <= BASE + PER_COLLECTION * collections


@pytest.mark.parametrize("policy", ["download", "delete"])
def test_a_cohort_costs_the_same_however_many_its_members(
    installation: Installation, worker: Worker, tmp_path: Path, policy: str
) -> None:
    few, many = range(2, 12), range(12, 312)
    connect(installation, tmp_path, 3, people=many.stop)
    worker.count(policy, 1)  # the first one also plans
    small, large = worker.count_cohort(policy, few), worker.count_cohort(policy, many)
    assert large[:3] == small[:3]
    assert (large.held - small.held) / (len(many) - len(few)) < MOST_A_MEMBER


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held together is so little that some hundreds of members show what a hundred thousand would hold."""
    for module, name in (
        *((module, "AT_ONCE") for module in (members, own_values, packaging, receipting)),
        (seeds, "VALUES_AT_ONCE"),
        (reader, "CHUNK_ROWS"),
        (sqlite_session, "BATCH"),
    ):
        monkeypatch.setattr(module, name, 25)
    monkeypatch.setattr(dispatch, "HANDED", 25)
    monkeypatch.setitem(Spool.__init__.__kwdefaults__, "memory", 1024)


@pytest.mark.parametrize("policy", ["download", "delete"])
def test_hardly_anything_is_held_of_each_member(
    installation: Installation, worker: Worker, tmp_path: Path, little_room: None, policy: str
) -> None:
    few, many = range(2, 77), range(77, 327)
    connect(installation, tmp_path, 2, people=many.stop)
    worker.count(policy, 1)
    small, large = worker.count_cohort(policy, few), worker.count_cohort(policy, many)
    grown = (large.held - small.held) / (len(many) - len(few))
    assert grown < HELD_A_MEMBER
