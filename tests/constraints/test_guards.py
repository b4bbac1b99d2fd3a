"""What a write asks again: a row that became somebody else's between freezing and writing is kept, and counted.

A trigger stands for the other application: it acts when the subject's note is masked, which comes first.
"""

from __future__ import annotations

import pytest

from constraintbook import HOUSES, Store

TABLES = """
CREATE TABLE address (id integer PRIMARY KEY, street text, buyer_id integer);
CREATE TABLE customer (id integer PRIMARY KEY, email text, address_id integer);
CREATE TABLE note (id integer PRIMARY KEY, customer_id integer, body text);
INSERT INTO address VALUES (5, 'Elm Street', NULL), (6, 'Oak Street', NULL);
INSERT INTO customer VALUES (1, 'ada@example.com', 5), (2, 'ada@example.com', 6);
INSERT INTO note VALUES (7, 1, 'a note');
"""
LEAVING = """
- name: customer
  fides_meta: {masking_strategy_override: {strategy: delete}}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - name: address_id
    fides_meta: {references: [{dataset: db, field: address.id, direction: to}]}
- name: note
  fides_meta: {person: false}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: mail, fides_meta: {identity: email}}
  - {name: body, data_categories: [user.content]}
- name: address
  fides_meta: {masking_strategy_override: {strategy: delete}}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: street, data_categories: [user.contact.address]}
"""


@pytest.mark.parametrize("mask", ["null_rewrite", "hash"])
def test_an_address_that_somebody_moved_into_is_kept(store: Store, mask: str) -> None:
    store.run(TABLES)
    store.act_after_update("note", "INSERT INTO customer VALUES (3, 'new@example.com', 5)")
    store.describe(HOUSES)
    ended = store.erase(mask=mask)
    assert (ended["status"], ended["outcome"]) == ("complete", "erased_with_kept"), ended["reason_detail"]
    assert ended["kept"] == {"shared_row": 1}
    kept, masked = (street for (street,) in store.rows("SELECT street FROM address ORDER BY id"))
    assert kept == "Elm Street"
    assert masked != "Oak Street"
    said = store.receipt(ended["id"])["db:address"]
    assert (said["frozen"], said["masked"], said["kept"]) == (2, 1, {"shared_row": 1})
    assert store.rows("SELECT email FROM customer WHERE id = 3") == [("new@example.com",)]


def test_a_table_that_nobody_described_keeps_too(store: Store) -> None:
    store.run(TABLES)
    store.run("CREATE TABLE lease (id integer PRIMARY KEY, address_id integer REFERENCES address(id))")
    store.act_after_update("note", "INSERT INTO lease VALUES (1, 6)")
    store.describe(HOUSES)
    assert store.erase()["kept"] == {"shared_row": 1}
    assert store.rows("SELECT street FROM address ORDER BY id") == [(None,), ("Oak Street",)]


def test_a_row_is_not_deleted_either(store: Store) -> None:
    store.run(TABLES + "ALTER TABLE note ADD COLUMN mail text; UPDATE note SET mail = 'ada@example.com'")
    store.act_after_update("note", "INSERT INTO customer VALUES (3, 'new@example.com', 5)")
    store.describe(LEAVING)
    assert store.erase()["kept"] == {"shared_row": 1}
    assert store.rows("SELECT id, street FROM address") == [(5, "Elm Street")]
    assert store.rows("SELECT id FROM customer") == [(3,)]


def test_without_anybody_else_all_is_written(store: Store) -> None:
    store.run(TABLES)
    store.describe(HOUSES)
    assert store.erased()["db:address"]["masked"] == 2
    assert store.rows("SELECT street FROM address") == [(None,), (None,)]


def test_a_table_that_appeared_after_planning_keeps_too(store: Store) -> None:
    store.run(TABLES + "INSERT INTO customer VALUES (3, 'bob@example.com', NULL)")
    store.describe(HOUSES)
    assert store.erase("bob@example.com")["outcome"] == "erased"  # now the plan is known
    store.run(
        "CREATE TABLE lease (id integer PRIMARY KEY, address_id integer REFERENCES address(id));"
        "INSERT INTO lease VALUES (1, 6)"
    )
    ended = store.erase()
    assert (ended["outcome"], ended["kept"]) == ("erased_with_kept", {"shared_row": 1})
    assert store.rows("SELECT street FROM address ORDER BY id") == [(None,), ("Oak Street",)]
