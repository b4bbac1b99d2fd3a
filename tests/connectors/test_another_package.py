"""A connector of another package: one file and one harness, by entry points, pass the whole suite untouched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KIND = '''
from habeas.connectors.kinds.sqlite import SqliteConnector


class Throwaway(SqliteConnector):
    """A store of another package."""

    kind = "throwaway"
    label = "Throwaway"
'''
HARNESS = """
from connectorbook import SqliteHarness


class ThrowawayHarness(SqliteHarness):
    kind = "throwaway"
"""
POINTS = "[habeas.connectors]\nthrowaway = throwaway_kind:Throwaway\n"
HARNESS_POINTS = "[habeas.connector_harnesses]\nthrowaway = throwaway_harness:ThrowawayHarness\n"
TESTS = Path(__file__).parents[1]


def install(folder: Path, points: str) -> None:
    """A distribution as an installer leaves it."""
    facts = folder / "throwaway-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: throwaway\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(points)
    (folder / "throwaway_kind.py").write_text(KIND)
    (folder / "throwaway_harness.py").write_text(HARNESS)


def suite(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The suite in a process that finds the distribution."""
    paths = [str(folder), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "t"), *arguments],
        cwd=TESTS.parent,
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_connector_of_another_package_passes_the_suite(tmp_path: Path) -> None:
    install(tmp_path, POINTS + HARNESS_POINTS)
    run = suite(tmp_path, "tests/connectors", "-k", "throwaway and not hundred_thousand")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
    passed = int(run.stdout.rpartition(" passed")[0].split()[-1])
    assert passed > 150
    assert " skipped" not in run.stdout


def test_a_kind_without_a_harness_fails(tmp_path: Path) -> None:
    install(tmp_path, POINTS)
    run = suite(tmp_path, "tests/connectors/test_limits.py", "-k", "close_twice or has_a_harness")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "the connector kind throwaway has no harness" in run.stdout
    assert "test_every_database_kind_has_a_harness" in run.stdout
