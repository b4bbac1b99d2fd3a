"""Running over the ledger: a replay erases again what a restored backup brought back, a verification tells of it.

Both look at one part of the ledger after the other, that is, what consecutive cohorts of one plan erased. A run has
an epoch like a cohort, keeps how far it came, and may be killed at any moment: what was erased again isn't found a
second time. A part that fails is named in `problems`, the others go on, and the run ends in error.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from habeas.core.errors import DatabaseAway, Fenced, HabeasError, Refused
from habeas.core.log import get_logger
from habeas.durable.boundary import reach
from habeas.execute.context import CohortContext
from habeas.execute.freeze import Freezer
from habeas.execute.members import Member, Roster
from habeas.execute.replay import (
    Book,
    Erased,
    Refrozen,
    back_by_member,
    erase_again,
    freeze_again,
    replayable,
)
from habeas.plan.model import Plan
from habeas.requests.attempt import DIGEST_PURPOSE
from habeas.requests.installation import Installation
from habeas.requests.reappearance import Reappeared, note_reappeared
from habeas.requests.retrying import retrying
from habeas.requests.sealing import open_seed
from habeas.spool.frames import Spool, new_data_key
from habeas.store import audit, cohorts, ledger, ledger_runs
from habeas.store.receipts import Unsigned, append_receipts

REPLAY, VERIFICATION = "replay", "verification"
PREFIXES = {REPLAY: "rpl_", VERIFICATION: "ver_"}
RECEIPT_FORMAT = "habeas-replay/1"

_COHORTS_AT_ONCE = 500
_PASSES = 10  # over one part of the ledger: a row may have been erased by one request after the other
_PROBLEMS_KEPT = 100

Counts = dict[str, dict[str, int]]
Write = Callable[[Connection], None]


def is_ledger_run(cohort_id: str) -> bool:
    """Whether what a cohort's row stands for is a run over the ledger."""
    return cohort_id.startswith(tuple(PREFIXES.values()))


class Unit(NamedTuple):
    """What consecutive cohorts of one plan erased."""

    last: int  # number in the ledger of the first chunk of the last cohort
    plan_digest: str
    cohort_ids: Sequence[str]


class LedgerRun:
    """One attempt at a run, under one epoch. Not shared between threads."""

    def __init__(self, installation: Installation, row: Mapping[str, Any], epoch: int) -> None:
        self.installation = installation
        self.id: str = row["id"]
        self.kind: str = row["kind"]
        self.epoch = epoch
        self.row = dict(row)
        self.counts: Counts = row["counts"]
        self.problems: list[dict[str, Any]] = list(row["problems"] or ())
        self.reappeared: int = row["reappeared"]
        self.digest_key = installation.vault.key(DIGEST_PURPOSE)
        self.secret = installation.vault.key(ledger.KEY_PURPOSE)
        self.label = f"habeas/{self.id}/{epoch}"

    def fence(self) -> None:
        """Raises Fenced if this epoch no longer owns the run."""
        with self.installation.database.read() as connection:
            present = cohorts.present_epoch(connection, self.id)
        if present != self.epoch:
            raise Fenced("another attempt owns the run", where=self.id)

    def units(self) -> Iterator[Unit]:
        """What is to be looked at, oldest first, from where an earlier attempt came to."""
        with self.installation.database.read() as connection:
            found = ledger.cohorts_since(connection, self.row["since"], after=self.row["position"])
        for digest, group in groupby(found, key=lambda each: each[2]):
            same = list(group)
            for at in range(0, len(same), _COHORTS_AT_ONCE):
                some = same[at : at + _COHORTS_AT_ONCE]
                yield Unit(some[-1][1], digest, [each[0] for each in some])

    def erased(self, unit: Unit, request_ids: dict[int, dict[str, Any]]) -> Erased:
        """The unit's part of the ledger; `request_ids` is filled with the requests by the members' new numbers."""
        with self.installation.database.read() as connection:
            plan = replayable(self.installation.planner.stored(connection, unit.plan_digest))
            parts = ledger.parts_of(connection, unit.cohort_ids)
            found = ledger_runs.members_of(connection, unit.cohort_ids)
        numbers = {(cohort_id, member): number for number, (cohort_id, member, _) in enumerate(found)}
        request_ids.update(enumerate(row for _, _, row in found))
        return Erased(plan, parts, _reading(self.installation, numbers), self.secret, self.row["connection_key"])

    def save(self, write: Callable[[Connection], None], *, ends: bool = False, **values: Any) -> None:
        """Write to the run's row and whatever else `write` does, in one transaction; raises Fenced."""
        now = self.installation.clock.now()
        end = {"finished_at": now} if ends else {}
        with self.installation.database.begin() as connection:
            if not cohorts.advance(connection, self.id, self.epoch, end, now):
                raise Fenced("another attempt owns the run", where=self.id)
            told = {"counts": self.counts, "problems": self.problems[:_PROBLEMS_KEPT] or None}
            ledger_runs.update(connection, self.id, {**told, "updated_at": now, **end, **values})
            write(connection)

    def count(
        self, address: str, looked_for: int, found: int, kept: int | None = None, *, incomparable: int = 0
    ) -> None:
        """Add to the counts of a collection; `kept` of what was found wasn't erased again, None: nothing was to be."""
        counts = self.counts.setdefault(address, {"looked_for": 0, "found": 0})
        counts["looked_for"] += looked_for
        counts["found"] += found
        if incomparable:
            counts["incomparable"] = counts.get("incomparable", 0) + incomparable
        if kept is not None:
            counts["erased"] = counts.get("erased", 0) + found - kept
            counts["kept"] = counts.get("kept", 0) + kept

    def note(self, error: HabeasError) -> None:
        """Keep a problem, by its place and never a value."""
        code = error.cause if isinstance(error, Refused) else error.code
        problem = {"address": error.where or "", "problem": error.message, "fix": error.fix or error.advice}
        self.problems.append(problem | {"code": code})


def run_over_ledger(installation: Installation, run_id: str, executor_id: str) -> None:
    """Run, or go on with, a run over the ledger; does nothing for one that has ended."""
    with installation.database.begin() as connection:
        taken = cohorts.take_epoch(connection, run_id, executor_id, installation.clock.now())
        row = ledger_runs.find(connection, run_id)
        if taken is None or row is None:
            return
        ledger_runs.update(connection, run_id, {"status": "in_processing"})
    run = LedgerRun(installation, row, taken["epoch"])
    reach("replay.taken")
    act = _replay_unit if run.kind == REPLAY else _verify_unit
    for unit in run.units():
        write: Write = _nothing
        try:
            write = retrying(run.installation.settings)(act, run, unit)
        except (Fenced, DatabaseAway):
            raise
        except HabeasError as error:
            run.note(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours is named in the run, never silently passed over
            get_logger(__name__).error("ledger_run.fault", cohort_id=run.id, kind=type(error).__name__, exc_info=True)
            run.note(HabeasError(f"an unexpected {type(error).__name__} stopped it", fix="report it, then run again"))
        run.row["pending"] = None
        run.save(write, position=unit.last, pending=None, reappeared=run.reappeared)
        reach("replay.unit")
    _end(run)


def _nothing(_: Connection) -> None:
    return None


def _replay_unit(run: LedgerRun, unit: Unit) -> Write:
    requests: dict[int, dict[str, Any]] = {}
    erased = run.erased(unit, requests)
    found: Counter[str] = Counter()
    kept: dict[str, int] = {}
    problems: dict[str, HabeasError] = {}
    for _ in range(_PASSES):
        context = _context(run, erased.plan, requests)
        try:
            freezer = Freezer(context, run.epoch)
            frozen = freeze_again(context, freezer, erased)
            problems |= frozen.problems
            fresh = +Counter({address: rows - kept.get(address, 0) for address, rows in frozen.found.items()})
            if not fresh:
                break
            found.update(fresh)
            _keep_pending(run, found)
            reach("replay.before")
            kept = erase_again(context, freezer, frozen)
            reach("replay.erased")
            _renew(run, frozen)
        finally:
            context.spool.purge()
    for problem in problems.values():
        run.note(problem)
    before = run.row["pending"] or {}
    for address, size in _sizes(erased).items():
        back = max(found[address], before.get(address, 0))
        run.count(address, size, back, kept.get(address, 0))
    return _nothing


def _sizes(erased: Erased) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for step, parts in erased.by_step():
        if not step.alike:
            sizes[step.address] += sum(part.size for part in parts)
    return sizes


def _keep_pending(run: LedgerRun, found: Mapping[str, int]) -> None:
    """Record what is about to be erased again: after a crash, less of it is found."""
    before = run.row["pending"] or {}
    run.row["pending"] = {address: max(found.get(address, 0), before.get(address, 0)) for address in {*found, *before}}
    run.save(_nothing, pending=run.row["pending"])


def _renew(run: LedgerRun, frozen: Refrozen) -> None:
    now, parts = run.installation.clock.now(), sorted(frozen.parts)
    run.save(lambda connection: ledger.erased_again(connection, parts, now))


def _context(run: LedgerRun, plan: Plan, requests: Mapping[int, Mapping[str, Any]]) -> CohortContext:
    installation = run.installation
    members = tuple(
        Member(number, row["id"], (), open_seed(installation.vault, row["id"], row["sealed_seed"]))
        for number, row in sorted(requests.items())
    )
    strangers = Member(len(members), "", (), secrets.token_bytes(32))  # of requests that aren't kept any more
    return CohortContext(
        cohort_id=run.id,
        epoch=run.epoch,
        plan=plan,
        members=Roster((*members, strangers)),
        connector=installation.sources.connector,
        spool=Spool(installation.medium, run.id, run.epoch, new_data_key()),
        frames=Book(),
        fence=run.fence,
        log=lambda _: None,
        digest_key=run.digest_key,
        region=installation.settings.phone_region,
    )


def _reading(
    installation: Installation, numbers: Mapping[tuple[str, int], int]
) -> Callable[[ledger.LedgerPart], ledger.LedgerChunk]:
    unknown = len(numbers)

    def read(part: ledger.LedgerPart) -> ledger.LedgerChunk:
        with installation.database.read() as connection:
            chunk = ledger.read_part(connection, part.id)
        renumbered = {
            member: numbers.get((part.cohort_id, member), unknown)
            for member in {*chunk.owners, *(each for members in chunk.others.values() for each in members)}
        }
        return chunk._replace(
            owners=[renumbered[owner] for owner in chunk.owners],
            others={row: sorted({renumbered[each] for each in members}) for row, members in chunk.others.items()},
        )

    return read


def _verify_unit(run: LedgerRun, unit: Unit) -> Write:
    requests: dict[int, dict[str, Any]] = {}
    erased = run.erased(unit, requests)
    connector = run.installation.sources.connector
    for step, parts in erased.by_step():
        if step.alike:
            run.count(step.address, 0, 0, incomparable=sum(part.size for part in parts))
    back = back_by_member(erased, connector, run.label, run.digest_key)
    for address, size in _sizes(erased).items():
        run.count(address, size, sum(each.get(address, 0) for each in back.values()))
    found = [Reappeared(row["id"], row["reappeared"], back.get(number, {})) for number, row in requests.items()]
    run.reappeared += sum(each.rows > 0 for each in found)
    return lambda connection: note_reappeared(connection, run.installation.clock, run.row["client_id"], found)


def _end(run: LedgerRun) -> None:
    status = "error" if run.problems else "complete"
    installation = run.installation
    detail = {
        "status": status,
        "found": sum(each["found"] for each in run.counts.values()),
        "erased": sum(each.get("erased", 0) for each in run.counts.values()),
        "problems": len(run.problems),
    }

    def write(connection: Connection) -> None:
        clock = installation.clock
        if run.kind == REPLAY:
            body = _receipt(run, status)
            append_receipts(connection, clock, installation.vault, run.id, [Unsigned(run.id, 0, body)])
        audit.append(connection, clock, run.row["client_id"], f"{run.kind}.ended", run.id, detail)

    reach("replay.end")
    run.save(write, ends=True, status=status)
    get_logger(__name__).info("ledger_run.ended", cohort_id=run.id, kind=run.kind, status=status, count=detail["found"])


def _receipt(run: LedgerRun, status: str) -> dict[str, object]:
    since = run.row["since"]
    return {
        "format": RECEIPT_FORMAT,
        "replay": run.id,
        "status": status,
        "since": None if since is None else since.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "connection": run.row["connection_key"],
        "collections": run.counts,
        "problems": [[each["address"], each["code"]] for each in run.problems],
        "started": run.row["created_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "finished": run.installation.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
