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


def check_type(store: Store, kind: str, value: str, constraint: str = "NOT NULL") -> None:
    fill(store, kind, (value, value), constraint)
    before = store.one(BOBS)
    said = store.erased(mask={"strategy": "string_rewrite", "configuration": {"rewrite_value": "erased for ever"}})
    assert said["db:person"]["substituted"] == {"value": "type"}
    assert store.one(BOBS) == before
    assert store.one(ADAS) != before


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "7"),
        ("numeric(4,1)", "7.5"),
        ("real", "7.5"),
        ("date", "'1980-02-03'"),
        ("timestamp", "'1980-02-03 04:05:06'"),
        ("uuid", "'6f1c0b2e-7c63-4b3e-9a10-1f6a5d7c9b01'"),
        ("boolean", "true"),
    ],
)
def test_not_null_takes_the_constant_of_its_type(store: Store, kind: str, value: str) -> None:
    check_type(store, kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bytea", r"'\x0102'"),
        ("json", "'{\"a\": 1}'"),
        ("jsonb", "'{\"a\": 1}'"),
        ("interval", "'1 day'"),
        ("text[]", "'{a,b}'"),
        ("integer[]", "'{1,2}'"),
        ("timestamptz", "'1980-02-03 04:05:06Z'"),
        ("time", "'04:05:06'"),
        ("inet", "'192.0.2.1'"),
        ("macaddr", "'08:00:2b:01:02:03'"),
        ("point", "'(1,2)'"),
        ("int4range", "'[1,2]'"),
        ("mood", "'sad'"),
    ],
)
def test_constants_of_types_of_postgresql(postgres: Store, kind: str, value: str) -> None:
    postgres.run("CREATE TYPE mood AS ENUM ('happy', 'sad')")
    check_type(postgres, kind, value)


def test_null_stays_and_nullable_becomes_null(store: Store) -> None:
    store.run("CREATE TABLE person (id integer PRIMARY KEY, email text, value integer)")
    store.run("INSERT INTO person VALUES (1, 'ada@example.com', 7), (2, 'ADA@example.com', NULL)")
    store.describe(PERSON)
    store.erased(mask="hash")
    assert store.rows("SELECT value FROM person ORDER BY id") == [(None,), (None,)]


def test_a_unique_index_over_an_expression_counts(store: Store) -> None:
    if store.kind == "mariadb":
        pytest.skip("n/a: MariaDB has no indexes over expressions")
    fill(store, "text", ("'Adas'", "'Bobs'"), "NOT NULL")
    store.run("CREATE UNIQUE INDEX one_value ON person (lower(value))")
    mask = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}
    for email in ("ada@example.com", "bob@example.com"):
        assert store.erased(email, mask)["db:person"]["substituted"] == {"value": "unique"}
    assert len({store.one(ADAS), store.one(BOBS), "Adas", "Bobs"}) == 4


def test_few_unique_values_are_drawn_until_one_is_free(store: Store) -> None:
    store.run("CREATE TABLE person (id integer PRIMARY KEY, email text, value varchar(4) NOT NULL UNIQUE)")
    people = ", ".join(f"({number}, 'ada@example.com', '{number:04}')" for number in range(3000))
    store.run(f"INSERT INTO person VALUES {people}")
    store.describe(PERSON)
    assert store.erased()["db:person"]["masked"] == 3000
    assert store.one("SELECT count(DISTINCT value) FROM person") == 3000


def test_a_type_without_a_substitute_is_refused(store: Store) -> None:
    fill(store, "boolean", ("true", "false"))
    assert store.refused()["code"] == "unmaskable"
    assert store.rows("SELECT count(*) FROM person WHERE email IS NULL") == [(0,)]


GONE = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}


@pytest.mark.parametrize(
    ("column", "mask", "breaks"),
    [
        ("value text NOT NULL CHECK (length(value) > 2 AND value LIKE '%_%')", "hash", False),
        ("value text CHECK (value IS NOT NULL OR email IS NULL)", "null_rewrite", False),
        ("value integer NOT NULL CHECK (value > 0)", "null_rewrite", True),
        ("value text, CHECK (email IS NULL OR \"value\" <> 'gone')", GONE, True),
    ],
)
def test_a_check_is_tried_before_the_first_write(store: Store, column: str, mask: object, breaks: bool) -> None:
    store.run(f"CREATE TABLE person (id integer PRIMARY KEY, email text, {column})")
    store.run(PEOPLE % (("7", "8") if "integer" in column else ("'adas'", "'bobs'")))
    store.describe(PERSON)
    before = store.rows("SELECT * FROM person ORDER BY id")
    if not breaks:
        store.erased(mask=mask)
        assert store.one(ADAS) != "adas"
        return
    detail = store.refused(mask=mask)
    assert (detail["code"], detail["address"]) == ("unmaskable", "db:person")
    assert "CHECK" in detail["problem"]
    assert store.rows("SELECT * FROM person ORDER BY id") == before


def test_a_domain_is_tried_too(postgres: Store) -> None:
    postgres.run("CREATE DOMAIN age AS smallint CHECK (VALUE > 17)")
    fill(postgres, "age", ("40", "50"), "NOT NULL")
    assert postgres.refused()["code"] == "unmaskable"
    assert postgres.rows("SELECT value FROM person ORDER BY id") == [(40,), (50,)]


def test_a_domain_takes_what_it_allows(postgres: Store) -> None:
    postgres.run("CREATE DOMAIN code AS varchar(8) CHECK (VALUE ~ '^[a-z0-9]+$')")
    fill(postgres, "code", ("'adas'", "'bobs'"))
    postgres.erased()
    assert len(postgres.one(ADAS)) == 8


def test_one_refused_request_leaves_its_cohort(store: Store) -> None:
    store.run(
        "CREATE TABLE person (id integer PRIMARY KEY, email text, value text CHECK (value IS NOT NULL OR id <> 1))"
    )
    store.run(PEOPLE % ("'adas'", "'bobs'"))
    store.describe(PERSON)
    ada, bob = store.submit({"email": "ada@example.com"}, {"email": "bob@example.com"})
    assert (store.end(ada)["status"], store.end(ada)["reason"]) == ("error", "refused")
    assert store.end(bob)["status"] == "complete"
    assert store.rows("SELECT * FROM person ORDER BY id") == [(1, "ada@example.com", "adas"), (2, None, None)]


def test_generated_columns_are_refused(store: Store) -> None:
    store.run(
        "CREATE TABLE person (id integer PRIMARY KEY, email text, value text GENERATED ALWAYS AS (upper(email)) STORED)"
    )
    store.run("INSERT INTO person (id, email) VALUES (1, 'ada@example.com')")
    store.describe(PERSON)
    detail = store.refused()
    assert (detail["code"], detail["address"]) == ("generated_column", "db:person:value")
    assert store.rows("SELECT email FROM person") == [("ada@example.com",)]


def test_generated_columns_beside_an_identity_key_are_refused(postgres: Store) -> None:
    postgres.run(
        "CREATE TABLE person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, "
        "value text GENERATED ALWAYS AS (upper(email)) STORED)"
    )
    postgres.run("INSERT INTO person (email) VALUES ('ada@example.com')")
    postgres.describe(PERSON)
    assert postgres.refused()["code"] == "generated_column"
