"""What the two chains of our database, audit trail and receipt heads, share: one writer at a time.

Only for use inside a write transaction. Holds no data.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

# One key for both: two transactions that write both chains then can't wait for each other.
_LOCK = 0x68616265617302  # "habeas", 2


def take_turn(connection: Connection) -> None:
    """Wait until no other transaction writes a chain, until this one ends. SQLite's write lock does the same."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
