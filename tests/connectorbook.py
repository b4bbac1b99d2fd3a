"""What the connectors' conformance suite runs on: one harness for each kind, and plans built by hand.

A harness knows how to reach a real server, run plain SQL on it as its owner, and which cases its kind is
excused from, with reasons. A new kind of SQL database adds a harness here, and the whole suite runs on it.
"""

from __future__ import annotations

import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from habeas.connectors.base import Connector, FrozenChunk, Reader, SeedValue
from habeas.connectors.registry import connector_class
from habeas.core.identity import canonical
from habeas.core.schema import StoreSchema, TableName
from habeas.plan.model import Column, Link, Mask, Plan, Seed, Segment, Standing, Step

KEY = b"0123456789abcdef0123456789abcdef"


class Harness(ABC):
    """One kind of database with an empty store of its own for each test."""

    kind: ClassVar[str]
    excused: ClassVar[Mapping[str, str]] = {}  # name of a test: why this kind can't pass it
    absent: ClassVar[str | None] = None  # why there is no server to run the suite on
    identity: ClassVar[str]  # how the system's name begins
    grants: ClassVar[bool] = True  # whether accounts have privileges
    expression_indexes: ClassVar[bool] = True  # whether indexes can be on expressions and parts of tables
    late_constraints: ClassVar[bool] = False  # whether every constraint can wait for a transaction's end
    trigger: ClassVar[Sequence[str]]  # statements that put a trigger on the table things, which deletes from others

    @classmethod
    @abstractmethod
    def open(cls, request: pytest.FixtureRequest) -> Harness:
        """Make one for a test, whose fixtures have servers and folders."""

    @abstractmethod
    def secrets(self) -> dict[str, Any]:
        """Secrets of an account that may read and write."""

    @abstractmethod
    def run(self, *statements: str) -> None:
        """Run statements as the store's owner."""

    @abstractmethod
    def put(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows; `table` is the quoted name as SQL has it."""

    @abstractmethod
    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query, as the store's owner."""

    @abstractmethod
    def close(self) -> None:
        """Remove what the test made."""

    @abstractmethod
    def wrong_secrets(self) -> dict[str, dict[str, Any]]:
        """Secrets that fail, by the code that the check must answer."""

    @abstractmethod
    def read_only_secrets(self) -> dict[str, Any]:
        """Secrets of an account that may read everything and write nothing."""

    @contextmanager
    @abstractmethod
    def locked(self, table: str) -> Iterator[None]:
        """Holds a lock that keeps others from writing to the table."""

    slow_query: ClassVar[str]  # runs for minutes
    server: ClassVar[tuple[str, int] | None] = None  # host and port; None: there is no link that could be lost

    def elsewhere(self, port: int) -> dict[str, Any]:
        """Secrets for the same store behind another port of this machine."""
        raise NotImplementedError("nothing lies between this kind and its store")

    @abstractmethod
    def cancel(self, session: Any) -> None:
        """End the statement that a session of the connector runs, as an operator of the system would."""

    def connector(self, **more: Any) -> Connector:
        """A connector for the store, to be closed by the caller."""
        kind = connector_class(self.kind)
        return kind(kind.secrets_model.model_validate(self.secrets() | more))

    def without_temp_tables(self) -> dict[str, Any]:
        """Secrets of an account that may read and write but make no temp tables."""
        raise NotImplementedError("whoever may read may make temp tables")


class SqliteHarness(Harness):
    kind = "sqlite"
    identity = "sqlite:"
    grants = False  # root may write to any file
    late_constraints = True
    trigger = ("CREATE TRIGGER noted AFTER UPDATE ON things BEGIN DELETE FROM others; END",)
    excused: ClassVar[Mapping[str, str]] = {
        "test_a_lost_link_ends_in_an_error_and_the_next_use_works": "n/a: nothing lies between a file and its reader",
        **dict.fromkeys(
            (
                "test_the_check_says_what_to_grant",
                "test_rows_are_found_and_read",
                "test_rows_are_masked_and_verified",
                "test_rows_are_deleted_as_they_were_frozen",
                "test_rows_without_a_key_are_masked_together",
                "test_too_many_rows_are_refused_with_what_to_grant",
            ),
            "n/a: whoever opens a file of SQLite may make temp tables",
        ),
    }
    slow_query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    def __init__(self, folder: Path) -> None:
        # The connector's own driver: two copies of SQLite in one process don't see each other's file locks.
        from habeas.connectors.sql.sqlite_session import driver

        self.file = folder / "source.db"
        self._connection = driver.connect(str(self.file), isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")

    @classmethod
    def open(cls, request: pytest.FixtureRequest) -> Harness:
        return cls(request.getfixturevalue("tmp_path"))

    def cancel(self, session: Any) -> None:
        session._connection.interrupt()

    def secrets(self) -> dict[str, Any]:
        return {"path": str(self.file)}

    def run(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement)

    def put(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        places = ", ".join("?" for _ in rows[0])
        self._connection.execute("BEGIN")
        self._connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        self._connection.execute("COMMIT")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def close(self) -> None:
        self._connection.close()

    def wrong_secrets(self) -> dict[str, dict[str, Any]]:
        return {"unreachable": {"path": str(self.file.with_name("absent.db"))}}

    def read_only_secrets(self) -> dict[str, Any]:
        self.run("PRAGMA journal_mode = DELETE")
        copy = self.file.with_name("read_only.db")
        copy.write_bytes(self.file.read_bytes())
        copy.chmod(0o444)
        return {"path": str(copy)}

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        self.run("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            self.run("ROLLBACK")


class PostgresHarness(Harness):
    kind = "postgres"
    identity = "postgresql:localhost:5432/"
    slow_query = "SELECT count(pg_sleep(60))"
    server = ("127.0.0.1", 5432)
    trigger = (
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM others; RETURN new; END'",
        "CREATE TRIGGER noted AFTER UPDATE ON things FOR EACH ROW EXECUTE FUNCTION noted()",
    )

    @classmethod
    def open(cls, request: pytest.FixtureRequest) -> Harness:
        return cls(request.getfixturevalue("shared_postgres"))

    def elsewhere(self, port: int) -> dict[str, Any]:
        return {"url": self.url, "host": "127.0.0.1", "port": port}

    def cancel(self, session: Any) -> None:
        self.run(f"SELECT pg_cancel_backend({session.connection.info.backend_pid})")

    def __init__(self, url: str) -> None:
        import psycopg

        self.url = url
        self._roles: list[str] = []
        self._ending: list[str] = []
        self._connection = psycopg.connect(url, autocommit=True)
        self.run("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public")

    def secrets(self) -> dict[str, Any]:
        return {"url": self.url}

    def run(self, *statements: str) -> None:
        for statement in statements:
            self._connection.execute(statement)

    def put(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def close(self) -> None:
        self.run(*self._ending)
        for role in self._roles:
            self.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
        self._connection.close()

    def _role(self) -> str:
        role = f"habeas_test_{uuid.uuid4().hex[:10]}"
        self.run(f"CREATE ROLE {role} LOGIN")
        self._roles.append(role)
        return role

    def wrong_secrets(self) -> dict[str, dict[str, Any]]:
        name = self.url.rsplit("/", 1)[1]
        return {
            "denied": {"host": "127.0.0.1", "port": 5432, "dbname": name, "username": "habeas_nobody", "password": "x"},
            "unreachable": {"host": "127.0.0.1", "port": 1, "dbname": name, "username": "x"},
        }

    def read_only_secrets(self) -> dict[str, Any]:
        role = self._role()
        self.run(f"GRANT USAGE ON SCHEMA public TO {role}", f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        return {"url": self.url, "username": role}

    def without_temp_tables(self) -> dict[str, Any]:
        role, name = self._role(), self.url.rsplit("/", 1)[1]
        self._ending.append(f'GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC')
        self.run(
            f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC',
            f"GRANT USAGE ON SCHEMA public TO {role}",
            f"GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        )
        return {"url": self.url, "username": role}

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        self.run("BEGIN", f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        try:
            yield
        finally:
            self.run("ROLLBACK")


class MariadbHarness(Harness):
    """Names are quoted as in the standard, and TIMESTAMP is what it is there: without a zone."""

    kind = "mariadb"
    identity = "mysql:localhost:3306/"
    slow_query = "SELECT SLEEP(60) FROM information_schema.TABLES"
    server = ("127.0.0.1", 3306)
    trigger = ("CREATE TRIGGER noted AFTER UPDATE ON things FOR EACH ROW DELETE FROM others",)
    expression_indexes = False
    excused: ClassVar[Mapping[str, str]] = {
        "test_the_advised_indexes_spare_the_whole_table": "n/a: no index of this store serves these lookups",
        "test_exact_uses_the_callers_form": "n/a: the columns' own = folds case; see test_mariadb.py",
    }

    def __init__(self, url: str) -> None:
        import pymysql

        self.url = url
        self.name = url.rsplit("/", 1)[1]
        self._accounts: list[str] = []
        where = urlsplit(url)
        self._connection = pymysql.connect(
            host=where.hostname,
            port=where.port or 3306,
            user=where.username or "root",
            password=where.password or "",
            autocommit=True,
            charset="utf8mb4",
            init_command="SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'",
        )
        self.run(f"DROP DATABASE IF EXISTS {self.name}", f"CREATE DATABASE {self.name}", f"USE {self.name}")

    @classmethod
    def open(cls, request: pytest.FixtureRequest) -> Harness:
        return cls(request.getfixturevalue("shared_mariadb"))

    def elsewhere(self, port: int) -> dict[str, Any]:
        return {"url": self.url, "port": port}

    def cancel(self, session: Any) -> None:
        self.run(f"KILL QUERY {session._connection.thread_id()}")

    def secrets(self) -> dict[str, Any]:
        return {"url": self.url}

    def run(self, *statements: str) -> None:
        with self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(re.sub(r"\bTIMESTAMP\b", "DATETIME(6)", statement))

    def put(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        places = ", ".join("%s" for _ in rows[0])
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.executemany(f"INSERT INTO {table.replace('%', '%%')} VALUES ({places})", rows)
            cursor.execute("COMMIT")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def close(self) -> None:
        for account in self._accounts:
            self.run(f"DROP USER {account}")
        self._connection.close()

    def account(self, *privileges: str) -> dict[str, Any]:
        """Secrets of a new account that may do this in the database."""
        name = f"habeas_{uuid.uuid4().hex[:10]}"
        self.run(f"CREATE USER {name}@'%'", f"GRANT {', '.join(privileges)} ON {self.name}.* TO {name}@'%'")
        self._accounts.append(f"{name}@'%'")
        return {"url": self.url, "username": name, "password": ""}

    def wrong_secrets(self) -> dict[str, dict[str, Any]]:
        return {
            "denied": self.secrets() | {"username": "habeas_nobody", "password": "x"},
            "unreachable": self.secrets() | {"port": 1},
        }

    def read_only_secrets(self) -> dict[str, Any]:
        return self.account("SELECT", "CREATE TEMPORARY TABLES")

    def without_temp_tables(self) -> dict[str, Any]:
        return self.account("SELECT", "UPDATE", "DELETE")

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        self.run("BEGIN", f"SELECT * FROM {table} FOR UPDATE")
        try:
            yield
        finally:
            self.run("ROLLBACK")


class MysqlHarness(MariadbHarness):
    kind = "mysql"
    absent = "no MySQL server can be had here: its statements are compiled, not run"


HARNESSES: Mapping[str, type[Harness]] = {
    each.kind: each for each in (SqliteHarness, PostgresHarness, MariadbHarness, MysqlHarness)
}

HARNESS_POINTS = "habeas.connector_harnesses"
"""Group of the entry points by which another package brings the harnesses of its own kinds."""


def harnesses() -> Mapping[str, type[Harness]]:
    """By kind, ours and those of installed packages."""
    return {**HARNESSES, **{point.name: point.load() for point in entry_points(group=HARNESS_POINTS)}}


class PlanBook:
    """Steps of a plan, with columns, keys and fingerprints taken from the live schema."""

    def __init__(self, connector: Connector, *, erases: bool = False) -> None:
        self.connector = connector
        self.schema: StoreSchema = connector.introspect()
        self.steps: list[Step] = []
        self.segments: list[Segment] | None = None
        self.erases = erases
        self._links = 0

    def step(
        self,
        table: str,
        *,
        seeds: Sequence[Seed] = (),
        links: Sequence[Link] = (),
        masks: Sequence[Mask] = (),
        **more: Any,
    ) -> int:
        """Add a step for a table; its index."""
        live = self.schema.find(TableName(table))
        assert live is not None, f"no table {table}"
        more.setdefault("key", live.primary_key)
        self.steps.append(
            Step(
                index=len(self.steps),
                address=f"store:{table}",
                connection="store",
                table=live.table,
                fingerprint=live.fingerprint,
                view=live.is_view,
                columns=tuple(Column(each.name, each.type, each.nullable) for each in live.columns),
                seeds=tuple(seeds),
                links=tuple(links),
                masks=tuple(masks),
                **more,
            )
        )
        return len(self.steps) - 1

    def link(self, source: int, source_columns: str, columns: str, points: str = "to_source", **more: Any) -> Link:
        """A link; columns are given as words."""
        self._links += 1
        return Link(
            id=self._links,
            source=source,
            source_columns=tuple(source_columns.split()),
            columns=tuple(columns.split()),
            points=points,  # type: ignore[arg-type] # a literal, spelled by the test
            **more,
        )

    def plan(self) -> Plan:
        """The plan; one segment unless the test made its own."""
        whole = [Segment("store", tuple(range(len(self.steps))))]
        return Plan(
            policy="p",
            policy_version="1",
            catalog_version="1",
            kinds=("email", "phone_number", "account"),
            steps=tuple(self.steps),
            segments=tuple(self.segments or whole),
            erases=self.erases,
        )

    @contextmanager
    def reader(self, segment: int = 0) -> Iterator[Reader]:
        """A reader of one segment."""
        plan = self.plan()
        with self.connector.reader(plan, plan.segments[segment], "habeas/test/1") as reader:
            yield reader

    @contextmanager
    def found(self, *seeds: SeedValue) -> Iterator[Reader]:
        """A reader in which these identities were sought and all links followed."""
        plan = self.plan()
        with self.reader() as reader:
            for step in plan.steps:
                if step.seeds:
                    reader.seed(step, seeds)
            reader.traverse()
            yield reader

    def keys(self, reader: Reader, step: int) -> dict[tuple[int, Any], Standing]:
        """Found rows of a step by (member, key), with their standings; a key of one column is bare."""
        wanted = self.steps[step]
        names = wanted.key or tuple(column.name for column in wanted.columns)
        found: dict[tuple[int, Any], Standing] = {}
        for members, standings, rows in reader.rows(wanted, names):
            for member, standing, row in zip(members, standings, rows, strict=True):
                key = row[0] if len(row) == 1 else row
                assert (member, key) not in found, "a row came twice for one member"
                found[member, key] = Standing(standing)
        return found

    def own(self, reader: Reader, step: int, member: int = 0) -> set[Any]:
        """Keys of the member's own rows."""
        return {key for (each, key), standing in self.keys(reader, step).items() if (each, standing) == (member, 1)}


def seed(value: str, kind: str = "email", member: int = 0) -> SeedValue:
    """An identity, in canonical form as well."""
    return SeedValue(member, kind, value, canonical(kind, value, "US"))


def by_email(column: str = "email") -> tuple[Seed, ...]:
    """Rows are found where this column matches an e-mail address."""
    return (Seed(column, "email"),)


def chunks(reader: Reader, step: Step, secrets: Mapping[int, Mapping[str, str]] | None = None) -> list[FrozenChunk]:
    """All frozen chunks of a step."""
    return list(reader.freeze(step, KEY, secrets or {}))


def no_fence() -> None:
    """A fence that holds."""
