"""Sessions of PostgreSQL over psycopg: fixed settings, exact values, our errors.

Values come without loss: what Python's types can't hold (infinite dates, months of an interval) comes as
the server's text. No driver text leaves this module, for it can quote values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import TransactionStatus
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader

from habeas.connectors.sql.inline import Definition
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
from habeas.core.values import decode_json

LABEL = "PostgreSQL"
_TYPE_NAMES = (
    "SELECT format_type(u.kind, u.modifier) FROM unnest(%(oids)s::oid[], %(mods)s::int4[]) "
    "WITH ORDINALITY AS u(kind, modifier, n) ORDER BY u.n"
)
_FILLED_AT_MOST = 20_000  # rows, over all uses of the same temp tables
_MAX_NAME = 63  # of application_name, in bytes

_BY_STATE: tuple[tuple[str, type[SourceError], str], ...] = (
    ("57014", SourceTimeout, "a statement ran into its time limit"),
    ("55P03", SourceTimeout, "a lock wasn't free in time"),
    ("25P0", SourceTimeout, "a transaction ran into its time limit"),
    ("57P", SourceUnreachable, "the server ended the session"),
    ("08", SourceUnreachable, "the connection was lost"),
    ("53", SourceUnreachable, "the server is out of a resource"),
    ("42501", SourceDenied, "a privilege is missing"),
    ("25006", SourceDenied, "the session may only read"),
    ("28", SourceDenied, "the credentials were refused"),
    ("3D000", SourceDenied, "the database does not exist"),
    ("42P01", SchemaChanged, "a table does not exist"),
    ("42703", SchemaChanged, "a column does not exist"),
    ("3F000", SchemaChanged, "a schema does not exist"),
    ("23", SourceRejected, "a constraint refused the write"),
    ("22021", SourceUnreadable, "a text isn't valid in UTF-8"),
    ("22P05", SourceUnreadable, "a text has a character that UTF-8 lacks"),
    ("22", SourceRejected, "a value doesn't fit its column"),
)


class _ExactDate(DateLoader):
    """`infinity`, BC and years past 9999 as the server's text."""

    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _ExactTimestamp(TimestampLoader):
    """As _ExactDate."""

    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


class _ExactTimestamptz(TimestamptzLoader):
    """As _ExactDate."""

    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


_LOADERS: tuple[tuple[str, Any], ...] = (
    ("date", _ExactDate),
    ("timestamp", _ExactTimestamp),
    ("timestamptz", _ExactTimestamptz),
    *((name, TextLoader) for name in ("interval", "time", "timetz", "inet", "cidr", "money")),
)


def connect(conninfo: str, timeout: float) -> psycopg.Connection[Row]:
    """A new connection with exact values. Raises our errors."""
    try:
        connection = psycopg.connect(
            conninfo,
            autocommit=True,
            prepare_threshold=None,  # plans must see the values, and poolers keep no statements
            connect_timeout=max(2, round(timeout)),
            client_encoding="UTF8",
        )
    except psycopg.Error as error:
        raise _refused(error) from None
    for name, loader in _LOADERS:
        connection.adapters.register_loader(name, loader)
    set_json_loads(decode_json, connection)
    return connection


def _refused(error: psycopg.Error) -> SourceError:
    # libpq tells no SQLSTATE of a failed connection; the severity tells whether a server answered at all.
    text = str(error)
    if "FATAL" not in text and not (error.pgconn and (error.pgconn.used_password or error.pgconn.needs_password)):
        return SourceUnreachable("can't be reached", where=LABEL, fix="check host, port, network and TLS options")
    if any(word in text for word in ("starting up", "shutting down", "too many", "connection slots", "recovery")):
        return SourceUnreachable("takes no connections now", where=LABEL)
    return SourceDenied("refused the credentials or the database", where=LABEL, fix="check user, password, dbname")


def our_error(error: psycopg.Error) -> SourceError:
    """The driver's error as ours, by SQLSTATE, without its text."""
    state = error.sqlstate
    if state is None:
        return SourceUnreachable("the connection was lost", where=LABEL)
    for prefix, kind, message in _BY_STATE:
        if state.startswith(prefix):
            return kind(f"{message} (SQLSTATE {state})", where=LABEL)
    return SourceError(f"a statement failed (SQLSTATE {state})", where=LABEL)


@contextmanager
def our_errors() -> Iterator[None]:
    """Driver errors inside become ours."""
    try:
        yield
    except psycopg.Error as error:
        raise our_error(error) from None


class PostgresSession(Session):
    """A connection in autocommit, whose transactions are begun and ended by statements."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.connection = connection
        self._cursors = 0
        self._prepared: object = None
        self._filled = 0
        self._types: dict[Definition, Sequence[str]] = {}

    def configure(self, settings: Mapping[str, str]) -> None:
        """Set session parameters, all in one statement."""
        calls = ", ".join(f"set_config(%(n{index})s, %(v{index})s, false)" for index in range(len(settings)))
        parameters = {f"n{index}": name for index, name in enumerate(settings)}
        parameters |= {f"v{index}": value for index, value in enumerate(settings.values())}
        self.fetch(f"SELECT {calls}", parameters)

    def change(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """As the base says."""
        with our_errors(), self.connection.cursor() as cursor:
            cursor.execute(statement, parameters or {})
            row = (cursor.rowcount,) if cursor.description is None else cursor.fetchone()
        count = max(int(row[0]), 0) if row else 0
        self._filled += count
        return count

    def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """As the base says."""
        with our_errors(), self.connection.cursor() as cursor:
            return cursor.execute(statement, parameters or {}).fetchall()

    def stream(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Sequence[Row]]:
        """By a server-side cursor."""
        self._cursors += 1
        with our_errors(), self.connection.cursor(name=f"habeas_{self._cursors}") as cursor:
            cursor.execute(statement, parameters or {})
            while rows := cursor.fetchmany(BATCH):
                yield rows
                if len(rows) < BATCH:  # the end: to ask once more costs a round trip
                    return

    def put(self, statement: str, rows: Iterable[Row]) -> None:
        """By COPY."""
        with our_errors(), self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        self._filled += max(cursor.rowcount, 0)

    def literal(self, value: Any) -> str:
        """As the server writes such a value's text."""
        return bytes(Transformer(self.connection).get_dumper(value, PyFormat.TEXT).dump(value) or b"").decode()

    def inlined(self, table: Definition, rows: Sequence[Row]) -> tuple[str, Mapping[str, Any]]:
        """By an array of texts for each column, cast to the column's type."""
        names = [f"{table.name}_{index}" for index in range(len(table.columns))]
        arrays = [[None if value is None else str(value) for value in column] for column in zip(*rows, strict=True)]
        parameters = dict(zip(names, arrays or [[] for _ in names], strict=True))
        chosen = ", ".join(
            f"CAST(u.c{index} AS {kind}) AS {column}"
            for index, (column, kind) in enumerate(zip(table.columns, self._types_of(table), strict=True))
        )
        given = ", ".join(f"%({name})s::text[]" for name in names)
        listed = ", ".join(f"c{index}" for index in range(len(names)))
        return f"SELECT {chosen} FROM unnest({given}) AS u({listed})", parameters

    def _types_of(self, table: Definition) -> Sequence[str]:
        if table not in self._types:
            with our_errors(), self.connection.cursor() as cursor:
                found = cursor.execute(table.select, {}).description or []
                asked = {"oids": [each.type_code for each in found], "mods": [each._fmod for each in found]}
                named = cursor.execute(_TYPE_NAMES, asked).fetchall()
            self._types[table] = [name for (name,) in named]
        return self._types[table]

    def prepare(self, key: object, statements: Sequence[str]) -> None:
        """Making them costs more than a small request's reading. A snapshot's rollback leaves them empty, so they
        serve again, unless much was in them: rolled back rows still take room.
        """
        if self._prepared is key and self._filled < _FILLED_AT_MOST:
            return
        self.discard()
        self.begin(writes=False)
        for statement in statements:
            self.change(statement)
        self.commit()
        self._prepared, self._filled = key, 0

    def is_idle(self) -> bool:
        """Whether the connection lives and is in no transaction."""
        return not self.connection.closed and self.connection.info.transaction_status is TransactionStatus.IDLE

    def discard(self) -> None:
        """Drop all temp tables."""
        self._prepared = None
        self.change("DISCARD TEMP")

    def begin_snapshot(self) -> None:
        """Temp tables can be written to in a transaction that only reads."""
        self.change("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def begin(self, *, writes: bool) -> None:
        """Read committed: a chunk names its rows itself."""
        self.change("BEGIN ISOLATION LEVEL READ COMMITTED")

    def commit(self) -> None:
        """Commit."""
        self.change("COMMIT")

    def rollback(self) -> None:
        """A lost connection has rolled back already."""
        if not self.connection.closed and not self.connection.broken:
            with our_errors():
                self.connection.execute("ROLLBACK")


def session_name(label: str) -> str:
    """A label as the server shows it."""
    return label.encode()[:_MAX_NAME].decode(errors="ignore")
