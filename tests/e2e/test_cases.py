"""The real cases through the HTTP API: every variant and result, exact, table by table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casebook import EVERYTHING, Case, canonical_pks, load_case, named
from serving import Server, serving

SUYAMA = "(71) 555-7773"
"""An employee of northwind with two bosses, one above the other."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("cases") / "data") as running:
        yield running


def check_case(server: Server, case: Case, kind: str, secrets: dict[str, Any], naming: str = "snake") -> None:
    """Access for every expected result of every variant must reach exactly its rows."""
    for variant in case.variants:
        key = f"{case.name}_{kind}_{variant}"
        server.api.connect(key, kind, secrets)
        server.api.describe(key, case.dataset(variant, key=key, naming=naming, complete=True))
        server.api.access_policy(key, EVERYTHING)
        wrong = []
        results = case.results(variant) or case.find_results(variant, secrets["url"], SUYAMA)
        assert results, variant
        for result in results:
            item = server.api.run(key, result.identity)
            assert item["status"] == "complete", (variant, dict(result.identity), item)
            package = server.package(item["id"])
            wrong += differences(case, result, package, key, naming)
        assert not wrong, wrong
        server.api.call("DELETE", f"/connection/{key}")


def differences(case: Case, result: Any, package: dict[str, Any], key: str, naming: str) -> list[str]:
    found = []
    for table, expected in result.tables.items():
        rows = package.pop(f"{key}:{named(table, naming)}", [])
        count, sha = canonical_pks(rows, case.primary_key(table, naming))
        if (count, sha) != (expected.rows, expected.sha256):
            found.append(f"{result.variant} {table}: {count} rows, expected {expected.rows}")
    return found + [f"{result.variant}: unexpected {address}" for address in package]


@pytest.mark.parametrize("name", ["chinook", "fidesops_example"])
def test_postgres_case_is_reached_exactly(server: Server, name: str, postgres_url: str) -> None:
    case = load_case(name)
    case.load_postgres(postgres_url)
    check_case(server, case, "postgres", {"url": postgres_url})


def test_northwind_is_reached_exactly(server: Server, postgres_url: str) -> None:
    case = load_case("northwind")
    case.load_postgres(postgres_url)
    (found,) = [each for each in case.find_results("cyclic", postgres_url, SUYAMA) if SUYAMA in each.identity.values()]
    assert found.tables["employees"].rows == 3
    check_case(server, case, "postgres", {"url": postgres_url})


def test_sqlite_case_is_reached_exactly(server: Server, sqlite_path: Path) -> None:
    case = load_case("chinook")
    case.load_sqlite(sqlite_path)
    check_case(server, case, "sqlite", {"url": f"sqlite:///{sqlite_path}"}, "pascal")


def test_reading_changes_nothing(server: Server, sqlite_path: Path) -> None:
    case = load_case("chinook")
    case.load_sqlite(sqlite_path)
    before = digest(sqlite_path)
    check_case(server, case, "sqlite", {"url": f"sqlite:///{sqlite_path}"}, "pascal")
    assert digest(sqlite_path) == before


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
