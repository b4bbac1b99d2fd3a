"""Runs each test of the suite once for each kind of connector in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conftest import fresh_database, fresh_mariadb
from connectorbook import Harness, MariadbHarness, harnesses
from habeas.connectors.base import Connector
from habeas.connectors.kinds.mariadb import MariadbConnector, MariadbSecrets
from habeas.connectors.registry import connector_classes

HARNESSES = harnesses()
DATABASES = [each.kind for each in connector_classes() if each.capabilities.holds_rows]
PYMYSQL = "mariadb without asyncmy"  # on which the conformance suite proper runs, not all of the folder
KINDS = [kind for kind in DATABASES if kind not in HARNESSES or HARNESSES[kind].absent is None]


class PyMysqlAlone(MariadbConnector):
    in_bulk = False


class PyMysqlHarness(MariadbHarness):
    def connector(self, **more: Any) -> Connector:
        return PyMysqlAlone(MariadbSecrets.model_validate(self.secrets() | more))


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What a kind is excused from must fail: an excuse that isn't needed fails the run."""
    config.hook.pytest_deselected(items=[item for item in items if _is_repeated(item)])
    items[:] = [item for item in items if not _is_repeated(item)]
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            found = HARNESSES.get(item.callspec.params.get("harness"))
            excuse = found.excused.get(item.originalname) if found else None
            if excuse:
                item.add_marker(pytest.mark.xfail(reason=excuse, strict=True))


def _is_repeated(item: pytest.Item) -> bool:
    chosen = (
        item.callspec.params.get("harness") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ""
    )
    return chosen == PYMYSQL and item.path.stem != "test_conformance"


@pytest.fixture(params=[*KINDS, PYMYSQL])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """An empty store of each kind."""
    kind = request.param
    if kind != PYMYSQL and kind not in HARNESSES:
        pytest.fail(f"the connector kind {kind} has no harness: see tests/conformancebook.py")
    made = PyMysqlHarness.open(request) if kind == PYMYSQL else HARNESSES[kind].open(request)
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
