"""Named durable boundaries: the moments between two commits at which a process may die.

In production `reach` does nothing. A test that sets `HABEAS_CRASH_AT=name` (or `name:3`, the third time)
makes the process kill itself there with SIGKILL, as power loss would, to show that what runs next ends as
if nothing had happened. Never catches, delays or reports anything.
"""

from __future__ import annotations

import os
import signal

BOUNDARIES = (
    "claim.before",
    "claim.after",
    "attempt.taken",
    "access.read",
    "package.written",
    "package.published",
    "stage.before",
    "stage.after",
    "freeze.frame",
    "freeze.recorded",
    "mask.before",
    "mask.chunk",
    "verify.chunk",
    "ledger.chunk",
    "end.before",
    "end.after",
    "end.purged",
    "fail.before",
    "fail.after",
    "replay.taken",
    "replay.before",
    "replay.erased",
    "replay.unit",
    "replay.end",
)
"""All of them, in the order in which a request with access and erasure comes by; then failing; then a replay."""

OF_MESSAGES = ("message.claimed", "message.sent")
"""Those that a message comes by on its way out."""

OF_PAUSES = ("pause.before", "pause.after")
"""Those that a request comes by when it begins to wait for somebody."""

OF_EVENTS = ("event.claimed", "event.sent")
"""Those that an event comes by on its way to a webhook of events."""

OF_WEBHOOKS = (
    "webhook.asked",
    "webhook.entered",
    "webhook.claimed",
    "webhook.sent",
    "webhook.recorded",
    "webhook.answered",
)
"""Those that a request comes by at its webhooks; the last when a webhook answers by a call of its own."""

OF_DELETES = ("untie.chunk", "delete.together")
"""Further ones, which only a request comes by that deletes rows whose foreign keys form a cycle."""

_name = ""
_left = 0


def arm(boundary: str, times: int = 1) -> None:
    """Let this process kill itself at a boundary when it comes by for the so manyth time. For tests."""
    global _name, _left
    _name, _left = boundary, times


_asked, _, _count = os.environ.get("HABEAS_CRASH_AT", "").partition(":")
arm(_asked, int(_count or 1))


def reach(boundary: str) -> None:
    """Pass a boundary. `boundary` is one of those above; another name is a fault of the caller, found by a test."""
    global _left
    if boundary != _name:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
