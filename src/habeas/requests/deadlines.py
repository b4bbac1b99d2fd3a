"""Deadlines of requests: extended once, stopped and started again, each with a reason in the audit trail.

What a law allows is `core.deadline`'s to say. Never moves a request: its clock may stand while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from habeas.core.deadline import Regimes, load_regimes
from habeas.core.errors import BadInput, Conflict
from habeas.requests.clients import Actor
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.model import FINAL, Status
from habeas.store import audit
from habeas.store import requests as store

LONGEST_OWN = 366  # days that a request without a regime may be extended by

Row = Mapping[str, Any]


class TooLate(Conflict):
    """The deadline can't be changed this way any more."""

    code = "deadline"


def list_regimes(installation: Installation) -> list[dict[str, Any]]:
    """The regimes that policies may name, by key."""
    found = load_regimes(installation.settings.regimes_file).by_key
    return [found[key].model_dump(exclude_none=True) for key in sorted(found)]


def show(installation: Installation, request_id: str) -> dict[str, Any]:
    """A request's deadline: when it is due, and until when it must be acknowledged and could be extended. Raises
    NotFound.
    """
    with installation.database.read() as connection:
        return _shown(_regimes(installation), found_request(connection, request_id))


def extend(
    installation: Installation, request_id: str, *, actor: Actor, reason: str, days: int | None = None
) -> dict[str, Any]:
    """Extend a deadline, once and before it is over: by `days`, else by all that its regime allows.

    Raises BadInput for more than that, or without `days` where no regime says; TooLate; NotFound.
    """

    def change(row: Row, now: datetime) -> dict[str, Any]:
        due = _running(row)
        if row["extended_at"] is not None:
            raise TooLate("was extended already", where=request_id, fix="a deadline is extended once")
        if due <= (row["clock_stopped_at"] or now):
            raise TooLate("is over", where=request_id, fix="answer the request; only a running deadline is extended")
        longest = _longest(_regimes(installation), row)
        if longest is None and days is None:
            raise BadInput("the regime doesn't say how long", where="days", fix="give the number of days")
        later = _later(due, days) if days is not None else longest
        if later is None or (longest is not None and later > longest):
            limit = "no further" if longest is None else f"until {longest:%Y-%m-%d} at most"
            raise BadInput(f"may be extended {limit}", where="days", fix="give fewer days, or leave it out")
        return {"due_date": later, "extended_at": now}

    return _change(installation, request_id, actor, "privacy_request.deadline_extended", reason, change)


def stop_clock(installation: Installation, request_id: str, *, actor: Actor, reason: str) -> dict[str, Any]:
    """Let the deadline stand, as while its subject is asked something. Raises TooLate where it stands; NotFound."""

    def change(row: Row, now: datetime) -> dict[str, Any]:
        _running(row)
        if row["clock_stopped_at"] is not None:
            raise TooLate("stands already", where=request_id)
        return {"clock_stopped_at": now}

    return _change(installation, request_id, actor, "privacy_request.clock_stopped", reason, change)


def start_clock(installation: Installation, request_id: str, *, actor: Actor, reason: str) -> dict[str, Any]:
    """Let a deadline that stands run on: it is due as much later as it stood. Raises TooLate, NotFound."""

    def change(row: Row, now: datetime) -> dict[str, Any]:
        due, stopped = _running(row), row["clock_stopped_at"]
        if stopped is None:
            raise TooLate("doesn't stand", where=request_id)
        stood = max(now - stopped, timedelta(0))
        seconds = (row["clock_stopped_seconds"] or 0) + int(stood.total_seconds())
        return {"due_date": due + stood, "clock_stopped_at": None, "clock_stopped_seconds": seconds}

    return _change(installation, request_id, actor, "privacy_request.clock_started", reason, change)


def _change(
    installation: Installation,
    request_id: str,
    actor: Actor,
    action: str,
    reason: str,
    change: Callable[[Row, datetime], dict[str, Any]],
) -> dict[str, Any]:
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = found_request(connection, request_id)
        values = change(row, now)
        expected = {name: row[name] for name in ("status", "due_date", "clock_stopped_at", "extended_at")}
        if not store.move_request(connection, request_id, expected, values | {"updated_at": now}):
            raise Conflict("the request moved on meanwhile", where=request_id, fix="look at it again")
        audit.append(connection, installation.clock, actor.client_id, action, request_id, {"reason": reason})
        return _shown(_regimes(installation), dict(row) | values)


def _running(row: Row) -> datetime:
    """The due date of a request that has one and hasn't ended."""
    due: datetime | None = row["due_date"]
    if due is None:
        raise TooLate("has no deadline", where=row["id"], fix="give its policy a regime or an execution_timeframe")
    if Status(row["status"]) in FINAL and row["status"] != Status.ERROR:
        raise TooLate(f"the request is {row['status']}", where=row["id"])
    return due


def _longest(regimes: Regimes, row: Row) -> datetime | None:
    """The latest due date an extension may give, with the time that the clock stood; None where no law says."""
    stood = timedelta(seconds=row["clock_stopped_seconds"] or 0)
    if row["regime"] is None:
        return None
    longest = regimes.longest(row["regime"], row["requested_at"])
    if longest is None:
        raise TooLate(f"{row['regime']} allows no extension", where=row["id"])
    return longest + stood


def _later(due: datetime, days: int) -> datetime | None:
    return due + timedelta(days=days) if days <= LONGEST_OWN else None


def _shown(regimes: Regimes, row: Row) -> dict[str, Any]:
    known = row["regime"] in regimes.by_key
    names = ("regime", "requested_at", "due_date", "extended_at", "clock_stopped_at")
    longest = regimes.longest(row["regime"], row["requested_at"]) if known else None
    stood = row["clock_stopped_seconds"] or 0
    return {name: row[name] for name in names} | {
        "acknowledge_by": regimes.acknowledge(row["regime"], row["requested_at"]) if known else None,
        "extendable_to": None if longest is None or row["extended_at"] else longest + timedelta(seconds=stood),
        "clock_stopped_seconds": stood,
    }


def _regimes(installation: Installation) -> Regimes:
    return load_regimes(installation.settings.regimes_file)
