"""One installation with a worker for a module, and for each test stores of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbook import flowing
from habeas.requests.installation import Installation
from nestedbook import Documents


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose worker runs in a thread of this process."""
    with flowing(tmp_path_factory.mktemp("nested") / "data") as flow:
        yield flow.installation


@pytest.fixture(scope="session")
def servers(postgres_url_of_session: str, mariadb_server: str) -> dict[str, str]:
    """Where stores are made, by kind."""
    return {"postgres": postgres_url_of_session, "mariadb": mariadb_server}


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def store(
    request: pytest.FixtureRequest, installation: Installation, tmp_path: Path, servers: dict[str, str]
) -> Iterator[Documents]:
    """An empty store of each kind."""
    made = Documents(request.param, "db", installation, tmp_path, servers)
    yield made
    made.close()


OTHERS = {"sqlite": "mariadb", "postgres": "sqlite", "mariadb": "postgres"}


@pytest.fixture
def other(store: Documents, installation: Installation, tmp_path: Path, servers: dict[str, str]) -> Iterator[Documents]:
    """A second store, of another kind."""
    made = Documents(OTHERS[store.kind], "far", installation, tmp_path, servers)
    yield made
    made.close()


@pytest.fixture
def postgres(installation: Installation, tmp_path: Path, servers: dict[str, str]) -> Iterator[Documents]:
    """An empty store of PostgreSQL, for what only it has."""
    made = Documents("postgres", "db", installation, tmp_path, servers)
    yield made
    made.close()
