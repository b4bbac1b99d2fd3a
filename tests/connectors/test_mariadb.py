"""What MariaDB does in its own way: types, collations, locks, snapshots, sessions, privileges."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from connectorbook import KEY, MariadbHarness, PlanBook, by_email, chunks, no_fence, seed
from habeas.connectors.base import Connector, Landing
from habeas.connectors.kinds.mariadb import MariadbSecrets, MysqlConnector
from habeas.core.errors import SourceDenied, SourceError
from habeas.core.expression import Column, Concat, Constant, Digest, Hmac, Null, Secret
from habeas.core.schema import TableName, TypeFamily
from habeas.dataset.load import dataset_from
from habeas.plan.build import build_plan
from habeas.plan.graph import BoundDataset, Catalog
from habeas.plan.model import Mask, Plan, Pointing, Seed, Segment, Standing
from planbook import policy_of

ADA = seed("ada@example.com")
MASK = Mask("email", "r", "string_rewrite", "constant", Constant("MASKED"))


@pytest.fixture
def harness(shared_mariadb: str) -> Iterator[MariadbHarness]:
    made = MariadbHarness(shared_mariadb)
    yield made
    made.close()


def people(harness: MariadbHarness, connector: Connector, columns: str = "email VARCHAR(90)") -> PlanBook:
    harness.run(f"CREATE TABLE people (id INTEGER PRIMARY KEY, {columns})")
    harness.put("people", [(1, "ada@example.com"), (2, "bob@example.com"), (3, "ADA@EXAMPLE.COM ")])
    book = PlanBook(connector, erases=True)
    book.step("people", people=True, seeds=by_email(), masks=(MASK,))
    return book


UTC = dt.UTC
VALUES: list[tuple[str, str, Any]] = [
    ("BIGINT UNSIGNED", "18446744073709551615", 18446744073709551615),
    ("BIGINT", "-9223372036854775808", -9223372036854775808),
    ("MEDIUMINT", "-8388608", -8388608),
    ("TINYINT(1)", "7", 7),
    ("BOOLEAN", "true", 1),
    ("BIT(12)", "b'101010101010'", 0b101010101010),
    ("DECIMAL(65, 30)", "1.100000000000000000000000000001", Decimal("1.100000000000000000000000000001")),
    ("FLOAT", "0.1", 0.1),
    ("FLOAT", "16777216", 16777216.0),
    ("DOUBLE", "0.1", 0.1),
    ("DATE", "'2001-02-03'", dt.date(2001, 2, 3)),
    ("DATE", "'0000-00-00'", "0000-00-00"),
    ("DATE", "'2001-00-00'", "2001-00-00"),
    ("DATETIME", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    ("DATETIME(6)", "'2001-02-03 04:05:06.000007'", dt.datetime(2001, 2, 3, 4, 5, 6, 7)),
    ("timestamp NULL", "'2001-02-03 04:05:06'", dt.datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)),
    ("TIME", "'838:59:59'", "838:59:59"),
    ("TIME(3)", "'-25:00:00.5'", "-25:00:00.500000"),
    ("YEAR", "2001", 2001),
    ("ENUM('a', 'it''s')", "'it''s'", "it's"),
    ("SET('a', 'b', 'c')", "'c,a'", "a,c"),
    ("VARBINARY(9)", "x'00ff27'", b"\x00\xff'"),
    ("LONGBLOB", "REPEAT('x', 70000)", b"x" * 70_000),
    ("MEDIUMTEXT", "REPEAT('ü', 70000)", "ü" * 70_000),
    ("VARCHAR(9) CHARACTER SET latin1", "'Ö'", "Ö"),
    ("VARCHAR(9) CHARACTER SET ucs2", "'Ö'", "Ö"),
    ("JSON", """'{"n": 1.10}'""", {"n": Decimal("1.10")}),
    ("UUID", "'123e4567-e89b-12d3-a456-426655440000'", "123e4567-e89b-12d3-a456-426655440000"),
    ("INET6", "'2001:db8::1'", "2001:db8::1"),
    ("POINT", "POINT(1, 2)", "POINT(1 2)"),
    ("CHAR(5)", "'ab'", "ab"),
]


@pytest.mark.parametrize(("kind", "literal", "expected"), VALUES, ids=[f"{kind} {value}" for kind, value, _ in VALUES])
def test_values_come_exact_and_can_be_frozen(
    harness: MariadbHarness, connector: Connector, kind: str, literal: str, expected: Any
) -> None:
    harness.run(
        "SET time_zone = '+00:00'",
        f"CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), it {kind})",
        f"INSERT INTO people VALUES (1, 'ada@example.com', {literal}), (2, 'ada@example.com', NULL)",
    )
    book = PlanBook(connector, erases=True)
    book.step("people", people=True, seeds=by_email(), masks=(Mask("it", "r", "s", "constant", Null()),))
    with book.found(ADA) as reader:
        found = [row for batch in reader.rows(book.steps[0], ["it"]) for row in batch.rows]
        (chunk,) = chunks(reader, book.steps[0])
    assert found == [(expected,), (None,)]
    assert type(found[0][0]) is type(expected)
    assert len(set(chunk.digests)) == 2
    with connector.writer("habeas/test/1", no_fence) as writer:
        assert writer.verify(book.steps[0], chunk, KEY).untouched == [0]
        assert writer.mask(book.steps[0], chunk) == 2
        assert writer.verify(book.steps[0], chunk, KEY) == ([], [], [])


SUBSTITUTES: list[tuple[str, str, Any]] = [
    ("BIT(3) NOT NULL", "5", 0),
    ("BOOLEAN NOT NULL", "1", False),
    ("timestamp NOT NULL", "'2001-02-03 04:05:06'", "1970-01-01 00:00:00+00:00"),
    ("DATETIME NOT NULL", "'2001-02-03 04:05:06'", "1970-01-01 00:00:00"),
    ("BINARY(4) NOT NULL", "'abcd'", ""),
    ("VARBINARY(4) NOT NULL", "'abcd'", ""),
    ("TIME NOT NULL", "'25:00:00'", "00:00:00"),
    ("FLOAT NOT NULL", "0.1", 0.0),
    ("ENUM('a', 'b') NOT NULL", "'b'", "a"),
    ("UUID NOT NULL", "'123e4567-e89b-12d3-a456-426655440000'", "00000000-0000-0000-0000-000000000000"),
    ("JSON NOT NULL", """'{"a": 1}'""", "{}"),
    ("VARCHAR(9) CHARACTER SET latin1 NOT NULL", "'x'", "ÄÖ"),
]


@pytest.mark.parametrize(("kind", "literal", "constant"), SUBSTITUTES, ids=[kind for kind, _, _ in SUBSTITUTES])
def test_substitutes_of_every_type_are_written_and_seen(
    harness: MariadbHarness, connector: Connector, kind: str, literal: str, constant: Any
) -> None:
    harness.run(
        f"CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), it {kind})",
        f"INSERT INTO people VALUES (1, 'ada@example.com', {literal})",
    )
    book = PlanBook(connector, erases=True)
    masks = (Mask("it", "r", "s", "constant", Constant(constant)),)
    book.step("people", people=True, seeds=by_email(), masks=masks)
    with book.found(ADA) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    with connector.writer("habeas/test/1", no_fence) as writer:
        assert writer.verify(book.steps[0], chunk, KEY).untouched == [0]
        for _ in range(2):
            assert writer.mask(book.steps[0], chunk) == 1
            assert writer.verify(book.steps[0], chunk, KEY) == ([], [], [])


def test_introspection_tells_types_checks_and_privileges(harness: MariadbHarness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE things (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, flag BOOLEAN, small TINYINT, doc JSON, "
        "at timestamp NULL, mood ENUM('a', 'it''s') NOT NULL DEFAULT 'a', tags SET('x', 'y'), note TINYTEXT, "
        "name VARCHAR(40) COLLATE utf8mb4_unicode_ci, half INT AS (small / 2) VIRTUAL, other INT, "
        "CHECK (small > 0), UNIQUE (name(10)), UNIQUE (other))",
        "CREATE TRIGGER noted BEFORE UPDATE ON things FOR EACH ROW SET NEW.small = 1",
    )
    (table,) = connector.introspect().tables
    columns = {column.name: column for column in table.columns}
    families = [columns[name].type.family for name in ("id", "flag", "small", "doc", "at", "mood", "tags", "note")]
    assert families == [
        TypeFamily.INTEGER,
        TypeFamily.BOOLEAN,
        TypeFamily.INTEGER,
        TypeFamily.JSON,
        TypeFamily.TIMESTAMP_TZ,
        TypeFamily.ENUM,
        TypeFamily.OTHER,
        TypeFamily.TEXT,
    ]
    assert columns["mood"].type.values == ("a", "it's")
    assert columns["name"].type.native == "varchar(40) collate utf8mb4_unicode_ci"
    assert (columns["note"].type.length, columns["name"].type.length) == (255, 40)
    assert [name for name, column in columns.items() if column.default] == ["id", "mood"]
    assert [name for name, column in columns.items() if column.generated] == ["half"]
    assert columns["name"].folds_accents
    assert table.uniques == (("other",),)  # names may differ after their tenth letter
    assert table.indexes == (("id",), ("other",))
    assert (len(table.checks), table.triggers, table.writable, table.deletable) == (1, True, True, True)
    assert (table.unique_parts, table.delete_triggers, table.expression_indexes) == (("name",), False, False)
    for privileges, allowed in {("SELECT", "UPDATE"): (True, False), ("SELECT", "DELETE"): (False, True)}.items():
        limited = type(connector)(MariadbSecrets.model_validate(harness.account(*privileges)))
        (seen,) = limited.introspect().tables
        assert (seen.writable, seen.deletable) == allowed
        limited.close()


def test_advice_for_a_lookup_names_no_index_that_mariadb_cant_make(
    harness: MariadbHarness, connector: Connector
) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), KEY (email))")
    advice = []
    for match in ("canonical", "exact"):
        email = {
            "name": "email",
            "data_categories": ["user.contact.email"],
            "fides_meta": {"identity": "email", "identity_match": match},
        }
        fields = [{"name": "id", "fides_meta": {"primary_key": True}}, email]
        document = {"fides_key": "shop", "collections": [{"name": "people", "fields": fields}]}
        dataset = dataset_from(document, where="shop")
        bound = BoundDataset(dataset, "store", "write", False, connector.introspect(), None)
        plan = build_plan(policy_of({"access": ["user"]}), Catalog((bound,)), ("email",), region="US")
        advice += [(match, each.fix) for each in plan.warnings if each.code == "scan"]
    assert [match for match, _ in advice] == ["canonical"]
    assert "identity_match: exact" in advice[0][1]
    assert "CREATE INDEX" not in advice[0][1]


def test_exact_follows_the_columns_collation(harness: MariadbHarness, connector: Connector) -> None:
    for collation, expected in {"utf8mb4_general_ci": {1, 2, 4}, "utf8mb4_bin": {2, 4}, "latin1_bin": {2, 4}}.items():
        harness.run(
            f"CREATE OR REPLACE TABLE people (id INTEGER PRIMARY KEY, account VARCHAR(90) COLLATE {collation}, "
            "KEY (account))"
        )
        harness.put("people", [(1, "Ada"), (2, "ada"), (3, "adam"), (4, "ada ")])
        book = PlanBook(connector)
        for indexed in (False, True):
            book.steps.clear()
            book.step("people", people=True, seeds=(Seed("account", "account", match="exact", indexed=indexed),))
            with book.found(seed("ada", "account"), seed("🌍", "account", 1), seed("x" * 300, "account", 2)) as reader:
                assert book.keys(reader, 0) == {(0, key): Standing.OWN for key in expected}


def test_accents_that_a_collation_folds_are_not_a_canonical_match(
    harness: MariadbHarness, connector: Connector
) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))")
    letters = ["jose@example.com", "josé@example.com", "JOSÉ@example.com", "ſose@example.com", "\u212aim@example.com"]
    harness.put("people", list(enumerate(letters)))
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    sought = {"jose@example.com": {0}, "josé@example.com": {1, 2}, "sose@example.com": {3}, "kim@example.com": {4}}
    for given, expected in sought.items():
        with book.found(seed(given)) as reader:
            assert book.own(reader, 0) == expected


def linked(
    harness: MariadbHarness, connector: Connector, left: str, right: str, *, segments: bool = False
) -> tuple[PlanBook, Any]:
    harness.run(
        f"CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), code {left})",
        f"CREATE TABLE notes (id INTEGER PRIMARY KEY, code {right}, KEY (code))",
    )
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    link = book.link(0, "code", "code")
    book.step("notes", links=[link])
    if segments:
        book.segments = [Segment("store", (0,)), Segment("store", (1,))]
    return book, link


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("VARCHAR(9) COLLATE utf8mb4_unicode_ci", "VARCHAR(9) COLLATE utf8mb4_general_ci", {1, 2, 3, 4}),
        ("VARCHAR(9) COLLATE utf8mb4_general_ci", "VARCHAR(9) COLLATE utf8mb4_bin", {1, 4}),
        ("VARCHAR(9) COLLATE utf8mb4_bin", "VARCHAR(9) COLLATE latin1_swedish_ci", {1, 4}),
        ("VARCHAR(9) COLLATE latin1_swedish_ci", "VARCHAR(9) COLLATE latin2_general_ci", {1, 2, 3, 4}),
    ],
)
def test_columns_of_two_collations_compare(
    harness: MariadbHarness, connector: Connector, left: str, right: str, expected: set[int]
) -> None:
    book, _ = linked(harness, connector, left, right)
    harness.put("people", [(1, "ada@example.com", "äbc")])
    harness.put("notes", [(1, "äbc"), (2, "ÄBC"), (3, "abc"), (4, "äbc "), (5, "äbx"), (6, None)])
    with book.found(ADA) as reader:
        found = book.own(reader, 1)
    assert {1, 4} <= found <= expected


def test_values_cross_stores_by_their_bytes_and_match_by_the_columns_collation(
    harness: MariadbHarness, connector: Connector
) -> None:
    book, link = linked(harness, connector, "VARCHAR(9)", "VARCHAR(9) COLLATE latin1_general_ci", segments=True)
    harness.put("people", [(1, "ada@example.com", "abc"), (2, "ada@example.com", "ABC"), (3, "ada@example.com", "🌍")])
    harness.put("notes", [(1, "abc"), (2, "Abc"), (3, "?"), (4, "x")])
    with book.found(ADA) as reader:
        landings = [each for batch in reader.departures(link) for each in batch]
    assert sorted(each.values[0] for each in landings) == ["ABC", "abc", "🌍"]
    with book.reader(1) as reader:
        reader.land(link, [*landings, Landing(0, Standing.OWN, True, ("much too long for it",))])
        reader.traverse()
        assert book.own(reader, 1) == {1, 2}


def test_unsigned_keys_cross_stores(harness: MariadbHarness, connector: Connector) -> None:
    book, link = linked(harness, connector, "BIGINT UNSIGNED", "BIGINT UNSIGNED", segments=True)
    harness.put("people", [(1, "ada@example.com", (1 << 64) - 1), (2, "ada@example.com", 0)])
    harness.put("notes", [(1, (1 << 64) - 1), (2, 0), (3, 1)])
    with book.found(ADA) as reader:
        landings = [each for batch in reader.departures(link) for each in batch]
    with book.reader(1) as reader:
        reader.land(
            link, [*landings, Landing(0, Standing.OWN, True, (-1,)), Landing(0, Standing.OWN, True, (1 << 64,))]
        )
        reader.traverse()
        assert book.own(reader, 1) == {1, 2}


@pytest.mark.parametrize(
    "kind", ["TEXT", "VARCHAR(200)", "VARCHAR(1000)", "VARBINARY(40)", "UUID", "ENUM('a', 'b')", "TIME", "DATE"]
)
def test_keys_of_types_that_no_index_covers_whole(harness: MariadbHarness, connector: Connector, kind: str) -> None:
    values = {
        "UUID": [f"123e4567-e89b-12d3-a456-42665544000{n}" for n in range(2)],
        "DATE": ["0000-00-00", "2001-02-03"],
    }
    first, second = values.get(kind, ["10:00:00", "25:00:00"] if kind == "TIME" else ["a", "b"])
    harness.run(f"CREATE TABLE people (name {kind} NOT NULL, email VARCHAR(90))")
    harness.put("people", [(first, "ada@example.com"), (second, "bob@example.com")])
    book = PlanBook(connector, erases=True)
    pushed = Mask("email", "r", "s", "pushed", Digest("sha256", Column("email")), length=90)
    book.step("people", people=True, key=("name",), seeds=by_email(), masks=(pushed,))
    with book.found(ADA, seed("ADA@example.com")) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    assert len(chunk) == 1
    with connector.writer("habeas/test/1", no_fence) as writer:
        assert writer.mask(book.steps[0], chunk) == 1
        assert writer.verify(book.steps[0], chunk, KEY) == ([], [], [])
    assert harness.rows("SELECT COUNT(*) FROM people WHERE email = 'bob@example.com'") == [(1,)]


def test_keys_that_differ_in_case_only_are_all_written(harness: MariadbHarness, connector: Connector) -> None:
    """By a folding collation of the session, a range from one to the other would be taken for the one."""
    harness.run("CREATE TABLE people (name VARCHAR(90) COLLATE utf8mb4_bin PRIMARY KEY, email VARCHAR(90))")
    harness.put("people", [("Ada", "ada@example.com"), ("ada", "ada@example.com"), ("b", "bob@example.com")])
    pushed = Mask("email", "r", "s", "pushed", Digest("sha256", Column("email")), length=90)
    for mask in (MASK, pushed):
        book = PlanBook(connector, erases=True)
        book.step("people", people=True, seeds=(Seed("name", "account", match="exact"),), masks=(mask,))
        with book.found(seed("Ada", "account"), seed("ada", "account")) as reader:
            (chunk,) = chunks(reader, book.steps[0])
        with connector.writer("habeas/test/1", no_fence) as writer:
            assert writer.mask(book.steps[0], chunk) == 2
            assert writer.verify(book.steps[0], chunk, KEY) == ([], [], [])


def test_masks_of_other_character_sets_are_of_the_texts_utf8(harness: MariadbHarness, connector: Connector) -> None:
    import hashlib
    import hmac

    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(200) CHARACTER SET latin1)")
    harness.put("people", [(1, "ädä@example.com")])
    book = PlanBook(connector, erases=True)
    masks = (
        Mask(
            "email", "r", "s", "pushed", Hmac("sha512", Secret("k"), Concat((Column("email"), Secret("s")))), length=200
        ),
    )
    book.step("people", people=True, seeds=by_email(), masks=masks)
    with book.found(seed("ÄDÄ@example.com")) as reader:
        (chunk,) = chunks(reader, book.steps[0], {0: {"k": "\x80🌍" * 40, "s": "ß"}})
    expected = hmac.new(("\x80🌍" * 40).encode(), "ädä@example.comß".encode(), hashlib.sha512).hexdigest()
    assert chunk.masked == [[expected]]


def test_reading_locks_nothing_and_sees_one_moment(harness: MariadbHarness, connector: Connector) -> None:
    book = people(harness, connector)
    harness.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, KEY (person))")
    harness.put("notes", [(1, 1), (2, 2)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    book.step("notes", links=[book.link(0, "id", "person")])
    harness.run("SET innodb_lock_wait_timeout = 1")
    with book.reader() as reader:
        harness.run("INSERT INTO notes VALUES (3, 1)")
        reader.seed(book.steps[0], [ADA])
        reader.traverse()
        harness.run("UPDATE people SET email = 'x' WHERE id = 1", "DELETE FROM notes WHERE id = 1")
        assert book.own(reader, 1) == {1}
        assert book.own(reader, 0) == {1, 3}


def test_a_failed_write_of_many_rows_is_rolled_back(harness: MariadbHarness, connector: Connector) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), name VARCHAR(90) UNIQUE)")
    harness.put("people", [(n, "ada@example.com", f"n{n}") for n in range(30_000)])
    book = PlanBook(connector, erases=True)
    pushed = Mask("name", "r", "s", "pushed", Digest("sha256", Column("email")), length=90)
    book.step("people", people=True, seeds=by_email(), masks=(pushed,))
    with book.found(ADA) as reader, connector.writer("habeas/test/1", no_fence) as writer:
        (chunk,) = chunks(reader, book.steps[0])
        with pytest.raises(SourceError) as refused:
            writer.mask(book.steps[0], chunk)
    assert refused.value.code == "rejected"
    assert harness.rows("SELECT COUNT(*) FROM people WHERE name LIKE 'n%'") == [(30_000,)]


def test_temp_tables_serve_again_and_are_empty(harness: MariadbHarness, connector: Connector) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))")
    harness.put("people", [(n, f"n{n}@example.com") for n in range(30_000)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    many = [seed(f"n{n}@example.com", member=n) for n in range(25_000)]
    for seeds in ([seed("n1@example.com")], [seed("n2@example.com")], many, many, [seed("n3@example.com")]):
        with book.found(*seeds) as reader:
            assert len(book.keys(reader, 0)) == len(seeds)


def test_a_writing_session_of_an_older_attempt_is_ended(harness: MariadbHarness, connector: Connector) -> None:
    book = people(harness, connector)
    older = harness.connector()
    with book.found(ADA) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    with older.writer("habeas/cohort/7", no_fence) as writer, older.writer("habeas/cohort/7", no_fence) as second:
        writer.mask(book.steps[0], chunk)
        with (
            connector.writer("habeas/cohort/9", no_fence) as newer,
            connector.writer("habeas/other/7", no_fence) as other,
        ):
            connector.end_sessions("habeas/cohort/", "habeas/cohort/9")
            assert newer.mask(book.steps[0], chunk) == 2
            assert other.mask(book.steps[0], chunk) == 2
        for ended in (writer, second):
            with pytest.raises(SourceError) as lost:
                ended.mask(book.steps[0], chunk)
            assert lost.value.code == "unreachable"
    older.close()


def test_an_older_write_that_still_runs_is_ended_and_rolled_back(harness: MariadbHarness, connector: Connector) -> None:
    book = people(harness, connector)
    with book.found(ADA) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    failed: list[SourceError] = []
    patient = harness.connector(lock_timeout_seconds=60, write_timeout_seconds=60)

    def write() -> None:
        with pytest.raises(SourceError) as lost, patient.writer("habeas/cohort/1", no_fence) as writer:
            writer.mask(book.steps[0], chunk)
        failed.append(lost.value)

    with harness.locked("people"):
        thread = threading.Thread(target=write)
        thread.start()
        waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE '%pdat%' AND COMMAND = 'Query'"
        while harness.rows(waiting) == [(0,)]:
            pass
        connector.end_sessions("habeas/cohort/", "habeas/cohort/2")
        thread.join(10)
    patient.close()
    assert [error.code for error in failed] == ["unreachable"]
    assert harness.rows("SELECT COUNT(*) FROM people WHERE email = 'MASKED'") == [(0,)]


def test_a_denied_write_names_the_privilege(harness: MariadbHarness, connector: Connector) -> None:
    book = people(harness, connector)
    with book.found(ADA) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    limited = type(connector)(MariadbSecrets.model_validate(harness.read_only_secrets()))
    with limited.writer("habeas/test/1", no_fence) as writer, pytest.raises(SourceDenied) as denied:
        writer.mask(book.steps[0], chunk)
    assert "privilege" in denied.value.message
    limited.close()


@pytest.mark.parametrize(
    ("secrets", "database", "host"),
    [
        ({"url": "mariadb://u:p%40ss@db.example.com:3307/shop"}, "shop", "db.example.com"),
        ({"url": "mysql+pymysql://u@db.example.com/shop?charset=utf8mb4"}, "shop", "db.example.com"),
        ({"url": "mysql://u@db.example.com/shop", "dbname": "other"}, "other", "db.example.com"),
        ({"host": "db.example.com", "dbname": "shop", "username": "u", "port": 3306}, "shop", "db.example.com"),
    ],
)
def test_secrets_are_a_url_or_parts(secrets: dict[str, Any], database: str, host: str) -> None:
    parts = MariadbSecrets.model_validate(secrets).parts()
    assert (parts["database"], parts["host"], parts["user"]) == (database, host, "u")


@pytest.mark.parametrize(
    "secrets",
    [
        {"host": "db.example.com"},
        {"url": "mariadb://db.example.com"},
        {"url": "postgresql://db.example.com/shop"},
        {"url": "mysql+oracle://db.example.com/shop"},
        {"url": "mariadb://db.example.com/shop?init_command=DROP"},
        {"url": "mariadb://db.example.com:port/shop"},
    ],
)
def test_secrets_that_say_no_place_are_refused(secrets: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        MariadbSecrets.model_validate(secrets)
    assert "DROP" not in str(refused.value.errors(include_input=False))


def test_demanded_tls_is_not_given_up(harness: MariadbHarness) -> None:
    """The test server may speak no TLS; then a session that demands it must fail, not go in the clear."""
    (speaks,) = harness.rows("SELECT @@have_ssl = 'YES'")
    demanding = harness.connector(ssl_mode="required")
    assert demanding.check().ok == bool(speaks[0])
    unverified = harness.connector(ssl_mode="verify_identity")
    assert not unverified.check().ok
    for each in (demanding, unverified):
        each.close()


def test_mysqls_statements_are_compiled(harness: MariadbHarness, connector: Connector) -> None:
    book = people(harness, connector)
    book.steps[0] = type(book.steps[0])(
        **{name: getattr(book.steps[0], name) for name in book.steps[0].__struct_fields__ if name != "seeds"},
        seeds=(*by_email(), Seed("email", "account", match="exact")),
    )
    plan: Plan = book.plan()
    mysql = MysqlConnector(MysqlConnector.secrets_model.model_validate(harness.secrets()))
    mysql.dialect.default_schema = connector.dialect.default_schema  # what a session would have told
    texts = [each.text for each in mysql.statements(plan, plan.segments[0])]
    assert texts == [each.text for each in connector.statements(plan, plan.segments[0])]
    assert mysql.dialect.numbered(["x"]).row == "ROW"
    mysql.close()


def test_mysqls_statements_name_no_temp_table_twice(harness: MariadbHarness, connector: Connector) -> None:
    harness.run("CREATE TABLE node (id INTEGER PRIMARY KEY, up INTEGER, email VARCHAR(60))")
    book = PlanBook(connector)
    book.step("node", seeds=by_email())
    link = book.link(0, "up", "id", "to_target")
    pointing = Pointing(TableName("node"), ("up",), ("id",), 0)
    book.steps[0] = msgspec.structs.replace(book.steps[0], links=(link,), pointings=(pointing,))
    plan = book.plan()
    mysql = MysqlConnector(MysqlConnector.secrets_model.model_validate(harness.secrets()))
    mysql.dialect.default_schema = connector.dialect.default_schema
    own, theirs = ([each.text for each in one.statements(plan, plan.segments[0])] for one in (connector, mysql))
    assert own != theirs
    for text in theirs:
        named = re.findall(r"FROM (habeas_h\w+)|JOIN (habeas_h\w+)", re.sub(r"^WITH .*?\) SELECT", "SELECT", text))
        before = re.findall(r"(habeas_h\w+) AS \(SELECT \* FROM \1\)", text)
        names = ["".join(each) for each in named]
        assert {each for each in names if names.count(each) > 1} <= set(before)
    for text in theirs:  # and MariaDB, at least, takes them
        with connector._session("read", "habeas/test/1") as session:  # type: ignore[attr-defined] # of the sql family
            session.prepare(object(), connector._statements(plan, plan.segments[0]).setup())  # type: ignore[attr-defined]
            session.fetch(text, {"seen": 0, "tick": 1, "values": ["x"]})
    mysql.close()
