"""What a column takes where the policy's strategy doesn't fit it: by type, NOT NULL, UNIQUE, length, domain, CHECK."""

from __future__ import annotations

import pytest

from constraintbook import Store

PERSON = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: value, data_categories: [user.unique_id]}
"""
PEOPLE = "INSERT INTO person VALUES (1, 'ada@example.com', %s), (2, 'bob@example.com', %s)"
ADAS = "SELECT value FROM person WHERE id = 1"
BOBS = "SELECT value FROM person WHERE id = 2"

UNIQUE_TYPES = {
    "smallint": ("7", "8"),
    "integer": ("7", "8"),
    "bigint": ("7", "8"),
    "numeric(6,2)": ("1.25", "2.5"),
    "real": ("1.5", "2.5"),
    "date": ("'1980-02-03'", "'1980-02-04'"),
    "timestamp": ("'1980-02-03 04:05:06'", "'1980-02-03 04:05:07'"),
    "uuid": ("'6f1c0b2e-7c63-4b3e-9a10-1f6a5d7c9b01'", "'6f1c0b2e-7c63-4b3e-9a10-1f6a5d7c9b02'"),
    "varchar(4)": ("'adas'", "'bobs'"),
    "text": ("'adas'", "'bobs'"),
}
POSTGRES_UNIQUE = {
    "timestamptz": ("'1980-02-03 04:05:06Z'", "'1980-02-03 04:05:07Z'"),
    "time": ("'04:05:06'", "'04:05:07'"),
    "interval": ("'1 day'", "'2 days'"),
    "bytea": (r"'\x0102'", r"'\x0103'"),
    "jsonb": ("'{\"a\": 1}'", "'{\"a\": 2}'"),
}


def fill(store: Store, kind: str, values: tuple[str, str], constraint: str = "NOT NULL UNIQUE") -> None:
    store.run(f"CREATE TABLE person (id integer PRIMARY KEY, email text, value {kind} {constraint})")
    store.run(PEOPLE % values)
    store.describe(PERSON)


def check_unique(store: Store, kind: str, values: tuple[str, str]) -> None:
    fill(store, kind, values)
    before, neighbour = store.one(ADAS), store.one(BOBS)
    said = store.erased()["db:person"]
    assert store.one(ADAS) not in (None, before, neighbour)
    assert store.one(BOBS) == neighbour
    assert said["substituted"] == {"value": "not_null"}


@pytest.mark.parametrize("kind", UNIQUE_TYPES)
def test_what_must_be_unique_becomes_random_of_its_type(store: Store, kind: str) -> None:
    check_unique(store, kind, UNIQUE_TYPES[kind])


@pytest.mark.parametrize("kind", POSTGRES_UNIQUE)
def test_types_of_postgresql_too(postgres: Store, kind: str) -> None:
    check_unique(postgres, kind, POSTGRES_UNIQUE[kind])
