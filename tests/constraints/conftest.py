"""One installation with a worker for a module, and for each test a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from constraintbook import Store
from flowbook import flowing
from habeas.requests.installation import Installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose worker runs in a thread of this process."""
    with flowing(tmp_path_factory.mktemp("constraints") / "data") as flow:
        yield flow.installation


SERVERS = {"postgres": "postgres_url_of_session", "mariadb": "mariadb_url"}


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def store(request: pytest.FixtureRequest, installation: Installation, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    server = request.getfixturevalue(SERVERS[request.param]) if request.param in SERVERS else ""
    made = Store(request.param, installation, tmp_path, server)
    yield made
    made.close()


@pytest.fixture
def other(request: pytest.FixtureRequest, store: Store, installation: Installation, tmp_path: Path) -> Iterator[Store]:
    """A second store, of another kind, with the key `far`."""
    kind = "postgres" if store.kind == "sqlite" else "sqlite"
    server = request.getfixturevalue(SERVERS[kind]) if kind in SERVERS else ""
    made = Store(kind, installation, tmp_path, server, "far")
    yield made
    made.close()


@pytest.fixture
def postgres(installation: Installation, tmp_path: Path, postgres_url_of_session: str) -> Iterator[Store]:
    """An empty store of PostgreSQL, for what only it has."""
    made = Store("postgres", installation, tmp_path, postgres_url_of_session)
    yield made
    made.close()


@pytest.fixture
def sqlite(installation: Installation, tmp_path: Path) -> Iterator[Store]:
    """An empty store of SQLite, for what only it has."""
    made = Store("sqlite", installation, tmp_path, "")
    yield made
    made.close()


@pytest.fixture(params=["postgres", "mariadb"])
def stiff(request: pytest.FixtureRequest, installation: Installation, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind that checks a plain foreign key at once."""
    made = Store(request.param, installation, tmp_path, request.getfixturevalue(SERVERS[request.param]))
    yield made
    made.close()


@pytest.fixture
def mariadb(installation: Installation, tmp_path: Path, mariadb_url: str) -> Iterator[Store]:
    """An empty store of MariaDB, for what only it has."""
    made = Store("mariadb", installation, tmp_path, mariadb_url)
    yield made
    made.close()
