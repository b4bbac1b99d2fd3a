"""One installation that answers requests in this process, for all tests of a module, and a store for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from constraintbook import Store
from flowbook import Flow, flowing

SERVERS = {"postgres": "postgres_url_of_session", "mariadb": "mariadb_url"}


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowing(tmp_path_factory.mktemp("flow") / "data") as running:
        running.api.access_policy("download_user", ["user"])
        running.api.erasure_policy(
            "delete_user", ["user"], {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
        )
        yield running


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def store(request: pytest.FixtureRequest, flow: Flow, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    server = request.getfixturevalue(SERVERS[request.param]) if request.param in SERVERS else ""
    made = Store(request.param, flow.installation, tmp_path, server)
    yield made
    made.close()


@pytest.fixture
def far(flow: Flow, tmp_path: Path) -> Iterator[Store]:
    """A second store, in SQLite, with the key `far`."""
    made = Store("sqlite", flow.installation, tmp_path, "", "far")
    yield made
    made.close()
