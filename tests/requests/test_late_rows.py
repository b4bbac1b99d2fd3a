"""Rows of the subject that appear while an erasure masks are found and masked too, whether or not the fields go by
which they are found.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from habeas.requests.connections import ConnectionInput, save_connections, set_secrets
from habeas.requests.datasets import save_text
from habeas.requests.installation import Installation
from habeas.requests.service import read_request, submit
from habeas.requests.worker import run_worker
from requestbook import CLIENT, item, wait_until

TABLES = """
CREATE TABLE customers (id integer PRIMARY KEY, email text);
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer REFERENCES customers, note text);
INSERT INTO customers VALUES (1, 'ada@example.com'), (2, 'bob@example.com');
INSERT INTO orders VALUES (10, 1, 'first'), (20, 2, 'other');
CREATE TRIGGER late AFTER UPDATE ON orders WHEN (SELECT count(*) FROM orders) < 3
BEGIN INSERT INTO orders VALUES (11, new.customer_id, 'late'); END;
"""
SHOP = """
dataset:
  - fides_key: shop
    collections:
      - name: customers
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - {{name: email, fides_meta: {{identity: email}}{categories}}}
      - name: orders
        fields:
          - {{name: id, fides_meta: {{primary_key: true}}}}
          - {{name: customer_id, fides_meta: {{references: [{{dataset: shop, field: customers.id, direction: from}}]}}}}
          - {{name: note, data_categories: [user.content]}}
"""


@pytest.mark.parametrize("categories", ["", ", data_categories: [user.contact.email]"], ids=["identity stays", "goes"])
def test_a_row_that_appears_while_masking_is_masked(
    installation: Installation, tmp_path: Path, categories: str
) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLES)
    connection.close()
    given = ConnectionInput(name="shop", key="shop", connection_type="sqlite", access="write")
    assert not save_connections(installation, CLIENT, [given]).failed
    set_secrets(installation, CLIENT, "shop", {"path": str(path)}, verify=True)
    assert not save_text(installation, CLIENT, "shop", SHOP.format(categories=categories)).failed
    (taken,) = submit(installation, [item(policy_key="delete")], actor=CLIENT).succeeded
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(installation.settings, stop))
    worker.start()
    try:
        wait_until(lambda: read_request(installation, taken["id"])["finished_processing_at"] is not None, 60)
    finally:
        stop.set()
        worker.join(60)
    assert read_request(installation, taken["id"])["outcome"] == "erased"
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT id, note FROM orders ORDER BY id").fetchall() == [
            (10, "MASKED"),
            (11, "MASKED"),
            (20, "other"),
        ]
    connection.close()
