"""Lets a request wait for somebody: its question and the pause in one transaction, neither without the other.

Before anything is frozen the request leaves its cohort and is planned anew once it is answered; after that its cohort
keeps what it froze and goes on from there. Nothing sleeps: what waits is a row. A cohort that asks somebody has one
member (see `dispatch`), so that nobody waits for another's answer.
"""

from __future__ import annotations

from typing import Any

from habeas.connectors.answered.question import Question
from habeas.core.errors import Fenced
from habeas.durable.boundary import reach
from habeas.execute.context import LogEntry
from habeas.execute.members import Member
from habeas.requests.attempt import Attempt
from habeas.requests.ending import close_cohort
from habeas.requests.model import Reason, Stage, Status, check_stage, check_status
from habeas.requests.questions import seal_question
from habeas.store import logs
from habeas.store import questions as store
from habeas.store import requests as request_store
from habeas.store.session import new_id

ROUTES = {"access": "manual_input", "erasure": "erasure_confirm"}


def pause(attempt: Attempt, question: Question) -> None:
    """Let the cohort's request wait for the answer to a question. Raises Fenced where another attempt owns it."""
    member = attempt.members.of(question.member)
    begun = attempt.progress.freeze_epoch is not None
    now = attempt.installation.clock.now()
    values = {"updated_at": now, "paused_at": now, **_values(attempt, member, question, begun=begun)}
    check_status(Status.IN_PROCESSING, Status.PAUSED)
    for stage in attempt.stages:
        check_stage(stage, Stage(values["stage"]))
    reach("pause.before")
    with attempt.installation.database.begin() as connection:
        if not logs.append(connection, attempt.cohort_id, attempt.epoch, attempt.log_rows([_entry(attempt, question)])):
            raise Fenced("another attempt owns the cohort", where=attempt.cohort_id)
        close_cohort(connection, attempt, purge=not begun)
        expected = {"status": Status.IN_PROCESSING, "cohort_id": attempt.cohort_id}
        if request_store.move_request(
            connection, member.request_id, expected, values
        ):  # else it was canceled meanwhile
            store.add(connection, _question(attempt, member.request_id, question))
    reach("pause.after")
    if not begun:
        attempt.spool.purge()


def _values(attempt: Attempt, member: Member, question: Question, *, begun: bool) -> dict[str, Any]:
    detail = {
        "address": question.address,
        "problem": "a person has to tell its rows"
        if question.action == "access"
        else "a person has to erase its rows and confirm it",
        "fix": f"POST /privacy-request/{member.request_id}/{ROUTES[question.action]}",
        "code": "manual",
        "step": question.action,
    }
    values = {"status": Status.PAUSED, "reason": Reason.MANUAL, "reason_detail": detail}
    if begun:
        return values | {"stage": Stage.MASK}
    reads = attempt.plan.accesses and attempt.progress.access is None
    left = {"cohort_id": None, "member": None, "attempt": member.attempt + 1}
    earlier = [*member.earlier, [attempt.cohort_id, member.index]]
    return values | left | {"stage": Stage.ACCESS if reads else Stage.FREEZE, "earlier": earlier}


def _entry(attempt: Attempt, question: Question) -> LogEntry:
    step = next(each for each in attempt.plan.steps if each.address == question.address)
    return LogEntry(step, question.action, "paused", "waits for somebody's answer", member=question.member)


def _question(attempt: Attempt, request_id: str, question: Question) -> dict[str, Any]:
    now, made = attempt.installation.clock.now(), new_id("que")
    return {
        "id": made,
        "created_at": now,
        "updated_at": now,
        "privacy_request_id": request_id,
        "address": question.address,
        "action": question.action,
        "sealed_question": seal_question(attempt.installation.vault, made, question),
    }
