"""Sessions of MariaDB and MySQL over PyMySQL: settings, literals, server-side cursors, our errors.

Parameters are put in as the driver's own literals, which the server parses as values only. No driver text
leaves this module, for it can quote values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pymysql
from pymysql.constants import CLIENT

from habeas.connectors.sql import mariadb_bulk, mariadb_cursor
from habeas.connectors.sql.inline import Definition, once_each
from habeas.connectors.sql.mariadb import CREATE_TEMP, ROWS, UNREADABLE, Rows
from habeas.connectors.sql.session import BATCH, Row, Session
from habeas.core.errors import (
    SchemaChanged,
    SourceDenied,
    SourceError,
    SourceRejected,
    SourceTimeout,
    SourceUnreachable,
    SourceUnreadable,
)

_PUT_BYTES = 1 << 20  # of one INSERT: well below any server's max_allowed_packet
_FILLED_AT_MOST = 20_000  # rows in temp tables up to which a rollback is cheap
_CLIENT_ERRORS = range(2000, 3000)  # of the client library: no connection, or a lost one
_SLOTS = 16  # sessions of one label that can be told apart

_BY_NUMBER: Mapping[int, tuple[type[SourceError], str]] = {
    **dict.fromkeys((1969, 3024), (SourceTimeout, "a statement ran into its time limit")),
    **dict.fromkeys((1205, 1099), (SourceTimeout, "a lock wasn't free in time")),
    1213: (SourceTimeout, "a deadlock was broken up"),
    **dict.fromkeys(
        (1317, 1927, 1053, 1080, 1152, 1158, 1159, 1160, 1161, 4031), (SourceUnreachable, "the session was ended")
    ),
    **dict.fromkeys((1040, 1203, 1226), (SourceUnreachable, "the server takes no more connections")),
    **dict.fromkeys((1021, 1030, 1037, 1038, 1041, 1114), (SourceUnreachable, "the server is out of a resource")),
    **dict.fromkeys((1044, 1045, 1130, 1698, 4151), (SourceDenied, "the credentials were refused")),
    1049: (SourceDenied, "the database does not exist"),
    **dict.fromkeys((1142, 1143, 1227, 1370, 1410), (SourceDenied, "a privilege is missing")),
    **dict.fromkeys((1290, 1792, 1836), (SourceDenied, "the server or session may only read")),
    **dict.fromkeys((1051, 1146), (SchemaChanged, "a table does not exist")),
    1054: (SchemaChanged, "a column does not exist"),
    1412: (SchemaChanged, "a table's definition has changed"),
    **dict.fromkeys(
        (1048, 1062, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1586, 1644, 3819, 4025),
        (SourceRejected, "a constraint or trigger refused the write"),
    ),
    UNREADABLE: (SourceUnreadable, "a text has a character that Unicode lacks"),
    **dict.fromkeys((1264, 1265, 1292, 1366, 1406, 1411), (SourceRejected, "a value doesn't fit its column")),
}


def connect(options: Mapping[str, Any], label: str, *, is_mysql: bool = False, in_bulk: bool = True) -> MariadbSession:
    """A new session. `label` is the kind's, for error messages; `in_bulk`: with asyncmy, where that is installed.
    Raises our errors.
    """
    with our_errors(label):
        connection: Any = pymysql.connect(
            **options,
            autocommit=True,
            charset="utf8mb4",
            client_flag=CLIENT.FOUND_ROWS,  # an UPDATE tells the rows it found, not those that differed
        )
    if in_bulk and mariadb_bulk.IS_THERE:
        connection._rfile = mariadb_bulk.Received(connection._rfile)
    return MariadbSession(connection, label, is_mysql=is_mysql)


def our_error(error: pymysql.MySQLError, label: str) -> SourceError:
    """The driver's error as ours, by number, without its text."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if number in _BY_NUMBER:
        kind, message = _BY_NUMBER[number]
        return kind(f"{message} (error {number})", where=label)
    if number in _CLIENT_ERRORS or isinstance(error, pymysql.err.InterfaceError):
        return SourceUnreachable("can't be reached, or the connection was lost", where=label)
    return SourceError(f"a statement failed (error {number or type(error).__name__})", where=label)


@contextmanager
def our_errors(label: str) -> Iterator[None]:
    """Driver errors inside become ours."""
    try:
        yield
    except pymysql.MySQLError as error:
        raise our_error(error, label) from None


class MariadbSession(Session):
    """A connection in autocommit, whose transactions are begun and ended by statements."""

    def __init__(self, connection: Any, label: str, *, is_mysql: bool = False) -> None:
        self._connection = connection
        self._is_mysql = is_mysql
        self._label = label
        self._prepared: object = None
        self._temps: list[str] = []
        self._stale = False  # temp tables hold rows
        self._filled = 0
        self._reads = False

    def _literal(self, value: Any) -> str:
        if isinstance(value, Rows):
            return ",".join(f"{value.row}({','.join(map(self._literal, row))})" for row in value.rows)
        escaped = self._connection.escape(str(value) if isinstance(value, UUID) else value)
        # A bare literal of bytes would be taken for text beside text.
        return f"CAST({escaped} AS BINARY)" if isinstance(value, bytes) else str(escaped)

    def literal(self, value: Any) -> str:
        """The driver's, with the type that it has as a column's value."""
        kind = "TIMESTAMP" if isinstance(value, datetime) else "DATE" if isinstance(value, date) else ""
        return f"{kind}{self._literal(value)}"

    def inlined(self, table: Definition, rows: Sequence[Row]) -> tuple[str, Mapping[str, Any]]:
        """Literals take the columns' types where they are united with them."""
        if not rows:
            return table.select, {}
        row = "ROW" if self._is_mysql else ""
        listed = ",".join(
            f"{row}({','.join('NULL' if value is None else str(value) for value in values)})" for values in rows
        )
        return f"{table.select} UNION ALL VALUES {listed.replace('%', '%%')}", {}

    def _bound(self, statement: str, parameters: Mapping[str, Any] | None) -> str:
        if self._is_mysql:
            statement = once_each(statement)
        return statement % {name: self._literal(value) for name, value in (parameters or {}).items()}

    def change(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """As the base says."""
        with our_errors(self._label), self._connection.cursor() as cursor:
            return max(int(cursor.execute(self._bound(statement, parameters))), 0)

    def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """As the base says."""
        with our_errors(self._label), self._connection.cursor() as cursor:
            cursor.execute(self._bound(statement, parameters))
            found: Sequence[Row] = cursor.fetchall()
        return found

    def stream(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Sequence[Row]]:
        """By a server-side cursor."""
        with our_errors(self._label):
            yield from mariadb_cursor.stream(self._connection, self._bound(statement, parameters), BATCH)

    def put(self, statement: str, rows: Iterable[Row]) -> None:
        """By INSERT … VALUES of some megabytes each."""
        parts: list[str] = []
        size = 0
        for row in rows:
            part = f"({','.join(map(self._fast_literal, row))})"
            parts.append(part)
            size += len(part)
            if size > _PUT_BYTES:
                self._insert(statement, parts)
                parts, size = [], 0
        if parts:
            self._insert(statement, parts)

    def _fast_literal(self, value: Any) -> str:
        return str(value) if type(value) is int else "NULL" if value is None else self._literal(value)

    def _insert(self, statement: str, parts: Sequence[str]) -> None:
        self._filled += len(parts)
        with our_errors(self._label), self._connection.cursor() as cursor:
            cursor.execute(statement.replace(ROWS, ",".join(parts)))

    def configure(self, settings: Mapping[str, str | int | float]) -> None:
        """Set session variables, all in one statement."""
        chosen = ", ".join(f"SESSION {name} = %({name})s" for name in settings)
        self.change(f"SET {chosen}", settings)

    def prepare(self, key: object, statements: Sequence[str]) -> None:
        """A snapshot's rollback leaves the tables empty, so they serve the same plan again, unless much was in them."""
        if self._prepared is key and not self._stale:
            return
        if self._temps:
            self.change(f"DROP TEMPORARY TABLE IF EXISTS {', '.join(self._temps)}")
        self._temps = [statement.removeprefix(CREATE_TEMP).split(" ", 1)[0] for statement in statements]
        for statement in statements:
            self.change(statement)
        self._prepared, self._stale = key, False

    def is_alive(self) -> bool:
        """Whether the server still answers."""
        try:
            self._connection.ping(reconnect=False)
        except pymysql.MySQLError:  # whoever asks opens a new session, which tells more
            self.close()
            return False
        return True

    def begin_snapshot(self) -> None:
        """Temp tables can be written to in a transaction that only reads."""
        self.change("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        self._reads, self._filled = True, 0

    def begin(self, *, writes: bool) -> None:
        """A chunk names its rows itself, and its temp table is made inside."""
        self.change("START TRANSACTION")
        self._reads = False

    def commit(self) -> None:
        """Commit."""
        self.change("COMMIT")

    def rollback(self) -> None:
        """A lost connection has rolled back already. A snapshot that filled its temp tables ends by a commit, which
        changes nothing else and is quicker.
        """
        if not self._connection.open:
            return
        self._stale = self._stale or (self._reads and self._filled > _FILLED_AT_MOST)
        self.change("COMMIT" if self._reads and self._stale else "ROLLBACK")

    def hold_label(self, label: str) -> None:
        """Let others find this session by its label; it is held until the session ends or is reset."""
        for slot in range(_SLOTS):
            ((held,),) = self.fetch("SELECT GET_LOCK(%(name)s, 0)", {"name": _lock_name(label, slot)})
            if held:
                return

    def end_holders(self, labels: Sequence[str]) -> int:
        """Kill the sessions that hold one of these labels; how many still held one."""
        names = [_lock_name(label, slot) for label in labels for slot in range(_SLOTS)]
        asked = ", ".join(f"IS_USED_LOCK(%(n{index})s)" for index in range(len(names)))
        (found,) = self.fetch(f"SELECT {asked}", {f"n{index}": name for index, name in enumerate(names)})
        holders = {int(each) for each in found if each is not None}
        for holder in holders:
            self._kill(holder)
        return len(holders)

    def _kill(self, session: int) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"KILL {session:d}")
        except pymysql.MySQLError as error:
            if error.args[0] != _NO_SUCH_THREAD:  # it ended by itself meanwhile
                raise our_error(error, self._label) from None

    def close(self) -> None:
        """End the session, without a word to a server that may be gone."""
        self._connection._force_close()


_NO_SUCH_THREAD = 1094


def _lock_name(label: str, slot: int) -> str:
    # Names of locks are at most 64 characters.
    return f"habeas.{hashlib.sha256(label.encode()).hexdigest()[:40]}.{slot}"
