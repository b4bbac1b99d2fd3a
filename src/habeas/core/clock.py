"""The clock as an argument: the system's for processes, a fixed one for tests. Never read by the pure middle."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time, always aware and in UTC."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is moved. Safe to share between threads."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a datetime of ours always has a zone")
        self._now = start.astimezone(UTC)
        self._guard = threading.Lock()

    def now(self) -> datetime:
        """The moment it was last moved to."""
        with self._guard:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move forward; negative seconds move back, as real clocks sometimes do."""
        with self._guard:
            self._now += timedelta(seconds=seconds)
