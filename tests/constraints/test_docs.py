"""Every example of docs/reference/constraints.md loads, and the page names what plans refuse for constraints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from habeas.dataset.check import check_datasets
from habeas.dataset.load import read_datasets

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "constraints.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_loads_without_a_problem(example: str) -> None:
    loaded = read_datasets(example, name="example.yml")
    assert loaded.datasets
    assert [str(problem) for problem in check_datasets(loaded.datasets)] == []


@pytest.mark.parametrize(
    "cause",
    [
        *("unmaskable", "generated_column", "foreign_key_cycle", "natural_key", "no_key", "referenced", "shared_row"),
        *("row_security", "versioned", "copies", "update_trigger"),
    ],
)
def test_every_cause_is_on_the_page(cause: str) -> None:
    assert f"`{cause}`" in PAGE
