"""One installation that answers requests in this process, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowbook import Flow, flowing


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowing(tmp_path_factory.mktemp("flow") / "data") as running:
        running.api.access_policy("download_user", ["user"])
        running.api.erasure_policy(
            "delete_user", ["user"], {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
        )
        yield running
