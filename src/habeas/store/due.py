"""One look at all that a worker's threads wait for, so that an idle installation says one sentence a second to its
database. Says whether, never what: each takes its own by its own queries.
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.core.clock import Clock
from habeas.store import events, outbox, webhook_calls


class Due(NamedTuple):
    """Whether there is something of each."""

    messages: bool
    deliveries: bool  # of events to their webhooks
    events: bool  # without a position
    calls: bool  # of policies' webhooks


def look(connection: Connection, clock: Clock, messages: tuple[str, float], deliveries: tuple[str, float]) -> Due:
    """One statement that takes no lock. `messages`, `deliveries`: the prefix of their kinds in the outbox, and after
    how many seconds a claim is stale.
    """
    found = sa.select(
        outbox.due_clause(clock, *messages),
        outbox.due_clause(clock, *deliveries),
        events.unplaced_clause(),
        webhook_calls.to_do_clause(),
    )
    return Due(*(bool(each) for each in connection.execute(found).one()))
