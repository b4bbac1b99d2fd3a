"""Facts about what a package holds, on the case they come from. Groups: access_package, access_rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from casebook import EVERYTHING, load_case, load_facts
from flowbook import Flow, flowing

Fact = dict[str, Any]


def facts(*topics: str) -> Any:
    return pytest.mark.parametrize("fact", load_facts(*topics), ids=lambda fact: fact["id"])


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowing(tmp_path_factory.mktemp("facts") / "data") as running:
        yield running


def package_of(flow: Flow, url: str, document: dict[str, Any], targets: tuple[str, ...], identity: Any) -> Any:
    """The rows of an access, by collection; of a fresh database of the case."""
    load_case("fidesops_example").load_postgres(url)
    flow.api.connect("case", "postgres", {"url": url})
    try:
        flow.api.describe("case", document)
        flow.api.access_policy("fact", targets)
        item = flow.api.run("fact", identity)
        assert item["status"] == "complete", item["reason_detail"]
        package = flow.package(item["id"])
    finally:
        flow.api.call("DELETE", "/connection/case")
        flow.api.call("DELETE", "/policy/fact")
    return {address.partition(":")[2]: sorted(rows, key=str) for address, rows in package.items()}


@facts("access_package")
def test_a_package_holds_the_targeted_fields(flow: Flow, fact: Fact, postgres_url: str) -> None:
    given = fact["input"]
    document = load_case("fidesops_example").dataset("core")
    found = package_of(flow, postgres_url, document, tuple(given["targets"]), given["identity"])
    assert found == {name: sorted(rows, key=str) for name, rows in fact["expect"]["equals"].items()}


@facts("access_rows")
def test_a_namespace_names_the_schema(flow: Flow, fact: Fact, postgres_url: str) -> None:
    given, expected = fact["input"], fact["expect"]["equals"]
    document = load_case("fidesops_example").dataset("core", complete=True)
    document["fides_meta"] = {"namespace": {"schema": given["schema"]}}
    document["collections"] = [each for each in document["collections"] if each["name"] in expected]
    fields = [field for each in document["collections"] for field in each["fields"]]
    for field in fields:
        meta = field.get("fides_meta", {})
        kept = [each for each in meta.get("references", ()) if each["field"].split(".")[0] in expected]
        meta.pop("references", None)
        if kept:
            meta["references"] = kept
    found = package_of(flow, postgres_url, document, EVERYTHING, given["identity"])
    wanted = {name: rows for name, rows in expected.items() if rows}  # collections without rows are left out
    shown = {name: [{key: row[key] for key in wanted[name][0]} for row in rows] for name, rows in found.items()}
    assert shown == wanted
