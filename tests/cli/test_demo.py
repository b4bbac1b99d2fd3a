"""`habeas demo` proves what it shows, and is quick the second time."""

from __future__ import annotations

import os
from pathlib import Path

from cli.conftest import Habeas


def test_the_demo_runs_twice_and_every_claim_holds(habeas: Habeas, tmp_path: Path) -> None:
    for run in range(2):
        began = _spent()
        said = habeas("demo", "--dir", tmp_path / "demo")
        assert said.code == 0, said.out + said.err
        assert "✗" not in said.out
        assert said.out.count("✓") >= 10
        assert "refused" in said.out
        assert run == 0 or _spent() - began < 10


def _spent() -> float:
    """Processor seconds of children so far: what the demo takes on a machine that does nothing else."""
    times = os.times()
    return times.children_user + times.children_system


def test_the_demo_never_clears_a_folder_that_is_not_its_own(habeas: Habeas, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    said = habeas("demo", "--dir", tmp_path / "mine")
    assert said.code == 1
    assert (tmp_path / "mine" / "thesis.txt").exists()
