"""Types that only one kind of server has: each takes a value that the server accepts, or is refused before any write,
also where another collection would have been written first.
"""

from __future__ import annotations

import pytest

from constraintbook import Store

NOTES_FIRST = """
- name: note
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: person_id
    fides_meta: {references: [{dataset: db, field: person.id, direction: from}]}
  - {name: words, data_categories: [user.content]}
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, fides_meta: {identity: email}}
  - {name: value, data_categories: [user.unique_id]}
"""
PERSON_LOGIN = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: value, data_categories: [user.content], fides_meta: IDENTITY}
"""
NOT_NULL, UNIQUE = "NOT NULL", "NOT NULL UNIQUE"
VALUES = "SELECT value{} FROM person ORDER BY id"


def fill(store: Store, kind: str, constraint: str, values: tuple[str, str]) -> None:
    store.run(
        f"CREATE TABLE note (id integer PRIMARY KEY, person_id integer, words text); "
        f"CREATE TABLE person (id integer PRIMARY KEY, email text, value {kind} {constraint})"
    )
    store.run("INSERT INTO note VALUES (1, 1, 'hers'), (2, 2, 'his')")
    store.run(f"INSERT INTO person VALUES (1, 'ada@example.com', {values[0]}), (2, 'bob@example.com', {values[1]})")
    store.describe(NOTES_FIRST)


def check_masked(store: Store, kind: str, constraint: str, values: tuple[str, str], mask: str) -> None:
    fill(store, kind, constraint, values)
    query = VALUES.format(
        " + 0" if kind.startswith("bit(") and store.kind == "mariadb" else "::text" * (store.kind == "postgres")
    )
    (before,), (neighbour,) = store.rows(query)
    store.erased(mask=mask)
    (after,), (still,) = store.rows(query)
    assert after not in (None, before)
    assert still == neighbour
    (hers,), (his,) = store.rows("SELECT words FROM note ORDER BY id")
    assert (hers != "hers", his) == (True, "his")


def check_refused(store: Store, kind: str, constraint: str, values: tuple[str, str], mask: str) -> None:
    fill(store, kind, constraint, values)
    detail = store.refused(mask=mask)
    assert (detail["code"], detail["address"]) == ("unmaskable", "db:person:value")
    assert store.rows("SELECT words FROM note ORDER BY id") == [("hers",), ("his",)]


MARIADB = [
    ("bit(8)", NOT_NULL, ("b'101'", "b'110'")),
    ("year", NOT_NULL, ("1980", "1981")),
    ("float(5,2)", UNIQUE, ("1.25", "2.5")),
    ("double(9,2)", UNIQUE, ("1.25", "2.5")),
    ("tinyint", UNIQUE, ("3", "4")),
    ("decimal(2,2)", UNIQUE, ("0.25", "0.5")),
    ("timestamp", UNIQUE, ("'1980-02-03 04:05:06'", "'1980-02-03 04:05:07'")),
    ("time", UNIQUE, ("'25:00:00'", "'26:00:00'")),
    ("binary(8)", UNIQUE, ("'a'", "'b'")),
    ("inet6", NOT_NULL, ("'2001:db8::1'", "'2001:db8::2'")),
    ("inet4", NOT_NULL, ("'192.0.2.1'", "'192.0.2.2'")),
    ("uuid", NOT_NULL, ("'6ccd780c-baba-1026-9564-5b8c656024db'", "'6ccd780c-baba-1026-9564-5b8c656024dc'")),
    ("uuid", UNIQUE, ("'6ccd780c-baba-1026-9564-5b8c656024db'", "'6ccd780c-baba-1026-9564-5b8c656024dc'")),
]
MARIADB_REFUSED = [
    ("inet6", UNIQUE, ("'2001:db8::1'", "'2001:db8::2'")),
    ("year", UNIQUE, ("1980", "1981")),
    ("bit(8)", UNIQUE, ("b'101'", "b'110'")),
    ("bit(64)", UNIQUE, ("b'101'", "b'110'")),
    ("decimal(1,0)", UNIQUE, ("1", "2")),
    ("float(3,2)", UNIQUE, ("1", "2")),
    ("point", NOT_NULL, ("POINT(1, 2)", "POINT(2, 3)")),
    ("geometry", NOT_NULL, ("POINT(1, 2)", "POINT(2, 3)")),
    ("linestring", NOT_NULL, ("ST_LineFromText('LINESTRING(0 0,1 1)')", "ST_LineFromText('LINESTRING(0 0,1 2)')")),
]
POSTGRES = [
    ("oid", UNIQUE, ("7", "8")),
    ("xml", NOT_NULL, ("'<a/>'", "'<b/>'")),
    ("tsvector", NOT_NULL, ("'ada'", "'bob'")),
    ("name", UNIQUE, ("'ada'", "'bob'")),
    ("timetz", UNIQUE, ("'04:05:06+01'", "'04:05:07+01'")),
    ("timetz", NOT_NULL, ("'04:05:06+01'", "'04:05:07+01'")),
    ("macaddr8", NOT_NULL, ("'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03:04:06'")),
    ("cidr", NOT_NULL, ("'192.0.2.0/24'", "'192.0.3.0/24'")),
    ("tstzrange", NOT_NULL, ("'[2001-01-01,2002-01-01)'", "'[2001-01-01,2003-01-01)'")),
    ("numeric", UNIQUE, ("1.25", "2.5")),
    ("interval", UNIQUE, ("'1 day'", "'2 days'")),
]
POSTGRES_REFUSED = [
    ("bit(8)", NOT_NULL, ("B'00000101'", "B'00000110'")),
    ("bit varying(8)", NOT_NULL, ("B'101'", "B'110'")),
    ("money", NOT_NULL, ("'1.50'", "'2.50'")),
    ("jsonpath", NOT_NULL, ("'$.a'", "'$.b'")),
    ("polygon", NOT_NULL, ("'((0,0),(1,1))'", "'((0,0),(1,2))'")),
    ("int4multirange", NOT_NULL, ("'{[1,2)}'", "'{[3,4)}'")),
    ("tsvector", UNIQUE, ("'ada'", "'bob'")),
    ('"char"', UNIQUE, ("'a'", "'b'")),
]


@pytest.mark.parametrize(("kind", "constraint", "values"), MARIADB)
def test_mariadb_takes_what_is_written(mariadb: Store, kind: str, constraint: str, values: tuple[str, str]) -> None:
    check_masked(mariadb, kind, constraint, values, "null_rewrite")


@pytest.mark.parametrize(("kind", "constraint", "values"), MARIADB_REFUSED)
def test_mariadb_is_refused_before_the_first_write(
    mariadb: Store, kind: str, constraint: str, values: tuple[str, str]
) -> None:
    check_refused(mariadb, kind, constraint, values, "null_rewrite")


def test_values_drawn_by_the_policy_fit_too(mariadb: Store) -> None:
    check_masked(mariadb, "year", NOT_NULL, ("1980", "1981"), "random_value_rewrite")


@pytest.mark.parametrize(("kind", "constraint", "values"), POSTGRES)
def test_postgresql_takes_what_is_written(postgres: Store, kind: str, constraint: str, values: tuple[str, str]) -> None:
    check_masked(postgres, kind, constraint, values, "null_rewrite")


@pytest.mark.parametrize(("kind", "constraint", "values"), POSTGRES_REFUSED)
def test_postgresql_is_refused_before_the_first_write(
    postgres: Store, kind: str, constraint: str, values: tuple[str, str]
) -> None:
    check_refused(postgres, kind, constraint, values, "null_rewrite")


def test_collations_of_postgresql_that_may_fold_accents_are_named(postgres: Store) -> None:
    postgres.run("CREATE COLLATION plain (provider = icu, locale = 'und-u-ks-level1', deterministic = false)")
    postgres.run("CREATE TABLE person (id integer PRIMARY KEY, email text, value text COLLATE plain)")
    exact = "{identity: login, identity_match: exact}"
    postgres.describe(PERSON_LOGIN.replace("IDENTITY", exact))
    named = [each.address for each in postgres.explained().warnings if each.code == "folds_accents"]
    assert named == []  # nobody asks by it
    postgres.describe(PERSON_LOGIN.replace("IDENTITY", "{identity: email, identity_match: exact}"))
    named = [each.address for each in postgres.explained().warnings if each.code == "folds_accents"]
    assert named == ["db:person:value"]


def test_a_scan_names_how_many_rows_the_table_has(postgres: Store) -> None:
    postgres.run("CREATE TABLE person (id integer PRIMARY KEY, email text, value text)")
    postgres.run("INSERT INTO person SELECT n, n || '@example.com', '' FROM generate_series(1, 1234) n; ANALYZE person")
    postgres.describe(PERSON_LOGIN.replace("IDENTITY", "{}"))
    [scan] = [each for each in postgres.explained().warnings if each.code == "scan"]
    assert scan.message.endswith("the whole table is read (about 1234 rows)")
