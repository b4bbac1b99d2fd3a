"""Keys that hold personal data: re-keyed where every place follows, else refused."""

from __future__ import annotations

import pytest

from constraintbook import Store

MASK = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}
CUSTOMER = """
- name: customer
  fields:
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email, primary_key: true}}
  - {name: name, data_categories: [user.name]}
"""
ORDERS = """
- name: orders
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: customer_email
    data_categories: [user.contact.email]
    fides_meta: {references: [{dataset: db, field: customer.email, direction: from}]}
  - {name: note, data_categories: [user.content]}
"""
PEOPLE = """
CREATE TABLE customer (email varchar(80) PRIMARY KEY, name text);
INSERT INTO customer VALUES ('Ada@example.com', 'Ada'), ('ada@example.com', 'Ada too'), ('bob@example.com', 'Bob');
"""
BOUGHT = """
CREATE TABLE orders (id integer PRIMARY KEY, customer_email varchar(80) NOT NULL REFERENCES customer(email) %s,
                     note text);
INSERT INTO orders VALUES (1, 'ada@example.com', 'for Ada'), (2, 'bob@example.com', 'for Bob');
"""


def test_a_key_that_nothing_points_to_is_replaced(store: Store) -> None:
    store.run(PEOPLE)
    store.describe(CUSTOMER)
    said = store.erased(mask=MASK)["db:customer"]
    assert (said["masked"], said["vanished"], said["substituted"]) == (2, 0, {"email": "natural_key"})
    rows = store.rows("SELECT email, name FROM customer")
    assert ("bob@example.com", "Bob") in rows
    others = [row for row in rows if row != ("bob@example.com", "Bob")]
    assert [name for _, name in others] == ["gone", "gone"]
    assert len({email for email, _ in others}) == 2
    assert not any("ada" in email.lower() and "@" in email for email, _ in others)


def test_what_points_to_a_key_follows_it(store: Store) -> None:
    store.run(PEOPLE + BOUGHT % "ON UPDATE CASCADE")
    store.describe(CUSTOMER + ORDERS)
    said = store.erased(mask=MASK)
    assert (said["db:customer"]["masked"], said["db:orders"]["masked"], said["db:orders"]["vanished"]) == (2, 1, 0)
    joined = "SELECT o.id, c.name, o.note FROM orders o JOIN customer c ON c.email = o.customer_email ORDER BY o.id"
    assert store.rows(joined) == [(1, "gone", "gone"), (2, "Bob", "for Bob")]
    assert store.one("SELECT count(*) FROM orders WHERE customer_email = 'ada@example.com'") == 0


def test_a_table_that_nobody_described_follows_too(store: Store) -> None:
    store.run(PEOPLE + BOUGHT % "ON UPDATE CASCADE")
    store.describe(CUSTOMER)
    store.erased(mask=MASK)
    assert store.one("SELECT count(*) FROM orders o JOIN customer c ON c.email = o.customer_email") == 2
    assert store.one("SELECT count(*) FROM orders WHERE customer_email = 'ada@example.com'") == 0


@pytest.mark.parametrize("action", ["", "ON UPDATE SET NULL"])
def test_a_place_that_would_be_left_behind_is_refused(store: Store, action: str) -> None:
    if store.kind == "mariadb" and action:
        pytest.skip("n/a: MariaDB makes no such key over a column that is NOT NULL")
    store.run(PEOPLE + BOUGHT % action)
    store.describe(CUSTOMER)
    detail = store.refused(mask=MASK)
    assert (detail["code"], detail["address"]) == ("natural_key", "db:customer:email")
    assert "orders (customer_email)" in detail["problem"]


LOOSE = """
CREATE TABLE orders (id integer PRIMARY KEY, customer_email varchar(80), note text);
INSERT INTO orders VALUES (1, 'ada@example.com', 'for Ada'), (2, 'bob@example.com', 'for Bob'), (3, NULL, 'nobody'),
  (4, 'ada@example.com', 'for Ada');
"""


def test_a_reference_without_a_foreign_key_follows(store: Store) -> None:
    store.run(PEOPLE + LOOSE)
    store.describe(CUSTOMER + ORDERS)
    said = store.erased(mask=MASK)
    assert (said["db:customer"]["masked"], said["db:orders"]["masked"], said["db:orders"]["vanished"]) == (2, 2, 0)
    joined = "SELECT o.id, c.name, o.note FROM orders o JOIN customer c ON c.email = o.customer_email ORDER BY o.id"
    assert store.rows(joined) == [(1, "gone", "gone"), (2, "Bob", "for Bob"), (4, "gone", "gone")]
    assert store.one("SELECT count(*) FROM orders WHERE customer_email = 'ada@example.com'") == 0


def test_a_table_that_is_not_targeted_follows_too(store: Store) -> None:
    store.run(PEOPLE + LOOSE)
    store.describe(
        CUSTOMER + ORDERS.replace("    data_categories: [user.contact.email]\n", "").replace("user.content", "system")
    )
    store.erased(mask=MASK)
    assert store.one("SELECT count(*) FROM orders o JOIN customer c ON c.email = o.customer_email") == 3
    assert store.one("SELECT count(*) FROM orders WHERE customer_email = 'ada@example.com'") == 0


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("varchar(20)", "doesn't hold"),
        ("varchar(80) NOT NULL UNIQUE", "is a key itself"),
        ("varchar(80) GENERATED ALWAYS AS (concat('ada@', 'example.com')) STORED", "isn't a column"),
    ],
)
def test_a_column_that_cannot_follow_is_refused(store: Store, column: str, why: str) -> None:
    column = (
        column
        if store.kind == "mariadb"
        else column.replace("concat('ada@', 'example.com')", "'ada@' || 'example.com'")
    )
    store.run(PEOPLE)
    store.run(f"CREATE TABLE orders (id integer PRIMARY KEY, customer_email {column}, note text)")
    store.describe(CUSTOMER + ORDERS)
    detail = store.refused(mask=MASK)
    assert (detail["code"], detail["address"]) == ("natural_key", "db:customer:email")
    assert "db:orders:customer_email" in detail["problem"]
    assert why in detail["problem"]


def test_a_reference_from_another_store_is_refused(store: Store, other: Store) -> None:
    store.run(PEOPLE)
    other.run(LOOSE)
    store.describe(CUSTOMER)
    other.describe(ORDERS)
    detail = store.refused(mask=MASK)
    assert detail["code"] == "natural_key"
    assert "far:orders:customer_email" in detail["problem"]
    assert "another store" in detail["problem"]


def test_a_key_that_was_given_to_somebody_else_is_left_alone(store: Store) -> None:
    store.run(PEOPLE)
    store.describe(CUSTOMER)
    store.erased(mask=MASK)
    store.run("INSERT INTO customer VALUES ('ada@example.com', 'Another Ada')")
    store.erased("bob@example.com", mask=MASK)
    assert store.rows("SELECT name FROM customer WHERE email = 'ada@example.com'") == [("Another Ada",)]


def test_one_column_of_a_key_is_replaced(store: Store) -> None:
    store.run("CREATE TABLE customer (email varchar(80), name text, n integer, PRIMARY KEY (n, email))")
    store.run("INSERT INTO customer VALUES ('ada@example.com', 'Ada', 1), ('bob@example.com', 'Bob', 1)")
    store.describe(CUSTOMER + "  - {name: n, fides_meta: {primary_key: true}}\n")
    assert store.erased(mask=MASK)["db:customer"]["masked"] == 1
    assert store.rows("SELECT n, name FROM customer ORDER BY name") == [(1, "Bob"), (1, "gone")]


def test_what_refers_to_a_held_row_follows_its_new_key(store: Store) -> None:
    store.run(PEOPLE + LOOSE)
    deleted = CUSTOMER.replace(
        "customer\n", "customer\n  fides_meta: {masking_strategy_override: {strategy: delete}}\n", 1
    )
    store.describe(deleted + ORDERS)
    ended = store.erase(mask=MASK)
    assert (ended["outcome"], ended["kept"]) == ("erased_with_kept", {"referenced": 1}), ended["reason_detail"]
    joined = "SELECT o.id, c.name FROM orders o JOIN customer c ON c.email = o.customer_email ORDER BY o.id"
    assert store.rows(joined) == [(1, "gone"), (2, "Bob"), (4, "gone")]
    assert store.one("SELECT count(*) FROM orders WHERE customer_email = 'ada@example.com'") == 0
    assert store.one("SELECT count(*) FROM customer") == 2


@pytest.mark.parametrize("foreign", ["REFERENCES customer(email) ON UPDATE CASCADE", ""], ids=["cascade", "declared"])
@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ("read_only: true", "is read_only"),
        ("masking_strategy_override: {strategy: preserve}", "is declared preserve"),
    ],
    ids=["read_only", "preserve"],
)
def test_a_place_that_is_to_stay_as_it_is_refuses_another_key(
    store: Store, foreign: str, declared: str, why: str
) -> None:
    store.run(PEOPLE + BOUGHT.replace("REFERENCES customer(email) %s", foreign))
    store.describe(CUSTOMER + ORDERS.replace("fides_meta: {references:", f"fides_meta: {{{declared}, references:"))
    detail = store.refused(mask=MASK)
    assert (detail["code"], detail["address"]) == ("natural_key", "db:customer:email")
    assert why in detail["problem"], detail["problem"]
    assert store.one("SELECT count(*) FROM orders WHERE customer_email = 'ada@example.com'") == 1
