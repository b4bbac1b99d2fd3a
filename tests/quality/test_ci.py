"""The build server's entry and what is deployed: skips fail there, and the files are well-formed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _run(folder: Path, body: str, *options: str, no_skips: bool = True) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_it.py").write_text(f"import pytest\n\ndef test_it():\n    {body}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HABEAS", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *options]
    return subprocess.run(
        [*command, str(folder)],
        env=environment | ({"HABEAS_NO_SKIPS": "1"} if no_skips else {}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_an_unexpected_skip_fails_the_run_where_none_is_allowed(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = _run(tmp_path, "pytest.skip('no server')", *options)
    assert done.returncode == 1
    assert "not expected here: " in done.stdout


def test_other_skips_pass(tmp_path: Path) -> None:
    assert _run(tmp_path, "pytest.skip('n/a: this kind has no schema')").returncode == 0
    assert _run(tmp_path, "pytest.skip('no server')", no_skips=False).returncode == 0


def test_the_entry_of_the_build_server_is_a_script_that_parses() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


def test_make_lists_what_it_can_do() -> None:
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make demo" in done.stdout
    assert "make test" in done.stdout


def test_the_unit_is_well_formed(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("n/a: no systemd on this machine")
    text = (ROOT / "deploy" / "habeas.service").read_text().replace("/opt/habeas/bin/habeas", sys.executable)
    unit = tmp_path / "habeas.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "habeas.service" not in done.stderr, done.stderr


def test_the_image_copies_only_what_the_repository_has() -> None:
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line
