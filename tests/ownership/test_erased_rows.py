"""Rows that an earlier erasure left as they are hold nothing back; rows that anybody wrote since, do."""

from __future__ import annotations

from typing import Any

import pytest

from constraintbook import Store

X = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
ADDRESS = """
- name: address
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: street, data_categories: [user.contact.address.street]}
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: address_id, fides_meta: {references: [{dataset: db, field: address.id, direction: to}]}}
"""
TABLES = """
CREATE TABLE address (id integer PRIMARY KEY, street text);
CREATE TABLE person (id integer PRIMARY KEY, email text, address_id integer);
INSERT INTO address VALUES (1, 'Shared Street 1');
INSERT INTO person VALUES (1, 'ada@example.com', 1), (2, 'bob@example.com', 1), (3, 'cyd@example.com', 1);
"""


def ended(store: Store, email: str, mask: Any) -> dict[str, Any]:
    item = store.erase(email, mask=mask)
    assert item["status"] == "complete", item["reason_detail"]
    return item


@pytest.mark.parametrize("mask", [X, "null_rewrite", "hash"], ids=["constant", "null", "hash"])
def test_the_last_of_several_erases_what_they_shared(store: Store, mask: Any) -> None:
    store.run(TABLES)
    store.describe(ADDRESS)
    for email in ("bob@example.com", "cyd@example.com"):
        assert ended(store, email, mask)["kept"] == {"shared_row": 1}
        assert store.one("SELECT street FROM address") == "Shared Street 1"
    assert store.preview(mask=mask)["db:address"].rows == {"own": 1}
    assert ended(store, "ada@example.com", mask)["outcome"] == "erased"
    assert store.one("SELECT street FROM address") != "Shared Street 1"


def test_keys_that_may_be_personal_are_known_by_their_digest(store: Store) -> None:
    keyed = TABLES.replace("person (id integer", "person (id text").replace("(1, 'ada", "('a', 'ada")
    store.run(keyed.replace("(2, 'bob", "('b', 'bob").replace("(3, 'cyd@example.com', 1)", "('c', 'cyd', NULL)"))
    store.describe(ADDRESS)
    assert ended(store, "bob@example.com", X)["kept"] == {"shared_row": 1}
    assert ended(store, "ada@example.com", X)["outcome"] == "erased"
    assert store.one("SELECT street FROM address") == "X"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE person SET email = 'new@example.com' WHERE id = 2",
        "DELETE FROM person WHERE id = 2; INSERT INTO person VALUES (2, 'new@example.com', 1)",
        "INSERT INTO person VALUES (9, 'new@example.com', 1)",
    ],
    ids=["updated", "reused key", "moved in"],
)
def test_somebody_who_came_since_holds_back(store: Store, change: str) -> None:
    store.run(TABLES + "UPDATE person SET address_id = NULL WHERE id = 3")
    store.describe(ADDRESS)
    ended(store, "bob@example.com", X)
    store.run(change)
    assert store.preview(mask=X)["db:address"].rows == {"shared_row": 1}
    assert ended(store, "ada@example.com", X)["kept"] == {"shared_row": 1}
    assert store.one("SELECT street FROM address") == "Shared Street 1"


def test_a_message_to_somebody_erased_is_the_other_ones(store: Store) -> None:
    store.run(
        "CREATE TABLE person (id integer PRIMARY KEY, email text);"
        "CREATE TABLE message (id integer PRIMARY KEY, sender integer, recipient integer, body text);"
        "INSERT INTO person VALUES (1, 'ada@example.com'), (2, 'bob@example.com');"
        "INSERT INTO message VALUES (1, 1, 2, 'hello Bob'), (2, 2, 1, 'hello Ada')"
    )
    store.describe(
        """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
- name: message
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: sender, fides_meta: {references: [{dataset: db, field: person.id, direction: from}]}}
  - {name: recipient, fides_meta: {references: [{dataset: db, field: person.id, direction: from}]}}
  - {name: body, data_categories: [user.content]}
"""
    )
    assert ended(store, "bob@example.com", X)["kept"] == {"shared_row": 2}
    assert ended(store, "ada@example.com", X)["outcome"] == "erased"
    assert store.rows("SELECT body FROM message") == [("X",), ("X",)]


FAR_ADDRESS = """
- name: address
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: street, data_categories: [user.contact.address.street]}
"""
FAR_PERSON = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: address_id, fides_meta: {references: [{dataset: far, field: address.id, direction: to}]}}
"""


@pytest.mark.parametrize("moved_in", [False, True])
def test_the_last_of_several_erases_what_lies_in_another_store(store: Store, far: Store, moved_in: bool) -> None:
    far.run(
        "CREATE TABLE address (id integer PRIMARY KEY, street text); INSERT INTO address VALUES (1, 'Shared Street 1')"
    )
    store.run(
        "CREATE TABLE person (id integer PRIMARY KEY, email text, address_id integer);"
        "INSERT INTO person VALUES (1, 'ada@example.com', 1), (2, 'bob@example.com', 1), (3, 'cyd@example.com', 1)"
    )
    far.describe(FAR_ADDRESS)
    store.describe(FAR_PERSON)
    for email in ("bob@example.com", "cyd@example.com"):
        assert ended(store, email, X)["kept"] == {"shared_row": 1}
        assert far.one("SELECT street FROM address") == "Shared Street 1"
    if moved_in:
        store.run("UPDATE person SET email = 'new@example.com' WHERE id = 2")
    said = ended(store, "ada@example.com", X)
    assert (said["outcome"], said["kept"]) == (
        ("erased_with_kept", {"shared_row": 1}) if moved_in else ("erased", None)
    )
    assert (far.one("SELECT street FROM address") == "X") is not moved_in


NATURAL = """
- name: address
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: street, data_categories: [user.contact.address.street]}
- name: person
  fields:
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email, primary_key: true}}
  - {name: address_id, fides_meta: {references: [{dataset: db, field: address.id, direction: to}]}}
"""


@pytest.mark.parametrize("change", ["", "UPDATE person SET email = 'new@example.com' WHERE email <> 'ada@example.com'"])
def test_somebody_who_was_given_another_key_holds_nothing_back(store: Store, change: str) -> None:
    store.run(
        "CREATE TABLE address (id integer PRIMARY KEY, street text);"
        "CREATE TABLE person (email varchar(80) PRIMARY KEY, address_id integer);"
        "INSERT INTO address VALUES (1, 'Shared Street 1');"
        "INSERT INTO person VALUES ('ada@example.com', 1), ('bob@example.com', 1)"
    )
    store.describe(NATURAL)
    assert ended(store, "bob@example.com", X)["kept"] == {"shared_row": 1}
    assert not store.rows("SELECT 1 FROM person WHERE email = 'bob@example.com'")
    if change:
        store.run(change)
    assert ended(store, "ada@example.com", X)["kept"] == ({"shared_row": 1} if change else None)
    assert (store.one("SELECT street FROM address") == "X") is not bool(change)


def test_a_table_that_changed_since_is_told_by_what_it_still_has(store: Store) -> None:
    store.run(TABLES + "UPDATE person SET address_id = NULL WHERE id = 3")
    store.describe(ADDRESS)
    ended(store, "bob@example.com", X)
    store.run("ALTER TABLE person ADD COLUMN since integer")
    assert ended(store, "ada@example.com", X)["outcome"] == "erased"
    assert store.one("SELECT street FROM address") == "X"
