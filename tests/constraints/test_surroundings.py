"""What lies around a table: hidden rows, history, inheritance, copies, triggers, columns that change by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from constraintbook import Store

PERSON = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
"""
DELETED = PERSON.replace("person\n", "person\n  fides_meta: {masking_strategy_override: {strategy: delete}}\n", 1)
TABLE = "CREATE TABLE person (id integer PRIMARY KEY, email text)"
ROWS = "INSERT INTO person VALUES (1, 'ada@example.com'), (2, 'bob@example.com')"
CONSTANT = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}


@pytest.fixture
def reader(postgres: Store) -> Iterator[str]:
    """A role that isn't a superuser."""
    name = f"role_{postgres.schema}"
    postgres.run(f"CREATE ROLE {name} LOGIN")
    yield name
    postgres.run(f"DROP OWNED BY {name}; DROP ROLE {name}")


def warned(store: Store) -> set[str]:
    """Codes of what the preview warns of."""
    return {each.code for each in store.explained().warnings}


@pytest.mark.parametrize("bypass", ["", "BYPASSRLS"])
def test_rows_that_security_may_hide_are_not_erased_in_part(postgres: Store, reader: str, bypass: str) -> None:
    postgres.run(f"{TABLE}; {ROWS}, (3, 'ada@example.com'); ALTER TABLE person ENABLE ROW LEVEL SECURITY")
    postgres.run(f"CREATE POLICY few ON person USING (id < 3); GRANT ALL ON person TO {reader}")
    postgres.run(f"GRANT USAGE ON SCHEMA {postgres.schema} TO {reader}; ALTER ROLE {reader} {bypass}")
    postgres.describe(PERSON, user=reader)
    if bypass:
        assert postgres.erased()["db:person"]["masked"] == 2
        return
    detail = postgres.refused()
    assert (detail["code"], detail["address"]) == ("row_security", "db:person")
    shown = [(each["address"], each["reason"]) for each in postgres.access()["not_searched"]]
    assert shown == [("db:person", "row_security")]
    assert postgres.one("SELECT count(*) FROM person WHERE email = 'ada@example.com'") == 2


def test_history_would_keep_the_values(mariadb: Store) -> None:
    mariadb.run("CREATE TABLE person (id integer PRIMARY KEY, email text) WITH SYSTEM VERSIONING")
    mariadb.run(ROWS)
    mariadb.describe(PERSON)
    detail = mariadb.refused()
    assert (detail["code"], detail["address"]) == ("versioned", "db:person")
    assert mariadb.one("SELECT count(*) FROM person WHERE email = 'ada@example.com'") == 1


def test_history_that_begins_after_the_plan_is_noticed(mariadb: Store) -> None:
    mariadb.run(f"{TABLE}; {ROWS}")
    mariadb.describe(PERSON)
    mariadb.erased("bob@example.com")
    mariadb.run("ALTER TABLE person ADD SYSTEM VERSIONING")
    assert mariadb.refused()["code"] == "versioned"


def test_a_column_that_changes_by_itself_is_kept(mariadb: Store) -> None:
    mariadb.run(
        "CREATE TABLE person (id integer PRIMARY KEY, email text, seen timestamp NOT NULL "
        "DEFAULT '2020-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP)"
    )
    mariadb.run("INSERT INTO person (id, email) VALUES (1, 'ada@example.com'), (2, 'bob@example.com')")
    mariadb.describe(PERSON)
    for mask in (CONSTANT, "hash"):
        mariadb.erased(mask=mask) if mask is CONSTANT else mariadb.erased("bob@example.com", mask=mask)
    assert mariadb.rows("SELECT DISTINCT CAST(seen AS CHAR) FROM person") == [("2020-01-01 00:00:00",)]


INHERITED = """
CREATE TABLE person (id integer PRIMARY KEY, email text);
CREATE TABLE member (badge text) INHERITS (person);
INSERT INTO person VALUES (1, 'ada@example.com'), (2, 'bob@example.com');
INSERT INTO member VALUES (1, 'bob@example.com', 'b'), (2, 'ada@example.com', 'a');
"""


@pytest.mark.parametrize("deletes", [False, True])
def test_rows_of_inheriting_tables_are_told_apart(postgres: Store, deletes: bool) -> None:
    postgres.run(INHERITED)
    postgres.describe(DELETED if deletes else PERSON)
    said = postgres.erased()["db:person"]
    assert (said["frozen"], said["deleted" if deletes else "masked"]) == (2, 2)
    left = [(1, "bob@example.com"), (2, "bob@example.com")]
    found = postgres.rows("SELECT id, email FROM person WHERE email IS NOT NULL ORDER BY id")
    assert found == left
    assert postgres.one("SELECT count(*) FROM person") == (2 if deletes else 4)


def test_a_mask_per_row_is_refused_where_tables_inherit(postgres: Store) -> None:
    postgres.run(INHERITED)
    postgres.describe(PERSON)
    assert postgres.refused(mask="hash")["code"] == "no_key"


def test_both_ends_of_an_inheritance_may_be_described(postgres: Store) -> None:
    postgres.run(INHERITED)
    postgres.describe(PERSON + PERSON.replace("person\n", "member\n", 1))
    postgres.erased(mask=CONSTANT)
    assert postgres.rows("SELECT id, email FROM ONLY person ORDER BY id") == [(1, "gone"), (2, "bob@example.com")]
    assert postgres.rows("SELECT id, email FROM member ORDER BY id") == [(1, "bob@example.com"), (2, "gone")]


PARTED = """
CREATE TABLE person (id integer, email text, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE person_eu PARTITION OF person FOR VALUES IN ('eu');
CREATE TABLE person_rest PARTITION OF person DEFAULT;
INSERT INTO person VALUES (1, 'ada@example.com', 'eu'), (1, 'bob@example.com', 'us'), (2, 'ada@example.com', 'us');
"""


@pytest.mark.parametrize("deletes", [False, True])
def test_rows_of_partitions_are_written_by_the_whole_key(postgres: Store, deletes: bool) -> None:
    postgres.run(PARTED)
    region = "  - {name: region, fides_meta: {primary_key: true}}\n"
    postgres.describe((DELETED if deletes else PERSON) + region)
    said = postgres.erased()["db:person"]
    assert (said["frozen"], said["deleted" if deletes else "masked"]) == (2, 2)
    assert postgres.rows("SELECT id, region FROM person WHERE email IS NOT NULL") == [(1, "us")]


def test_a_mask_moves_a_row_to_another_partition(postgres: Store) -> None:
    postgres.run(PARTED.replace("PRIMARY KEY (id, region)", "UNIQUE (id, email, region)"))
    postgres.describe(
        """
- name: person
  fields:
  - {name: id}
  - {name: email, fides_meta: {identity: email}}
  - {name: region, data_categories: [user.contact.address]}
"""
    )
    said = postgres.erased(mask=CONSTANT)["db:person"]
    assert (said["frozen"], said["masked"], said["vanished"]) == (2, 2, 0)
    found = postgres.rows("SELECT tableoid::regclass::text LIKE '%rest', email, region FROM person ORDER BY email, id")
    assert found == [(True, "ada@example.com", None)] * 2 + [(True, "bob@example.com", "us")]


def test_copies_are_named(postgres: Store) -> None:
    postgres.run(f"{TABLE}; {ROWS}; CREATE VIEW v AS SELECT email FROM person")
    postgres.run("CREATE MATERIALIZED VIEW m AS SELECT * FROM v")
    postgres.describe(PERSON)
    [caution] = [each for each in postgres.explained().warnings if each.code == "copies"]
    assert caution.message.startswith("m keeps copies")


AUDITED = {
    "sqlite": "CREATE TRIGGER kept AFTER UPDATE OF email ON person BEGIN INSERT INTO audit VALUES (old.email); END",
    "postgres": "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN INSERT INTO {schema}.audit VALUES (old.email); RETURN new; END';"
    "CREATE TRIGGER kept AFTER UPDATE ON person FOR EACH ROW EXECUTE FUNCTION kept()",
    "mariadb": "CREATE TRIGGER kept AFTER UPDATE ON person FOR EACH ROW INSERT INTO audit VALUES (old.email)",
}


def test_a_trigger_that_writes_elsewhere_is_named(store: Store) -> None:
    store.run(f"{TABLE}; {ROWS}; CREATE TABLE audit (email text)")
    store.run(AUDITED[store.kind].replace("{schema}", store.schema))
    store.describe(PERSON)
    assert "update_trigger" in warned(store)


def test_what_a_trigger_writes_goes_where_it_is_targeted(store: Store) -> None:
    store.run(f"{TABLE}; {ROWS}; CREATE TABLE audit (email text)")
    store.run(AUDITED[store.kind].replace("{schema}", store.schema))
    audit = "- name: audit\n  fields:\n  - {name: email, data_categories: [user.contact.email], "
    store.describe(PERSON + audit + "fides_meta: {identity: email}}\n")
    store.erased(mask=CONSTANT)
    assert store.one("SELECT count(*) FROM audit WHERE email = 'ada@example.com'") == 0


def test_a_full_text_index_beside_its_table_is_named(store: Store) -> None:
    store.run(f"{TABLE}; {ROWS}")
    if store.kind == "sqlite":
        store.run("CREATE VIRTUAL TABLE words USING fts5(email, content='person', content_rowid='id')")
    store.describe(PERSON)
    assert ("copies" in warned(store)) is (store.kind == "sqlite")


def test_a_full_text_table_is_masked_itself(store: Store) -> None:
    if store.kind != "sqlite":
        pytest.skip("n/a: only SQLite has full-text tables")
    store.run("CREATE VIRTUAL TABLE person USING fts5(email, body)")
    store.run("INSERT INTO person VALUES ('ada@example.com', 'secret words'), ('bob@example.com', 'other words')")
    store.describe(
        """
- name: person
  fields:
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: body, data_categories: [user.content]}
"""
    )
    assert store.erased(mask=CONSTANT)["db:person"]["masked"] == 1
    assert store.rows("SELECT email, body FROM person ORDER BY 1") == [
        (None, None),  # its columns have no type, and take NULL
        ("bob@example.com", "other words"),
    ]
    assert store.rows("SELECT * FROM person WHERE person MATCH 'secret'") == []


def test_columns_that_exclude_each_other_differ(postgres: Store) -> None:
    postgres.run("CREATE TABLE person (id integer PRIMARY KEY, email text, code text NOT NULL, EXCLUDE (code WITH =))")
    postgres.run("INSERT INTO person VALUES (1, 'ada@example.com', 'a'), (2, 'ada@example.com', 'b')")
    postgres.describe(PERSON + "  - {name: code, data_categories: [user.unique_id]}\n")
    said = postgres.erased(mask=CONSTANT)["db:person"]
    assert said["substituted"] == {"code": "unique"}
    assert postgres.one("SELECT count(DISTINCT code) FROM person") == 2


def test_types_of_types_take_their_substitutes(postgres: Store) -> None:
    postgres.run("CREATE TYPE place AS (street text, town text); CREATE DOMAIN tags AS text[] NOT NULL")
    postgres.run("CREATE TABLE person (id integer PRIMARY KEY, email text, home place, words tags)")
    postgres.run("INSERT INTO person VALUES (1, 'ada@example.com', ROW('Elm', 'Town'), ARRAY['a'])")
    fields = "  - {name: home, data_categories: [user.contact.address]}\n"
    fields += "  - {name: words, data_categories: [user.content], fides_meta: {data_type: 'string[]'}}\n"
    postgres.describe(PERSON + fields)
    postgres.erased(mask=CONSTANT)
    assert postgres.rows("SELECT home, words::text FROM person") == [(None, "{}")]


def test_deferred_keys_and_identities_are_no_hindrance(postgres: Store) -> None:
    postgres.run(
        "CREATE TABLE person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, "
        "code text NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED)"
    )
    postgres.run("INSERT INTO person (email, code) VALUES ('ada@example.com', 'a'), ('ada@example.com', 'b')")
    postgres.describe(PERSON + "  - {name: code, data_categories: [user.unique_id]}\n")
    assert postgres.erased(mask=CONSTANT)["db:person"]["masked"] == 2
    assert postgres.one("SELECT count(DISTINCT code) FROM person") == 2


MARIA_TYPES = """
CREATE TABLE person (id integer PRIMARY KEY, email text, flags bit(8) NOT NULL, likes set('a', 'b') NOT NULL,
  size enum('s', 'm') NOT NULL, note text INVISIBLE, upper_email text AS (upper(email)) STORED)
  PARTITION BY HASH (id) PARTITIONS 3
"""


def test_types_of_mariadb_take_their_substitutes(mariadb: Store) -> None:
    mariadb.run(MARIA_TYPES)
    mariadb.run(
        "INSERT INTO person (id, email, flags, likes, size, note) "
        "VALUES (1, 'ada@example.com', b'101', 'a,b', 'm', 'x'), (2, 'bob@example.com', b'1', 'a', 'm', 'y')"
    )
    fields = "".join(
        f"  - {{name: {name}, data_categories: [user.content]}}\n" for name in ("flags", "likes", "size", "note")
    )
    mariadb.describe(PERSON + fields)
    assert mariadb.erased(mask=CONSTANT)["db:person"]["masked"] == 1
    found = mariadb.rows("SELECT email, upper_email, flags + 0, likes, size, note FROM person ORDER BY id")
    assert found == [("gone", "GONE", 0, "", "s", "gone"), ("bob@example.com", "BOB@EXAMPLE.COM", 1, "a", "m", "y")]


def test_tables_of_sqlite_take_their_masks(store: Store) -> None:
    if store.kind != "sqlite":
        pytest.skip("n/a: only SQLite has them")
    store.run(
        "CREATE TABLE person (id TEXT, n INTEGER, email TEXT, size ANY, "
        "upper_email TEXT GENERATED ALWAYS AS (upper(email)), PRIMARY KEY (id, n)) STRICT, WITHOUT ROWID"
    )
    store.run("INSERT INTO person VALUES ('a', 1, 'ada@example.com', 5), ('a', 2, 'bob@example.com', 'x')")
    store.describe(
        PERSON.replace("id, fides_meta", "n, fides_meta")
        + "  - {name: id, fides_meta: {primary_key: true}}\n  - {name: size, data_categories: [user.content]}\n"
    )
    assert store.erased(mask=CONSTANT)["db:person"]["masked"] == 1
    assert store.rows("SELECT email, upper_email, size FROM person ORDER BY n") == [
        ("gone", "GONE", None),
        ("bob@example.com", "BOB@EXAMPLE.COM", "x"),
    ]


def test_views_are_refused_whether_or_not_they_can_be_updated(store: Store) -> None:
    store.run(f"CREATE TABLE base (id integer PRIMARY KEY, email text); {ROWS.replace('person', 'base')}")
    store.run("CREATE VIEW person AS SELECT id, email FROM base")
    store.describe(PERSON)
    detail = store.refused()
    assert (detail["code"], detail["address"]) == ("no_privilege", "db:person")
    assert store.one("SELECT count(*) FROM base WHERE email IS NULL") == 0
