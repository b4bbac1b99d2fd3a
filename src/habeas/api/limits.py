"""Limits on failed and anonymous calls, per process: so many in a window, then a wait.

Counts in memory; every web process counts for itself. Keys are the account and the address that calls,
forgotten after the window. Authorised calls are never counted.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from habeas.api.errors import TooManyCalls

MOST_KEYS = 10_000  # beyond that the oldest are forgotten, so that memory stays flat under a flood


class CallLimit:
    """At most `calls` per key in `seconds`, refilled evenly. Safe to share between threads."""

    def __init__(self, calls: int, seconds: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._pace = seconds / calls
        self._now = now
        self._free_at: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, key: tuple[str, ...]) -> None:
        """Raises TooManyCalls if the key has used up its calls; counts nothing."""
        with self._lock:
            wait = self._free_at.get(key, 0.0) - self._now() - self._pace * (self._calls - 1)
        if wait > 0:
            raise TooManyCalls(int(wait) + 1)

    def count(self, key: tuple[str, ...]) -> None:
        """Count one call of the key."""
        with self._lock:
            free_at = max(self._free_at.pop(key, 0.0), self._now()) + self._pace
            self._free_at[key] = free_at
            while len(self._free_at) > MOST_KEYS:
                self._free_at.popitem(last=False)
