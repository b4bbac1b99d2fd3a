"""Datasets as fides users have them load as they are: every documented key, in old and new spelling, null or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import flowbook
from flowbook import Flow
from habeas.dataset.check import check_datasets
from habeas.dataset.load import load_datasets, load_yaml, read_datasets

TEXT = (Path(__file__).parent / "fides_form.yml").read_text(encoding="utf-8")


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    with flowbook.opened(tmp_path / "data") as opened:
        yield opened


def test_it_loads_without_an_error_and_checks_clean() -> None:
    loaded = read_datasets(TEXT, name="fides.yml")
    assert [str(problem) for problem in loaded.warnings] == []
    assert [str(problem) for problem in check_datasets(loaded.datasets)] == []


def test_null_means_what_leaving_out_means() -> None:
    shop, _ = load_datasets(TEXT, name="fides.yml")
    buyer = shop.collection("buyer")
    assert buyer is not None
    fields = dict(buyer.leaves())
    assert (fields["id"].primary_key, fields["id"].references, fields["id"].identity) == (True, (), None)
    assert (buyer.masking_strategy_override, buyer.partitioning, buyer.after) == (None, None, ())


def test_what_is_stored_is_shown_as_it_was_given(flow: Flow) -> None:
    documents: list[dict[str, object]] = load_yaml(TEXT, "fides.yml")["dataset"]  # type: ignore[index]
    flow.api.patch_all(
        "/connection", [{"name": "db", "key": "db", "connection_type": "sqlite", "access": "write", "disabled": True}]
    )
    flow.api.describe("db", *documents)
    for document in documents:
        assert flow.api.call("GET", f"/connection/db/dataset/{document['fides_key']}") == document
