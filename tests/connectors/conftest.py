"""Runs each test of the suite once for each kind of connector in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import fresh_database
from connectorbook import HARNESSES, Harness, PostgresHarness, SqliteHarness
from habeas.connectors.base import Connector
from habeas.connectors.registry import connector_classes

KINDS = [each.kind for each in connector_classes() if each.category == "database"]


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: str, worker_name: str) -> Iterator[str]:
    """One database a worker: emptying it is quicker than making one."""
    with fresh_database(postgres_server, worker_name) as url:
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
