"""kill -9 at every durable boundary, then a restart: the end is as if nothing had happened.

Every boundary of every action once, our databases and the engines in turn; `make crash` runs all of them. The mask is
value-dependent, so that a mask applied twice would show.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import crashbook
import habeas
import killbook
from crashbook import Case, Databases
from habeas.durable.boundary import BOUNDARIES, OF_DELETES, OF_EVENTS, OF_MESSAGES, OF_PAUSES, OF_WEBHOOKS

SOURCE = Path(habeas.__file__).parent
WORKING = (
    *("requests/dispatch", "requests/attempt", "requests/ending", "requests/flow", "requests/packaging"),
    *("requests/recovery", "requests/judging", "requests/ledger_run", "requests/pausing", "requests/manual.py"),
    *("requests/calling", "requests/webhook_results", "requests/pre_approval", "requests/resuming", "execute"),
)
"""Where a worker makes something durable."""

BESIDE = {
    "requests/attempt.py:_save": "stage.before",
    "requests/attempt.py:log": "any: an entry more or less of the log",
    "requests/dispatch.py:_ask_again": "claim.before: one transaction; the next look finds what is left",
    "requests/dispatch.py:_end": "claim.before",
    "requests/dispatch.py:_hold": "claim.before: one statement; the next look finds what is left",
    "requests/ending.py:refuse_members": "fail.before: one guarded transaction too",
    "requests/ending.py:requeue": "fail.before: one guarded transaction too",
    "requests/manual.py:_answer": "none: a call, one transaction with the answer and the move",
    "requests/judging.py:_set_aside": "fail.before: one guarded transaction too",
    "requests/ledger_run.py:save": "replay.unit",
    "requests/recovery.py:_resume": "attempt.taken: takes over, which the next sweep does again",
    "requests/recovery.py:clean": "none: deletes what is over, again at the next turn",
    "requests/calling.py:take_over": "none: lets go of claims, which the next start does again",
    "requests/webhook_results.py:_record": "webhook.recorded: its caller's",
    "requests/webhook_results.py:expire": "none: guarded by the call's state, which the next look finds again",
    "requests/pre_approval.py:approve_agreed": "webhook.answered: what it does is found again by the next look",
    "requests/packaging.py:_keep": "package.written: of the same part, which is written again whole",
    "execute/freeze.py:_write": "freeze.frame",
    "execute/freeze.py:keep_own": "freeze.frame: of the same stage, which runs again whole",
    "execute/freeze.py:keep_nobodys": "freeze.frame: of the same stage too",
    "execute/freeze.py:withhold": "verify.chunk",
    "execute/erasure.py:_write": "mask.chunk",
}
"""Functions that make something durable without a boundary of their own, and which boundary stands beside each."""


@pytest.mark.parametrize("case", crashbook.one_each(), ids=str)
def test_killed_at_a_boundary_it_ends_as_if_never_killed(case: Case, tmp_path: Path, mariadb_server: str) -> None:
    assert mariadb_server
    with Databases() as url:
        crashbook.run_case(case, tmp_path, url)


def test_killed_at_random_everything_ends_well_and_once() -> None:
    """A few kills of `make crash N=…`, over servers of its own; the seed is fresh and told where it fails."""
    seed = time.time_ns()
    done = killbook.run_round("postgresql", "postgresql", 4, seed, 60)
    assert not done.problems, (seed, done)
    assert done.requests


def test_every_boundary_is_reached_in_code_and_by_a_case() -> None:
    named = [name for _, tree in modules() for name in reached(tree)]
    assert set(named) == {*BOUNDARIES, *OF_DELETES, *OF_EVENTS, *OF_MESSAGES, *OF_PAUSES, *OF_WEBHOOKS}
    assert {case.boundary for case in crashbook.one_each()} == set(BOUNDARIES)


def test_whatever_is_made_durable_stands_beside_a_boundary() -> None:
    """A new commit, frame or write without a crash point is told here: give it one, or say which one it is beside."""
    bare = {
        f"{path}:{function.name}"
        for path, tree in modules()
        if path.startswith(WORKING)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        and any(map(is_durable, ast.walk(function)))
        and not [*reached(function)]
    }
    assert bare == set(BESIDE)


def modules() -> list[tuple[str, ast.Module]]:
    return [
        (str(path.relative_to(SOURCE)), ast.parse(path.read_text()))
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "boundary.py"
    ]


def reached(tree: ast.AST) -> Iterator[str]:
    """Boundaries that a piece of code passes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
            (name,) = node.args
            assert isinstance(name, ast.Constant), ast.unparse(node)
            yield str(name.value)


def is_durable(node: ast.AST) -> bool:
    """A transaction of our own that writes, a durable frame, or a write to a system."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = ast.unparse(node.func.value)
    if node.func.attr == "begin":
        return owner.endswith("database")
    if node.func.attr == "write" and owner.endswith("spool"):
        return any(each.arg == "durable" and ast.unparse(each.value) == "True" for each in node.keywords)
    return owner == "writer" and node.func.attr in ("mask", "delete", "untie", "delete_together")
