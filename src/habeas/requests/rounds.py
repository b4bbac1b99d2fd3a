"""Rounds of a worker's threads: what fails in one is logged by class and code, and found again by the next.

Never knows what a round does, and never ends the thread that runs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from habeas.core.errors import HabeasError
from habeas.core.log import get_logger

_SLICE_SECONDS = 1.0  # until a stop is noticed


def survive(event: str, run: Callable[[], object]) -> bool:
    """Run it; whether it came through. What it raises is logged as `event`, never its text."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 – what is committed is found by the next round
        code = error.code if isinstance(error, HabeasError) else type(error).__name__
        get_logger(__name__).error(event, code=code, exc_info=True)
        return False
    return True


def serve_due(event: str, run: Callable[[], object], due: threading.Event, stop: threading.Event) -> None:
    """Run it whenever `due` is set, until `stop`. Several threads may wait for the same."""
    while not stop.is_set():
        if due.wait(_SLICE_SECONDS):
            due.clear()
            survive(event, run)


def serve_rounds(event: str, run: Callable[[], object], stop: threading.Event, seconds: float) -> None:
    """Run it again and again until `stop`, so many seconds after each end; a failed round counts as one."""
    while not stop.is_set():
        survive(event, run)
        stop.wait(seconds)
