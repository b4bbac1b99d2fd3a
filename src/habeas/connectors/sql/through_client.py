"""Moving rows between our own tables through the client, where a statement may not both read and write.

So on MariaDB, whose INSERT … SELECT sees past the snapshot, and where our tables live in the client itself. Never names
a table of the company's.
"""

from __future__ import annotations

from collections.abc import Sequence

from habeas.connectors.sql.dialect import Dialect, Move


class ThroughClient(Dialect):
    """Mixed into a dialect that says how its INSERT settles rows that are there already."""

    settling: str
    """Ends an INSERT of found rows with their strength: the stronger one stays and carries its round."""
    marking: str
    """Ends an INSERT of found rows with a mark: the row that is there takes it."""

    def merge(self, found: str, keys: Sequence[str], select: str, *, first: bool) -> Move:
        """By the key. What changed carries the round's number."""
        filling = f"{self.fill(found, ['m', 's', 'r', *keys])} {self.settling}"
        return Move(select, filling, None if first else f"SELECT COUNT(*) FROM {found} WHERE r = %(tick)s")

    def add(self, table: str, columns: Sequence[str], select: str) -> Move:
        """Through the client."""
        return Move(select, self.fill(table, columns))

    def mark(self, found: str, keys: Sequence[str], mark: int, select: str) -> Move:
        """Through the client: the rows are there, so only their mark is written."""
        columns = ", ".join(["c.m", *(f"c.{key}" for key in keys)])
        chosen = f"SELECT DISTINCT {columns}, {mark} FROM ({select}) AS c WHERE c.f <> {mark}"
        return Move(chosen, f"{self.fill(found, ['m', *keys, 'f'])} {self.marking}")
