"""The command line for tests: in this process where it is quick, as a child process where a worker runs.

A folder and a data directory of its own for each test.
"""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from habeas.cli.main import run

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Habeas = Callable[..., Said]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def habeas(tmp_path: Path, data_dir: Path) -> Habeas:
    """Runs `habeas …` in the test's folder on the test's data directory, as a child process."""

    def child(*arguments: object, stdin: str = "", **environment: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "habeas", *map(str, arguments)],
            cwd=tmp_path,
            env=_environment(data_dir, environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return child


@pytest.fixture
def quick(habeas: Habeas, data_dir: Path) -> Habeas:
    """The same in this process, without the start of an interpreter; a child where a worker would run."""

    def here(*arguments: object, **environment: str) -> Said:
        words = [*map(str, arguments)]
        if {"--wait", "watch", "demo", "serve"} & {*words}:
            return habeas(*words, **environment)
        out, err = io.StringIO(), io.StringIO()
        with _instead(_environment(data_dir, environment)), redirect_stdout(out), redirect_stderr(err):
            code = run(words)
        return Said(code, out.getvalue(), err.getvalue())

    return here


def _environment(data_dir: Path, more: dict[str, str]) -> dict[str, str]:
    return ENVIRONMENT | {"HABEAS_DATA_DIR": str(data_dir), "COLUMNS": "200"} | more


@contextmanager
def _instead(environment: dict[str, str]) -> Iterator[None]:
    """This environment, and the logging of before afterwards."""
    before, root = dict(os.environ), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        root.handlers[:] = handlers
        root.setLevel(level)
