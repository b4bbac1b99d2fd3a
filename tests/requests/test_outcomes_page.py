"""docs/reference/outcomes.md describes every status, stage, outcome, reason and cause that the code can give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import habeas
from habeas.execute.freeze import KEPT_BY_STANDING
from habeas.requests.model import FINAL, Outcome, Reason, Stage, Status

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "outcomes.md").read_text(encoding="utf-8")
SOURCE = Path(habeas.__file__).parent


def described(section: str) -> list[str]:
    """The words that a section's table explains, from its first column, in order."""
    (text,) = re.findall(rf"^##+ {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`.*?) \|(.*)\|$", text, re.MULTILINE)
    assert all(cell.strip() for _, rest in rows for cell in rest.split("|")), section
    return [word for first, _ in rows for word in re.findall(r"`([a-z_]+)`", first)]


@pytest.mark.parametrize(
    ("section", "words"), [("Statuses", Status), ("Stages", Stage), ("Outcomes of complete requests", Outcome)]
)
def test_every_word_of_the_model_is_described(section: str, words: type[Status | Stage | Outcome]) -> None:
    assert sorted(described(section)) == sorted(words)


def test_every_reason_is_described() -> None:
    assert [each for each in described("Reasons") if each in set(Reason)] == list(Reason)


def test_final_statuses_are_named() -> None:
    (final,) = re.findall(r"^(.*) are final\.$", PAGE, re.MULTILINE)
    assert set(re.findall(r"`([a-z_]+)`", final)) == FINAL


def test_every_kept_reason_is_described() -> None:
    assert {*KEPT_BY_STANDING.values(), "key_kept", "referenced", "excluded", "preserved"} == set(described("Kept"))


def causes(path: Path) -> Iterator[str]:
    """The causes that a module gives to refusals, and the words of faults that become refusals."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        given = [each.value for each in node.keywords if each.arg == "cause"]
        if node.func.id == "Fault":
            given.append(node.args[2])
        yield from (each.value for each in given if isinstance(each, ast.Constant))


def test_every_cause_of_a_refusal_is_described() -> None:
    parts = ("plan", "requests", "execute", "connectors")
    used = {cause for part in parts for path in (SOURCE / part).rglob("*.py") for cause in causes(path)}
    used |= {"disabled", "unreached"}  # why a collection isn't searched is also why an erasure is refused
    used |= {"policy_missing"}
    used -= {"no_schema"}  # of drafts, not of requests
    told = described("Codes of refused")
    assert used - set(told) == set()
    assert told == sorted(told)


def test_every_way_of_not_being_searched_is_described() -> None:
    given = set(re.findall(r'return "([a-z_]+)", ', (SOURCE / "plan" / "passes.py").read_text(encoding="utf-8")))
    assert given == set(described("Not searched"))
