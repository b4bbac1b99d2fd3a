"""The flow of a cohort on one page: each stage, whether its plan needs it, and what it does.

    access (with deliver) → freeze → mask → verify → receipt

A stage that ended is recorded in the cohort's row and not run again; one that didn't, runs again with the
effect of once. Before the first write a failure ends the requests as refused, after it as incomplete. The
engine sees ids and names only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from habeas.connectors.answered.question import Pending
from habeas.core.errors import DatabaseAway, Fenced, HabeasError, MembersRefused, Refused, SchemaChanged
from habeas.core.log import get_logger
from habeas.deliver.base import DeliveryFailed
from habeas.durable.boundary import reach
from habeas.durable.port import Steps, Workflow
from habeas.execute.access import run_access
from habeas.execute.context import LogEntry
from habeas.execute.drift import tell_drift
from habeas.execute.erasure import ErasureResult, run_freeze, run_mask, run_verify
from habeas.plan.model import Plan
from habeas.requests.answers import members_answered
from habeas.requests.attempt import Attempt, MembersLeft, begin_attempt
from habeas.requests.cohort import Claim
from habeas.requests.ending import complete, fail, keep_ledger, refuse_members, requeue
from habeas.requests.installation import Installation
from habeas.requests.judging import set_aside_disagreeing
from habeas.requests.ledger_run import is_ledger_run, run_over_ledger
from habeas.requests.model import Reason, Stage
from habeas.requests.packaging import deliver_packages, withdraw_packages
from habeas.requests.pausing import pause
from habeas.requests.places import Places
from habeas.requests.retrying import retrying

WORKFLOW = "cohort"
REPLANS = 2  # times a request is planned anew because a schema changed under it, until somebody retries it


@dataclass(frozen=True)
class StageOf:
    """One stage: whether a plan needs it, whether it ended, and what it does (leaving its result in progress)."""

    stage: Stage
    needed: Callable[[Plan], bool]
    ended: Callable[[Attempt], bool]
    run: Callable[[Attempt], None]


def _access(attempt: Attempt) -> None:
    set_aside_disagreeing(attempt)
    places = attempt.open_places()
    result, spooled = run_access(attempt.context, [place.rules for place in places])
    reach("access.read")
    attempt.progress.answered = members_answered(attempt)
    deliver_packages(attempt, places, spooled, result)
    attempt.progress.access = result


def _freeze(attempt: Attempt) -> None:
    if not attempt.plan.accesses:
        set_aside_disagreeing(attempt)
    attempt.progress.erasure = _freeze_or_refuse(attempt)
    attempt.progress.freeze_epoch = attempt.epoch
    attempt.progress.wrote = attempt.progress.erasure.frozen() > 0  # from here on, a crash leaves in doubt


def _freeze_or_refuse(attempt: Attempt) -> ErasureResult:
    """Freeze, without the members that a store would refuse: they end as refused, the others go on."""
    while True:
        try:
            return run_freeze(attempt.context, attempt.epoch)
        except MembersRefused as refused:
            if len(refused.members) == len(attempt.members):
                raise refused.members[min(refused.members)] from None
            refuse_members(attempt, refused.members)
            attempt.let_go()


def _mask(attempt: Attempt) -> None:
    progress = attempt.progress
    if progress.wrote and progress.erasure is not None and progress.freeze_epoch is not None:
        run_mask(attempt.context, progress.freeze_epoch, progress.erasure)
        progress.erasure = run_verify(attempt.context, progress.freeze_epoch, progress.erasure)
        keep_ledger(attempt)
    progress.verified = True


STAGES = (
    StageOf(Stage.ACCESS, lambda plan: plan.accesses, lambda attempt: attempt.progress.access is not None, _access),
    StageOf(Stage.FREEZE, lambda plan: plan.erases, lambda attempt: attempt.progress.freeze_epoch is not None, _freeze),
    StageOf(Stage.MASK, lambda plan: plan.erases, lambda attempt: attempt.progress.verified, _mask),
)


def cohort_workflow(
    installation: Installation, executor_id: str, take_claim: Callable[[str], Claim | None] = lambda _: None
) -> Workflow:
    """The workflow that runs a cohort, to be registered as `cohort`. Its subject is the cohort's id.

    `take_claim` gives what this process has just claimed, once; what it hasn't is read.
    """
    places = Places(installation)

    def run(steps: Steps, cohort_id: str) -> None:
        if is_ledger_run(cohort_id):
            run_over_ledger(installation, cohort_id, executor_id)
            return
        attempt = begin_attempt(installation, cohort_id, executor_id, places, take_claim(cohort_id))
        if attempt is None:
            return  # it ended before
        try:
            _run_stages(steps, attempt)
        except (Fenced, DatabaseAway):
            raise  # of our own database: no verdict on the requests, the sweep goes on with them
        except Pending as waiting:
            pause(attempt, waiting.question)
        except SchemaChanged as error:
            _drift(attempt, error)
        except HabeasError as error:
            fail(attempt, error, _reason(attempt, error))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the request visibly, never silently
            get_logger(__name__).error("cohort.fault", cohort_id=cohort_id, kind=type(error).__name__, exc_info=True)
            problem = HabeasError(f"an unexpected {type(error).__name__} stopped it", fix="report it, then retry")
            fail(attempt, problem, _reason(attempt, problem))

    return run


def _run_stages(steps: Steps, attempt: Attempt) -> None:
    needed = [each for each in STAGES if each.needed(attempt.plan)]
    for each, following in zip(needed, [*needed[1:], None], strict=True):
        # The engine wants the same steps at every resume; what ended is left out inside, by our own record.
        _run_step(steps, each, attempt, partial(_run_stage, attempt, each, following))


def _run_step(steps: Steps, stage: StageOf, attempt: Attempt, run: Callable[[], str]) -> None:
    """Run a stage as a step of the engine. Where the engine only gives what it recorded, our own record decides: the
    cohort may have been let go on after the error that the engine remembers.
    """
    ran: list[bool] = []

    def noted() -> str:
        ran.append(True)
        return run()

    try:
        steps.run(stage.stage.value, noted)
    except HabeasError:
        if ran:
            raise
        run()
    else:
        if not ran and not stage.ended(attempt):
            run()


def _run_stage(attempt: Attempt, stage: StageOf, following: StageOf | None) -> str:
    while not stage.ended(attempt):
        _with_retries(attempt, stage)
        if following is not None:
            _passed(attempt, lambda: attempt.advance(following.stage))
    if following is None:  # the end records the last stage, in one transaction with the requests
        while not _passed(attempt, lambda: complete(attempt)):
            continue
    return stage.stage.value


def _passed(attempt: Attempt, record: Callable[[], None]) -> bool:
    """Record that a stage ended, unless members left: then go on without them, and what was frozen counts no more."""
    try:
        record()
    except MembersLeft:
        attempt.let_go()
        withdraw_packages(attempt)
        if attempt.progress.freeze_epoch is not None and not attempt.progress.verified:
            attempt.progress.erasure, attempt.progress.freeze_epoch, attempt.progress.wrote = None, None, False
        return False
    return True


def _with_retries(attempt: Attempt, stage: StageOf) -> None:
    """Run a stage, again where a system failed in a way that may pass; a visible log entry each time."""

    def again(error: HabeasError) -> None:
        attempt.log(_retrying(attempt, stage, error))

    retrying(attempt.installation.settings, again)(stage.run, attempt)


def _retrying(attempt: Attempt, stage: StageOf, error: HabeasError) -> list[LogEntry]:
    action: Literal["access", "erasure"] = "access" if stage.stage is Stage.ACCESS else "erasure"
    steps = [step for step in attempt.plan.steps if step.address == error.where] or list(attempt.plan.steps[:1])
    return [LogEntry(step, action, "retrying", error.message) for step in steps]


def _drift(attempt: Attempt, error: SchemaChanged) -> None:
    for connection in {step.connection for step in attempt.plan.steps}:
        attempt.installation.sources.forget_schemas(connection)
    if attempt.wrote:  # what was frozen belongs to the plan that froze it
        error.message = tell_drift(attempt.context, error.where) or error.message
        error.fix = "bring the table's columns and keys back as they were, then retry"
        fail(attempt, error, Reason.INCOMPLETE)
    elif attempt.most_replans >= REPLANS:
        problem = Refused("the schema keeps changing", cause="drift", where=error.where, fix="retry when it is stable")
        fail(attempt, problem, Reason.REFUSED)
    else:
        requeue(attempt)


def _reason(attempt: Attempt, error: HabeasError) -> Reason:
    if attempt.wrote:
        return Reason.INCOMPLETE
    return Reason.DELIVERY if isinstance(error, DeliveryFailed) else Reason.REFUSED
