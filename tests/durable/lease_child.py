"""A process that holds a lease, or the lock of a data directory, until it is killed.

    lease_child.py lease URL ID EXPIRY | directory PATH

Prints `held` when it has it.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from habeas.durable.leases import DataDirLock, LeaseKeeper, LeaseTimes


def hold(command: str, where: str, executor: str = "", expiry: str = "8") -> None:
    if command == "directory":
        DataDirLock(Path(where)).acquire()
    else:
        times = LeaseTimes(beat=0.2, expiry=float(expiry), margin=float(expiry) / 3, look=0.05)
        LeaseKeeper(where, executor, "0.1", on_dead=lambda _: None, times=times).start()
    sys.stdout.write("held\n")
    sys.stdout.flush()
    threading.Event().wait()


hold(*sys.argv[1:])
