"""Rows that are to be deleted, while rows of another store, or a document, refer to them: held as by a neighbour."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from constraintbook import Store

CUSTOMER = """
- name: customer
  fides_meta: {masking_strategy_override: {strategy: delete, configuration: {on_referenced: %s}}}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
"""
TICKET = """
- name: ticket
  %s
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: customer
    fides_meta: {references: [{dataset: db, field: customer.id, direction: from}]}
  - {name: text, data_categories: [user.content]}
"""
DELETE = "fides_meta: {masking_strategy_override: {strategy: delete}}"
CUSTOMERS = """
CREATE TABLE customer (id integer PRIMARY KEY, email text);
INSERT INTO customer VALUES (1, 'ada@example.com'), (2, 'bob@example.com'), (3, 'Ada@example.com');
"""
TICKETS = """
CREATE TABLE ticket (id integer PRIMARY KEY, customer %s, text text);
INSERT INTO ticket VALUES (10, '1', 'hers'), (11, '2', 'his');
"""


def make(store: Store, other: Store, mode: str = "mask", tickets: str = "", kind: str = "integer") -> None:
    store.run(CUSTOMERS)
    other.run(TICKETS % kind)
    store.describe(CUSTOMER % mode)
    other.describe(TICKET % tickets)


def customers(store: Store) -> list[tuple[object, ...]]:
    return store.rows("SELECT id, email FROM customer ORDER BY id")


def test_a_row_of_another_store_holds(store: Store, other: Store) -> None:
    make(store, other)
    assert any("far:ticket" in note for note in store.preview()["db:customer"].delete_notes)
    ended = store.erase()
    assert (ended["outcome"], ended["kept"]) == ("erased_with_kept", {"referenced": 1}), ended["reason_detail"]
    assert customers(store) == [(1, None), (2, "bob@example.com")]
    assert other.rows("SELECT id, text FROM ticket ORDER BY id") == [(10, None), (11, "his")]


def test_a_row_of_another_type_holds(store: Store, other: Store) -> None:
    make(store, other, kind="text")
    assert store.erase()["kept"] == {"referenced": 1}
    assert customers(store) == [(1, None), (2, "bob@example.com")]


def test_rows_that_are_deleted_everywhere_hold_nothing(store: Store, other: Store) -> None:
    make(store, other, tickets=DELETE)
    said = store.erased()
    assert (said["db:customer"]["deleted"], said["far:ticket"]["deleted"]) == (2, 1)
    assert customers(store) == [(2, "bob@example.com")]


def test_what_stays_in_another_store_holds_on(store: Store, other: Store) -> None:
    make(store, other, tickets=DELETE)
    other.run("CREATE TABLE reply (id integer PRIMARY KEY, ticket integer REFERENCES ticket(id))")
    other.run("INSERT INTO reply VALUES (1, 10)")
    other.describe(TICKET % DELETE)
    assert store.erase()["kept"] == {"referenced": 2}
    assert customers(store) == [(1, None), (2, "bob@example.com")]
    assert other.rows("SELECT id, text FROM ticket ORDER BY id") == [(10, None), (11, "his")]


def test_a_table_without_a_key_holds_too(store: Store, other: Store) -> None:
    store.run(CUSTOMERS)
    other.run("CREATE TABLE ticket (id integer, customer integer, text text)")
    other.run("INSERT INTO ticket VALUES (10, 1, 'hers'), (10, 1, 'hers'), (11, 2, 'his')")
    store.describe(CUSTOMER % "mask")
    other.describe((TICKET % "").replace(", fides_meta: {primary_key: true}", ""))
    assert store.erase()["kept"] == {"referenced": 1}
    other.describe((TICKET % DELETE).replace(", fides_meta: {primary_key: true}", ""))
    said = store.erased("bob@example.com")
    assert (said["db:customer"]["deleted"], said["far:ticket"]["deleted"]) == (1, 1)


def test_what_cannot_follow_is_refused(store: Store, other: Store) -> None:
    make(store, other, "cascade")
    detail = store.refused()
    assert (detail["code"], detail["address"]) == ("referenced", "far:ticket:customer")
    assert len(customers(store)) == 3


@pytest.mark.parametrize(("leave", "told"), [(Store.disable, "disabled"), (Store.lose, "can't be reached")])
def test_where_nobody_can_ask_nothing_is_deleted(
    store: Store, other: Store, leave: Callable[[Store], None], told: str
) -> None:
    store.run(CUSTOMERS)
    other.run(TICKETS % "integer")
    store.describe(CUSTOMER % "mask")
    other.describe((TICKET % "").replace(", data_categories: [user.content]", ""))
    leave(other)
    detail = store.refused()
    assert (detail["code"], detail["address"]) == ("referenced", "far:ticket:customer"), detail
    assert told in detail["problem"]
    assert "mask the collection's rows instead" in detail["fix"]
    assert customers(store) == [(1, "ada@example.com"), (2, "bob@example.com"), (3, "Ada@example.com")]


def test_a_value_in_a_document_holds(store: Store) -> None:
    kind = "jsonb" if store.kind == "postgres" else "json"
    store.run(CUSTOMERS)
    store.run(f"CREATE TABLE ticket (id integer PRIMARY KEY, who {kind}, words text)")
    store.run("""INSERT INTO ticket VALUES (10, '{"ids": [7, 1]}', 'hers'), (11, '{"ids": [2]}', 'his')""")
    store.describe(
        CUSTOMER % "mask"
        + """
- name: ticket
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: who
    fields:
    - name: ids
      fides_meta:
        data_type: integer[]
        references: [{dataset: db, field: customer.id, direction: from, ownership: owned}]
  - {name: words, data_categories: [user.content]}
"""
    )
    assert store.erase()["kept"] == {"referenced": 1}
    assert customers(store) == [(1, None), (2, "bob@example.com")]
