"""How long what failed to leave waits until it is tried again. Pure; how often is the caller's to say."""

from __future__ import annotations

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 3600.0


def pause_after(attempts: int, retry_after: float | None = None) -> float:
    """Seconds until the next attempt: 2, 8, 32, … or what the receiver asked for, up to an hour."""
    usual = FIRST_PAUSE * 4 ** (attempts - 1)
    return float(min(LONGEST_PAUSE, max(usual, retry_after or 0.0)))
