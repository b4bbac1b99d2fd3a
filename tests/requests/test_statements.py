"""How many statements a lone request costs on our own tables, from its taking in to its end: counted, so that it
can't grow unseen. Advisory locks touch no table and aren't counted, nor are the engine's own statements.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.requests.connections import ConnectionInput, save_connections, set_secrets
from habeas.requests.datasets import save_text
from habeas.requests.dispatch import COHORT_WORKFLOW, Dispatcher
from habeas.requests.flow import cohort_workflow
from habeas.requests.installation import Installation
from habeas.requests.service import read_request, submit
from requestbook import CLIENT, item, statements_of, wait_until

BASE, PER_COLLECTION = 12, 2  # design.md §10

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


@pytest.fixture
def worker(installation: Installation) -> Iterator[Worker]:
    made = Worker(installation)
    yield made
    made.engine.shutdown(10)


def connect(installation: Installation, folder: Path, collections: int, store: str = "shop") -> None:
    path = folder / f"{store}.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id integer PRIMARY KEY, email text, name text)")
        people = [(number, f"person{number}@example.com", f"Name {number}") for number in range(5)]
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", people)
        for table in range(1, collections):
            columns = "id integer PRIMARY KEY, customer_id integer REFERENCES customers, note text"
            connection.execute(f"CREATE TABLE orders{table} ({columns})")
            orders = [(number, number, f"note {number}") for number in range(5)]
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
