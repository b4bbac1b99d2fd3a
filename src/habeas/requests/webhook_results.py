"""What becomes of a request with its webhooks: it comes to them, goes on, pauses, is given up, or ends.

Each is one transaction: the call, its attempt and the request move together or not at all. A request that went its own
way meanwhile (canceled, decided) is left alone; that the call was made is kept. Never sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from habeas.core.errors import BadInput, Conflict
from habeas.core.log import get_logger
from habeas.deliver.pauses import pause_after
from habeas.deliver.webhooks.sending import Answer
from habeas.requests.derived import derive
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.model import Reason, Stage, Status
from habeas.requests.moves import move
from habeas.requests.notices import put_completions
from habeas.requests.sealing import open_identities
from habeas.requests.webhook_words import Said, read_answer
from habeas.store import webhook_calls as calls
from habeas.store import webhooks
from habeas.store.webhook_calls import CallRow
from habeas.store.webhooks import APPROVAL, POST, PRE

EXPIRED_AT_ONCE = 100
_TRIES = 3
AT_ONCE = ("misconfigured",)  # trying again can't help until somebody changes it

_PROBLEMS = {
    "bad_answer": ("answered something else than {halt: …}", "have it answer as docs/webhooks.md says, then retry"),
    "misconfigured": (
        "can't be called as it is configured",
        "see its connection: there, enabled, with its secrets?",
    ),
    "egress_refused": ("is at an address that may not be called", "see HABEAS_EGRESS_ALLOW, then retry"),
    "failing": ("answers with an error of its own (5xx)", "mend the receiver, then retry"),
    "lost": ("broke the connection off, or speaks no HTTP", "mend the receiver, then retry"),
    "no_reply": ("halted the request and never said that it may go on", "see what the receiver waits for, then retry"),
    "redirected": ("answers with a redirect, which isn't followed", "give its connection the new URL, then retry"),
    "rejected": ("refuses the call (4xx)", "see the Authorization and signing secret of its connection, then retry"),
    "timeout": ("doesn't answer in time", "have the receiver answer first and work later, then retry"),
    "too_large": ("answers more than is read", "have it answer less, then retry"),
    "unreachable": ("can't be reached", "see that the receiver runs, then retry"),
    "bad_address": ("has an address that can't be called", "correct the URL of its connection, then retry"),
}


def start(connection: Connection, row: Mapping[str, Any], now: datetime) -> None:
    """Let a queued request come to the webhooks that its policy calls before."""
    hooks = webhooks.list_of(connection, PRE, row["policy_id"])
    calls.plan(connection, [row["id"]], PRE, hooks, now)
    values: dict[str, Any] = {"started_processing_at": row["started_processing_at"] or now}
    move(connection, row, Status.IN_PROCESSING, Stage.PRE_WEBHOOKS, now, **values)


def record(installation: Installation, call: CallRow, attempt: int, answer: Answer) -> None:
    """Note what came of an attempt, and move the request as that says."""
    for left in range(_TRIES, 0, -1):
        try:
            _record(installation, call, attempt, answer)
            break
        except Conflict:  # the request moved meanwhile: see where it is now
            if left == 1:
                raise


def _record(installation: Installation, call: CallRow, attempt: int, answer: Answer) -> None:
    now = installation.clock.now()
    with installation.database.begin() as connection:
        cause, said = _judged(call, answer)
        if cause is None and said is not None and call.phase == PRE:
            cause = _derive(connection, installation, call, said)
        told = {"milliseconds": answer.milliseconds, "status_code": answer.status, "cause": cause}
        calls.end_attempt(connection, attempt, told)
        if cause is None:
            _taken(connection, installation, call, said, now)
        else:
            _failed(connection, installation, call, answer._replace(cause=cause), now)
    if cause is not None:
        get_logger(__name__).warning("webhook.not_taken", call=call.id, webhook=call.webhook_key, cause=cause)


def go_on(
    connection: Connection, installation: Installation, row: Mapping[str, Any], phase: str, now: datetime
) -> None:
    """Let a request go on if no call of the phase is left: to the queue, or to its end."""
    if calls.open_calls(connection, row["id"], phase):
        if row["status"] != Status.IN_PROCESSING:
            move(connection, row, Status.IN_PROCESSING, Stage(row["stage"]), now, paused_at=None)
    elif phase == PRE:
        move(connection, row, Status.IN_PROCESSING, Stage.QUEUED, now, paused_at=None)
    else:
        end(connection, installation, row, now)


def end(connection: Connection, installation: Installation, row: Mapping[str, Any], now: datetime) -> None:
    """End a request whose work was done before its webhooks were told."""
    values: dict[str, Any] = {"outcome": row["settled"], "settled": None, "finished_processing_at": now}
    move(connection, row, Status.COMPLETE, Stage.DONE, now, **values)
    plan = installation.plan(connection, row["plan_digest"])
    person = (row["id"], open_identities(installation.vault, row["id"], row["sealed_identities"]))
    put_completions(connection, installation, [person], accesses=plan.accesses, erases=plan.erases)


def call_after(connection: Connection, row: Mapping[str, Any], outcome: str, now: datetime) -> bool:
    """Have a request whose work came to `outcome` call the webhooks after; False where its policy has none."""
    hooks = webhooks.list_of(connection, POST, row["policy_id"])
    if not hooks:
        return False
    calls.plan(connection, [row["id"]], POST, hooks, now)
    values: dict[str, Any] = {"settled": outcome, "outcome": None, "reason": None, "reason_detail": None}
    move(connection, row, Status.IN_PROCESSING, Stage.POST_WEBHOOKS, now, **values)
    return True


def tell_again(connection: Connection, installation: Installation, row: Mapping[str, Any], now: datetime) -> None:
    """Let a request whose work is done call the webhooks that weren't told yet: those there are now. It ends at once
    where none is left.
    """
    hooks = webhooks.list_of(connection, POST, row["policy_id"])
    calls.plan(connection, [row["id"]], POST, hooks, now)
    undone: dict[str, Any] = {"reason": None, "reason_detail": None, "finished_processing_at": None}
    move(connection, row, Status.IN_PROCESSING, Stage.POST_WEBHOOKS, now, **undone)
    if not calls.open_calls(connection, row["id"], POST):
        end(connection, installation, found_request(connection, row["id"]), now)


def give_up(connection: Connection, row: Mapping[str, Any], call: CallRow, cause: str, now: datetime) -> None:
    """End a request whose webhook can't be called, or never answered; its work stays done."""
    problem, fix = _PROBLEMS.get(cause, ("can't be called", "see its connection, then retry"))
    detail = {"address": f"webhook:{call.webhook_key}", "problem": problem, "fix": fix, "code": cause}
    values: dict[str, Any] = {
        "reason": Reason.WEBHOOK,
        "reason_detail": detail,
        "finished_processing_at": now,
        "paused_at": None,
    }
    move(connection, row, Status.ERROR, Stage.DONE, now, **values)


def expire(installation: Installation) -> int:
    """End requests whose webhook didn't say in time that they may go on; how many."""
    now = installation.clock.now()
    before = now - timedelta(seconds=installation.settings.privacy_request_delay_timeout)
    with installation.database.look() as connection:
        late = calls.awaited_since(connection, PRE, before, EXPIRED_AT_ONCE)
    for call in late:
        with installation.database.begin() as connection:
            row = found_request(connection, call.privacy_request_id)
            paused = row["status"] == Status.PAUSED
            state = calls.FAILED if paused else calls.DROPPED
            if calls.move(connection, call, {"state": state, "answered_at": now}, now) and paused:
                give_up(connection, row, call, "no_reply", now)
    return len(late)


def _judged(call: CallRow, answer: Answer) -> tuple[str | None, Said | None]:
    """What is wrong with an answer, and what it says where somebody was asked."""
    if answer.cause is not None or call.direction != "two_way" or call.phase == APPROVAL:
        return answer.cause, None
    said = read_answer(answer.body)
    return (None if said else "bad_answer"), said


def _derive(connection: Connection, installation: Installation, call: CallRow, said: Said) -> str | None:
    """Take the identities that an answer derives; what is wrong with them."""
    row = found_request(connection, call.privacy_request_id)
    if not said.derived_identity or row["stage"] != Stage.PRE_WEBHOOKS or row["status"] != Status.IN_PROCESSING:
        return None
    try:
        values = derive(connection, installation, row, said.derived_identity, call.webhook_key)
    except BadInput:
        return "bad_answer"
    if values:
        move(connection, row, Status.IN_PROCESSING, Stage.PRE_WEBHOOKS, installation.clock.now(), **values)
    return None


def _taken(connection: Connection, installation: Installation, call: CallRow, said: Said | None, now: datetime) -> None:
    halts = call.phase == PRE and said is not None and said.halt
    state = calls.AWAITED if halts or call.phase == APPROVAL else calls.DELIVERED
    if not calls.move(connection, call, {"state": state, "answered_at": now}, now) or call.phase == APPROVAL:
        return
    row = _still_there(connection, call)
    if row is not None and halts:
        move(connection, row, Status.PAUSED, Stage.PRE_WEBHOOKS, now, paused_at=now)
    elif row is not None:
        go_on(connection, installation, row, call.phase, now)


def _failed(connection: Connection, installation: Installation, call: CallRow, answer: Answer, now: datetime) -> None:
    cause = str(answer.cause)
    if call.attempts < installation.settings.webhook_attempts and cause not in AT_ONCE:
        due = now + timedelta(seconds=pause_after(call.attempts, answer.retry_after))
        calls.move(connection, call, {"due_at": due}, now)
    elif calls.move(connection, call, {"state": calls.FAILED, "answered_at": now}, now) and call.phase != APPROVAL:
        row = _still_there(connection, call)
        if row is not None:
            give_up(connection, row, call, cause, now)


def _still_there(connection: Connection, call: CallRow) -> dict[str, Any] | None:
    """The request, if it is where the call belongs."""
    row = found_request(connection, call.privacy_request_id)
    stage = Stage.PRE_WEBHOOKS if call.phase == PRE else Stage.POST_WEBHOOKS
    return row if (row["stage"], row["status"]) == (stage, Status.IN_PROCESSING) else None
