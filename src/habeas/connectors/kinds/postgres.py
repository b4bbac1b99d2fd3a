"""PostgreSQL, version 12 and later: its secrets and its sessions over the `sql` family.

Sessions are kept for a next use, a few of them. The driver is imported by the
first connection, not by a command that only lists kinds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from habeas.connectors.base import CheckResult
from habeas.connectors.sql.connector import Purpose, SqlConnector
from habeas.connectors.sql.postgres import PostgresDialect, PostgresInlineDialect
from habeas.connectors.sql.session import Session
from habeas.core.errors import BadInput, SourceError, SourceTimeout
from habeas.core.schema import StoreSchema, TableName

if TYPE_CHECKING:
    from habeas.connectors.sql.postgres_session import PostgresSession

KEPT_SESSIONS = 4
ENDING_SECONDS = 6.0  # within the 8 s of an executor's lease

_NO_TEMP_TABLES = (
    "temp tables can't be made, so what is found goes along with each statement, which is slower and bounded: "
    "GRANT TEMPORARY ON the database, unless the server only reads"
)
_EXACT_OUTPUT = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "cursor_tuple_fraction": "1.0",  # streams are read to their end
}


class PostgresSecrets(BaseModel):
    """How to reach a PostgreSQL database: `url`, or `host` and parts. TLS options as libpq's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr | None = Field(None, title="URL", description="postgresql://user:password@host:port/dbname")
    host: str | None = None
    port: int | None = Field(None, ge=1, le=65535)
    dbname: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    db_schema: str | None = Field(None, title="Schema", description="the default schema, else the server's")
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    sslrootcert: str | None = Field(None, description="a file of certificates, or system")
    sslcert: str | None = None
    sslkey: str | None = None
    connect_timeout_seconds: float = Field(10, gt=0, le=60)
    read_timeout_seconds: float = Field(3600, ge=0, description="of one statement that reads; 0 for none")
    write_timeout_seconds: float = Field(7, gt=0, description="of one statement that writes; a lease lasts 8 s")
    lock_timeout_seconds: float = Field(5, gt=0)

    @model_validator(mode="after")
    def _has_place(self) -> PostgresSecrets:
        if not self.url and not self.host:
            raise ValueError("PostgreSQL must be supplied a 'url' or all of: ['host']")
        if self.url and not self.url.get_secret_value().startswith(("postgresql", "postgres:")):
            raise ValueError("the 'url' must begin with postgresql://")
        return self

    def conninfo(self) -> dict[str, str]:
        """libpq's parameters; parts that are given besides a URL win."""
        merged = _url_parts(self.url.get_secret_value()) if self.url else {}
        own = {
            "host": self.host,
            "port": str(self.port) if self.port else None,
            "dbname": self.dbname,
            "user": self.username,
            "password": self.password.get_secret_value() if self.password else None,
            "sslmode": self.sslmode,
            "sslrootcert": self.sslrootcert,
            "sslcert": self.sslcert,
            "sslkey": self.sslkey,
        }
        return merged | {name: value for name, value in own.items() if value is not None}


def _url_parts(url: str) -> dict[str, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadInput("the 'url' can't be read", where="secrets") from None
    found = {
        "host": unquote(parts.hostname or ""),
        "port": str(port or ""),
        "dbname": unquote(parts.path.lstrip("/")),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return {name: value for name, value in found.items() if value} | dict(parse_qsl(parts.query))


class PostgresConnector(SqlConnector):
    """A PostgreSQL database. Safe to share between threads."""

    kind = "postgres"
    label = "PostgreSQL"
    secrets_model = PostgresSecrets

    def __init__(self, secrets: BaseModel) -> None:
        self._secrets = cast(PostgresSecrets, secrets)
        self._idle: list[PostgresSession] = []
        self._lock = Lock()
        self._closed = False
        self._prepare(PostgresDialect(), PostgresInlineDialect())

    @contextmanager
    def _session(self, purpose: Purpose, label: str) -> Iterator[Session]:
        session = self._take(purpose, label)
        try:
            yield session
        except BaseException:
            session.connection.close()
            raise
        self._give_back(session, purpose)

    def _take(self, purpose: Purpose, label: str) -> PostgresSession:
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is not None:
            try:
                session.configure(self._settings(purpose, label))
                return session
            except SourceError:  # it was ended while idle: a new one tells whether the server is there
                session.connection.close()
        session = self._connect()
        session.configure(_EXACT_OUTPUT | self._settings(purpose, label))
        if self.dialect.default_schema is None:
            ((self.dialect.default_schema,),) = session.fetch("SELECT current_schema()")
        return session

    def _connect(self) -> PostgresSession:
        from psycopg.conninfo import make_conninfo

        from habeas.connectors.sql.postgres_session import PostgresSession, connect

        parts: dict[str, Any] = dict(self._secrets.conninfo())
        session = PostgresSession(connect(make_conninfo("", **parts), self._secrets.connect_timeout_seconds))
        if self._secrets.db_schema:
            session.configure({"search_path": '"' + self._secrets.db_schema.replace('"', '""') + '"'})
        if session.connection.info.server_version >= 140000:
            # A server goes on executing after its client died; this makes it look.
            session.configure({"client_connection_check_interval": "200ms"})
        return session

    def _settings(self, purpose: Purpose, label: str) -> dict[str, str]:
        from habeas.connectors.sql.postgres_session import session_name

        secrets = self._secrets
        seconds = secrets.write_timeout_seconds if purpose == "write" else secrets.read_timeout_seconds
        idle = secrets.write_timeout_seconds if purpose == "write" else 0
        return {
            "application_name": session_name(label),
            "statement_timeout": f"{seconds * 1000:.0f}",
            "lock_timeout": f"{secrets.lock_timeout_seconds * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{idle * 1000:.0f}",
        }

    def _give_back(self, session: PostgresSession, purpose: Purpose) -> None:
        if not session.is_idle():
            session.connection.close()
            return
        if purpose == "write":
            session.discard()
        with self._lock:
            if not self._closed and len(self._idle) < KEPT_SESSIONS:
                self._idle.append(session)
                return
        session.connection.close()

    def _fingerprints(self, session: Session, tables: Sequence[TableName]) -> Mapping[TableName, str]:
        from habeas.connectors.sql.postgres_catalog import read_fingerprints

        return read_fingerprints(session, tables)

    def introspect(self, schema: str | None = None) -> StoreSchema:
        """By catalog queries, six for a whole schema."""
        from habeas.connectors.sql.postgres_catalog import read_schema

        with self._session("read", "habeas") as session:
            return read_schema(session, schema)

    def check(self) -> CheckResult:
        """With a connection and one statement."""
        from habeas.connectors.sql.postgres_catalog import server_facts

        try:
            with self._session("read", "habeas") as session:
                facts = server_facts(session)
        except SourceError as error:
            return CheckResult(False, error.code, str(error))
        self._temp_tables = facts["temp_tables"]
        message = "" if facts["temp_tables"] else _NO_TEMP_TABLES
        return CheckResult(True, None, message, facts["version"], facts["temp_tables"])

    def _may_make_tables(self, session: Session) -> bool:
        from habeas.connectors.sql.postgres_catalog import server_facts

        return bool(server_facts(session)["temp_tables"])

    def end_sessions(self, prefix: str, keep: str) -> None:
        """By pg_terminate_backend, for sessions of the same user; waits until they are gone.

        Raises SourceTimeout if one stays.
        """
        from habeas.connectors.sql.postgres_session import session_name

        names = {"prefix": session_name(prefix), "keep": session_name(keep)}
        with self._session("read", "habeas") as session:
            deadline = time.monotonic() + ENDING_SECONDS
            while session.fetch(_END_SESSIONS, names):
                if time.monotonic() > deadline:
                    raise SourceTimeout("a session of an older attempt doesn't end", where=self.label)
                time.sleep(0.02)

    def identity(self) -> str:
        """Host, port and database; the machine's own names count as one."""
        parts = self._secrets.conninfo()
        host = parts.get("hostaddr") or parts.get("host") or "localhost"
        own = host.startswith("/") or host in ("127.0.0.1", "::1", "localhost")
        name = self.database(None)
        return f"postgresql:{'localhost' if own else host.lower()}:{parts.get('port', '5432')}/{name}"

    def database(self, schema: str | None) -> str:
        """The connection's, all of whose schemas it sees."""
        parts = self._secrets.conninfo()
        return str(parts.get("dbname") or parts.get("user", ""))

    def close(self) -> None:
        """Sessions in use close when they are given back."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        for session in idle:
            session.connection.close()


_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE starts_with(application_name, %(prefix)s) AND application_name <> %(keep)s
   AND usename = current_user AND pid <> pg_backend_pid()
"""
