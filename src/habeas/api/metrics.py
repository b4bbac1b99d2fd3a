"""The metrics of one process: what is open is read anew for each scrape; what goes over a year, every few minutes."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

from habeas.report.exposition import expose
from habeas.report.metrics import build_summary
from habeas.requests import service
from habeas.requests.installation import Installation

USUAL_SPAN = timedelta(days=365)
YEAR_SECONDS = 300.0  # it looks at every request of the last year
_OF_THE_YEAR = ("groups", "connections")


class Scraper:
    """Gives the metrics as text. Safe between threads."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._guard = threading.Lock()
        self._year: dict[str, Any] = {}
        self._read_at = -YEAR_SECONDS

    def scrape(self) -> bytes:
        """The metrics of now."""
        installation, now = self._installation, self._installation.clock.now()
        with self._guard:
            old = time.monotonic() - self._read_at >= YEAR_SECONDS
            since = now - USUAL_SPAN if old else now
            with installation.database.read() as connection:
                summary = build_summary(connection, now, since, now + timedelta(seconds=1) if old else now)
            if old:
                self._year = {name: summary[name] for name in _OF_THE_YEAR}
                self._read_at = time.monotonic()
            return expose(summary | self._year, service.count_workers(installation))
