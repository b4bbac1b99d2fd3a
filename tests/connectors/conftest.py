"""Runs each test of the suite once for each kind of connector in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import fresh_database, fresh_mariadb
from connectorbook import HARNESSES, Harness, MariadbHarness, PostgresHarness, SqliteHarness
from habeas.connectors.base import Connector
from habeas.connectors.registry import connector_classes

DATABASES = [each.kind for each in connector_classes() if each.category == "database"]
KINDS = [kind for kind in DATABASES if kind not in HARNESSES or HARNESSES[kind].absent is None]


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: str, worker_name: str) -> Iterator[str]:
    """One database a worker: emptying it is quicker than making one."""
    with fresh_database(postgres_server, worker_name) as url:
        yield url


@pytest.fixture(scope="session")
def shared_mariadb(mariadb_server: str, worker_name: str) -> Iterator[str]:
    """The same in MariaDB."""
    with fresh_mariadb(mariadb_server, worker_name) as url:
        yield url


@pytest.fixture(params=KINDS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """An empty store of each kind."""
    kind = request.param
    if kind not in HARNESSES:
        pytest.fail(f"the connector kind {kind} has no harness in tests/connectorbook.py")
    excuse = HARNESSES[kind].excused.get(request.node.originalname)
    if excuse:
        pytest.skip(excuse)
    made: Harness
    if kind == "postgres":
        made = PostgresHarness(request.getfixturevalue("shared_postgres"))
    elif kind == "mariadb":
        made = MariadbHarness(request.getfixturevalue("shared_mariadb"))
    else:
        made = SqliteHarness(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def connector(harness: Harness) -> Iterator[Connector]:
    """A connector for the store."""
    made = harness.connector()
    yield made
    made.close()
