"""The announcer: gives events their order and hands them on, and finds what becomes late; one thread in each worker.

What it does is safe from several workers at once. Never sends anything itself.
"""

from __future__ import annotations

import threading
import time

from habeas.core.errors import HabeasError
from habeas.core.log import get_logger
from habeas.requests.events import settle, tell_late
from habeas.requests.installation import Installation

LOOK_SECONDS = 1.0
LATE_SECONDS = 30.0


class Announcer:
    """Looks every second, for what is late every half minute."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._looked = -LATE_SECONDS

    def serve(self, stop: threading.Event) -> None:
        """Announce until `stop`. A fault is logged, and what it hit is found again."""
        while not stop.is_set():
            try:
                self.run_once()
            except Exception as error:  # noqa: BLE001 – the worker loop: what is committed is found by the next round
                code = error.code if isinstance(error, HabeasError) else type(error).__name__
                get_logger(__name__).error("events.round_failed", code=code, exc_info=True)
            stop.wait(LOOK_SECONDS)

    def run_once(self) -> None:
        """One round."""
        if time.monotonic() - self._looked >= LATE_SECONDS:
            self._looked = time.monotonic()
            tell_late(self._installation)
        settle(self._installation)
