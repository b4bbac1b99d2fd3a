"""Runs each test of the suite once for each kind of connector in the registry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import fresh_database, fresh_mariadb
from connectorbook import Harness, harnesses
from habeas.connectors.base import Connector
from habeas.connectors.registry import connector_classes

HARNESSES = harnesses()
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a kind is excused from must fail: an excuse that isn't needed fails the run."""
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            found = HARNESSES.get(item.callspec.params.get("harness"))
            excuse = found.excused.get(item.originalname) if found else None
            if excuse:
                item.add_marker(pytest.mark.xfail(reason=excuse, strict=True))


@pytest.fixture(params=KINDS)
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """An empty store of each kind."""
    kind = request.param
    if kind not in HARNESSES:
        pytest.fail(f"the connector kind {kind} has no harness: see tests/conformancebook.py")
    made = HARNESSES[kind].open(request)
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
