"""A real `habeas serve` for tests: started on a free port, awaited, ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until the condition holds; fails the test after the time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it didn't happen in time"
        time.sleep(0.01)


class Server:
    """A running server. `url` once it listens; `said` is all of its stderr so far."""

    def __init__(self, data_dir: Path, environment: dict[str, str], *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "habeas", "serve", "--port", "0", *options],
            env=environment | {"HABEAS_DATA_DIR": str(data_dir)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_for(lambda: "listens on" in self.said or self._process.poll() is not None)
        assert self._process.poll() is None, self.said

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append(line)

    @property
    def said(self) -> str:
        return "".join(self._lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        found = re.search(r"listens on (\S+)", self.said)
        assert found is not None
        return found[1]

    @property
    def credentials(self) -> dict[str, str]:
        """The root client, as the variables of the command line; only of a first start."""
        found = dict(re.findall(r"client_(id|secret)\s+(\S+)", self.said))
        return {"HABEAS_CLIENT_ID": found["id"], "HABEAS_CLIENT_SECRET": found["secret"]}

    def children(self) -> list[int]:
        """Process ids of the server's children (Linux)."""
        listed = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(child) for file in listed for child in file.read_text().split()]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and give the exit code. Safe to call again."""
        if self._process.poll() is None:
            self._process.send_signal(how)
        code = self._process.wait(15)
        self._reader.join(15)
        return code


def is_alive(pid: int) -> bool:
    """Whether the process runs (a zombie doesn't)."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
