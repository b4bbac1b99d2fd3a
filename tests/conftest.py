"""Fixtures of all parts: a fresh PostgreSQL database, a fresh SQLite file, the folder of real cases.

Servers are real. `HABEAS_TEST_POSTGRES` names the server (default: 127.0.0.1:5432, user postgres), and
`HABEAS_TEST_MARIADB` MariaDB's (default: 127.0.0.1:3306, user root); where none answers, the tests that need it are
skipped with that reason, and `.ci/run` fails on such skips.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says what else the machine does, nothing of what is tested.
settings.register_profile("habeas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("habeas")

MARIADB = os.environ.get("HABEAS_TEST_MARIADB", "mariadb://root@127.0.0.1:3306")
SERVER = os.environ.get("HABEAS_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


@pytest.fixture(scope="session")
def worker_name(request: pytest.FixtureRequest) -> str:
    """`main`, or `gw0`… under xdist: part of the names of databases, so that workers don't meet."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """URL of a PostgreSQL server on which databases may be made."""
    import psycopg

    try:
        psycopg.connect(SERVER, connect_timeout=5).close()
    except psycopg.OperationalError:
        pytest.skip("no PostgreSQL server answers; set HABEAS_TEST_POSTGRES or start one on 127.0.0.1:5432")
    return SERVER


@contextmanager
def fresh_database(server: str, worker: str) -> Iterator[str]:
    """The URL of an empty database of its own, dropped with all its sessions at the end."""
    import psycopg

    name = f"habeas_test_{worker}_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield f"{server.rsplit('/', 1)[0]}/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_url(postgres_server: str, worker_name: str) -> Iterator[str]:
    """A fresh PostgreSQL database for this test."""
    with fresh_database(postgres_server, worker_name) as url:
        yield url


@pytest.fixture
def make_postgres(postgres_server: str, worker_name: str) -> Iterator[Callable[[], str]]:
    """Makes as many fresh PostgreSQL databases as the test asks for."""
    with ExitStack() as databases:
        yield lambda: databases.enter_context(fresh_database(postgres_server, worker_name))


@pytest.fixture(scope="module")
def make_postgres_of_module(postgres_server: str, worker_name: str) -> Iterator[Callable[[], str]]:
    """The same for what lives as long as a module, such as a server's own database."""
    with ExitStack() as databases:
        yield lambda: databases.enter_context(fresh_database(postgres_server, worker_name))


@pytest.fixture(scope="session")
def postgres_url_of_session(postgres_server: str, worker_name: str) -> Iterator[str]:
    """One PostgreSQL database for all tests of this worker; who uses it makes a schema of its own."""
    with fresh_database(postgres_server, worker_name) as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_server() -> str:
    """URL, without a database, of a MariaDB server on which databases may be made."""
    import pymysql

    try:
        mariadb_connection(MARIADB).close()
    except pymysql.OperationalError:
        pytest.skip("no MariaDB server answers; set HABEAS_TEST_MARIADB or start one on 127.0.0.1:3306")
    return MARIADB


def mariadb_connection(url: str) -> Any:
    """A connection of the driver to the server, or database, of a URL."""
    import pymysql
    from pymysql.constants import CLIENT

    where = urlsplit(url)
    return pymysql.connect(
        host=where.hostname,
        port=where.port or 3306,
        user=where.username,
        password=where.password or "",
        database=where.path.lstrip("/") or None,
        autocommit=True,
        charset="utf8mb4",
        client_flag=CLIENT.MULTI_STATEMENTS,
    )


@contextmanager
def fresh_mariadb(server: str, worker: str) -> Iterator[str]:
    """The URL of an empty MariaDB database of its own, dropped at the end."""
    name = f"habeas_test_{worker}_{uuid.uuid4().hex[:10]}"
    with mariadb_connection(server) as admin:
        admin.query(f"CREATE DATABASE {name}")
    try:
        yield f"{server}/{name}"
    finally:
        with mariadb_connection(server) as admin:
            admin.query(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def mariadb_url(mariadb_server: str, worker_name: str) -> Iterator[str]:
    """A fresh MariaDB database for this test."""
    with fresh_mariadb(mariadb_server, worker_name) as url:
        yield url


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    """Where a fresh SQLite database may be made; the file doesn't exist yet."""
    return tmp_path / "test.db"


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """The folder of real cases: `HABEAS_CASES`, else `../shared/cases` beside the project."""
    named = os.environ.get("HABEAS_CASES")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip(f"the real cases are not at {folder}; set HABEAS_CASES")
    return folder


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With HABEAS_NO_SKIPS (as `.ci/run` sets it) a skip fails the run, unless its reason begins with `n/a: `."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("HABEAS_NO_SKIPS") or reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    unexpected = sorted({reason for reason in reasons if not reason.removeprefix("Skipped: ").startswith("n/a: ")})
    if unexpected:
        reporter.write_line("")
        for reason in unexpected:
            reporter.write_line(f"not expected here: {reason}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
