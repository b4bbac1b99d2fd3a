"""What was erased and is back: told at the request, in the audit trail and to whoever listens.

A row counts as back if it has the key and the digest that it had before it was erased. Telling changes no status: the
erasure was done; `habeas replay` erases again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.engine import Connection

from habeas.core.clock import Clock
from habeas.store import audit, events, ledger_runs


class Reappeared(NamedTuple):
    """Rows of one request that are back, by address; `known` is how many were back when last looked for."""

    request_id: str
    known: int | None
    places: Mapping[str, int]

    @property
    def rows(self) -> int:
        """In all."""
        return sum(self.places.values())


def note_reappeared(connection: Connection, clock: Clock, actor_id: str, found: Sequence[Reappeared]) -> None:
    """Keep what was looked for now. Raises the alarm once for each request of which more or others are back."""
    ledger_runs.note_reappeared(connection, {each.request_id: each.rows for each in found}, clock.now())
    alarms = [each for each in found if each.rows and each.rows != each.known]
    told = [
        {"type": events.REAPPEARED, "privacy_request_id": each.request_id, "detail": {"rows": each.rows}}
        for each in alarms
    ]
    events.append(connection, clock.now(), told)
    audit.append_all(
        connection,
        clock,
        [
            audit.Entry(actor_id, "privacy_request.reappeared", each.request_id, {"rows": dict(each.places)})
            for each in alarms
        ],
    )
