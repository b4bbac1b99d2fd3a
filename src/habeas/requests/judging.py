"""Requests of the public whose claims contradict what is stored: set aside before the first stage, for a reviewer.

Only requests that still carry claims are looked at; whoever decided about them (`review.resume`) left none. Another
stage never asks again, so that nothing is decided twice.
"""

from __future__ import annotations

from typing import Any

from habeas.core.errors import Fenced, NotFound, Refused
from habeas.core.identity import Assurance
from habeas.execute.disagreement import find_disagreements
from habeas.requests.attempt import Attempt
from habeas.requests.ending import refuse_members
from habeas.requests.model import Reason, Stage, Status, check_stage, check_status
from habeas.store import cohorts
from habeas.store import requests as store


def set_aside_disagreeing(attempt: Attempt) -> None:
    """Leave members whose given values disagree waiting in `requires_input`; the others go on without them."""
    claiming = [
        member for member in attempt.members if any(each.assurance is Assurance.CLAIMED for each in member.identities)
    ]
    if not claiming:
        return
    installation = attempt.installation
    kinds = sorted({each.kind for member in claiming for each in member.identities})
    try:
        _, plan = installation.planner.plan(attempt.policy_key, kinds)
    except (Refused, NotFound) as problem:
        refused = problem if isinstance(problem, Refused) else Refused(problem.message, cause="policy_missing")
        refuse_members(attempt, {member.index: refused for member in claiming})
        attempt.let_go()
        return
    context = attempt.context
    found = find_disagreements(plan, claiming, context.connector, context.label, context.region)
    if found:
        _set_aside(attempt, found)
        attempt.let_go()


def _set_aside(attempt: Attempt, found: dict[int, str]) -> None:
    check_status(Status.IN_PROCESSING, Status.REQUIRES_INPUT)
    for stage in attempt.stages:
        check_stage(stage, Stage.QUEUED)
    now = attempt.installation.clock.now()
    with attempt.installation.database.begin() as connection:
        if cohorts.present_epoch(connection, attempt.cohort_id) != attempt.epoch:
            raise Fenced("another attempt owns the cohort", where=attempt.cohort_id)
        for member, address in sorted(found.items()):
            values: dict[str, Any] = {
                "status": Status.REQUIRES_INPUT,
                "stage": Stage.QUEUED,
                "reason": Reason.IDENTITIES_DISAGREE,
                "reason_detail": _detail(address),
                "updated_at": now,
            }
            expected = {"status": Status.IN_PROCESSING, "member": member}
            left = store.move_members(connection, attempt.cohort_id, expected, values)
            cohorts.shrink(connection, attempt.cohort_id, left)


def _detail(address: str) -> dict[str, str]:
    return {
        "address": address,
        "problem": "a row found by one of the given values carries another value of a kind that was also given",
        "fix": "see whose values they are; then resume with claimed_identities: drop (go on with the verified value"
        " alone) or vouch (all are hers), or deny",
        "code": str(Reason.IDENTITIES_DISAGREE),
    }
