"""One running company for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbook import Flow
from manualbook import company


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """The company; each test has customers of its own."""
    with company(tmp_path_factory.mktemp("company")) as made:
        yield made


@pytest.fixture
def shop(flow: Flow) -> Path:
    """The shop's database."""
    return flow.installation.settings.data_dir.parent / "shop.db"
