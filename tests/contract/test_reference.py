"""docs/reference/api.md is current, and docs/from-fidesops.md names a test for each deviation."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apibook import Api, open_api
from habeas.api.reference import page_of, scope_of
from habeas.requests.scopes import SCOPES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "api.md"
FROM_FIDESOPS = ROOT / "docs" / "from-fidesops.md"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    yield from open_api(tmp_path_factory.mktemp("reference"), subject_identity_verification_required=True)


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    return dict(api.ok("GET", "/openapi.json", token=None))


def public_routes(api: Api, document: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """Routes with a scope that let in whoever has no token, where identities are verified."""
    found = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if scope_of(operation) is not None and api.call(method, path, token=None).status_code != 401:
                found.add((method.upper(), path))
    return frozenset(found)


def test_the_page_is_current(api: Api, document: dict[str, Any]) -> None:
    public = public_routes(api, document)
    assert public == {("POST", "/api/v1/privacy-request")}
    made = page_of(document, public)
    if os.environ.get("WRITE_REFERENCE"):
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == made, "docs/reference/api.md is stale: run `make reference`"


def test_every_route_and_scope_is_on_the_page(document: dict[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path.removeprefix('/api/v1')}`" in text
    scopes = re.findall(r"^\| `([a-z_-]+:[a-z_-]+)` \| \d+ \|$", text, re.MULTILINE)
    assert scopes == sorted(scopes)
    assert set(scopes) <= set(SCOPES)


def test_every_deviation_from_fidesops_has_a_test() -> None:
    """Named as `file::function` in the last column, and there."""
    rows = re.findall(r"^\| .* \| .* \| (.*) \|$", FROM_FIDESOPS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows[0] == "test"
    for cell in rows[1:]:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", cell)
        assert named, cell
        for file, function in named:
            assert f"\ndef {function}(" in (ROOT / file).read_text(encoding="utf-8"), (file, function)
