"""Connections and transactions of our own database, on SQLite and PostgreSQL alike.

A database that is locked or gone is waited for a bounded time, then it is `Unavailable`. No driver text
leaves here: it can hold values. Never knows a table; `store` modules take the connection it gives.
"""

from __future__ import annotations

import os
import select
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from habeas.core.errors import BadInput, Conflict, DatabaseAway, HabeasError, Unavailable
from habeas.store.migrate import current_revision, upgrade

Dialect = Literal["sqlite", "postgresql"]

WAIT_SECONDS = 10.0
OLDEST_SQLITE = (3, 42)  # unixepoch('subsec'), which the durable engine's clock needs

_READS = "habeas_reads"
# `secure_delete`: what is deleted or overwritten leaves no bytes in the file.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "secure_delete=ON")
_BRIEFLY_IDLE = 0.02  # seconds; for longer, a connection's end may not have arrived yet
_LONG_IDLE = 30.0  # seconds without use, after which a connection may have gone unnoticed
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4)  # between attempts to connect; the last one repeats

# SQLSTATE classes and codes that pass by themselves: connection, resources, operator, lock, deadlock, serialisation
_PASSING = ("08", "53", "57P", "57014", "55P03", "40")
_PASSING_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL")

# What a PostgreSQL server says, in a text without code, before it lets anybody in; waiting doesn't help.
_REFUSALS = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")


def new_id(prefix: str) -> str:
    """`<prefix>_<uuid4>`, the form of all our ids."""
    return f"{prefix}_{uuid.uuid4()}"


def new_ids(prefix: str, count: int) -> list[str]:
    """As many ids of that form, from one draw."""
    drawn = os.urandom(16 * count)
    return [f"{prefix}_{uuid.UUID(bytes=drawn[at : at + 16], version=4)}" for at in range(0, len(drawn), 16)]


def is_made(url: str) -> bool:
    """Whether habeas ever used the database of a URL; makes nothing, not even SQLite's file.

    Raises as `Database.open`, and Unavailable where its server doesn't answer.
    """
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite_path(make_url(url)).exists()
    database = Database.open(url)
    try:
        with database.read() as connection:
            return current_revision(connection) is not None
    finally:
        database.close()


def default_url(data_dir: Path) -> str:
    """The URL of the SQLite database that a data directory holds."""
    return f"sqlite:///{data_dir / 'habeas.sqlite'}"


def new_or_known(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert of the connection's dialect, which may say what to do with rows that exist: both spell it alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def insert_new(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert the rows that are not there yet, by any unique key; the others stay as they are."""
    if rows:
        connection.execute(new_or_known(connection, table).on_conflict_do_nothing().inline(), list(rows))


class Database:
    """Our own database. Safe to share between threads; each transaction has a connection of its own."""

    def __init__(self, engine: Engine, path: Path | None, wait_seconds: float) -> None:
        self._engine = engine
        self._path = path
        self._wait = wait_seconds
        # SQLite has one writer: threads queue here in turn instead of polling the file's lock.
        self._writer: threading.Lock | None = threading.Lock() if path else None
        self._reads = engine.execution_options(
            **{_READS: True},
            **({} if path else {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}),
        )

        self._looks = self._reads if path else engine.execution_options(isolation_level="AUTOCOMMIT")

    @classmethod
    def open(cls, url: str, *, wait_seconds: float = WAIT_SECONDS) -> Database:
        """Prepare `sqlite:///PATH` (the file is made, mode 0600) or `postgresql://…`; connects at first use.

        Raises BadInput for another kind of URL, Unavailable where SQLite is too old or its file can't be made.
        """
        try:
            parsed = make_url(url)
        except exc.ArgumentError:
            raise _bad_url() from None
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            path = _sqlite_path(parsed)
            return cls(_sqlite_engine(path, wait_seconds), path, wait_seconds)
        if backend in ("postgresql", "postgres"):
            return cls(_postgresql_engine(parsed, wait_seconds), None, wait_seconds)
        raise _bad_url()

    @property
    def dialect(self) -> Dialect:
        """Which of the two it is."""
        return "sqlite" if self._path else "postgresql"

    @property
    def url(self) -> str:
        """The URL with its password, for what needs connections of its own; never for a log."""
        if self._path:
            return f"sqlite:///{self._path}"
        return self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    @property
    def place(self) -> str:
        """Where it is, as it may be told: host, port and name, or the file; never user or password."""
        if self._path:
            return str(self._path)
        url = self._engine.url
        host = url.host or url.query.get("host") or "the local socket"
        return f"{host}:{url.port or 5432}/{url.database or ''}"

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction: commits at the end, rolls back on any error.

        SQLite takes its write lock at the start, so what is read in it can't change before it is written.
        Raises Unavailable where the database can't be had within the wait, Conflict where a unique or
        foreign key is violated.
        """
        with self._turn(), self._transaction(self._engine) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction that sees one moment. Raises Unavailable as `begin` does."""
        with self._transaction(self._reads) as connection:
            yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """For one statement that reads: it is a transaction by itself, so that on PostgreSQL nothing is said around
        it. Raises Unavailable as `begin` does.
        """
        with self._transaction(self._looks) as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables to this version; safe to call again and from several processes at once.

        Raises BadInput where the database was made by a newer version.
        """
        with self.begin() as connection:
            upgrade(connection)

    def empty_log(self) -> None:
        """Bring what SQLite's log holds into its file and empty the log, in which former pages would stay readable;
        as far as no reader needs it now. Nothing elsewhere.
        """
        if self._path is not None:
            with self._turn(), self._engine.connect() as connection:
                driver = connection.connection.driver_connection
                if driver is not None:
                    driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close idle connections; safe to call twice."""
        self._engine.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=self._wait):
            raise _unavailable("locked by another writer", self._wait)
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        connection = self._connect(engine)
        try:
            with connection.begin():
                yield connection
        except exc.DBAPIError as error:
            raise _translated(error) from None
        finally:
            connection.close()

    def _connect(self, engine: Engine) -> Connection:
        deadline = time.monotonic() + self._wait
        attempt = 0
        while True:
            try:
                connection = engine.connect()
                if engine is not self._looks:
                    _try_idle(connection)
                return self._checked(connection)
            except (exc.DBAPIError, exc.TimeoutError) as error:
                problem = _translated(error)
            except Unavailable as error:
                problem = error
            pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
            attempt += 1
            if not problem.retryable or time.monotonic() + pause > deadline:
                raise problem from None
            time.sleep(pause)

    def _checked(self, connection: Connection) -> Connection:
        """The connection, unless its SQLite file was moved away or replaced: what is written would be lost."""
        if self._path is None:
            return connection
        opened = connection.info.get("file")
        present = _file_identity(self._path)
        if opened == present:
            return connection
        connection.invalidate()
        connection.close()
        raise _unavailable("gone from its place" if present is None else "replaced by another file", self._wait)


def _sqlite_engine(path: Path, wait_seconds: float) -> Engine:
    """Makes the file (0600) and its directory. Transactions are IMMEDIATE, those of reads aside."""
    driver = _sqlite_driver()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable(
            f"can't be opened: {error.strerror}", where=str(path), fix="check the data directory"
        ) from None
    source = f"file:{quote(str(path.absolute()))}?mode=rw"  # rw: never makes a new, empty file by itself

    def connect() -> Any:  # DB-API connections have no common type
        return driver.connect(source, uri=True, timeout=wait_seconds, check_same_thread=False, isolation_level=None)

    engine = sa.create_engine(
        "sqlite+pysqlite://",
        module=driver,
        creator=connect,
        poolclass=QueuePool,
        pool_size=5,
        max_overflow=20,
        pool_timeout=wait_seconds,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _sqlite_connected(path))
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connected(path: Path) -> Callable[[Any, ConnectionPoolEntry], None]:
    def connected(connection: Any, entry: ConnectionPoolEntry) -> None:
        entry.info["file"] = _file_identity(path)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    return connected


def _sqlite_begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _file_identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sqlite_driver() -> Any:
    try:
        from pysqlite3 import dbapi2 as driver  # type: ignore[import-untyped] # the wheel has no types
    except ImportError:
        import sqlite3 as driver
    if driver.sqlite_version_info < OLDEST_SQLITE:
        raise Unavailable(
            f"SQLite {driver.sqlite_version} is too old, 3.42 is needed",
            where="database",
            fix="install pysqlite3-binary, use a newer Python, or set HABEAS_DATABASE_URL to a PostgreSQL database",
        )
    return driver


def _sqlite_path(url: URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise BadInput("a database in memory loses every request", where="database_url", fix="name a file")
    return Path(url.database)


def _postgresql_engine(url: URL, wait_seconds: float) -> Engine:
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=5,
        max_overflow=15,
        pool_timeout=wait_seconds,
        pool_use_lifo=True,  # so that few are used often, and needn't be tried
        hide_parameters=True,
        connect_args={
            "connect_timeout": max(1, round(wait_seconds)),
            "application_name": "habeas",
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": round(wait_seconds * 1000),
        },
    )
    milliseconds = round(wait_seconds * 1000)
    ping_when_due(engine)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.execute(f"SET lock_timeout = {milliseconds}; SET idle_in_transaction_session_timeout = '60s'")
        connection.commit()

    return engine


def ping_when_due(engine: Engine) -> None:
    """Have a pool of PostgreSQL connections try one before it is used only where its socket has something to say,
    which while it was idle can only be its end, or where nobody used it for long.
    """

    def given_back(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    def taken(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        since = record.info.get("idle_since")
        if since is None:
            return
        try:
            said = select.select([connection.fileno()], [], [], 0)[0]
            if said or time.monotonic() - since > _LONG_IDLE:
                engine.dialect.do_ping(connection)
        except (engine.dialect.loaded_dbapi.Error, OSError, ValueError):
            raise exc.DisconnectionError from None

    event.listen(engine, "checkin", given_back)
    event.listen(engine, "checkout", taken)


def _try_idle(connection: Connection) -> None:
    """Try a PostgreSQL connection that wasn't used just before: a look that fails is repeated soon, work is not.

    Raises Unavailable, having given the connection up.
    """
    since, driver = connection.info.get("idle_since"), connection.connection.dbapi_connection
    if since is None or driver is None or time.monotonic() - since < _BRIEFLY_IDLE:
        return
    try:
        connection.dialect.do_ping(driver)
    except connection.dialect.loaded_dbapi.Error:
        connection.invalidate()
        connection.close()
        raise _unavailable("not to be had now (ended while idle)") from None


def _translated(error: exc.SQLAlchemyError) -> HabeasError:
    """Our error for a driver's, without its text, which can hold values of rows."""
    if isinstance(error, exc.TimeoutError):
        return DatabaseAway("all connections are in use", where="database", fix="try again")
    if isinstance(error, exc.IntegrityError):
        return Conflict(
            "a value that must be unique exists already, or something named does not exist", where="database"
        )
    if not isinstance(error, exc.DBAPIError):
        return HabeasError(f"failed with {type(error).__name__}", where="database")
    code = _code(error)
    if code is None and isinstance(error, exc.OperationalError):
        return _not_let_in(error)
    if error.connection_invalidated or (code or "").startswith(_PASSING + _PASSING_SQLITE):
        return _unavailable(f"not to be had now ({code})")
    # The statement holds placeholders, never values.
    name = code or type(error.orig).__name__
    return HabeasError(f"failed with {name} in: {(error.statement or '')[:200]}", where="database")


def _not_let_in(error: exc.OperationalError) -> HabeasError:
    text = str(error.orig)
    if any(sign in text for sign in _REFUSALS):
        return BadInput("the server refuses this user, password or database", where="database_url")
    return _unavailable("not to be had now (no connection)")


def _code(error: exc.DBAPIError) -> str | None:
    """The driver's stable name of what went wrong; None where the server was never reached."""
    for name in ("sqlstate", "sqlite_errorname"):
        code = getattr(error.orig, name, None)
        if isinstance(code, str):
            return code
    return None


def _unavailable(problem: str, waited: float | None = None) -> DatabaseAway:
    after = f", after {waited:g} s" if waited is not None else ""
    return DatabaseAway(f"is {problem}{after}", where="database", fix="nothing was written; try again")


def _bad_url() -> BadInput:
    return BadInput(
        "is not a database habeas can use",
        where="database_url",
        fix="write postgresql://user@host/database or sqlite:///path/to/file",
    )
