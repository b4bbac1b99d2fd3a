"""Workers as processes of their own, to be killed or stopped. They are forked from a server that has habeas imported,
so that starting one is cheap; what runs is habeas' own worker.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

SECONDS = 90.0  # how long to wait for what should come at once, on a machine under load

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["habeas.requests.worker", "habeas.connectors.kinds.postgres", "workerbook"])


class WorkerProcess:
    """One worker over a data directory. `crash_at`: the boundary at which it kills itself; `file_size`: no file of its
    grows beyond so many bytes, as on a full disk. What it says goes to `worker.log` beside the data directory.
    """

    def __init__(self, settings: Mapping[str, Any], crash_at: str | None = None, *, file_size: int = 0) -> None:
        self.process = _forks.Process(target=_work, args=(dict(settings), crash_at, file_size), daemon=True)
        self.process.start()

    def wait_for_death(self, seconds: float = SECONDS) -> None:
        """Until it has killed itself."""
        self.process.join(seconds)
        assert self.process.exitcode == -signal.SIGKILL, f"the worker ended with {self.process.exitcode}"

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self.process.is_alive()

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, number)

    def kill(self) -> None:
        """kill -9; safe to call again."""
        if self.process.is_alive():
            self.signal(signal.SIGKILL)
        self.process.join(SECONDS)


def _work(settings: dict[str, Any], crash_at: str | None, file_size: int) -> None:
    from habeas.core.log import configure_logging
    from habeas.core.settings import Settings
    from habeas.durable import boundary
    from habeas.requests.worker import run_worker

    log = os.open(Path(settings["data_dir"]).parent / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if crash_at:
        name, _, count = crash_at.partition(":")
        boundary.arm(name, int(count or 1))
    if file_size:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    configure_logging("INFO")
    run_worker(Settings(**settings), threading.Event())
