"""Asking for what the ledger allows later, without any identity: looking again whether a request's rows are still
erased, and runs over the whole ledger. Erases nothing itself: the worker runs what is asked for here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from habeas.core.errors import BadInput, NotFound
from habeas.execute.replay import back_by_member
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.ledger_run import PREFIXES, REPLAY, VERIFICATION, LedgerRun, Unit
from habeas.requests.reappearance import Reappeared, note_reappeared
from habeas.store import audit, connections, ledger, ledger_runs, receipts

SCHEDULED = "system"  # who asks for the verifications on the schedule

_SHOWN = ("id", "kind", "status", "created_at", "finished_at", "since", "reappeared", "counts", "problems")


def verify_request(installation: Installation, request_id: str, *, actor: Actor) -> dict[str, Any]:
    """Look now whether what was erased for a request is still gone: rows looked for and rows back, by collection.

    Needs no identity. Raises NotFound, and SourceError where a system is out of reach: then nothing is told.
    """
    with installation.database.read() as connection:
        row = found_request(connection, request_id)
    looker = _Looker(installation, actor)
    looked_for: dict[str, int] = {}
    back: dict[str, int] = {}
    incomparable: dict[str, int] = {}
    for cohort_id in [*(cohort for cohort, _ in row["earlier"] or ()), row["cohort_id"]]:
        if cohort_id is not None:
            looker.look(cohort_id, request_id, looked_for, back, incomparable)
    with installation.database.begin() as connection:
        found = Reappeared(request_id, row["reappeared"], back)
        note_reappeared(connection, installation.clock, actor.client_id, [found])
    return {
        "id": request_id,
        "verified": not back and not incomparable,
        "incomparable": incomparable,
        "rows": sum(looked_for.values()),
        "reappeared": found.rows,
        "collections": {
            address: {"rows": rows, "reappeared": back.get(address, 0)} for address, rows in sorted(looked_for.items())
        },
        "reverified_at": installation.clock.now(),
    }


class _Looker:
    """Looks for what one cohort erased for one member."""

    def __init__(self, installation: Installation, actor: Actor) -> None:
        self._installation = installation
        row = _new_row(VERIFICATION, actor.client_id, installation.clock.now())
        self._run = LedgerRun(installation, row, 0)

    def look(
        self,
        cohort_id: str,
        request_id: str,
        looked_for: dict[str, int],
        back: dict[str, int],
        incomparable: dict[str, int],
    ) -> None:
        """Add to the counts by address: rows looked for, rows back, and rows that can't be told again."""
        with self._installation.database.read() as connection:
            digest = ledger.plan_of(connection, cohort_id)
        if digest is None:
            return
        members: dict[int, dict[str, Any]] = {}
        erased = self._run.erased(Unit(0, digest, [cohort_id]), members)
        numbers = {number for number, row in members.items() if row["id"] == request_id}
        for step, parts in erased.by_step():
            into = incomparable if step.alike else looked_for
            rows = sum(_rows_of(erased.read(part), numbers) for part in parts)
            if rows:
                into[step.address] = into.get(step.address, 0) + rows
        connector = self._installation.sources.connector
        for number, places in back_by_member(erased, connector, self._run.label, self._run.digest_key).items():
            for address, rows in places.items() if number in numbers else ():
                back[address] = back.get(address, 0) + rows


def _rows_of(chunk: ledger.LedgerChunk, members: set[int]) -> int:
    return sum(bool({owner, *chunk.others.get(row, ())} & members) for row, owner in enumerate(chunk.owners))


def start_replay(
    installation: Installation, since: datetime, connection_key: str | None, *, actor: Actor
) -> dict[str, Any]:
    """Ask for a replay: everything erased at `since` or later is erased again where it is back. Naive times are UTC.

    Raises BadInput for a time to come, NotFound for an unknown connection.
    """
    moment = since if since.tzinfo else since.replace(tzinfo=UTC)
    if moment > installation.clock.now():
        raise BadInput("lies in the future", where="since", fix="give the time at which the backup was taken")
    if connection_key is not None:
        with installation.database.read() as connection:
            if connections.find_connection(connection, connection_key) is None:
                raise NotFound(f"no connection has the key {connection_key}", where="connection_key")
    return _start(installation, REPLAY, actor.client_id, since=moment, connection_key=connection_key)


def start_verification(installation: Installation, *, actor: Actor) -> dict[str, Any]:
    """Ask for a verification of everything that was ever erased."""
    return _start(installation, VERIFICATION, actor.client_id)


def start_if_due(installation: Installation) -> bool:
    """Ask for a verification of everything if the last one on the schedule is old enough; whether it was."""
    hours = installation.settings.erasure_verification_hours
    if not hours:
        return False
    now = installation.clock.now()
    due_before = now - timedelta(hours=hours)
    with installation.database.read() as connection:
        if not ledger_runs.is_turn(connection, due_before):
            return False
    with installation.database.begin() as connection:
        if not ledger_runs.take_turn(connection, now, due_before):
            return False
    _start(installation, VERIFICATION, SCHEDULED)
    return True


def read_run(installation: Installation, run_id: str, kind: str) -> dict[str, Any]:
    """A replay or verification; raises NotFound."""
    return shown(_found(installation, run_id, kind))


def list_runs(installation: Installation, kind: str, *, page: int, size: int) -> Page:
    """Replays or verifications, newest first."""
    with installation.database.read() as connection:
        rows, total = ledger_runs.page(connection, kind, (page - 1) * size, size)
    return Page([shown(row) for row in rows], total, page, size)


def replay_receipt(installation: Installation, run_id: str) -> dict[str, object]:
    """The signed receipt of a replay; raises NotFound until it has ended."""
    _found(installation, run_id, REPLAY)
    with installation.database.read() as connection:
        document = receipts.find_receipt(connection, run_id)
    if document is None:
        raise NotFound("this replay has no receipt yet", where=run_id, fix="a receipt is made when it ends")
    return document


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run as the outside sees it."""
    return {name: row[name] for name in _SHOWN} | {"connection_key": row["connection_key"]}


def _start(installation: Installation, kind: str, client_id: str, **more: Any) -> dict[str, Any]:
    row = _new_row(kind, client_id, installation.clock.now()) | more
    detail = {"since": row["since"].isoformat() if row["since"] else None, "connection": row["connection_key"]}
    with installation.database.begin() as connection:
        ledger_runs.insert(connection, row, kind)
        audit.append(connection, installation.clock, client_id, f"{kind}.started", row["id"], detail)
    installation.wake()
    return shown(row)


def _new_row(kind: str, client_id: str, now: datetime) -> dict[str, Any]:
    empty = {"since": None, "connection_key": None, "pending": None, "problems": None, "finished_at": None}
    times = {"created_at": now, "updated_at": now}
    state = {"kind": kind, "status": "queued", "client_id": client_id, "position": 0, "counts": {}, "reappeared": 0}
    return {"id": f"{PREFIXES[kind]}{uuid4()}"} | times | state | empty


def _found(installation: Installation, run_id: str, kind: str) -> dict[str, Any]:
    with installation.database.read() as connection:
        row = ledger_runs.find(connection, run_id, kind)
    if row is None:
        raise NotFound(f"no {kind} has the id {run_id}", where=run_id)
    return row
