"""docs/reference/facts.md has every fact once, and those it calls followed are replayed one by one where it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from casebook import cases_folder

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "facts.md").read_text(encoding="utf-8")
SECTIONS = ("Followed", "Not followed", "Later")


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def groups_of(text: str) -> list[tuple[list[str], int, str]]:
    """The rows of groups: their names, how many facts the row counts, the rest of the row."""
    rows = re.findall(r"^\| (`.*?) \| (\d+) \| (.*) \|$", text, re.MULTILINE)
    return [(re.findall(r"`(\w+)`", names), int(count), rest) for names, count, rest in rows]


def singles_of(text: str) -> dict[str, str]:
    """The rows of single facts: the group of each."""
    return dict(re.findall(r"^\| (F\d+) \| `(\w+)` \|", text, re.MULTILINE))


@pytest.fixture(scope="module")
def topics() -> dict[str, str]:
    """The group of every fact."""
    folder = cases_folder()
    if folder is None:
        pytest.skip("the folder of cases isn't here; HABEAS_CASES names it")
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))["facts"]
    return {fact["id"]: fact["topic"] for fact in facts}


def test_every_fact_is_on_the_page_once(topics: dict[str, str]) -> None:
    assert tuple(sections()) == SECTIONS
    rows = [row for text in sections().values() for row in groups_of(text)]
    singles = [single for text in sections().values() for single in singles_of(text).items()]
    assert sorted(name for names, _, _ in rows for name in names) == sorted(set(topics.values()))
    assert len(dict(singles)) == len(singles)
    assert dict(singles).items() <= topics.items()
    left = Counter(topic for fact, topic in topics.items() if fact not in dict(singles))
    for names, count, _ in rows:
        assert sum(left[name] for name in names) == count, names
    (facts_said, groups_said) = map(int, re.findall(r"(\d+) such facts in (\d+) groups", PAGE)[0])
    assert (facts_said, groups_said) == (len(topics), len(set(topics.values())))


def test_the_sums_are_right() -> None:
    (said,) = re.findall(r"Followed (\d+), not followed (\d+), later (\d+): together (\d+)", PAGE)
    counted = [
        sum(count for _, count, _ in groups_of(text)) + len(singles_of(text))
        for text in (sections()[name] for name in SECTIONS)
    ]
    assert [int(number) for number in said] == [*counted, sum(counted)]


def test_each_followed_fact_is_a_case_of_its_own(topics: dict[str, str]) -> None:
    """So are single facts that aren't followed: their test shows what habeas does instead."""
    places = {name: rest.strip("`") for names, _, rest in groups_of(sections()["Followed"]) for name in names}
    later = singles_of(sections()["Later"])
    wanted = Counter((places[topic], fact) for fact, topic in topics.items() if topic in places and fact not in later)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-n", "0"]
    files = sorted(set(places.values()))
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = re.findall(r"^(tests/[\w/]+\.py)::\w+\[(?:[\w-]*-)?(F\d+)(?:-[\w-]*)?\]$", done.stdout, re.MULTILINE)
    assert Counter(cases) == wanted


def test_single_facts_are_named_where_they_are_tested() -> None:
    places = {name: rest.strip("`") for names, _, rest in groups_of(sections()["Followed"]) for name in names}
    for text in sections().values():
        for fact, topic in singles_of(text).items():
            assert f'"{fact}"' in (ROOT / places[topic]).read_text(encoding="utf-8"), fact


def test_places_that_the_page_names_exist() -> None:
    for place in set(re.findall(r"`(tests/[\w/.]+)`", PAGE)):
        assert (ROOT / place).exists(), place
