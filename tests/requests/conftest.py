"""Installations, real ones: on a SQLite file and on a PostgreSQL database of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from habeas.core.clock import FixedClock
from habeas.core.settings import Settings
from habeas.requests.installation import Installation, open_installation
from requestbook import START

Open = Callable[..., Installation]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """The app database: None is SQLite in the data directory."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def opened(tmp_path: Path, database_url: str | None, clock: FixedClock) -> Iterator[Open]:
    """Opens the installation with further settings; again in one test gives the same one, opened anew."""
    with ExitStack() as stack:

        def open_with(**settings: Any) -> Installation:
            given = Settings(data_dir=tmp_path / "data", database_url=database_url, **settings)
            return stack.enter_context(open_installation(given, clock=clock))

        yield open_with


@pytest.fixture
def installation(opened: Open) -> Installation:
    return opened()
