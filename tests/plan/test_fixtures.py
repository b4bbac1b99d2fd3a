"""Datasets, policy, given kinds and stores in, plan out: text fixtures that read as documentation.

`HABEAS_UPDATE_FIXTURES=1` writes what is built now as what is expected; read the difference before committing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from habeas.core.errors import Refused
from habeas.plan.model import Plan
from planbook import read_example, write_outcome

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.txt"))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_plan_is_the_expected_one(path: Path) -> None:
    example, expected = read_example(path)
    outcome = example.outcome()
    if os.environ.get("HABEAS_UPDATE_FIXTURES"):
        write_outcome(path, outcome)
        return
    assert outcome == expected


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_plan_survives_json(path: Path) -> None:
    example, _ = read_example(path)
    try:
        plan = example.build()
    except Refused:
        return
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.digest() == plan.digest() == example.build().digest()


def test_there_are_enough_fixtures() -> None:
    assert len(FIXTURES) >= 60


def test_every_fixture_begins_with_the_rule_that_it_shows() -> None:
    titles = [read_example(path)[0].title for path in FIXTURES]
    assert all(title.strip().endswith((".", "?", "!", ")")) and len(title.split()) > 5 for title in titles)
    assert len(set(titles)) == len(titles)
