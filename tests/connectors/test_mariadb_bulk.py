"""Rows of MariaDB are the same whether asyncmy takes them apart or Python, and so is everything else around them."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import chain
from typing import Any, ClassVar

import pymysql
import pytest

from connectorbook import MariadbHarness
from habeas.connectors.kinds.mariadb import MariadbConnector, MariadbSecrets
from habeas.connectors.sql import mariadb_bulk, mariadb_cursor
from habeas.connectors.sql.mariadb_bulk import AS_BYTES, AS_TEXT, Received
from habeas.connectors.sql.session import BATCH, Session
from habeas.core.errors import SourceError, SourceTimeout, SourceUnreachable
from linkbook import Proxy

A_PACKET = 16_777_215  # bytes of a row that is sent in one
COLUMNS: dict[str, Sequence[str]] = {
    "TINYINT": ("-128", "127", "0"),
    "TINYINT UNSIGNED": ("255", "0"),
    "SMALLINT": ("-32768", "32767"),
    "SMALLINT UNSIGNED": ("65535",),
    "MEDIUMINT": ("-8388608", "8388607"),
    "MEDIUMINT UNSIGNED": ("16777215",),
    "INT": ("-2147483648", "2147483647"),
    "INT UNSIGNED ZEROFILL": ("4294967295", "7"),
    "BIGINT": ("-9223372036854775808", "9223372036854775807"),
    "BIGINT UNSIGNED": ("18446744073709551615", "0"),
    "BIT(1)": ("b'1'", "b'0'"),
    "BIT(64)": ("~0", "0", "9223372036854775808"),
    "BOOLEAN": ("TRUE", "FALSE"),
    "YEAR": ("0", "1901", "2155"),
    "DECIMAL(65, 30)": ("1.100000000000000000000000000001", "-0.000000000000000000000000000001", "0"),
    "DECIMAL(40, 0)": ("9999999999999999999999999999999999999999", "-1"),
    "DOUBLE": ("0.1", "-1.7976931348623157e308", "5e-324", "0"),
    "DATE": ("'0000-00-00'", "'2001-00-00'", "'2001-02-03'", "'9999-12-31'", "'0001-01-01'"),
    "DATETIME": ("'0000-00-00 00:00:00'", "'2001-02-03 00:00:00'", "'2001-02-03 04:05:06'"),
    "DATETIME(6)": ("'9999-12-31 23:59:59.999999'", "'2001-02-03 00:00:00.000001'"),
    "TIMESTAMP NULL": ("'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'"),
    "TIMESTAMP(6) NULL": ("'2001-02-03 04:05:06.000007'",),
    "TIME": ("'838:59:59'", "'-838:59:59'", "'00:00:00'"),
    "TIME(6)": ("'-25:00:00.500000'", "'00:00:00.000001'"),
    "ENUM('a', 'it''s')": ("'it''s'", "'a'"),
    "SET('a', 'b', 'c')": ("'a,c'", "''"),
    "CHAR(5)": ("'ab'", "''"),
    "VARCHAR(300)": ("REPEAT('x', 250)", "REPEAT('x', 251)", "'\\0\\'\\\\ %s'", "REPEAT('\U0001f600', 300)"),
    "VARCHAR(9) CHARACTER SET latin1": ("'Ö'",),
    "VARCHAR(9) CHARACTER SET ucs2": ("'漢'",),
    "VARCHAR(9) CHARACTER SET sjis": ("'漢'",),
    "MEDIUMTEXT": ("REPEAT('ü', 32767)", "REPEAT('ü', 32768)", "REPEAT('x', 65535)", "REPEAT('x', 70000)"),
    "BINARY(4)": ("'ab'", "x'00000000'"),
    "VARBINARY(300)": ("x'00ff27'", "''", "REPEAT(x'ff', 251)"),
    "MEDIUMBLOB": ("REPEAT(x'00', 65536)",),
    "JSON": ("""'{"n": 1.10, "t": "ü"}'""", "'null'"),
    "UUID": ("'123e4567-e89b-12d3-a456-426655440000'",),
    "INET6": ("'2001:db8::1'",),
    "POINT": ("POINT(1, 2)",),
}


class PyMysqlAlone(MariadbConnector):
    in_bulk: ClassVar[bool] = False


@pytest.fixture
def harness(shared_mariadb: str) -> Iterator[MariadbHarness]:
    made = MariadbHarness(shared_mariadb)
    yield made
    made.close()


@pytest.fixture(params=[MariadbConnector, PyMysqlAlone], ids=["asyncmy", "pymysql"])
def kind(request: pytest.FixtureRequest) -> type[MariadbConnector]:
    return request.param


@contextmanager
def session_of(kind: type[MariadbConnector], harness: MariadbHarness, **more: Any) -> Iterator[Session]:
    connector = kind(MariadbSecrets.model_validate(harness.secrets() | more))
    try:
        with connector._session("read", "habeas/test/1") as session:
            yield session
    finally:
        connector.close()


def rows_of(kind: type[MariadbConnector], harness: MariadbHarness, statement: str) -> list[tuple[Any, ...]]:
    with session_of(kind, harness) as session:
        return list(chain.from_iterable(session.stream(statement)))


def both(harness: MariadbHarness, statement: str) -> list[tuple[Any, ...]]:
    """Rows that asyncmy and Python agree upon, types of values included."""
    ours, theirs = (rows_of(kind, harness, statement) for kind in (PyMysqlAlone, MariadbConnector))
    assert [[(type(value), value) for value in row] for row in theirs] == [
        [(type(value), value) for value in row] for row in ours
    ]
    return theirs


def test_the_tests_run_with_asyncmy(harness: MariadbHarness) -> None:
    assert mariadb_bulk.IS_THERE, "the extra is one of the development's"
    for kind, expected in ((MariadbConnector, True), (PyMysqlAlone, False)):
        with session_of(kind, harness) as session:
            assert isinstance(session._connection._rfile, Received) is expected  # type: ignore[attr-defined] # MariaDB's


@pytest.mark.parametrize("type_", COLUMNS)
def test_values_of_every_type_are_the_same(harness: MariadbHarness, type_: str) -> None:
    harness.run(
        "SET time_zone = '+00:00', sql_mode = ''",  # which lets zero dates in
        f"CREATE TABLE thing (id INTEGER PRIMARY KEY AUTO_INCREMENT, it {type_.replace('TIMESTAMP', 'timestamp')})",
        *(f"INSERT INTO thing (it) VALUES ({each}), (NULL)" for each in COLUMNS[type_]),
    )
    rows = both(harness, "SELECT a.it, a.id, a.it FROM thing AS a JOIN thing AS b ORDER BY a.id, b.id")
    assert len(rows) == (2 * len(COLUMNS[type_])) ** 2
    assert any(row[0] is not None for row in rows)
    assert [row[0] for row in rows if row[1] % 2 == 0] == [None] * (len(rows) // 2)


def test_single_precision_is_left_to_python(harness: MariadbHarness) -> None:
    harness.run("CREATE TABLE thing (id INTEGER PRIMARY KEY, it FLOAT)")
    harness.run("INSERT INTO thing VALUES (1, 0.1), (2, 16777216), (3, -3.4e38), (4, NULL), (5, 0)")
    assert both(harness, "SELECT it FROM thing ORDER BY id") == [(0.1,), (16777216.0,), (-3.4e38,), (None,), (0.0,)]


def test_many_columns_and_nulls(harness: MariadbHarness) -> None:
    width = 70  # the bits for NULL take more than one byte
    chosen = ", ".join(f"IF(MOD(seq, {each + 2}) = 0, NULL, CONCAT(seq, '-', {each}))" for each in range(width))
    rows = both(harness, f"SELECT {chosen} FROM seq_1_to_{2 * BATCH + 1} ORDER BY seq")
    assert len(rows) == 2 * BATCH + 1
    assert rows[6] == tuple(None if 7 % (each + 2) == 0 else f"7-{each}" for each in range(width))


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_results_of_any_length(harness: MariadbHarness, count: int) -> None:
    rows = both(harness, f"SELECT seq, REPEAT('x', MOD(seq, 400)) FROM seq_1_to_9999 WHERE seq <= {count} ORDER BY seq")
    assert rows == [(number, "x" * (number % 400)) for number in range(1, count + 1)]


def test_rows_of_several_packets_between_others(harness: MariadbHarness, kind: type[MariadbConnector]) -> None:
    exactly = A_PACKET - 2 - 4 - 4  # without the row's head and what says how long both texts are
    sizes = {2: 17_000_000, 3: exactly - 1, 4: exactly, 5: exactly + 1}
    listed = " ".join(f"WHEN {number} THEN {size - 9_000_000}" for number, size in sizes.items())
    chosen = f"IF(seq IN (1, 6), 'x', REPEAT('x', 9000000)), REPEAT('y', CASE seq {listed} ELSE 0 END)"
    with session_of(kind, harness) as session:
        rows = chain.from_iterable(session.stream(f"SELECT {chosen} FROM seq_1_to_6"))
        found = [len(one) + len(two) for one, two in rows]
    assert found == [sizes.get(each, 1) for each in range(1, 7)]


def test_statements_run_between_portions_and_streams_beside_each_other(
    harness: MariadbHarness, kind: type[MariadbConnector]
) -> None:
    with session_of(kind, harness) as session:
        session.begin_snapshot()
        one = session.stream(f"SELECT seq FROM seq_1_to_{4 * BATCH}")
        other = session.stream(f"SELECT seq, 'b' FROM seq_1_to_{4 * BATCH}")
        seen: list[Any] = []
        for first, second in zip(one, other, strict=True):
            seen += [row[0] for row in first] + [row[0] for row in second]
            assert session.fetch("SELECT 1, 'between'") == ((1, "between"),)
        assert sorted(seen) == sorted([*range(1, 4 * BATCH + 1)] * 2)
        session.rollback()


def test_a_stream_that_is_left_leaves_the_session_whole(harness: MariadbHarness, kind: type[MariadbConnector]) -> None:
    with session_of(kind, harness) as session:
        left = session.stream(f"SELECT seq FROM seq_1_to_{4 * BATCH}")
        assert len(next(iter(left))) == BATCH
        left.close()  # type: ignore[attr-defined] # a generator
        assert session.fetch("SELECT 2") == ((2,),)
        assert sum(map(len, session.stream(f"SELECT seq FROM seq_1_to_{BATCH + 1}"))) == BATCH + 1


def test_a_link_that_is_lost_between_portions_ends_in_an_error(
    harness: MariadbHarness, kind: type[MariadbConnector]
) -> None:
    with Proxy(harness.server) as proxy, session_of(kind, harness, port=proxy.port) as session:
        portions = session.stream(f"SELECT seq, REPEAT('x', 200) FROM seq_1_to_{9 * BATCH}")
        assert len(next(iter(portions))) == BATCH
        proxy.cut()
        with pytest.raises(SourceUnreachable):
            list(portions)


def test_a_session_that_is_killed_between_portions_ends_in_an_error(
    harness: MariadbHarness, kind: type[MariadbConnector]
) -> None:
    with session_of(kind, harness) as session:
        portions = session.stream(f"SELECT seq, REPEAT('x', 200) FROM seq_1_to_{9 * BATCH}")
        assert len(next(iter(portions))) == BATCH
        harness.run(f"KILL {session._connection.thread_id()}")  # type: ignore[attr-defined] # MariaDB's
        with pytest.raises(SourceUnreachable):
            list(portions)


def test_errors_among_rows_are_ours(harness: MariadbHarness, kind: type[MariadbConnector]) -> None:
    failing = "IF(seq < 3000, seq, (SELECT 'ada@example.com' UNION ALL SELECT seq))"
    with session_of(kind, harness) as session, pytest.raises(SourceError) as caught:
        list(session.stream(f"SELECT {failing} FROM seq_1_to_5000"))
    assert "ada" not in str(caught.value)
    with pytest.raises(SourceTimeout), session_of(kind, harness, read_timeout_seconds=0.2) as session:
        list(session.stream("SELECT seq, SLEEP(1) FROM seq_1_to_60"))


def framed(payload: bytes, number: int) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def test_only_whole_rows_are_taken(harness: MariadbHarness) -> None:
    rows: list[tuple[Any, ...]] = []
    row = framed(b"\0\0\2ab", 255) + framed(b"\0\0\1c", 0)
    received = Received(_Portions([b"abc", row + framed(b"\0\0\1d", 1)[:-1], framed(b"\0\0\1d", 1)[-1:]]))
    columns = [(253, False, AS_TEXT, None, None)]
    assert received.read(3) == b"abc"
    assert received.take_rows(columns, 255, rows) == 255  # nothing is here
    assert received.read(0) == b""
    assert received.read(1) == row[:1]
    received._position -= 1
    assert received.take_rows(columns, 255, rows) == 1
    assert rows == [("ab",), ("c",)]
    assert received.read(6 + 2) == framed(b"\0\0\1d", 1)
    assert received.read(9) == b""  # the end


def test_a_row_that_cant_be_read_is_an_error_of_the_driver() -> None:
    received = Received(BytesIO(b"x" + framed(b"\0\0\x09ada", 1)))
    received.read(1)
    with pytest.raises(pymysql.err.InternalError) as caught:
        received.take_rows([(253, False, AS_BYTES, None, None)], 1, [])
    assert "ada" not in str(caught.value)


class _Portions:
    """A file that gives what one receipt of a socket gave."""

    def __init__(self, portions: Sequence[bytes]) -> None:
        self._portions = iter(portions)

    def read1(self, size: int) -> bytes:
        return next(self._portions, b"")


def test_without_the_extra_rows_are_read_by_python(harness: MariadbHarness) -> None:
    script = (
        "import sys\n"
        "sys.modules['asyncmy'] = None\n"
        "from habeas.connectors.kinds.mariadb import MariadbConnector, MariadbSecrets\n"
        "connector = MariadbConnector(MariadbSecrets.model_validate({'url': sys.argv[1]}))\n"
        "with connector._session('read', 'habeas/test/1') as session:\n"
        "    rows = [row for batch in session.stream('SELECT seq FROM seq_1_to_5000') for row in batch]\n"
        "from habeas.connectors.sql import mariadb_bulk\n"
        "print(mariadb_bulk.IS_THERE, len(rows), type(session._connection._rfile).__name__)\n"
        "connector.close()\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, harness.url], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "5000", "BufferedReader"]


def test_python_takes_over_where_a_column_needs_it() -> None:
    fields = [mariadb_cursor._Field(4, 63, 0), mariadb_cursor._Field(3, 63, 32)]
    assert mariadb_cursor._bulk_columns(fields) is None
    assert mariadb_cursor._bulk_columns(fields[1:]) == ((3, True, AS_BYTES, None, None),)
