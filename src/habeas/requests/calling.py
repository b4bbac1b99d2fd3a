"""The caller: has requests call the webhooks of their policy, each call from a row; one thread that looks, a few that
send, in each worker.

A claim is committed before a call is sent, and what came of it after, so that whoever dies in between leaves calls that
are sent again under the same id, and none that is skipped. What fails is put off, later each time; given up, the
request ends as `error: webhook`. No transaction is open while a call is on its way. Never decides who is called.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx2

from habeas.core.errors import HabeasError
from habeas.deliver.webhooks.sending import Answer, send
from habeas.durable.boundary import reach
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.model import Stage, Status
from habeas.requests.pre_approval import approve_agreed, ask_before_approval
from habeas.requests.rounds import survive
from habeas.requests.webhook_results import expire, record, start
from habeas.requests.webhook_words import compose, fault_of
from habeas.store import claims, webhook_calls
from habeas.store.claims import Ready
from habeas.store.webhook_calls import CallRow, Place
from habeas.store.webhooks import APPROVAL, POST, PRE

STALE_SECONDS = 120.0  # far longer than any call may last
MOST_AT_ONCE = 8  # calls of one process
MOST_OF_ONE = 4  # of them to one connection, so that one that hangs doesn't stop the others
ENTER_AT_ONCE = 50

PLACES = (
    Place(PRE, Stage.PRE_WEBHOOKS, (Status.IN_PROCESSING,)),
    Place(POST, Stage.POST_WEBHOOKS, (Status.IN_PROCESSING,)),
    Place(APPROVAL, Stage.APPROVE, (Status.PENDING,)),
)

_SLICE_SECONDS = 1.0  # until a stop is noticed
_ROUND_FAILED = "webhooks.round_failed"
_EXPIRY_SECONDS = 10.0


class Caller:
    """Calls what is due. `claimant` names the process; `client` decides which addresses may be reached. `serve` and
    `call_one` are for one thread.
    """

    def __init__(self, installation: Installation, claimant: str, client: httpx2.Client) -> None:
        self._installation = installation
        self._claimant = claimant
        self._client = client
        settings = installation.settings
        self._ready = Ready(
            Stage.QUEUED,
            (Status.PENDING, Status.APPROVED, Status.IN_PROCESSING),
            settings.require_manual_request_approval,
        )
        self._guard = threading.Lock()
        self._running: Counter[str] = Counter()  # by connection
        self._expired = -_EXPIRY_SECONDS

    def serve(self, due: threading.Event, stop: threading.Event) -> None:
        """Call whenever `due` is set, until `stop`. A fault of ours or of our database is logged, and what it hit is
        found again.
        """
        with ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="webhooks") as pool:
            while not stop.is_set():
                if time.monotonic() - self._expired >= _EXPIRY_SECONDS:
                    self._expired = time.monotonic()
                    survive(_ROUND_FAILED, partial(expire, self._installation))
                if due.wait(_SLICE_SECONDS):
                    due.clear()
                    survive(_ROUND_FAILED, partial(self._round, pool, due, stop))

    def _round(self, pool: ThreadPoolExecutor, due: threading.Event, stop: threading.Event) -> None:
        self.enter()
        while not stop.is_set() and sum(self._running.values()) < MOST_AT_ONCE:
            claimed = self._claim()
            if claimed is None:
                return
            with self._guard:
                self._running[claimed[0].connection_id] += 1
            pool.submit(self._run, *claimed, due)

    def _run(self, call: CallRow, attempt: int, due: threading.Event) -> None:
        survive(
            "webhooks.call_failed", partial(self._finish, call, attempt)
        )  # its claim grows stale and is taken again
        with self._guard:
            self._running[call.connection_id] -= 1
            self._running += Counter()  # drops zeros
        due.set()  # there is room for another one

    def call_one(self) -> bool:
        """Let requests in that come to their webhooks, then call the one that is due first; whether there was one."""
        self.enter()
        claimed = self._claim()
        if claimed is None:
            return False
        self._finish(*claimed)
        return True

    def enter(self) -> int:
        """Let requests that are queued come to the webhooks of their policy first; how many did."""
        installation, now = self._installation, self._installation.clock.now()
        with installation.database.look() as connection:
            some = bool(claims.waiting_for_webhooks(connection, self._ready, 1, lock=False))
        entered = 0
        if some:
            with installation.database.begin() as connection:
                for row in claims.waiting_for_webhooks(connection, self._ready, ENTER_AT_ONCE):
                    start(connection, row, now)
                    entered += 1
            reach("webhook.entered")
        ask_before_approval(installation)
        approve_agreed(installation)
        return entered

    def _claim(self) -> tuple[CallRow, int] | None:
        installation, now = self._installation, self._installation.clock.now()
        with self._guard:
            busy = [place for place, count in self._running.items() if count >= MOST_OF_ONE]
        with installation.database.look() as connection:
            due = webhook_calls.due_id(now, PLACES, stale_after_seconds=STALE_SECONDS, busy=busy)
            if connection.execute(due).first() is None:
                return None
        with installation.database.begin() as connection:
            call = webhook_calls.claim(
                connection, now, self._claimant, PLACES, stale_after_seconds=STALE_SECONDS, busy=busy
            )
            if call is None:
                return None
            attempt = webhook_calls.begin_attempt(connection, call.id, now)
        reach("webhook.claimed")
        return call, attempt

    def _finish(self, call: CallRow, attempt: int) -> None:
        answer = self._send(call)
        reach("webhook.sent")
        record(self._installation, call, attempt, answer)
        reach("webhook.recorded")

    def _send(self, call: CallRow) -> Answer:
        installation = self._installation
        try:
            with installation.database.read() as connection:
                ready = compose(installation, connection, found_request(connection, call.privacy_request_id), call)
        except HabeasError as problem:
            return Answer(None, fault_of(problem), 0)
        return send(self._client, ready, timestamp=int(installation.clock.now().timestamp()))


def take_over(installation: Installation, claimant: str | None) -> None:
    """Take up at once what a dead process had claimed; None: all of it, where nobody else can run."""
    with installation.database.begin() as connection:
        webhook_calls.release_all(connection, claimant)
