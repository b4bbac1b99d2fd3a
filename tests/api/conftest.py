"""Applications for the tests of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apibook import ROOT_ID, ROOT_SECRET, UNSET, Api, open_api

__all__ = ["ROOT_ID", "ROOT_SECRET", "UNSET", "Api", "open_api"]


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One application for all tests of a module; what a test makes in it has keys of its own."""
    yield from open_api(tmp_path_factory.mktemp("installation"))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """An application for this test alone."""
    yield from open_api(tmp_path / "data")
