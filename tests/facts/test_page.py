"""docs/reference/facts.md has every group of facts once, and those it calls followed are replayed where it says."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from casebook import cases_folder

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "facts.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*?) \| (\d+) \| .*\|$", PAGE, re.MULTILINE)


def test_every_group_is_on_the_page_once() -> None:
    folder = cases_folder()
    if folder is None:
        pytest.skip("the folder of cases isn't here; HABEAS_CASES names it")
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))["facts"]
    listed = [name for groups, _ in ROWS for name in re.findall(r"`(\w+)`", groups)]
    assert sorted(listed) == sorted({fact["topic"] for fact in facts})
    counts = Counter(fact["topic"] for fact in facts)
    for groups, count in ROWS:
        assert sum(counts[name] for name in re.findall(r"`(\w+)`", groups)) == int(count), groups
    assert sum(int(count) for _, count in ROWS) == len(facts)
    (facts_said, groups_said) = map(int, re.findall(r"(\d+) such facts in (\d+) groups", PAGE)[0])
    assert (facts_said, groups_said) == (len(facts), len(listed))


def by_section() -> dict[str, list[int]]:
    """The counts of each section's rows."""
    sections = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:]
    return {
        title: [int(count) for count in re.findall(r"^\| `.*?` \| (\d+) \|", text, re.MULTILINE)]
        for title, text in zip(sections[::2], sections[1::2], strict=True)
    }


def test_followed_groups_are_replayed() -> None:
    (said,) = re.findall(r"Followed (\d+), not followed (\d+), later (\d+): together (\d+)", PAGE)
    told = [int(number) for number in said]
    assert told == [*(sum(each) for each in by_section().values()), sum(int(count) for _, count in ROWS)]
    followed = PAGE.split("## Not followed")[0]
    rows = re.findall(r"^\| (`.*?) \| \d+ \| `(tests/.*?)` \|$", followed, re.MULTILINE)
    assert rows
    for groups, place in rows:
        text = (ROOT / place).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", groups):
            assert f'"{name}"' in text, (name, place)


def test_places_that_the_page_names_exist() -> None:
    for place in set(re.findall(r"`(tests/[\w/.]+)`", PAGE)):
        assert (ROOT / place).exists(), place
