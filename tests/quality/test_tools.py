"""Linter, type checker and import contracts are part of the tests: what they say holds at every commit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "src", "tests", "bench"],
        ["mypy", "--strict"],
        ["lint-imports", "--no-cache"],
    ],
    ids=lambda command: command[0],
)
def test_tool_is_content(command: list[str]) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_no_machine_path_or_private_address_is_in_the_repository() -> None:
    """What the repository says must be true anywhere."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("n/a: not a git checkout")
    marks = ("/" + "work/", "/" + "root/", "/home" + "/runner")
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".gz", ".png", ".ico", ".db"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name}: {mark}" for mark in marks if mark in text]
    assert not found, "\n".join(found)
