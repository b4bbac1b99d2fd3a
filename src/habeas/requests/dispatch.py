"""The dispatcher: claims what waits, as cohorts, and starts their execution; one a worker process.

Woken by intake, by the end of a cohort, or by a sweep every second. Requests of one policy with the same
identity kinds run as one cohort, and while it runs the next ones gather: batches form by themselves under
load, and a lone request waits for nobody. How many one cohort takes follows what the plan's earlier ones found.
Plan, claim and the cohort's row are one transaction; what dies between it and the start is found by `recovery`.
Never executes anything itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy.engine import Connection

from habeas.core.errors import HabeasError, NotFound, Refused, Unavailable
from habeas.core.log import get_logger
from habeas.durable.boundary import reach
from habeas.durable.port import DurableEngine, Steps, Workflow
from habeas.plan.model import NotSearched, Plan
from habeas.requests.approval import changed_values
from habeas.requests.cohort import Claim
from habeas.requests.installation import Installation
from habeas.requests.model import Reason, Stage, Status, check_stage, check_status
from habeas.requests.processors import Processor, Processors, untold
from habeas.requests.rounds import survive
from habeas.requests.sealing import seal_spool_key
from habeas.spool.frames import new_data_key
from habeas.store import audit, claims, cohorts, plans
from habeas.store.claims import Group, Ready
from habeas.store.wake import Listener

COHORT_WORKFLOW = "cohort"
LARGEST_COHORT = 100_000
HANDED = 1_000  # members whose rows are handed to the attempt; those of more are read in a stream
FEW = 100  # members that any plan takes without a look at what its cohorts found before
USUAL_PAIRS = 100  # rows that a member of a plan is thought to have that never ran
MOST_COHORTS = 4  # running at once in one process
SWEEP_SECONDS = 1.0
WAITING = (Status.PENDING, Status.APPROVED, Status.IN_PROCESSING)  # the last: past its webhooks

_SLICE_SECONDS = 0.25  # how soon `serve` notices that it is to stop
_LONGEST_BACKOFF = 60.0

GroupKey = tuple[str, str]

_ASKED = {
    "address": "",
    "problem": "people must give what only they can look up, before it runs",
    "fix": "give it, then resume the request (docs/manual-work.md)",
    "code": "manual",
}


class Dispatcher:
    """Claims and starts. `ended` may be called from any thread, the rest from one."""

    def __init__(self, installation: Installation, engine: DurableEngine, executor_id: str) -> None:
        self._installation = installation
        self._engine = engine
        self._executor_id = executor_id
        self._ready = Ready(Stage.QUEUED, WAITING, installation.settings.require_manual_request_approval)
        self._processors = Processors(installation)
        self._guard = threading.Lock()
        self._running: dict[str, GroupKey | None] = {}  # by cohort
        self._claims: dict[str, Claim] = {}  # of cohorts whose first attempt hasn't begun
        self._waiting = False  # whether something could not be started because of what runs
        self._stored: set[str] = set()  # digests of plans known to be in the database
        self._backoff: dict[GroupKey, tuple[float, float]] = {}  # not before, and for how long
        self._listener: Listener | None = None

    def announcing(self, workflow: Workflow) -> Workflow:
        """The workflow, wrapped so that its begin and end in this process are noticed here."""

        def run(steps: Steps, cohort_id: str) -> None:
            self._began(cohort_id, None)
            try:
                workflow(steps, cohort_id)
            finally:
                self.ended(cohort_id)

        return run

    def ended(self, cohort_id: str) -> None:
        """A cohort of this process ran to its end, or failed; what waited for it may start."""
        with self._guard:
            self._running.pop(cohort_id, None)
            self._claims.pop(cohort_id, None)
            nudge = self._waiting
            self._waiting = False
        if nudge and self._listener is not None:
            self._listener.nudge()

    def _began(self, cohort_id: str, key: GroupKey | None) -> None:
        with self._guard:
            self._running.setdefault(cohort_id, key)

    def take_claim(self, cohort_id: str) -> Claim | None:
        """What this process claimed and no attempt has begun: given once, under epoch 1. None for all others."""
        with self._guard:
            return self._claims.pop(cohort_id, None)

    def runs(self, cohort_id: str) -> bool:
        """Whether the cohort runs in this process."""
        with self._guard:
            return cohort_id in self._running

    def run_once(self) -> int:
        """Claim what waits and start it; how many requests moved. Faults of one group never stop another."""
        if not self._free():
            return 0
        with self._installation.database.look() as connection:
            groups = claims.waiting_groups(connection, self._ready)
        moved = 0
        for group in groups:
            key = (group.policy_id, group.kinds)
            if self._free() and self._may_start(key):
                moved += self._dispatch_safely(group, key)
        return moved

    def serve(self, stop: threading.Event, sweep: Callable[[], None] | None = None) -> None:
        """Dispatch until `stop`; `sweep` is called every other second. Our database being away is waited for."""
        with Listener(self._installation.database, self._installation.settings.data_dir) as listener:
            self._listener = listener
            swept = time.monotonic()
            while not stop.is_set():
                self._survive(self.run_once, stop)
                _await(listener, stop)
                if sweep is not None and time.monotonic() - swept >= 2 * SWEEP_SECONDS:
                    swept = time.monotonic()
                    self._survive(sweep, stop)
            self._listener = None

    def _survive(self, run: Callable[[], object], stop: threading.Event) -> None:
        if not survive("dispatch.round_failed", run):
            stop.wait(_SLICE_SECONDS)

    def _free(self) -> bool:
        with self._guard:
            free = len(self._running) < MOST_COHORTS
            self._waiting = self._waiting or not free
            return free

    def _may_start(self, key: GroupKey) -> bool:
        with self._guard:
            busy = key in self._running.values()
            self._waiting = self._waiting or busy
        return not busy and self._backoff.get(key, (0.0, 0.0))[0] <= time.monotonic()

    def _dispatch_safely(self, group: Group, key: GroupKey) -> int:
        try:
            moved = self._dispatch(group, key)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 – the worker loop: one group's fault must not stop the others
            self._put_off(key)
            get_logger(__name__).error(
                "dispatch.group_failed", policy=group.policy_key, code=_code(error), exc_info=True
            )
            return 0
        self._backoff.pop(key, None)
        return moved

    def _put_off(self, key: GroupKey) -> None:
        pause = min(_LONGEST_BACKOFF, 2 * self._backoff.get(key, (0.0, 0.5))[1])
        self._backoff[key] = (time.monotonic() + pause, pause)

    def _dispatch(self, group: Group, key: GroupKey) -> int:
        try:
            digest, plan = self._plan(group)
            told = self._processors.of(group.stamp) if plan.erases else ()
        except Refused as problem:
            return self._end(group, Status.ERROR, Reason.REFUSED, _refusal(problem))
        except NotFound as problem:
            return self._end(group, Status.ERROR, Reason.REFUSED, _detail(problem, "policy_missing"))
        absent = [each for each in plan.not_searched if each.reason == "identity_absent"]
        absent += untold(told, json.loads(group.kinds))
        if plan.erases and absent and plan.partial_identities == "ask":
            return self._end(group, Status.REQUIRES_INPUT, Reason.NOT_SEARCHED, _asks_for(absent), absent)
        if group.bound:
            self._ask_again(group, digest)
        held = self._hold(group) if group.held else 0
        return held + (self._start(group, key, digest, plan, told) if group.size else 0)

    def _ask_again(self, group: Group, digest: str) -> None:
        """Have people look again at what was approved for another plan; such requests are never claimed."""
        for status in WAITING:
            check_status(status, Status.REQUIRES_INPUT)
        clock = self._installation.clock
        with self._installation.database.begin() as connection:
            asked = claims.unapprove(connection, group, self._ready, digest, changed_values(clock.now()))
            detail = {"plan_digest": digest}
            entries = [audit.Entry("habeas", "privacy_request.plan_changed", each, detail) for each in sorted(asked)]
            audit.append_all(connection, clock, entries)

    def _hold(self, group: Group) -> int:
        """Let those of a group wait that a person must answer for first; how many."""
        for waiting in WAITING:
            check_status(waiting, Status.REQUIRES_INPUT)
        values = {
            "status": Status.REQUIRES_INPUT,
            "reason": Reason.MANUAL,
            "reason_detail": _ASKED,
            "asked": True,
            "updated_at": self._installation.clock.now(),
        }
        with self._installation.database.begin() as connection:
            return len(claims.hold_group(connection, group, self._ready, values))

    def _plan(self, group: Group) -> tuple[str, Plan]:
        planner, kinds = self._installation.planner, json.loads(group.kinds)
        return planner.cached(group.policy_key, kinds, group.stamp) or planner.plan(group.policy_key, kinds)

    def _start(self, group: Group, key: GroupKey, digest: str, plan: Plan, told: Sequence[Processor]) -> int:
        cohort_id = f"coh_{uuid4()}"
        first = Stage.ACCESS if plan.accesses else Stage.FREEZE
        self._began(cohort_id, key)
        size = 0
        try:
            size = self._claim(group, cohort_id, digest, plan, first, told)
            reach("claim.after")
            if size:
                self._engine.start(COHORT_WORKFLOW, f"{cohort_id}-0", cohort_id)
        except BaseException:
            self.ended(cohort_id)  # if it was claimed, the sweep finds it
            raise
        if not size:
            self.ended(cohort_id)
        with self._guard:
            self._waiting = self._waiting or size < group.size
        return size

    def _claim(
        self, group: Group, cohort_id: str, digest: str, plan: Plan, first: Stage, told: Sequence[Processor]
    ) -> int:
        installation, now = self._installation, self._installation.clock.now()
        for status in WAITING:
            check_status(status, Status.IN_PROCESSING)
        check_stage(Stage.QUEUED, first)
        moved = {
            "status": Status.IN_PROCESSING,
            "stage": first,
            "cohort_id": cohort_id,
            "plan_digest": digest,
            "instructs": _instructed(told, json.loads(group.kinds)),
            "started_processing_at": claims.started_at(now),
            "updated_at": now,
        }
        with installation.database.begin() as connection:
            most = self._most(connection, group, plan, digest)
            members = None
            if min(most, group.size) > HANDED:
                size = claims.claim_unseen(connection, group, self._ready, most, moved)
            else:
                members = claims.claim(connection, group, self._ready, min(most, HANDED), moved)
                size = len(members)
            if not size:
                return 0
            if digest not in self._stored:
                plans.put(connection, plan, installation.clock)
            row = {
                "id": cohort_id,
                "created_at": now,
                "updated_at": now,
                "plan_digest": digest,
                "size": size,
                "stage": first,
                "epoch": 1,  # that of the attempt to which the claim is handed
                "executor_id": self._executor_id,
                "sealed_data_key": seal_spool_key(installation.vault, cohort_id, new_data_key()),
            }
            cohorts.insert(connection, row)
            reach("claim.before")
        self._stored.add(digest)
        with self._guard:
            self._claims[cohort_id] = Claim(row, members, group.stamp)
        return size

    def _most(self, connection: Connection, group: Group, plan: Plan, digest: str) -> int:
        """How many members the next cohort of a plan may have: as many as earlier ones let expect to find no more than
        the setting's pairs of member and row. One statement; none for a lone request. One, where somebody may have to
        be asked: nobody waits for another's answer.
        """
        if self._asks(plan):
            return 1
        if group.size == 1:
            return FEW
        expected = cohorts.pairs_per_member(connection, digest)
        pairs = USUAL_PAIRS if expected is None else max(1.0, expected)
        return max(1, min(LARGEST_COHORT, int(self._installation.settings.cohort_pairs / pairs)))

    def _asks(self, plan: Plan) -> bool:
        connector = self._installation.sources.connector
        return not all(connector(each).capabilities.holds_rows for each in {step.connection for step in plan.steps})

    def _end(
        self,
        group: Group,
        status: Status,
        reason: Reason,
        detail: Mapping[str, Any],
        not_searched: list[NotSearched] | None = None,
    ) -> int:
        """End a group without executing it, or leave it waiting for somebody at the stage where it is."""
        now = self._installation.clock.now()
        for waiting in WAITING:
            check_status(waiting, status)
        values: dict[str, Any] = {
            "status": status,
            "reason": reason,
            "reason_detail": dict(detail),
            "not_searched": [each.shown() for each in not_searched or ()] or None,
            "updated_at": now,
        }
        if status is Status.ERROR:
            check_stage(Stage.QUEUED, Stage.DONE)
            started = claims.started_at(now)
            values |= {"stage": Stage.DONE, "started_processing_at": started, "finished_processing_at": now}
        with self._installation.database.begin() as connection:
            return claims.end_group(connection, group, self._ready, values)


def _instructed(told: Sequence[Processor], kinds: Sequence[str]) -> list[str] | None:
    """The connections of the processors who learn of a request that gives these kinds."""
    passed_over = {each.address for each in untold(told, kinds)}
    return [each.key for each in told if each.key not in passed_over] or None


def _await(listener: Listener, stop: threading.Event) -> None:
    """Wait for a wake, the next sweep, or the stop."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
        if listener.wait(min(_SLICE_SECONDS, left)):
            return


def _code(error: Exception) -> str:
    return error.code if isinstance(error, HabeasError) else type(error).__name__


def _refusal(problem: Refused) -> dict[str, Any]:
    """The first problem as the detail, the number of further ones beside it."""
    more = max(0, len(problem.problems) - 1)
    return _detail(problem, problem.cause) | ({"more": more} if more else {})


def _detail(problem: HabeasError, code: str) -> dict[str, Any]:
    return {"address": problem.where or "", "problem": problem.message, "fix": problem.fix or "", "code": code}


def _asks_for(absent: list[NotSearched]) -> dict[str, Any]:
    return {
        "address": absent[0].address,
        "problem": f"needs an identity that wasn't given ({absent[0].detail or 'see the plan'})",
        "fix": "submit a request with it, or set the policy's partial_identities to accept and retry",
        "code": "identity_absent",
        "more": len(absent) - 1,
    }
