"""Rows come with their values exact, in types from which a package can be written without loss."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from connectorbook import Harness, PlanBook, PostgresHarness, by_email, chunks, no_fence, seed
from habeas.connectors.base import Connector
from habeas.core.errors import SourceError
from habeas.core.expression import Constant
from habeas.plan.model import Mask

ADA = seed("ada@example.com")


def values(harness: Harness, connector: Connector, columns: str, row: str) -> tuple[Any, ...]:
    harness.run(
        f"CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), {columns})",
        f"INSERT INTO people VALUES (1, 'ada@example.com', {row})",
    )
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    names = [column.name for column in book.steps[0].columns][2:]
    with book.found(ADA) as reader:
        ((found,),) = [batch.rows for batch in reader.rows(book.steps[0], names)]
    return tuple(found)


def test_common_types(harness: Harness, connector: Connector) -> None:
    found = values(
        harness,
        connector,
        "big BIGINT, ratio DOUBLE PRECISION, words TEXT, absent TEXT, doc JSON",
        """9223372036854775807, 0.1, 'Zoë 🌍 ''"\\', NULL, '{"a": [1.10, {"b": null}]}'""",
    )
    assert found == (
        9223372036854775807,
        0.1,
        "Zoë 🌍 '\"\\",
        None,
        {"a": [Decimal("1.10"), {"b": None}]},
    )


def test_sqlite_shows_what_is_stored_whatever_the_type_says(tmp_path: Any, request: pytest.FixtureRequest) -> None:
    from connectorbook import SqliteHarness

    harness = SqliteHarness(tmp_path)
    connector = harness.connector()
    found = values(
        harness, connector, "n INTEGER, doc JSON, raw TEXT, b BLOB", "'abc', 'no json', CAST(x'ff' AS TEXT), x'00ff'"
    )
    assert found == ("abc", "no json", b"\xff", b"\x00\xff")
    harness.close()


@pytest.fixture
def postgres(shared_postgres: str) -> Any:
    harness = PostgresHarness(shared_postgres)
    yield harness
    harness.close()


POSTGRES = [
    ("NUMERIC", "'12345678901234567890.12345678900'", Decimal("12345678901234567890.12345678900")),
    ("TIMESTAMPTZ", "'2020-01-02 03:04:05.6+02'", dt.datetime(2020, 1, 2, 1, 4, 5, 600000, tzinfo=dt.UTC)),
    ("TIMESTAMP", "'2020-01-02 03:04:05'", dt.datetime(2020, 1, 2, 3, 4, 5)),
    ("TIMESTAMP", "'infinity'", "infinity"),
    ("DATE", "'0044-03-15 BC'", "0044-03-15 BC"),
    ("DATE", "'-infinity'", "-infinity"),
    ("TIMESTAMPTZ", "'20000-01-01 00:00+00'", "20000-01-01 00:00:00+00"),
    ("INTERVAL", "'1 mon 3 days'", "1 mon 3 days"),
    ("TIME", "'24:00'", "24:00:00"),
    ("INET", "'192.0.2.1/24'", "192.0.2.1/24"),
    ("INT4RANGE", "'[1,5)'", "[1,5)"),
    ("JSONB", """'{"n": 1.100000000000000000001}'""", {"n": Decimal("1.100000000000000000001")}),
    ("BYTEA", r"'\x00ff'", b"\x00\xff"),
    ("TEXT[]", "ARRAY['a', NULL, '{b}']", ["a", None, "{b}"]),
    ("CHAR(5)", "'ab'", "ab   "),
    ("mood", "'happy'", "happy"),
]


@pytest.mark.parametrize(
    ("kind", "literal", "expected"), POSTGRES, ids=[f"{kind} {value}" for kind, value, _ in POSTGRES]
)
def test_postgres_types(postgres: PostgresHarness, kind: str, literal: str, expected: Any) -> None:
    postgres.run("CREATE TYPE mood AS ENUM ('happy', 'sad')")
    connector = postgres.connector()
    assert values(postgres, connector, f"it {kind}", literal) == (expected,)
    connector.close()


def test_postgres_domains_enums_identity_and_schemas(postgres: PostgresHarness) -> None:
    postgres.run(
        "CREATE SCHEMA other",
        "CREATE DOMAIN other.code AS VARCHAR(7) NOT NULL",
        "CREATE TYPE other.mood AS ENUM ('happy', 'sad')",
        "CREATE TABLE other.things (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code other.code, "
        "mood other.mood, n INTEGER REFERENCES other.things DEFERRABLE)",
    )
    try:
        connector = postgres.connector()
        (table,) = connector.introspect("other").tables
        assert (table.table.schema, table.foreign_keys[0].table.schema) == ("other", "other")
        identity, code, mood, _ = table.columns
        assert (identity.generated, identity.default) == (True, True)
        assert (code.type.family, code.type.length, code.nullable) == ("text", 7, False)
        assert (mood.type.family, mood.type.values) == ("enum", ("happy", "sad"))
        assert table.foreign_keys[0].deferrable
        assert connector.fingerprints([table.table]) == {table.table: table.fingerprint}
        connector.close()
        inside = postgres.connector(db_schema="other")
        (default,) = inside.introspect().tables
        assert default.table.schema is None
        assert inside.fingerprints([default.table]) == {default.table: default.fingerprint}
        inside.close()
    finally:
        postgres.run("DROP SCHEMA other CASCADE")


def test_postgres_ends_a_writing_session_of_an_older_attempt(postgres: PostgresHarness) -> None:
    postgres.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))")
    postgres.put("people", [(1, "ada@example.com")])
    connector, older = postgres.connector(), postgres.connector()
    book = PlanBook(connector, erases=True)
    book.step("people", people=True, seeds=by_email(), masks=(Mask("email", "r", "s", "constant", Constant("x")),))
    with book.found(ADA) as reader:
        (chunk,) = chunks(reader, book.steps[0])
    with older.writer("habeas/cohort/1", no_fence) as writer:
        writer.mask(book.steps[0], chunk)
        connector.end_sessions("habeas/cohort/", "habeas/cohort/2")
        with pytest.raises(SourceError) as lost:
            writer.mask(book.steps[0], chunk)
    assert lost.value.code == "unreachable"
    older.close()
    connector.close()


def test_postgres_uses_temp_tables_again_and_finds_them_empty(postgres: PostgresHarness) -> None:
    postgres.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))")
    postgres.put("people", [(n, f"n{n}@example.com") for n in range(30_000)])
    connector = postgres.connector()
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    many = [seed(f"n{n}@example.com", member=n) for n in range(15_000)]
    for seeds in ([seed("n1@example.com")], [seed("n2@example.com")], many, many, [seed("n3@example.com")]):
        with book.found(*seeds) as reader:
            assert len(book.keys(reader, 0)) == len(seeds)
    connector.close()
