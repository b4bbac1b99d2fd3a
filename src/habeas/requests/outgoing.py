"""Claims on what leaves by the outbox: one at a time, committed before it is sent, taken over from the dead.

Whoever dies between claim and end leaves exactly one in doubt. Never sends, and never decides what is due.
"""

from __future__ import annotations

from habeas.requests.installation import Installation
from habeas.store import outbox
from habeas.store.outbox import Outgoing


def claim_one(installation: Installation, claimant: str, prefix: str, stale_seconds: float) -> Outgoing | None:
    """The oldest that is due, now claimed; None where there is none. One statement where nothing is due."""
    with installation.database.look() as connection:
        if not outbox.is_due(connection, installation.clock, prefix, stale_after_seconds=stale_seconds):
            return None
    with installation.database.begin() as connection:
        claimed = outbox.claim(
            connection,
            installation.clock,
            claimant,
            limit=1,  # so that no more than one is ever in doubt
            stale_after_seconds=stale_seconds,
            prefix=prefix,
        )
    return claimed[0] if claimed else None


def release_all(installation: Installation, prefix: str, claimant: str | None) -> None:
    """Let go of what a dead process had claimed; None: all of it, where nobody else can run."""
    with installation.database.begin() as connection:
        outbox.release_all(connection, prefix, claimant)
