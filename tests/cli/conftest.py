"""A command line as a child process, and a folder of its own for each test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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
    """Runs `habeas …` in the test's folder on the test's data directory."""

    def run(*arguments: object, stdin: str = "", **environment: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "habeas", *map(str, arguments)],
            cwd=tmp_path,
            env=ENVIRONMENT | {"HABEAS_DATA_DIR": str(data_dir), "COLUMNS": "200"} | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run
