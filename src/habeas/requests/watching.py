"""The watch: one look a second at all that a worker's other threads wait for, each of which is woken by its own.

Never takes anything: who is woken looks for itself, and what is found to be nothing costs nothing.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from habeas.requests import event_delivery, event_webhooks, messages, sending
from habeas.requests.installation import Installation
from habeas.requests.rounds import serve_rounds
from habeas.store import due

LOOK_SECONDS = 1.0
_MESSAGES = (messages.PREFIX, sending.STALE_SECONDS)
_DELIVERIES = (event_webhooks.PREFIX, event_delivery.STALE_SECONDS)


class Wake(NamedTuple):
    """What is set while there is something of each; who takes it clears it."""

    messages: threading.Event
    deliveries: threading.Event
    events: threading.Event
    calls: threading.Event


class Watch:
    """Sets an event for each kind of work while there is some."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.wake = Wake(*(threading.Event() for _ in Wake._fields))

    def serve(self, stop: threading.Event) -> None:
        """Look until `stop`. Our database being away is logged, and looked for again."""
        serve_rounds("watch.round_failed", self.look, stop, LOOK_SECONDS)

    def look(self) -> None:
        """One look."""
        installation = self._installation
        with installation.database.look() as connection:
            found = due.look(connection, installation.clock, _MESSAGES, _DELIVERIES)
        for there, event in zip(found, self.wake, strict=True):
            if there:
                event.set()
