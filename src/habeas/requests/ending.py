"""How a cohort ends: each member's status, outcome and receipt, in the one transaction that makes it true.

The transaction is guarded by the epoch and does nothing for a cohort that has ended, so that whatever runs
again ends it once. The ledger is kept chunk by chunk before it, safe to repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from habeas.connectors.base import FrozenChunk
from habeas.core.errors import Fenced, HabeasError, Refused
from habeas.durable.boundary import reach
from habeas.execute.deletes import as_masked
from habeas.execute.erasure import ErasureResult
from habeas.execute.freeze import Freezer
from habeas.execute.members import Member
from habeas.execute.receipt import build_receipt
from habeas.plan.model import Plan, Step
from habeas.requests.attempt import Attempt, MembersLeft
from habeas.requests.instructions import WAITS, put_instructions
from habeas.requests.model import Outcome, Reason, Stage, Status, check_stage, check_status
from habeas.requests.notices import put_completions
from habeas.requests.packaging import Packages
from habeas.requests.receipting import BuiltReceipts
from habeas.requests.sealing import identity_index
from habeas.store import cohorts, ledger, webhook_calls, webhooks
from habeas.store import requests as store
from habeas.store.receipts import Unsigned

_ENDED: dict[str, Any] = {"status": Status.COMPLETE, "stage": Stage.DONE, "reason": None, "reason_detail": None}
_WAITS: dict[str, Any] = {
    "status": Status.REQUIRES_INPUT,
    "stage": Stage.RECEIPT,
    "reason": Reason.MANUAL,
    "reason_detail": WAITS,
}
_TELLS: dict[str, Any] = _ENDED | {"status": Status.IN_PROCESSING, "stage": Stage.POST_WEBHOOKS}


def keep_ledger(attempt: Attempt) -> None:
    """Keep what was erased, so that it can be erased again; a few MB a transaction, safe to call again."""
    progress, installation = attempt.progress, attempt.installation
    if progress.freeze_epoch is None:
        return
    freezer = Freezer(attempt.context, progress.freeze_epoch)
    secret = installation.vault.key(ledger.KEY_PURPOSE)
    kept = (step for step in attempt.plan.steps if step.writes and attempt.can_look_again(step))
    written = ((step, chunk) for step in kept for chunk in freezer.written(step.index))
    rows = (
        ledger.row_of(
            attempt.cohort_id,
            step.address,
            ledger.number_of(chunk.number, step.index if step.place != step.address else None),
            chunk.keys,
            chunk.digests,
            chunk.owners,
            chunk.others,
            secret=secret,
            clock=installation.clock,
            remains=_remains(attempt, step, chunk),
            held=chunk.held,
        )
        for step, chunk in written
    )
    while some := ledger.take_rows(rows):
        with installation.database.begin() as connection:
            ledger.append_rows(connection, some)
        reach("ledger.chunk")


def _remains(attempt: Attempt, step: Step, chunk: FrozenChunk) -> ledger.Remains | None:
    """What tells the rows again that stay: asked only where they can hold back rows of others."""
    if not step.witness or (step.delete and not chunk.held):
        return None
    with attempt.context.writer(step.connection) as writer:
        found = writer.remains(as_masked(step), chunk, attempt.context.digest_key)
    return None if found is None else ledger.Remains(*found)


def complete(attempt: Attempt) -> None:
    """End the cohort well: receipts under a signed head, requests complete, the spool's key destroyed. Requests whose
    policy has webhooks to be told after come to these instead; their work is as done.

    Raises MembersLeft where requests were canceled meanwhile; then nothing has ended.
    """
    installation, now = attempt.installation, attempt.installation.clock.now()
    told = attempt.plan.told_not_searched() or None
    receipts = BuiltReceipts(_receipts(attempt, told, now), attempt.spool)
    reach("end.before")
    with installation.database.begin() as connection:
        hooks = _close_and_look(connection, attempt, now)
        ended, waiting = 0, _instruct(connection, attempt)
        for rows in _finished(attempt, told, waiting, _TELLS if hooks else _ENDED):
            ended += store.finish_members(connection, attempt.cohort_id, rows, now)
            _call_after(connection, hooks, rows, now)
        if ended != len(attempt.members):
            raise MembersLeft("members were canceled meanwhile", where=attempt.cohort_id)
        if attempt.answers is not None:
            attempt.answers.forget(connection)
        head = receipts.append(connection, installation, attempt.cohort_id)
        if not hooks:
            _tell(connection, attempt, waiting)
    installation.heads.committed(head)
    reach("end.after")
    attempt.spool.purge()
    reach("end.purged")


def _instruct(connection: Connection, attempt: Attempt) -> frozenset[str]:
    """Tell processors what to erase; the ids of requests that wait until they did."""
    waiting: set[str] = set()
    for _, members in attempt.members.parts():
        told = [each for each in members if each.instructs]
        if told:
            waiting |= put_instructions(connection, attempt.installation, told)
    return frozenset(waiting)


def _call_after(
    connection: Connection, hooks: Sequence[webhooks.WebhookRow], rows: Iterable[Mapping[str, Any]], now: datetime
) -> None:
    """Have members call the webhooks after; those who wait for people do so when these have confirmed."""
    told = [row["id"] for row in rows if row["stage"] == Stage.POST_WEBHOOKS]
    if told:
        webhook_calls.plan(connection, told, webhooks.POST, hooks, now)


def _tell(connection: Connection, attempt: Attempt, waiting: frozenset[str]) -> None:
    people = ((each.request_id, each.identities) for each in attempt.members if each.request_id not in waiting)
    accesses, erases = attempt.plan.accesses, attempt.plan.erases
    put_completions(connection, attempt.installation, people, accesses=accesses, erases=erases)


def fail(attempt: Attempt, error: HabeasError, reason: Reason) -> None:
    """End the cohort in error. What was written stays recorded, so that a retry repeats nothing done."""
    values: dict[str, Any] = {"reason": reason, "reason_detail": _detail(error), "outcome": None}
    _end_all(attempt, Status.ERROR, Stage.DONE, values, purge=reason is not Reason.INCOMPLETE)


def refuse_members(attempt: Attempt, problems: Mapping[int, Refused]) -> None:
    """End these members of the cohort as refused, before its first write; the others stay."""
    check_status(Status.IN_PROCESSING, Status.ERROR)
    now = attempt.installation.clock.now()
    ended = {"status": Status.ERROR, "stage": Stage.DONE, "finished_processing_at": now, "updated_at": now}
    with attempt.installation.database.begin() as connection:
        if cohorts.present_epoch(connection, attempt.cohort_id) != attempt.epoch:
            raise Fenced("another attempt owns the cohort", where=attempt.cohort_id)
        for member, problem in sorted(problems.items()):
            expected = {"status": Status.IN_PROCESSING, "member": member}
            values = {"reason": Reason.REFUSED, "reason_detail": _detail(problem), "outcome": None}
            left = store.move_members(connection, attempt.cohort_id, expected, ended | values)
            cohorts.shrink(connection, attempt.cohort_id, left)


def _detail(error: HabeasError) -> dict[str, str]:
    code = error.cause if isinstance(error, Refused) else error.code
    return {
        "address": error.where or "",
        "problem": error.message,
        "fix": error.fix or error.advice,
        "code": code,
    }


def requeue(attempt: Attempt) -> None:
    """Give all members back to the queue, to be planned anew; nothing was written yet."""
    with attempt.installation.database.begin() as connection:
        close_cohort(connection, attempt, purge=True)
        now = attempt.installation.clock.now()
        check_status(Status.IN_PROCESSING, Status.PENDING)
        expected = {"status": Status.IN_PROCESSING, "cohort_id": attempt.cohort_id}
        for member in attempt.members:
            values: dict[str, Any] = {"status": Status.PENDING, "stage": Stage.QUEUED, "cohort_id": None}
            values |= {"attempt": member.attempt + 1, "replans": member.replans + 1}
            values |= {"member": None, "earlier": [*member.earlier, [attempt.cohort_id, member.index]]}
            store.move_request(connection, member.request_id, expected, values | {"updated_at": now})
    attempt.spool.purge()
    attempt.installation.wake()


def _end_all(attempt: Attempt, status: Status, stage: Stage, values: Mapping[str, Any], *, purge: bool) -> None:
    check_status(Status.IN_PROCESSING, status)
    reach("fail.before")
    now = attempt.installation.clock.now()
    with attempt.installation.database.begin() as connection:
        close_cohort(connection, attempt, purge=purge)
        expected = {"status": Status.IN_PROCESSING}
        moved = {"status": status, "stage": stage, "finished_processing_at": now, "updated_at": now, **values}
        store.move_members(connection, attempt.cohort_id, expected, moved)
    reach("fail.after")
    if purge:
        attempt.spool.purge()


def _close_and_look(connection: Connection, attempt: Attempt, now: datetime) -> list[webhooks.WebhookRow]:
    """Close a cohort that ends well; the webhooks that come after, which cost a statement only where there are any."""
    values = {"sealed_data_key": None, "progress": None, **_closed(attempt, now)}
    some = webhooks.any_of_policy_key(webhooks.POST, attempt.policy_key)
    found = cohorts.advance_asking(connection, attempt.cohort_id, attempt.epoch, values, now, some)
    if found is None:
        raise Fenced("another attempt owns the cohort", where=attempt.cohort_id)
    return webhooks.list_of_policy_key(connection, webhooks.POST, attempt.policy_key) if found else []


def close_cohort(connection: Connection, attempt: Attempt, *, purge: bool) -> None:
    """End the running of a cohort; with `purge` nothing of what it found can be read any more. Raises Fenced where
    another attempt owns it.
    """
    now = attempt.installation.clock.now()
    values = _closed(attempt, now)
    if purge:
        values |= {"sealed_data_key": None, "progress": None}
    if not cohorts.advance(connection, attempt.cohort_id, attempt.epoch, values, now):
        raise Fenced("another attempt owns the cohort", where=attempt.cohort_id)


def _closed(attempt: Attempt, now: datetime) -> dict[str, Any]:
    return {"stage": Stage.DONE, "finished_at": now, "pairs": _pairs(attempt)}


def _pairs(attempt: Attempt) -> int | None:
    """Rows found, each counted for every member; at least one a member. None before anything was looked for."""
    progress = attempt.progress
    if progress.access is None and progress.erasure is None:
        return None
    shown = 0 if progress.access is None else progress.access.pairs()
    erased = 0 if progress.erasure is None else progress.erasure.pairs()
    return max(shown, erased, len(attempt.members))


def _ending(
    attempt: Attempt, member: Member, told: list[dict[str, str]] | None, packages: Packages | None
) -> dict[str, Any]:
    progress, plan = attempt.progress, attempt.plan
    found = progress.access.found(member.index) if progress.access else 0
    erasure = progress.erasure or ErasureResult()
    kept = erasure.kept_of(member.index)
    if kept or erasure.frozen_of(member.index):
        kept |= _excluded(plan)
        outcome = Outcome.ERASED_WITH_KEPT if kept else Outcome.ERASED
    else:
        found = found or member.index in progress.answered
        outcome = Outcome.DELIVERED if found or (plan.accesses and plan.not_searched) else Outcome.NOTHING_FOUND
    return {
        "outcome": outcome,
        "kept": kept or None,
        "not_searched": told,
        "absent_kinds": list(plan.absent_kinds) or None,
        "confirmed": _confirmed(attempt, member),
        **_packaged(attempt, member, packages),
    }


def _packaged(attempt: Attempt, member: Member, packages: Packages | None) -> dict[str, Any]:
    """Where the member's packages lie and what they don't show."""
    access = attempt.progress.access
    if access is None or packages is None:
        return {"package": None, "withheld": None}
    withheld = access.hidden_of(attempt.plan, member.index)
    return {
        "package": [msgspec.structs.asdict(each) for each in packages.of(member)],
        "withheld": withheld or None,
    }


def _packages(attempt: Attempt) -> Packages | None:
    access = attempt.progress.access
    return None if access is None else Packages(attempt, access)


def _excluded(plan: Plan) -> dict[str, int]:
    """Collections that an erasure leaves because they are declared so; their rows are not looked at."""
    excluded = sum(each.reason == "excluded" and each.erased for each in plan.not_searched)
    return {"excluded": excluded} if excluded else {}


def _finished(
    attempt: Attempt, told: list[dict[str, str]] | None, waiting: frozenset[str], end: dict[str, Any]
) -> Iterator[list[dict[str, Any]]]:
    """The ends of all members, some at a time, as rows to be written: `end`, or that of those who wait for people."""
    for each in (end, _WAITS) if waiting else (end,):
        check_status(Status.IN_PROCESSING, each["status"])
        for stage in attempt.stages:
            check_stage(stage, each["stage"])
    now, packages = attempt.installation.clock.now(), _packages(attempt)
    for _, members in attempt.members.parts():
        yield [
            {"id": each.request_id}
            | _settled(_ending(attempt, each, told, packages), _WAITS if each.request_id in waiting else end, now)
            for each in members
        ]


def _settled(ending: dict[str, Any], end: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The columns of a member whose work came to `ending`: its outcome shows once nothing comes after."""
    row = {"settled": None, "finished_processing_at": None} | ending | end
    if end["stage"] == Stage.DONE:
        return row | {"finished_processing_at": now}
    return row | {"outcome": None, "settled": ending["outcome"] if end["stage"] == Stage.POST_WEBHOOKS else None}


def _receipts(attempt: Attempt, told: list[dict[str, str]] | None, now: datetime) -> Iterator[Unsigned]:
    packages = _packages(attempt)
    for member in attempt.members:
        body = _receipt(attempt, member, _ending(attempt, member, told, packages), now)
        yield Unsigned(member.request_id, member.attempt, body)


def _receipt(attempt: Attempt, member: Member, ending: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    vault, region = attempt.installation.vault, attempt.context.region
    external = {
        "request": member.request_id,
        "attempt": member.attempt,
        "policy": attempt.policy_key,
        "outcome": str(ending["outcome"]),
        "packages": [[each["storage"], each["digest"], each["size"]] for each in ending["package"] or ()],
        "kept": ending["kept"] or {},
        **({"instructed": sorted(member.instructs)} if member.instructs else {}),
    }
    return build_receipt(
        attempt.plan,
        attempt.plan_digest,
        member,
        external=external,
        access=attempt.progress.access,
        erasure=attempt.progress.erasure,
        identity_hash=lambda kind, value: identity_index(vault, kind, value, region).hex(),
        started=attempt.started,
        finished=now,
        region=region,
        confirmed=_words(attempt, member),
    )


def _confirmed(attempt: Attempt, member: Member) -> list[dict[str, Any]] | None:
    """Erasures that somebody confirmed, as the item shows them."""
    return [each._asdict() for each in attempt.confirmations(member.index)] or None


def _words(attempt: Attempt, member: Member) -> dict[str, list[list[str | int]]]:
    """By collection, who confirmed, when, and how many rows."""
    words: dict[str, list[list[str | int]]] = {}
    for each in attempt.confirmations(member.index):
        words.setdefault(each.address, []).append([each.by, each.at, each.rows])
    return words
