"""MariaDB (10.6 and later) and MySQL (8.0.19 and later): secrets and sessions over the `sql` family.

Sessions are kept for a next use, a few of them. The driver is imported by the first connection, not by a
command that only lists kinds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from habeas.connectors.base import CheckResult, Statement
from habeas.connectors.sql.connector import Purpose, SqlConnector
from habeas.connectors.sql.mariadb import MariadbDialect, MariadbInlineDialect, MysqlDialect, MysqlInlineDialect
from habeas.connectors.sql.session import Session
from habeas.core.errors import SourceError, SourceTimeout
from habeas.core.schema import StoreSchema, TableName
from habeas.plan.model import Plan, Segment

if TYPE_CHECKING:
    from habeas.connectors.sql.mariadb_session import MariadbSession

KEPT_SESSIONS = 4
ENDING_SECONDS = 6.0  # within the 8 s of an executor's lease
OLDER_ATTEMPTS = 32  # epochs before the present one that are looked for

_SCHEMES = ("mariadb", "mysql")
_DRIVERS = ("", "pymysql")

Settings = dict[str, str | int | float]

_NO_TEMP_TABLES = (
    "temp tables can't be made, so what is found goes along with each statement, which is slower and bounded: "
    "GRANT CREATE TEMPORARY TABLES on the database"
)
_EXACT: Settings = {
    "time_zone": "+00:00",
    # Nothing is cut or converted in silence; zero dates can be read and compared.
    "sql_mode": "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT",
    "group_concat_max_len": 1 << 30,
    # A subquery that stays one gets an index of its own, where a merged one would be joined row by row.
    "optimizer_switch": "derived_merge=off",
}
_READING: Settings = {"join_buffer_size": 4 << 20}
_LISTS: Settings = {"in_predicate_conversion_threshold": 0}  # long lists of keys are looked up one by one


class MariadbSecrets(BaseModel):
    """How to reach a MariaDB or MySQL database: `url`, or `host` and parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    product: ClassVar[str] = "MariaDB"

    url: SecretStr | None = Field(None, title="URL", description="mariadb://user:password@host:port/dbname")
    host: str | None = None
    port: int | None = Field(None, ge=1, le=65535)
    dbname: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    ssl_mode: Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"] | None = None
    ssl_ca: str | None = Field(None, description="a file of certificates; without one the system's")
    ssl_cert: str | None = None
    ssl_key: str | None = None
    connect_timeout_seconds: float = Field(10, gt=0, le=60)
    read_timeout_seconds: float = Field(3600, ge=0, description="of one statement that reads; 0 for none")
    write_timeout_seconds: float = Field(7, gt=0, description="of one statement that writes; a lease lasts 8 s")
    lock_timeout_seconds: float = Field(5, gt=0, description="rounded up to whole seconds")

    @model_validator(mode="after")
    def _has_place(self) -> MariadbSecrets:
        if not self.url and not (self.host and self.dbname):
            raise ValueError(f"{self.product} must be supplied a 'url' or all of: ['host', 'dbname']")
        if self.url:
            parts = _url_parts(self.url.get_secret_value())
            if not (self.dbname or parts.get("database")):
                raise ValueError("the 'url' must name a database: mariadb://user:password@host:port/dbname")
        return self

    def parts(self) -> dict[str, Any]:
        """Parameters of a connection; parts that are given besides a URL win."""
        merged = _url_parts(self.url.get_secret_value()) if self.url else {}
        own = {
            "host": self.host,
            "port": self.port,
            "database": self.dbname,
            "user": self.username,
            "password": self.password.get_secret_value() if self.password else None,
            "ssl_mode": self.ssl_mode,
            "ssl_ca": self.ssl_ca,
            "ssl_cert": self.ssl_cert,
            "ssl_key": self.ssl_key,
        }
        return merged | {name: value for name, value in own.items() if value is not None}


class MysqlSecrets(MariadbSecrets):
    """As MariaDB's."""

    product = "MySQL"

    url: SecretStr | None = Field(None, title="URL", description="mysql://user:password@host:port/dbname")


def _url_parts(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the 'url' can't be read") from None
    scheme, _, driver = parts.scheme.partition("+")
    if scheme not in _SCHEMES or driver not in _DRIVERS:
        raise ValueError("the 'url' must begin with mariadb:// or mysql://")
    given = dict(parse_qsl(parts.query))
    unknown = set(given) - {"ssl_mode", "ssl_ca", "ssl_cert", "ssl_key", "unix_socket", "charset"}
    if unknown:
        raise ValueError(f"the 'url' has options that aren't known: {', '.join(sorted(unknown))}")
    given.pop("charset", None)  # always utf8mb4
    found = {
        "host": unquote(parts.hostname or ""),
        "port": port,
        "database": unquote(parts.path.lstrip("/")),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return {name: value for name, value in found.items() if value} | given


class MariadbConnector(SqlConnector):
    """A MariaDB database. Safe to share between threads."""

    kind = "mariadb"
    label = "MariaDB"
    secrets_model: ClassVar[type[BaseModel]] = MariadbSecrets
    # Of literals: by any that folds letters, the server takes a range between two spellings for one of them.
    collation: ClassVar[str] = "utf8mb4_nopad_bin"
    is_mysql: ClassVar[bool] = False
    in_bulk: ClassVar[bool] = True  # rows are taken apart by asyncmy, where that extra is installed

    def __init__(self, secrets: BaseModel) -> None:
        self._secrets = cast(MariadbSecrets, secrets)
        self._idle: list[MariadbSession] = []
        self._lock = Lock()
        self._closed = False
        self._prepare(*self._make_dialects())

    def _make_dialects(self) -> tuple[MariadbDialect, MariadbDialect]:
        return MariadbDialect(), MariadbInlineDialect()

    @contextmanager
    def _session(self, purpose: Purpose, label: str) -> Iterator[Session]:
        session = self._take(label) if purpose == "read" else self._connect("write", label)
        try:
            yield session
        except BaseException:
            session.close()
            raise
        self._give_back(session, purpose)

    def _take(self, label: str) -> MariadbSession:
        with self._lock:
            session = self._idle.pop() if self._idle else None
        if session is not None and session.is_alive():
            return session
        return self._connect("read", label)

    def _connect(self, purpose: Purpose, label: str) -> MariadbSession:
        from habeas.connectors.sql.mariadb_session import connect

        session = connect(self._options(), self.label, is_mysql=self.is_mysql, in_bulk=self.in_bulk)
        try:
            ((database, by_statement),) = session.fetch(
                "SELECT DATABASE(), @@log_bin AND @@binlog_format = 'STATEMENT'"
            )
            session.configure(_EXACT | {"collation_connection": self.collation} | self._settings(purpose))
            # Fewer locks; a server that logs statements allows no writes at this level.
            committed = purpose == "write" and not by_statement
            level = "READ COMMITTED" if committed else "REPEATABLE READ"
            session.change(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
            if purpose == "write":
                session.hold_label(label)
        except BaseException:
            session.close()
            raise
        self.dialect.default_schema = database
        return session

    def _options(self) -> dict[str, Any]:
        parts = self._secrets.parts()
        tls = {name: parts.pop(name, None) for name in ("ssl_mode", "ssl_ca", "ssl_cert", "ssl_key")}
        parts["password"] = parts.get("password", "").encode()  # the driver would take it as Latin-1
        parts["connect_timeout"] = max(1, round(self._secrets.connect_timeout_seconds))
        return parts | _tls_options(**tls)

    def _settings(self, purpose: Purpose) -> Settings:
        secrets = self._secrets
        waits = max(1, math.ceil(secrets.lock_timeout_seconds))
        settings: Settings = {"innodb_lock_wait_timeout": waits, "lock_wait_timeout": waits}
        if purpose == "write":
            return settings | self._limits(secrets.write_timeout_seconds, writes=True)
        return settings | _READING | self._limits(secrets.read_timeout_seconds, writes=False)

    def _limits(self, seconds: float, *, writes: bool) -> Settings:
        limits = _LISTS | {"max_statement_time": seconds}
        return limits | {"idle_transaction_timeout": math.ceil(seconds)} if writes else limits

    def _give_back(self, session: MariadbSession, purpose: Purpose) -> None:
        with self._lock:
            if purpose == "read" and not self._closed and len(self._idle) < KEPT_SESSIONS:
                self._idle.append(session)
                return
        session.close()

    def _fingerprints(self, session: Session, tables: Sequence[TableName]) -> Mapping[TableName, str]:
        from habeas.connectors.sql.mariadb_catalog import MARIADB, MYSQL, read_fingerprints

        return read_fingerprints(session, tables, MYSQL if self.is_mysql else MARIADB)

    def introspect(self, schema: str | None = None) -> StoreSchema:
        """By the information schema, some ten statements for a whole database."""
        from habeas.connectors.sql.mariadb_catalog import MARIADB, MYSQL, read_schema

        with self._session("read", "habeas") as session:
            return read_schema(session, schema, MYSQL if self.is_mysql else MARIADB)

    def check(self) -> CheckResult:
        """With a connection, and a temp table that is made and dropped."""
        from habeas.connectors.sql.mariadb_catalog import server_facts

        try:
            with self._session("read", "habeas") as session:
                version, temp_tables = server_facts(session)
        except SourceError as error:
            return CheckResult(False, error.code, str(error))
        self._temp_tables = temp_tables
        return CheckResult(True, None, "" if temp_tables else _NO_TEMP_TABLES, version, temp_tables)

    def _may_make_tables(self, session: Session) -> bool:
        from habeas.connectors.sql.mariadb_catalog import server_facts

        return server_facts(session)[1]

    def end_sessions(self, prefix: str, keep: str) -> None:
        """By KILL, for sessions of the same user that hold the lock of an older label; waits until they are gone.

        Labels end in the attempt's number. Raises SourceTimeout if a session stays.
        """
        number = keep.removeprefix(prefix)
        newest = int(number) if number.isdigit() else 0
        older = [f"{prefix}{each}" for each in range(max(0, newest - OLDER_ATTEMPTS), newest)]
        if not older:
            return
        with self._session("read", "habeas") as session:
            deadline = time.monotonic() + ENDING_SECONDS
            while cast("MariadbSession", session).end_holders(older):
                if time.monotonic() > deadline:
                    raise SourceTimeout("a session of an older attempt doesn't end", where=self.label)
                time.sleep(0.02)

    def identity(self) -> str:
        """Host, port and database; the machine's own names count as one, and so do both kinds."""
        parts = self._secrets.parts()
        host = str(parts.get("host", "localhost")).lower()
        own = parts.get("unix_socket") or host in ("127.0.0.1", "::1", "localhost")
        return f"mysql:{'localhost' if own else host}:{parts.get('port', 3306)}/{parts['database']}"

    def database(self, schema: str | None) -> str:
        """A schema is a database here."""
        return schema or str(self._secrets.parts()["database"])

    def close(self) -> None:
        """Sessions in use close when they are given back."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        for session in idle:
            session.close()


class MysqlConnector(MariadbConnector):
    """A MySQL database."""

    kind = "mysql"
    label = "MySQL"
    secrets_model = MysqlSecrets
    collation = "utf8mb4_0900_bin"
    is_mysql = True

    def _make_dialects(self) -> tuple[MariadbDialect, MariadbDialect]:
        return MysqlDialect(), MysqlInlineDialect()

    def statements(self, plan: Plan, segment: Segment) -> Sequence[Statement]:
        """As its sessions run them."""
        from habeas.connectors.sql.inline import once_each

        return [each._replace(text=once_each(each.text)) for each in super().statements(plan, segment)]

    def _limits(self, seconds: float, *, writes: bool) -> Settings:
        # MySQL limits only statements that read; the client's own limit stops waiting for the others.
        return {} if writes else {"max_execution_time": math.ceil(seconds * 1000)}


def _tls_options(ssl_mode: str | None, ssl_ca: str | None, ssl_cert: str | None, ssl_key: str | None) -> dict[str, Any]:
    """The driver's TLS options: a context where TLS is demanded, else its own default, which is to prefer it."""
    if ssl_mode == "disabled":
        return {"ssl_disabled": True}
    if ssl_mode in (None, "preferred") and not (ssl_ca or ssl_cert):
        return {}
    import ssl

    context = ssl.create_default_context(cafile=ssl_ca)
    context.check_hostname = ssl_mode == "verify_identity"
    if ssl_mode in ("required", "preferred"):
        context.verify_mode = ssl.CERT_NONE
    if ssl_cert:
        context.load_cert_chain(ssl_cert, keyfile=ssl_key)
    return {"ssl": context}
