"""Installations, real ones: on a SQLite file and on a PostgreSQL database of their own.

Both are migrated once a session, the engine's tables included; a test gets a copy of the file, or the emptied
database: migrating would be most of its time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from habeas.core.clock import FixedClock
from habeas.core.settings import Settings
from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.requests.installation import Installation, open_installation
from requestbook import START

Open = Callable[..., Installation]


def migrated(data_dir: Path, database_url: str | None) -> Path:
    """The data directory of an installation that was opened once, with the engine's tables made."""
    with open_installation(Settings(data_dir=data_dir, database_url=database_url)) as installation:
        engine = DbosEngine(engine_url(installation.database, data_dir), "exe-template")
        engine.launch()
        engine.shutdown(0)
    return data_dir


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated(tmp_path_factory.mktemp("sqlite") / "data", None)


@pytest.fixture(scope="session")
def postgres_template(
    tmp_path_factory: pytest.TempPathFactory, postgres_url_of_session: str
) -> Iterator[tuple[Path, str]]:
    url = f"{postgres_url_of_session}_requests"
    server, name = postgres_url_of_session, url.rsplit("/", 1)[1]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')  # no power is cut here
    yield migrated(tmp_path_factory.mktemp("postgres") / "data", url), url
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def empty(url: str) -> None:
    """Delete all rows but those that say what was migrated: quicker than a new database, or than TRUNCATE."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('public', 'dbos') AND tablename NOT IN ('alembic_version', 'dbos_migrations')"
        ).fetchall()
        deletes = ";".join(f"DELETE FROM {name}" for (name,) in found)
        connection.execute(f"BEGIN; SET LOCAL session_replication_role = replica; {deletes}; COMMIT")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str | None]:
    """A data directory and the URL of the app database; None is SQLite in that directory."""
    if request.param == "sqlite":
        return shutil.copytree(request.getfixturevalue("sqlite_template"), tmp_path / "data"), None
    data_dir, url = request.getfixturevalue("postgres_template")
    empty(url)
    return shutil.copytree(data_dir, tmp_path / "data"), url


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def opened(place: tuple[Path, str | None], clock: FixedClock) -> Iterator[Open]:
    """Opens the installation with further settings; again in one test gives the same one, opened anew."""
    data_dir, database_url = place
    with ExitStack() as stack:

        def open_with(**settings: Any) -> Installation:
            given = Settings(data_dir=data_dir, database_url=database_url, **settings)
            return stack.enter_context(open_installation(given, clock=clock))

        yield open_with


@pytest.fixture
def installation(opened: Open) -> Installation:
    return opened()
