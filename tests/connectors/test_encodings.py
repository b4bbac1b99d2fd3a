"""Text in any encoding comes exactly as it is stored, or its collection fails and says where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from connectorbook import (
    KEY,
    MariadbHarness,
    PlanBook,
    PostgresHarness,
    SqliteHarness,
    by_email,
    chunks,
    no_fence,
    seed,
)
from habeas.core.errors import SourceUnreadable
from habeas.core.expression import Constant
from habeas.plan.model import Mask

ADA = seed("ada@example.com")
MASK = Mask("note", "r", "s", "constant", Constant("gone"))


def notes(book: PlanBook) -> list[object]:
    with book.found(ADA) as reader:
        return [row[0] for batch in reader.rows(book.steps[0], ["note"]) for row in batch.rows]


@pytest.fixture
def mariadb(shared_mariadb: str) -> Iterator[MariadbHarness]:
    harness = MariadbHarness(shared_mariadb)
    yield harness
    harness.close()


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("latin1", "80E9A0", "\u20ac\u00e9\u00a0"),
        ("latin1", "818D", "\x81\x8d"),  # which Windows' code page lacks and MariaDB's latin1 has
        ("cp1251", "C6", "\u0416"),
        ("cp1250", "E6", "\u0107"),
        ("sjis", "8ABF", "\u6f22"),
        ("utf16", "6F22D83DDE00", "\u6f22\U0001f600"),
        ("utf8mb3", "E6BCA2", "\u6f22"),
        ("ascii", "41", "A"),
    ],
)
def test_columns_of_mariadb_in_any_character_set(mariadb: MariadbHarness, charset: str, raw: str, text: str) -> None:
    mariadb.run(
        f"CREATE TABLE memo (id INTEGER PRIMARY KEY, email VARCHAR(90), note VARCHAR(20)) CHARACTER SET {charset}"
    )
    mariadb.run(f"INSERT INTO memo VALUES (1, 'ada@example.com', x'{raw}')")
    connector = mariadb.connector()
    book = PlanBook(connector, erases=True)
    book.step("memo", people=True, seeds=by_email(), masks=(MASK,))
    assert notes(book) == [text]
    with book.found(ADA) as reader:
        frozen = chunks(reader, book.steps[0])
    with connector.writer("habeas/test/1", no_fence) as writer:
        assert [writer.mask(book.steps[0], chunk) for chunk in frozen] == [1]
        assert [writer.verify(book.steps[0], chunk, KEY) for chunk in frozen] == [([], [], [])]
    assert mariadb.rows("SELECT note FROM memo") == [("gone",)]
    connector.close()


def test_a_character_that_unicode_lacks_is_not_replaced(mariadb: MariadbHarness) -> None:
    mariadb.run("CREATE TABLE memo (id INTEGER PRIMARY KEY, email VARCHAR(90), note VARCHAR(20) CHARACTER SET sjis)")
    mariadb.run("INSERT INTO memo VALUES (1, 'ada@example.com', x'F040'), (2, 'bob@example.com', x'8ABF')")
    assert mariadb.rows("SELECT note FROM memo WHERE id = 1") == [("?",)]  # what the server would give
    connector = mariadb.connector()
    book = PlanBook(connector)
    book.step("memo", people=True, seeds=by_email())
    with pytest.raises(SourceUnreadable) as unreadable:
        notes(book)
    assert unreadable.value.where == "store:memo"
    assert "note" in unreadable.value.message
    connector.close()


def test_bytes_that_are_no_text_in_a_database_of_postgresql_without_encoding(
    postgres_server: str, worker_name: str
) -> None:
    name = f"habeas_test_{worker_name}_ascii"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    harness = PostgresHarness(f"{postgres_server.rsplit('/', 1)[0]}/{name}")
    try:
        harness.run(
            "CREATE TABLE memo (id INTEGER PRIMARY KEY, email VARCHAR(90), note VARCHAR(20))",
            "INSERT INTO memo VALUES (1, 'ada@example.com', convert_from('\\xe9'::bytea, 'SQL_ASCII'))",
            "INSERT INTO memo VALUES (2, 'bob@example.com', convert_from('\\xc3a9'::bytea, 'SQL_ASCII'))",
        )
        connector = harness.connector()
        book = PlanBook(connector)
        book.step("memo", people=True, seeds=by_email())
        with pytest.raises(SourceUnreadable) as unreadable:
            notes(book)
        assert unreadable.value.where == "store:memo"
        assert "note" in unreadable.value.message
        with book.found(seed("bob@example.com")) as reader:
            rows = [row for batch in reader.rows(book.steps[0], ["note"]) for row in batch.rows]
        assert rows == [("\u00e9",)]
        connector.close()
    finally:
        harness.close()
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_bytes_that_are_no_text_in_sqlite_come_as_bytes_and_are_masked(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path)
    harness.run("CREATE TABLE memo (id INTEGER PRIMARY KEY, email TEXT, note TEXT)")
    harness.run("INSERT INTO memo VALUES (1, 'ada@example.com', CAST(x'41FF' AS TEXT))")
    connector = harness.connector()
    book = PlanBook(connector, erases=True)
    book.step("memo", people=True, seeds=by_email(), masks=(MASK,))
    assert notes(book) == [b"A\xff"]
    with book.found(ADA) as reader:
        frozen = chunks(reader, book.steps[0])
    with connector.writer("habeas/test/1", no_fence) as writer:
        assert [writer.mask(book.steps[0], chunk) for chunk in frozen] == [1]
    assert harness.rows("SELECT note FROM memo") == [("gone",)]
    connector.close()
    harness.close()
