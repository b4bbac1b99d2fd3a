"""Foreign keys from tables of another schema, which no dataset describes, and views: what holds a row, what is read."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from constraintbook import Store

CUSTOMER = """
- name: customer
  fides_meta: {masking_strategy_override: {strategy: delete, configuration: {on_referenced: %s}}}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
"""
SEEN = """
- name: seen
  fields:
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
"""


@pytest.fixture
def elsewhere(store: Store) -> Iterator[str]:
    """The name of a second schema, with visits of customers; removed at the end, before the first is."""
    if store.kind == "sqlite":
        pytest.skip("n/a: a file of SQLite is one schema")
    own = urlsplit(store._server).path[1:] if store.kind == "mariadb" else store._schema
    other = f"{own}_other"
    store.run(f"""
CREATE TABLE customer (id integer PRIMARY KEY, email text);
INSERT INTO customer VALUES (1, 'ada@example.com'), (2, 'bob@example.com'), (3, 'Ada@example.com');
CREATE SCHEMA {other};
CREATE TABLE {other}.visit (id integer PRIMARY KEY, who integer REFERENCES {own}.customer (id) ON DELETE CASCADE);
INSERT INTO {other}.visit VALUES (10, 1), (11, 2);
""")
    yield other
    store.run(f"DROP TABLE {other}.visit; DROP SCHEMA {other}")


def test_a_row_that_another_schema_holds_is_masked_instead(store: Store, elsewhere: str) -> None:
    store.describe(CUSTOMER % "mask")
    assert store.erase()["kept"] == {"referenced": 1}
    assert store.rows("SELECT id, email FROM customer ORDER BY id") == [(1, None), (2, "bob@example.com")]
    assert store.rows(f"SELECT id FROM {elsewhere}.visit ORDER BY id") == [(10,), (11,)]


def test_cascade_takes_rows_of_another_schema_along_and_counts_them(store: Store, elsewhere: str) -> None:
    store.describe(CUSTOMER % "cascade")
    said = store.erased()
    assert store.rows("SELECT id FROM customer") == [(2,)]
    assert store.rows(f"SELECT id FROM {elsewhere}.visit") == [(11,)]
    counted = [part["deleted"] for address, part in said.items() if address.endswith("#cascade")]
    assert counted == [1]


def test_a_view_is_not_erased_from(store: Store) -> None:
    store.run("CREATE TABLE log (id integer PRIMARY KEY, email text)")
    store.run("INSERT INTO log VALUES (1, 'ada@example.com'), (2, 'bob@example.com')")
    store.run("CREATE VIEW seen AS SELECT email FROM log")
    store.describe(SEEN)
    detail = store.refused()
    assert (detail["code"], detail["address"]) == ("no_privilege", "db:seen")
    assert "view" in detail["problem"]
    assert store.rows("SELECT count(*) FROM log WHERE email IS NOT NULL") == [(2,)]
