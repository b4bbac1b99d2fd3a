"""The announcer: gives events their order and hands them on, and finds what becomes late; one thread in each worker.

What it does is safe from several workers at once. Never sends anything itself.
"""

from __future__ import annotations

import threading
import time
from functools import partial

from habeas.requests.events import settle, tell_late
from habeas.requests.installation import Installation
from habeas.requests.rounds import survive

_SLICE_SECONDS = 1.0
_ROUND_FAILED = "events.round_failed"
LATE_SECONDS = 30.0


class Announcer:
    """Gives events their order as they come, and looks for what is late every half minute."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._looked = -LATE_SECONDS

    def serve(self, due: threading.Event, stop: threading.Event) -> None:
        """Announce whenever `due` is set, until `stop`. A fault is logged, and what it hit is found again."""
        while not stop.is_set():
            if time.monotonic() - self._looked >= LATE_SECONDS:
                self._looked = time.monotonic()
                survive(_ROUND_FAILED, partial(tell_late, self._installation))
            if due.wait(_SLICE_SECONDS):
                due.clear()
                survive(_ROUND_FAILED, partial(settle, self._installation))
