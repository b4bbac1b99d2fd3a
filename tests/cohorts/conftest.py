"""An installation in this process for a module of tests, and for each test an empty town on each engine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohortbook import DATASET, KINDS, SCHEMA, Town, connect
from flowbook import Flow, flowing


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """An installation with the policies `access`, `erasure` and `both`, whose masks write X."""
    with flowing(tmp_path_factory.mktemp("cohorts") / "data") as running:
        mask = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
        running.api.access_policy("access", ["user"])
        running.api.erasure_policy("erasure", ["user"], mask)
        running.api.access_policy("both", ["user"])
        running.api.erasure_policy("both", ["user"], mask)
        yield running


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def town(kind: str, request: pytest.FixtureRequest, flow: Flow, tmp_path: Path) -> Town:
    """An empty town, connected and described; what an earlier test connected is gone."""
    made = Town(kind, store_url(kind, request, tmp_path))
    made.run(*filter(str.strip, SCHEMA.split(";")))
    connect(flow, "town", made, DATASET)
    return made


def store_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """Where an empty store of a kind is."""
    if kind == "sqlite":
        return f"sqlite:///{folder / f'{uuid.uuid4().hex}.db'}"
    return str(request.getfixturevalue("postgres_url" if kind == "postgres" else "mariadb_url"))
