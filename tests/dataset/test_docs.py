"""Every example of docs/datasets.md loads, and the page names every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from habeas.dataset import reader
from habeas.dataset.check import check_datasets
from habeas.dataset.load import read_datasets

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NOT_OURS = {"redact", "custom_request_field", "connection_type", "database_instance_id", "database_id", "project_id",
            "dataset_id"}  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_loads_without_a_problem(example: str) -> None:
    loaded = read_datasets(example, name="example.yml")
    assert loaded.datasets
    assert [str(problem) for problem in check_datasets(loaded.datasets)] == []


def test_every_key_is_on_the_page() -> None:
    levels = (reader.DATASET_META, reader.COLLECTION_META, reader.FIELD_META, reader.REFERENCE, reader.NAMESPACE)
    for key in frozenset().union(*levels) - NOT_OURS:
        assert re.search(rf"\b{key}\b", PAGE), key


def test_every_key_is_in_the_table_with_a_test_that_exists() -> None:
    table = PAGE.split("## Every key")[1]
    rows = re.findall(r"^\| (`.*?) \| .* \| `(test_\w+)` \|$", table, re.MULTILINE)
    named = {key for keys, _ in rows for key in re.findall(r"`(\w+)`", keys)}
    levels = (reader.DATASET_META, reader.COLLECTION_META, reader.FIELD_META, {"key", "ownership"})
    assert frozenset().union(*levels) <= named
    tests = (Path(__file__).parent / "test_keys.py").read_text(encoding="utf-8")
    assert all(f"def {test}(" in tests for _, test in rows)
