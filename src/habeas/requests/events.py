"""Events for programs: what happened to requests, in an order that only grows, from a position on.

Reads, and gives events their positions; whoever does that also hands them on to the webhooks that want them, in the
same transaction. What is shown are ids, keys, counts and words. Never says anything to anybody: streams are the API's,
sending is `event_delivery`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from habeas.core.errors import BadQueryInput, HabeasError, NotFound
from habeas.report.metrics import RISK_DAYS
from habeas.requests.installation import Installation
from habeas.store import event_webhooks, events
from habeas.store.events import TYPES, Head, Sought

AT_ONCE = 200  # events of one page of a stream
PLACED_AT_ONCE = 1_000
LATE_AT_ONCE = 500


class EventsGone(HabeasError):
    """Asked to go on from a position from which not all can be told."""

    status: ClassVar[int] = 410
    code: ClassVar[str] = "events_gone"


def settle(installation: Installation) -> Head:
    """Give every committed event its position, and hand them on to webhooks; where the order stands then. One
    statement where there is nothing to do. Safe from several processes.
    """
    while True:
        with installation.database.look() as connection:
            found = events.head(connection)
        if not found.unplaced:
            return found
        with installation.database.begin() as connection:
            first, last = events.place(connection, PLACED_AT_ONCE)
            if last < first:
                continue
            now = installation.clock.now()
            for webhook in event_webhooks.listening(connection):
                events.hand_on(connection, now, webhook.id, webhook.types, first, last)


def tell_late(installation: Installation) -> int:
    """Make the events of requests that are late or nearly so, once each for a request and due date; how many."""
    now = installation.clock.now()
    soon = now + timedelta(days=RISK_DAYS)
    told = 0
    while True:
        with installation.database.look() as connection:
            if not events.any_late(connection, now, soon):
                return told
        with installation.database.begin() as connection:
            told += events.tell_late(connection, now, soon, LATE_AT_ONCE)


def seek(installation: Installation, types: Sequence[str], request_id: str | None) -> Sought:
    """What a stream is narrowed by. Raises BadQueryInput for an unknown type, NotFound for an unknown request."""
    for each in types:
        if each not in TYPES:
            raise BadQueryInput("is no type of event", where="type", fix=", ".join(TYPES))
    return _joined(installation, Sought(tuple(types), request_id))


def begin(
    installation: Installation, sought: Sought, *, after: int | None, last: int | None, follow: bool
) -> tuple[int, int]:
    """The position after which a stream begins, and the newest that there is: `after`, else before the `last` events
    that match, else the newest; all that are kept for a stream that doesn't follow.

    Raises EventsGone where events after `after` are no longer kept, or it lies ahead of all there are.
    """
    head = settle(installation)
    if after is not None:
        if after < head.dropped:
            raise EventsGone(
                "events after this one are no longer kept",
                where=str(after),
                fix="list the requests, then connect without a position; HABEAS_EVENT_RETENTION_DAYS keeps more",
            )
        if after > head.position:
            raise EventsGone("no event has this position yet", where=str(after), fix="connect without a position")
        return after, head.position
    if last is not None:
        with installation.database.read() as connection:
            oldest = events.newest(connection, sought, last) if last else None
        return head.position if oldest is None else oldest - 1, head.position
    return head.position if follow else head.dropped, head.position


def page(installation: Installation, sought: Sought, after: int, until: int) -> tuple[list[dict[str, Any]], int]:
    """Events that match, in order, as they are told; and the position up to which all of those are told by them."""
    sought = _joined(installation, sought)
    with installation.database.read() as connection:
        rows = events.page(connection, sought, after, until, AT_ONCE)
    seen = until if len(rows) < AT_ONCE else rows[-1]["position"]
    return [told(row, sought.request_id) for row in rows], seen


def told(row: Mapping[str, Any], request_id: str | None = None) -> dict[str, Any]:
    """An event as programs see it. `request_id`: whom an event of several requests is told to."""
    word = row["word"]
    item: dict[str, Any] = {
        "id": row["position"],
        "type": row["type"],
        "created_at": row["created_at"].isoformat().replace("+00:00", "Z"),
        "privacy_request_id": row["privacy_request_id"] or request_id,
        "policy_key": row["policy_key"],
    }
    if word is not None:
        item["outcome" if row["type"].endswith(".complete") else "reason"] = word
    if row["cohort_id"] is not None:
        item["cohort_id"] = row["cohort_id"]
    return item | (row["detail"] or {})


def _joined(installation: Installation, sought: Sought) -> Sought:
    """With the cohorts that the request is or was in: steps of several requests are told once for all of them."""
    if sought.request_id is None:
        return sought
    with installation.database.read() as connection:
        cohort_ids = events.cohorts_of(connection, sought.request_id)
    if cohort_ids is None and not sought.cohort_ids:
        raise NotFound(f"No privacy request found with id '{sought.request_id}'")
    return replace(sought, cohort_ids=tuple(cohort_ids or sought.cohort_ids))
