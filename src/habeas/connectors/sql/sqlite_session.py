"""Sessions of SQLite over pysqlite3, or the standard library's module: functions, limits, our errors.

Statements have a time limit of their own, since SQLite knows none. No driver text leaves this module.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from habeas.connectors.sql.session import BATCH, Row, Session
from habeas.connectors.sql.sqlite import FUNCTIONS
from habeas.core.errors import (
    SchemaChanged,
    SourceDenied,
    SourceError,
    SourceRejected,
    SourceTimeout,
    SourceUnreachable,
)

driver: Any
try:
    driver = import_module("pysqlite3.dbapi2")
except ImportError:  # no wheel for this platform: the interpreter's own will do
    driver = sqlite3

LABEL = "SQLite"
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's virtual machine: some milliseconds

_BY_NAME: tuple[tuple[str, type[SourceError], str], ...] = (
    ("SQLITE_BUSY", SourceTimeout, "the file stayed locked"),
    ("SQLITE_LOCKED", SourceTimeout, "a table stayed locked"),
    ("SQLITE_INTERRUPT", SourceTimeout, "a statement ran into its time limit"),
    ("SQLITE_READONLY", SourceDenied, "the file may only be read"),
    ("SQLITE_PERM", SourceDenied, "the file may not be opened"),
    ("SQLITE_AUTH", SourceDenied, "the statement isn't allowed"),
    ("SQLITE_CANTOPEN", SourceUnreachable, "the file can't be opened"),
    ("SQLITE_NOTADB", SourceUnreachable, "the file is no SQLite database"),
    ("SQLITE_CORRUPT", SourceUnreachable, "the file is damaged"),
    ("SQLITE_FULL", SourceUnreachable, "the disk is full"),
    ("SQLITE_IOERR", SourceUnreachable, "the disk failed"),
    ("SQLITE_CONSTRAINT", SourceRejected, "a constraint refused the write"),
    ("SQLITE_MISMATCH", SourceRejected, "a value doesn't fit its column"),
)


def connect(uri: str, *, wait: float, limit: float) -> SqliteSession:
    """A session on the file of a SQLite URI. `wait` and `limit` in seconds, for locks and for a statement."""
    with our_errors():
        connection = driver.connect(uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False)
    connection.text_factory = _text
    for name, arguments, function in FUNCTIONS:
        connection.create_function(name, arguments, function, deterministic=True)
    session = SqliteSession(connection, limit)
    for pragma in ("temp_store = FILE", "foreign_keys = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        session.change(f"PRAGMA {pragma}")
    return session


def _text(raw: bytes) -> str | bytes:
    """Text; as bytes where it is none, since SQLite doesn't check."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


@contextmanager
def our_errors() -> Iterator[None]:
    """Driver errors inside become ours."""
    try:
        yield
    except (driver.Error, sqlite3.Error) as error:
        raise _our_error(error) from None


def _our_error(error: Exception) -> SourceError:
    name = str(getattr(error, "sqlite_errorname", ""))
    for prefix, kind, message in _BY_NAME:
        if name.startswith(prefix):
            return kind(f"{message} ({name})", where=LABEL)
    text = str(error)
    if text.startswith(("no such table", "no such column")):
        return SchemaChanged("a table or column does not exist", where=LABEL)
    return SourceError(f"a statement failed ({name or type(error).__name__})", where=LABEL)


class SqliteSession(Session):
    """A connection in autocommit, whose transactions are begun and ended by statements."""

    def __init__(self, connection: Any, limit: float) -> None:
        self._connection = connection
        self._limit = limit
        self._deadline = float("inf")
        connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _start(self) -> None:
        self._deadline = time.monotonic() + self._limit

    def change(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """As the base says."""
        self._start()
        with our_errors():
            cursor = self._connection.execute(statement, parameters or {})
            if cursor.description is None:
                return max(int(cursor.rowcount), 0)
            row = cursor.fetchone()
            return int(row[0]) if row and isinstance(row[0], int) else 0

    def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """As the base says."""
        self._start()
        with our_errors():
            found: list[Row] = self._connection.execute(statement, parameters or {}).fetchall()
        return found

    def stream(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Sequence[Row]]:
        """By the driver's own cursor, which reads as it goes."""
        self._start()
        with our_errors():
            cursor = self._connection.execute(statement, parameters or {})
        try:
            while True:
                self._start()
                with our_errors():
                    rows: list[Row] = cursor.fetchmany(BATCH)
                if not rows:
                    return
                yield rows
        finally:
            cursor.close()

    def put(self, statement: str, rows: Iterable[Row]) -> None:
        """By executemany. A transaction, if none is open, spares a commit a row."""
        self._start()
        own = not self._connection.in_transaction
        with our_errors():
            if own:
                self._connection.execute("BEGIN")
            self._connection.executemany(statement, rows)
            if own:
                self._connection.execute("COMMIT")

    def prepare(self, key: object, statements: Sequence[str]) -> None:
        """As the base says; a session is never used twice."""
        for statement in statements:
            self.change(statement)

    def begin_snapshot(self) -> None:
        """The first read fixes the moment."""
        self.change("BEGIN")

    def begin(self, *, writes: bool) -> None:
        """A write takes the file's lock at once, so that it can't fail half way for want of it."""
        self.change("BEGIN IMMEDIATE" if writes else "BEGIN")

    def commit(self) -> None:
        """Commit."""
        self.change("COMMIT")

    def rollback(self) -> None:
        """As the base says."""
        if self._connection.in_transaction:
            self.change("ROLLBACK")

    def close(self) -> None:
        """End the session."""
        self._connection.close()
