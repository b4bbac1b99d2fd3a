"""What people answer: the rows of a collection that only they can see, and that its rows are erased.

An answer is checked whole, sealed, and stored in the transaction that lets the request go on; of two at once one gets
Conflict. Who answered and when goes to the audit trail, with counts and never a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from habeas.connectors.answered.question import Question
from habeas.core.address import CollectionAddress
from habeas.core.errors import BadInput, Conflict
from habeas.core.schema import TypeFamily
from habeas.dataset.model import Collection, Field
from habeas.plan.assemble import DECLARED_TYPES
from habeas.requests.answer import item_of, policies_of
from habeas.requests.clients import Actor
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.model import Reason, Stage, Status, check_status
from habeas.requests.moves import move, requeue_values
from habeas.requests.pausing import ROUTES
from habeas.requests.questions import open_question, seal_rows
from habeas.store import audit, cohorts
from habeas.store import questions as store
from habeas.store import requests as request_store

MOST_ROWS = 10_000

_TYPES: Mapping[TypeFamily, tuple[type, ...]] = {
    TypeFamily.TEXT: (str,),
    TypeFamily.UUID: (str,),
    TypeFamily.INTEGER: (int,),
    TypeFamily.BOOLEAN: (bool,),
    TypeFamily.DATE: (str,),
    TypeFamily.TIME: (str,),
    TypeFamily.TIMESTAMP: (str,),
    TypeFamily.BINARY: (str,),
}

Finish = Callable[[Connection, dict[str, Any], dict[str, Any], datetime], None]


class NotAsked(Conflict):
    """Nobody waits for this answer (fidesops answers 400)."""

    status = 400


def give_rows(
    installation: Installation, request_id: str, rows: Sequence[Mapping[str, Any]], *, actor: Actor
) -> dict[str, Any]:
    """The rows of the collection that a paused request asks for; [] where there are none. The request goes on.

    Raises NotFound, NotAsked, and BadInput for rows that the collection can't have; nothing is stored then.
    """
    collections = {
        CollectionAddress(dataset.fides_key, each.name): each
        for _, dataset in installation.planner.describe().bound
        for each in dataset.collections
    }

    def finish(connection: Connection, row: dict[str, Any], asked: dict[str, Any], now: datetime) -> None:
        check_rows(collections.get(CollectionAddress.parse(asked["address"])), asked["address"], rows)
        sealed = seal_rows(installation.vault, asked["id"], rows)
        _store(
            connection, asked, {"sealed_answer": sealed, "answered_by": actor.client_id, "row_count": len(rows)}, now
        )
        move(connection, row, Status.PENDING, Stage.QUEUED, now, **requeue_values(row), paused_at=None)

    return _answer(installation, request_id, "access", actor, finish, len(rows))


def confirm_erasure(installation: Installation, request_id: str, row_count: int, *, actor: Actor) -> dict[str, Any]:
    """That the rows are erased which a paused request asks to erase. The request goes on with what it froze.

    Raises NotFound, NotAsked, and BadInput where fewer rows are confirmed than were asked for.
    """

    def finish(connection: Connection, row: dict[str, Any], asked: dict[str, Any], now: datetime) -> None:
        wanted = len(open_question(installation.vault, asked).changes)
        if row_count < wanted:
            raise BadInput(
                f"{wanted} rows are to be erased", where="row_count", fix="confirm once all of them are, or are gone"
            )
        _store(connection, asked, {"answered_by": actor.client_id, "row_count": row_count}, now)
        if not cohorts.reopen(connection, row["cohort_id"], Stage.MASK, now):
            raise Conflict("can't go on: what was frozen for it is no longer kept", where=request_id)
        check_status(Status.PAUSED, Status.IN_PROCESSING)
        again = {"attempt": row["attempt"] + 1, "paused_at": None, "reason": None, "reason_detail": None}
        move(connection, row, Status.IN_PROCESSING, Stage.MASK, now, **again)

    return _answer(installation, request_id, "erasure", actor, finish, row_count)


def _store(connection: Connection, asked: Mapping[str, Any], values: Mapping[str, Any], now: datetime) -> None:
    if not store.answer(connection, asked["id"], values, now):
        raise Conflict("somebody else answered meanwhile", fix="look at the request again")


def _answer(
    installation: Installation, request_id: str, action: str, actor: Actor, finish: Finish, rows: int
) -> dict[str, Any]:
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = found_request(connection, request_id)
        asked = _asked(connection, row, action)
        finish(connection, row, asked, now)
        detail = {"address": asked["address"], "rows": rows}
        audit.append(
            connection, installation.clock, actor.client_id, f"privacy_request.{ROUTES[action]}", request_id, detail
        )
        moved = request_store.find_by_ids(connection, [request_id])[request_id]
        policies = policies_of(request_store.find_policies(connection, ids=[moved["policy_id"]]))
    installation.wake()
    return item_of(moved, policies, now.date())


def _asked(connection: Connection, row: Mapping[str, Any], action: str) -> dict[str, Any]:
    """The open question of a paused request; raises NotAsked where there is none of this action."""
    request_id = row["id"]
    if row["status"] != Status.PAUSED:
        raise NotAsked(f"it is {row['status']}, not paused", where=request_id, fix="answer once it asks")
    asked = store.open_of(connection, [request_id]).get(request_id)
    if asked is None:
        raise NotAsked("it doesn't wait for a person's answer", where=request_id, fix="see its reason")
    if asked["action"] != action:
        other = f"POST /privacy-request/{request_id}/{ROUTES[asked['action']]}"
        raise NotAsked(f"it waits for the {asked['action']} step of {asked['address']}", where=request_id, fix=other)
    return asked


def check_rows(collection: Collection | None, address: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises BadInput for rows that a collection can't have: too many, unknown fields, values of another type."""
    if collection is None:
        raise BadInput("the collection is no longer described", where=address, fix="store its dataset again")
    if len(rows) > MOST_ROWS:
        raise BadInput(f"more than {MOST_ROWS} rows", where="rows")
    fields = {field.name: field for field in collection.fields}
    for number, row in enumerate(rows):
        for name, value in row.items():
            if name not in fields:
                known = ", ".join(fields)
                raise BadInput(f"row {number} has a field that {address} lacks", where=name[:64], fix=f"one of {known}")
            if not _fits(fields[name], value):
                raise BadInput(f"row {number} has a value that is no {fields[name].data_type}", where=name)


def _fits(field: Field, value: object) -> bool:
    if value is None or field.data_type is None:
        return True
    if field.is_array:
        return isinstance(value, list)
    wanted = _TYPES.get(DECLARED_TYPES.get(field.data_type, TypeFamily.OTHER))
    if wanted is None:
        return True
    return isinstance(value, wanted) and (isinstance(value, bool) <= (bool in wanted))


def action_required(
    installation: Installation, connection: Connection, rows: Sequence[Mapping[str, Any]], *, values: bool
) -> dict[str, dict[str, Any]]:
    """What somebody must do about requests that wait for a person, in fidesops' shape, by request. What finds a row
    is named only, unless `values` are asked for.
    """
    waiting = [row["id"] for row in rows if row["status"] == Status.PAUSED and row["reason"] == Reason.MANUAL]
    if not waiting:
        return {}
    found = store.open_of(connection, waiting)
    return {each: _required(open_question(installation.vault, asked), values=values) for each, asked in found.items()}


def _required(question: Question, *, values: bool) -> dict[str, Any]:
    shown = question.shown(values=values)
    return {"step": question.action, "collection": question.address, "action_needed": shown}
