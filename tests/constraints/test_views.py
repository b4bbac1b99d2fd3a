"""Views as targets, also such as take writes by INSTEAD OF triggers: an access reads them, an erasure is refused."""

from __future__ import annotations

import pytest

from constraintbook import Store

MASK = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
VIEW = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: name, data_categories: [user.name]}
"""
TABLES = """
CREATE TABLE stored (id integer PRIMARY KEY, email text, name text);
INSERT INTO stored VALUES (1, 'ada@example.com', 'Ada'), (2, 'bob@example.com', 'Bob');
CREATE VIEW person AS SELECT id, email, upper(name) AS name FROM stored;
"""
WRITES = "UPDATE stored SET email = NEW.email, name = NEW.name WHERE id = OLD.id;"
NOTHING = "UPDATE stored SET email = email WHERE id = -1;"


def make(store: Store, does: str) -> None:
    store.run(TABLES)
    if store.kind == "sqlite":
        store.run(f"CREATE TRIGGER through INSTEAD OF UPDATE ON person BEGIN {does} END")
    else:
        store.run(f"CREATE FUNCTION through() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {does} RETURN NEW; END$$")
        store.run("CREATE TRIGGER through INSTEAD OF UPDATE ON person FOR EACH ROW EXECUTE FUNCTION through()")
    store.describe(VIEW)


@pytest.fixture
def viewed(store: Store) -> Store:
    """A store whose views take triggers."""
    if store.kind == "mariadb":
        pytest.skip("n/a: MariaDB has no INSTEAD OF triggers")
    return store


@pytest.mark.parametrize("does", [WRITES, NOTHING], ids=["writes through", "swallows"])
def test_a_view_is_read_but_refused_before_any_write(viewed: Store, does: str) -> None:
    make(viewed, does)
    detail = viewed.refused(mask=MASK)
    assert (detail["address"], detail["code"]) == ("db:person", "no_privilege")
    assert "is a view" in detail["problem"]
    assert "describe the table behind it" in detail["fix"]
    assert viewed.rows("SELECT email, name FROM stored ORDER BY id") == [
        ("ada@example.com", "Ada"),
        ("bob@example.com", "Bob"),
    ]
    assert viewed.access()["outcome"] == "delivered"
