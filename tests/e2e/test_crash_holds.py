"""kill -9 while a row is held back by its own WHERE, and while keys are replaced: the end is that of a run which nobody
killed.

One installation; the workers that die are processes of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from constraintbook import HOUSES, Store
from flowbook import opened
from habeas.requests.installation import Installation
from workerbook import WorkerProcess

GONE = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}
SHARED = """
CREATE TABLE address (id integer PRIMARY KEY, street text);
CREATE TABLE customer (id integer PRIMARY KEY, email text, address_id integer);
CREATE TABLE note (id integer PRIMARY KEY, customer_id integer, body text);
INSERT INTO address VALUES (5, 'Elm Street'), (6, 'Oak Street');
INSERT INTO customer VALUES (1, 'ada@example.com', 5), (2, 'ada@example.com', 6);
INSERT INTO note VALUES (7, 1, 'a note');
"""
MOVED_IN = """
INSERT INTO customer SELECT 3, 'new@example.com', a.id FROM address a
 WHERE a.id = 5 AND NOT EXISTS (SELECT 1 FROM customer c WHERE c.id = 3)
"""
KEYED = """
CREATE TABLE customer (email varchar(80) PRIMARY KEY, name text);
CREATE TABLE invoice (id integer PRIMARY KEY,
                      customer_email varchar(80) NOT NULL REFERENCES customer(email) ON UPDATE CASCADE);
CREATE TABLE orders (id integer PRIMARY KEY, customer_email varchar(80), note text);
INSERT INTO customer VALUES ('Ada@example.com', 'Ada'), ('ada@example.com', 'Ada too'), ('bob@example.com', 'Bob');
INSERT INTO invoice VALUES (1, 'Ada@example.com'), (2, 'bob@example.com'), (3, 'ada@example.com');
INSERT INTO orders VALUES (1, 'ada@example.com', 'for Ada'), (2, 'bob@example.com', 'for Bob'), (3, NULL, 'nobody');
"""
BUYERS = """
- name: customer
  fields:
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email, primary_key: true}}
  - {name: name, data_categories: [user.name]}
- name: orders
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: customer_email
    data_categories: [user.contact.email]
    fides_meta: {references: [{dataset: db, field: customer.email, direction: from}]}
  - {name: note, data_categories: [user.content]}
"""
NEVER = ""
"""No crash: the run that the others are to end like."""
HELD = [("sqlite", NEVER), ("sqlite", "mask.chunk"), ("postgres", "mask.chunk:2"), ("mariadb", "verify.chunk:2")]
REKEYED = [("sqlite", NEVER), ("sqlite", "mask.chunk"), ("postgres", "mask.chunk:2"), ("mariadb", "ledger.chunk")]
SERVERS = {"postgres": "postgres_url_of_session", "mariadb": "mariadb_url"}


@dataclass
class Installed:
    """An installation that only takes requests in, and what its workers need to know of it."""

    installation: Installation
    settings: dict[str, Any]

    def erase(self, store: Store, crash_at: str) -> dict[str, Any]:
        """Erase Ada: a worker dies at the boundary, another goes on. The request when it has ended."""
        [request_id] = store.submit({"email": "ada@example.com"}, mask=GONE)
        if crash_at:
            WorkerProcess(self.settings, crash_at).wait_for_death()
        worker = WorkerProcess(self.settings)
        try:
            return store.end(request_id)
        finally:
            worker.kill()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """One installation for all stories; there is no worker but those that a story starts."""
    settings = {"data_dir": tmp_path_factory.mktemp("holds") / "data", "task_retry_delay": 0.01}
    with opened(**settings) as flow:
        yield Installed(flow.installation, settings)


@pytest.fixture
def store(request: pytest.FixtureRequest, installed: Installed, kind: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store of the kind that the story asks for."""
    server = request.getfixturevalue(SERVERS[kind]) if kind in SERVERS else ""
    made = Store(kind, installed.installation, tmp_path, server)
    yield made
    made.close()


@pytest.mark.parametrize(("kind", "crash_at"), HELD)
def test_killed_while_a_row_is_held_back_it_stays_held_and_the_others_go(
    installed: Installed, store: Store, crash_at: str
) -> None:
    """Somebody moves in while the subject's note is masked: a trigger stands for the other application."""
    store.run(SHARED)
    store.act_after_update("note", MOVED_IN)
    store.describe(HOUSES)
    item = installed.erase(store, crash_at)
    assert (item["status"], item["outcome"]) == ("complete", "erased_with_kept"), item["reason_detail"]
    assert item["kept"] == {"shared_row": 1}
    assert store.rows("SELECT street FROM address ORDER BY id") == [("Elm Street",), ("gone",)]
    emails = store.rows("SELECT id, email FROM customer ORDER BY id")
    assert emails == [(1, "gone"), (2, "gone"), (3, "new@example.com")]
    assert store.rows("SELECT body FROM note") == [("gone",)]
    said = store.receipt(item["id"])
    assert {address: _counts(told) for address, told in said.items()} == {
        "db:address": (2, 1, 0, {"shared_row": 1}),
        "db:customer": (2, 2, 0, {}),
        "db:note": (1, 1, 0, {}),
    }


@pytest.mark.parametrize(("kind", "crash_at"), REKEYED)
def test_killed_while_keys_are_replaced_each_row_still_finds_its_own(
    installed: Installed, store: Store, crash_at: str
) -> None:
    store.run(KEYED)
    store.describe(BUYERS)
    item = installed.erase(store, crash_at)
    assert (item["status"], item["outcome"]) == ("complete", "erased"), item["reason_detail"]
    joined = (
        "SELECT o.id, c.name, o.note FROM orders o LEFT JOIN customer c ON c.email = o.customer_email ORDER BY o.id"
    )
    assert store.rows(joined) == [(1, "gone", "gone"), (2, "Bob", "for Bob"), (3, None, "nobody")]
    invoiced = "SELECT i.id, c.name FROM invoice i JOIN customer c ON c.email = i.customer_email ORDER BY i.id"
    assert store.rows(invoiced) == [(1, "gone"), (2, "Bob"), (3, "gone")]
    emails = [email for (email,) in store.rows("SELECT email FROM customer")]
    assert len(set(emails)) == len(emails) == 3
    assert [email for email in emails if "@" in email] == ["bob@example.com"]
    said = store.receipt(item["id"])
    assert {address: _counts(told) for address, told in said.items()} == {
        "db:customer": (2, 2, 0, {}),
        "db:orders": (1, 1, 0, {}),
    }


def _counts(told: dict[str, Any]) -> tuple[Any, ...]:
    return told["frozen"], told["masked"], told["vanished"], told["kept"]
