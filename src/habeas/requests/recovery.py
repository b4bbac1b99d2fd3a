"""Taking up what an executor left: cohorts that have not ended and run nowhere. Also sweeps out what is over.

Who may take over is decided before (a lock on the data directory, a dead peer's lease). Each cohort is
taken by one guarded statement; its next attempt takes a new epoch, so that a stale one can't write.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from habeas.core.log import get_logger
from habeas.durable.port import DurableEngine
from habeas.requests.dispatch import COHORT_WORKFLOW, Dispatcher
from habeas.requests.erased import start_if_due
from habeas.requests.expiry import expire
from habeas.requests.installation import Installation
from habeas.requests.retention import run_retention
from habeas.store import cohorts
from habeas.store import requests as store

ANSWERS_KEPT = timedelta(hours=24)  # how long an idempotency key is remembered
_HOUSEKEEPING_SECONDS = 600.0
_LONGEST_BACKOFF = 60.0


class Recovery:
    """Resumes cohorts, here or where the engine's queue finds room. Safe to share between threads."""

    def __init__(
        self, installation: Installation, engine: DurableEngine, dispatcher: Dispatcher, executor_id: str
    ) -> None:
        self._installation = installation
        self._engine = engine
        self._dispatcher = dispatcher
        self._executor_id = executor_id
        self._guard = threading.Lock()
        self._tries: dict[str, tuple[int, float]] = {}  # by cohort: how often, and not again before
        self._cleaned = time.monotonic()

    def take_over(self, executor_ids: Collection[str] | None = None) -> int:
        """Resume the cohorts of dead executors, or of all (None: nobody else runs); how many. Safe to call again."""
        with self._guard:
            with self._installation.database.read() as connection:
                left = cohorts.unfinished(connection, executor_ids)
            pending = _pending(self._engine, executor_ids)
            # A cohort may have ended without the engine's record of it: run again, its workflow ends at once.
            over = [each for each in pending if not any(_belongs(each, row["id"]) for row in left)]
            self._engine.resume(over)
            return self._resume([row for row in left if not self._dispatcher.runs(row["id"])], pending)

    def sweep(self) -> None:
        """Start again what is this executor's and runs nowhere; now and then, sweep out what is over."""
        with self._guard:
            with self._installation.database.look() as connection:
                # Orphans: claimed by an executor that its peers had already declared dead.
                listed = self._installation.database.dialect == "postgresql"
                mine = cohorts.unfinished(connection, [self._executor_id], orphans=listed)
            stray = [row for row in mine if not self._dispatcher.runs(row["id"])]
            self._tries = {row["id"]: self._tries[row["id"]] for row in stray if row["id"] in self._tries}
            due = [row for row in stray if self._tries.get(row["id"], (0, 0.0))[1] <= time.monotonic()]
            if due:
                self._resume(due, self._engine.pending())
        if time.monotonic() - self._cleaned >= _HOUSEKEEPING_SECONDS:
            self._cleaned = time.monotonic()
            self.clean()
            start_if_due(self._installation)

    def clean(self) -> None:
        """Destroy the spools of failed cohorts whose retention is over, forget old idempotency keys, cancel what was
        never verified, delete whatever else is over (`retention`) and frames that no key opens any more. Raises
        Unavailable where the spool is out of reach, the rest done.
        """
        installation, now = self._installation, self._installation.clock.now()
        retention = timedelta(days=installation.settings.spool_retention_days)
        with installation.database.read() as connection:
            over = cohorts.keys_to_purge(connection, now - retention)
        for cohort_id in over:
            with installation.database.begin() as connection:
                cohorts.forget_data_key(connection, cohort_id)
        with installation.database.begin() as connection:
            store.drop_answers(connection, now - ANSWERS_KEPT)
        expire(installation)
        run_retention(installation, self._engine)
        left = installation.medium.cohorts_with_frames()
        with installation.database.read() as connection:
            purged = cohorts.without_data_key(connection, left)
        for cohort_id in purged:
            installation.medium.clear(cohort_id)

    def _resume(self, rows: Sequence[dict[str, Any]], pending: Sequence[str]) -> int:
        resumed = 0
        for row in rows:
            with self._installation.database.begin() as connection:
                now = self._installation.clock.now()
                if not cohorts.hand_over(connection, row["id"], row["executor_id"], self._executor_id, now):
                    continue
            self._run(row, [each for each in pending if _belongs(each, row["id"])])
            resumed += 1
        return resumed

    def _run(self, row: dict[str, Any], pending: list[str]) -> None:
        """Go on with the engine's workflow where it knows one that hasn't ended, else with a new one."""
        tries = self._tries.get(row["id"], (0, 0.0))[0] + 1
        self._tries[row["id"]] = (tries, time.monotonic() + min(_LONGEST_BACKOFF, 2.0 ** (tries + 1)))
        get_logger(__name__).info("cohort.resumed", cohort_id=row["id"], stage=row["stage"], attempt=tries)
        if pending:
            self._engine.resume(pending)
        else:
            # Another name each time: the engine never starts an id twice.
            self._engine.start(COHORT_WORKFLOW, f"{row['id']}-{row['epoch']}-{uuid4().hex[:8]}", row["id"])


def _belongs(workflow_id: str, cohort_id: str) -> bool:
    return workflow_id.startswith(f"{cohort_id}-")


def _pending(engine: DurableEngine, executor_ids: Collection[str] | None) -> list[str]:
    if executor_ids is None:
        return list(engine.pending())
    return [each for executor_id in executor_ids for each in engine.pending(executor_id)]
