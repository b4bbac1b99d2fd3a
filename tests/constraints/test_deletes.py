"""Rows that are deleted: children first, held ones masked instead, what comes with them, cycles, triggers."""

from __future__ import annotations

import pytest

from constraintbook import Store

CUSTOMER = """
- name: customer
  fides_meta: {masking_strategy_override: {strategy: delete, configuration: {on_referenced: %s}}}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
"""
TABLES = """
CREATE TABLE customer (id integer PRIMARY KEY, email text);
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer %s, note text);
CREATE TABLE line (order_id integer NOT NULL REFERENCES orders(id), number integer, PRIMARY KEY (order_id, number));
INSERT INTO customer VALUES (1, 'ada@example.com'), (2, 'bob@example.com'), (3, 'Ada@example.com');
INSERT INTO orders VALUES (10, 1, 'for Ada'), (11, 2, 'for Bob');
INSERT INTO line VALUES (10, 1), (10, 2), (11, 1);
"""
KEY = "REFERENCES customer(id)"
ORDERS = """
- name: orders
  %s
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: customer_id
    fides_meta: {references: [{dataset: db, field: customer.id, direction: from}]}
  - {name: note, data_categories: [user.content]}
"""
DELETE = "fides_meta: {masking_strategy_override: {strategy: delete}}"


def make(store: Store, mode: str, key: str = KEY, orders: str = "") -> None:
    store.run(TABLES % key)
    store.describe(CUSTOMER % mode + orders)


def customers(store: Store) -> list[tuple[object, ...]]:
    return store.rows("SELECT id, email FROM customer ORDER BY id")


@pytest.mark.parametrize("action", ["", "ON DELETE CASCADE", "ON DELETE SET NULL"])
def test_a_row_that_another_holds_is_masked_instead(store: Store, action: str) -> None:
    make(store, "mask", f"{KEY} {action}")
    orders = store.rows("SELECT * FROM orders ORDER BY id")
    ended = store.erase()
    assert (ended["status"], ended["outcome"]) == ("complete", "erased_with_kept"), ended["reason_detail"]
    assert ended["kept"] == {"referenced": 1}
    assert customers(store) == [(1, None), (2, "bob@example.com")]
    assert store.rows("SELECT * FROM orders ORDER BY id") == orders
    said = store.receipt(ended["id"])["db:customer"]
    assert (said["frozen"], said["deleted"], said["masked"], said["kept"]) == (2, 1, 1, {"referenced": 1})


def test_a_declared_reference_holds_as_well(store: Store) -> None:
    make(store, "mask", "", ORDERS % "")
    assert store.erase()["kept"] == {"referenced": 1}
    assert store.rows("SELECT note FROM orders ORDER BY id") == [(None,), ("for Bob",)]


def test_children_go_before_parents(store: Store) -> None:
    make(store, "mask", KEY, ORDERS % DELETE)
    store.run("DELETE FROM line WHERE order_id = 10")
    said = store.erased()
    assert (said["db:customer"]["deleted"], said["db:orders"]["deleted"]) == (2, 1)
    assert customers(store) == [(2, "bob@example.com")]
    assert store.rows("SELECT id FROM orders") == [(11,)]


def test_a_held_child_holds_its_parent(store: Store) -> None:
    make(store, "mask", KEY, ORDERS % DELETE)
    assert store.erase()["kept"] == {"referenced": 2}
    assert customers(store) == [(1, None), (2, "bob@example.com")]
    assert store.rows("SELECT id, note FROM orders ORDER BY id") == [(10, None), (11, "for Bob")]


def test_cascade_takes_every_level_along(store: Store) -> None:
    make(store, "cascade")
    rows = {address: part.rows for address, part in store.preview().items()}
    assert rows == {"db:customer": {"own": 2}, "db:orders": {"own": 1}, "db:line": {"own": 2}}
    said = store.erased()
    assert {place: each["deleted"] for place, each in said.items()} == {
        "db:customer": 2,
        "db:orders#cascade": 1,
        "db:line#cascade": 2,
    }
    assert customers(store) == [(2, "bob@example.com")]
    assert store.rows("SELECT id FROM orders") == [(11,)]
    assert store.rows("SELECT order_id FROM line") == [(11,)]


def test_cascade_counts_rows_once(store: Store) -> None:
    make(store, "cascade", KEY, ORDERS % DELETE)
    store.run("DELETE FROM line WHERE order_id = 10")
    said = store.erased()
    assert (said["db:orders"]["deleted"], said["db:orders#cascade"]["deleted"]) == (1, 0)
    assert store.rows("SELECT id FROM orders") == [(11,)]


def test_cascade_takes_rows_along_that_would_be_masked(store: Store) -> None:
    make(store, "cascade", KEY, ORDERS % "")
    said = store.erased()
    assert said["db:orders#cascade"]["deleted"] == 1
    assert (said["db:orders"]["frozen"], said["db:orders"]["masked"], said["db:orders"]["vanished"]) == (1, 0, 1)
    assert store.rows("SELECT id, note FROM orders") == [(11, "for Bob")]


def test_null_lets_go(store: Store) -> None:
    make(store, "null")
    said = store.erased()
    assert (said["db:customer"]["deleted"], said["db:orders#null"]["masked"]) == (2, 1)
    assert customers(store) == [(2, "bob@example.com")]
    assert store.rows("SELECT * FROM orders ORDER BY id") == [(10, None, "for Ada"), (11, 2, "for Bob")]


def test_null_counts_each_key_that_lets_go(store: Store) -> None:
    make(store, "null")
    store.run(f"CREATE TABLE gift (id integer PRIMARY KEY, giver integer {KEY}, taker integer {KEY})")
    store.run("INSERT INTO gift VALUES (1, 1, 2), (2, 1, 3), (3, 2, 1), (4, 2, 2)")
    said = store.erased()["db:gift#null"]
    assert (said["frozen"], said["masked"], said["verified"], said["fields"].keys()) == (4, 4, 4, {"giver", "taker"})
    assert store.rows("SELECT * FROM gift ORDER BY id") == [(1, None, 2), (2, None, None), (3, 2, None), (4, 2, 2)]


def test_null_of_a_column_that_cannot_be_null_is_refused(store: Store) -> None:
    make(store, "null", f"NOT NULL {KEY}")
    detail = store.refused()
    assert (detail["code"], detail["address"]) == ("referenced", "db:orders:customer_id")
    assert len(customers(store)) == 3


def test_refuse_refuses_only_whose_rows_are_held(store: Store) -> None:

    make(store, "refuse")
    store.run("DELETE FROM line WHERE order_id = 11")
    store.run("DELETE FROM orders WHERE id = 11")
    ada, bob = store.submit({"email": "ada@example.com"}, {"email": "bob@example.com"})
    assert (store.end(ada)["status"], store.end(ada)["reason"]) == ("error", "refused")
    assert store.end(ada)["reason_detail"]["code"] == "referenced"
    assert store.end(bob)["status"] == "complete"
    assert [row[0] for row in customers(store)] == [1, 3]


THREAD = """
CREATE TABLE customer (id integer PRIMARY KEY, email text, parent_id integer %s REFERENCES customer(id));
INSERT INTO customer VALUES (1, 'ada@example.com', %s);
INSERT INTO customer VALUES (2, 'ada@example.com', 1), (3, 'ada@example.com', 2), (4, 'bob@example.com', %s);
"""


def test_rows_that_point_to_each_other_let_go_first(store: Store) -> None:
    store.run(THREAD % ("", "NULL", "NULL"))
    store.run("UPDATE customer SET parent_id = 3 WHERE id = 1")
    store.describe(CUSTOMER % "mask")
    assert store.erased()["db:customer"]["deleted"] == 3
    assert store.rows("SELECT * FROM customer") == [(4, "bob@example.com", None)]


def test_a_row_of_another_person_holds_the_whole_thread(store: Store) -> None:
    store.run(THREAD % ("", "NULL", "3"))
    store.describe(CUSTOMER % "mask")
    assert store.erase()["kept"] == {"referenced": 3}
    assert store.rows("SELECT id, email FROM customer WHERE email IS NOT NULL") == [(4, "bob@example.com")]


def test_a_partition_holds_nothing_by_itself(postgres: Store) -> None:
    """Its rows are the partitioned table's, which the dataset describes, and so are its foreign keys."""
    postgres.run(
        "CREATE TABLE customer (id integer PRIMARY KEY, email text);"
        "CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer REFERENCES customer(id), note text)"
        " PARTITION BY HASH (id);"
        "CREATE TABLE orders_even PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE orders_odd PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO customer VALUES (1, 'ada@example.com'), (2, 'bob@example.com');"
        "INSERT INTO orders VALUES (10, 1, 'for Ada'), (11, 1, 'for Ada'), (12, 2, 'for Bob')"
    )
    postgres.describe(CUSTOMER % "mask" + ORDERS % DELETE)
    said = postgres.erased()
    assert (said["db:customer"]["deleted"], said["db:orders"]["deleted"]) == (1, 2)
    assert postgres.rows("SELECT id FROM orders") == [(12,)]


CYCLE = """
CREATE TABLE customer (id integer PRIMARY KEY, email text, home_id integer NOT NULL);
CREATE TABLE home (id integer PRIMARY KEY, owner_id integer NOT NULL REFERENCES customer(id) %s, street text);
"""
CYCLE_ROWS = """
INSERT INTO customer VALUES (1, 'ada@example.com', 5), (2, 'bob@example.com', 6);
INSERT INTO home VALUES (5, 1, 'Elm Street'), (6, 2, 'Oak Street');
"""
HOME = """
- name: home
  fides_meta: {masking_strategy_override: {strategy: delete}}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: owner_id
    fides_meta: {references: [{dataset: db, field: customer.id, direction: from}]}
  - {name: street, data_categories: [user.contact.address]}
"""


def test_a_cycle_of_deferrable_keys_goes_in_one_transaction(postgres: Store) -> None:
    deferrable = "DEFERRABLE INITIALLY IMMEDIATE"
    postgres.run(CYCLE % deferrable)
    postgres.run(CYCLE_ROWS)
    postgres.run(f"ALTER TABLE customer ADD FOREIGN KEY (home_id) REFERENCES home(id) {deferrable}")
    postgres.describe(CUSTOMER % "mask" + HOME)
    said = postgres.erased()
    assert (said["db:customer"]["deleted"], said["db:home"]["deleted"]) == (1, 1)
    assert postgres.rows("SELECT id FROM home") == [(6,)]


def test_a_stiff_cycle_is_refused(stiff: Store) -> None:
    stiff.run(CYCLE % "")
    stiff.run(CYCLE_ROWS)
    stiff.run("ALTER TABLE customer ADD FOREIGN KEY (home_id) REFERENCES home(id)")
    stiff.describe(CUSTOMER % "mask" + HOME)
    assert stiff.refused()["code"] == "foreign_key_cycle"
    assert stiff.rows("SELECT id, email FROM customer ORDER BY id") == [(1, "ada@example.com"), (2, "bob@example.com")]


def test_a_stiff_cycle_goes_in_one_transaction_of_sqlite(sqlite: Store) -> None:
    sqlite.run(CYCLE.replace("home_id integer NOT NULL", "home_id integer NOT NULL REFERENCES home(id)") % "")
    sqlite.run(f"PRAGMA foreign_keys = OFF; {CYCLE_ROWS}")
    sqlite.describe(CUSTOMER % "mask" + HOME)
    said = sqlite.erased()
    assert (said["db:customer"]["deleted"], said["db:home"]["deleted"]) == (1, 1)
    assert sqlite.rows("SELECT id FROM home") == [(6,)]


TRIGGERS = {
    "sqlite": "CREATE TRIGGER gone AFTER DELETE ON customer BEGIN DELETE FROM orders WHERE customer_id = old.id; END",
    "postgres": "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN DELETE FROM orders WHERE customer_id = old.id; RETURN old; END';"
    "CREATE TRIGGER gone AFTER DELETE ON customer FOR EACH ROW EXECUTE FUNCTION gone()",
    "mariadb": "CREATE TRIGGER gone AFTER DELETE ON customer FOR EACH ROW "
    "DELETE FROM orders WHERE customer_id = old.id",
}


def test_rows_with_a_delete_trigger_are_masked_instead(store: Store) -> None:
    store.run(TABLES % "")
    store.run(TRIGGERS[store.kind])
    store.describe(CUSTOMER % "mask")
    assert store.erase()["kept"] == {"referenced": 2}
    assert customers(store) == [(1, None), (2, "bob@example.com"), (3, None)]
    assert store.one("SELECT count(*) FROM orders") == 2


def test_a_held_row_that_cannot_be_masked_is_refused(store: Store) -> None:
    store.run(
        "CREATE TABLE customer (email text PRIMARY KEY);CREATE TABLE orders (id integer PRIMARY KEY, email text UNIQUE)"
    )
    store.run("INSERT INTO customer VALUES ('ada@example.com'), ('bob@example.com')")
    store.run("INSERT INTO orders VALUES (1, 'ada@example.com')")
    store.describe(
        """
- name: customer
  fides_meta: {masking_strategy_override: {strategy: delete}}
  fields:
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email, primary_key: true}}
- name: orders
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: email
    fides_meta: {references: [{dataset: db, field: customer.email, direction: from}]}
  - {name: note, data_categories: [user.content]}
"""
    )
    store.run("ALTER TABLE orders ADD COLUMN note text")
    assert store.refused()["code"] in ("referenced", "natural_key")
    assert store.one("SELECT count(*) FROM customer") == 2
    store.erased("bob@example.com")
    assert store.rows("SELECT email FROM customer") == [("ada@example.com",)]
