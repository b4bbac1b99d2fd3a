"""Databases of our own, real ones: a SQLite file and a PostgreSQL database per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from habeas.store.session import Database, default_url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return default_url(tmp_path)
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A migrated database of each kind."""
    opened = Database.open(url, wait_seconds=2)
    opened.migrate()
    yield opened
    opened.close()
