"""A PostgreSQL session that holds advisory locks and keeps the table `executor`: what leases ask of a database.

Beats are told by the database's own clock, since hosts' clocks may differ. Whatever goes wrong is
`Unavailable`, without the driver's text. Decides nothing. Not safe for use by two threads.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from habeas.core.errors import Unavailable

if TYPE_CHECKING:
    import psycopg

_NOW: LiteralString = "timezone('utc', clock_timestamp())"


class Peer(NamedTuple):
    """Another executor: seconds since its last beat, and whether its lock could be taken, by this session then."""

    id: str
    lock_key: int
    beat_age: float
    lock_taken: bool


class LeaseSession:
    """One session, in autocommit; what it locks is free again when it ends, however it ends."""

    def __init__(self, url: str) -> None:
        """Connect; raises Unavailable."""
        import psycopg  # SQLite needs none

        try:
            self._link: psycopg.Connection = psycopg.connect(
                url,
                autocommit=True,
                application_name="habeas lease",
                connect_timeout=5,
                keepalives_idle=2,
                keepalives_interval=1,
                keepalives_count=3,
                tcp_user_timeout=5000,
            )
        except psycopg.Error as error:
            raise _unavailable(error) from None

    def try_lock(self, key: int) -> bool:
        """Take an advisory lock, if it is free."""
        return bool(self._ask("SELECT pg_try_advisory_lock(%s)", key))

    def unlock(self, key: int) -> None:
        """Give one back."""
        self._ask("SELECT pg_advisory_unlock(%s)", key)

    def register(self, executor_id: str, lock_key: int, version: str) -> None:
        """Show up among the executors, the first beat now."""
        columns: LiteralString = "(id, lock_key, version, beat_at, started_at)"
        self._rows(
            f"INSERT INTO executor {columns} VALUES (%s, %s, %s, {_NOW}, {_NOW})", executor_id, lock_key, version
        )

    def beat(self, executor_id: str) -> bool:
        """Renew the beat; False where the executor is no longer listed: a peer declared it dead."""
        return bool(self._ask(f"UPDATE executor SET beat_at = {_NOW} WHERE id = %s RETURNING true", executor_id))

    def look_at_peers(self, executor_id: str) -> list[Peer]:
        """All others, oldest first; locks that were free are held from now on."""
        rows = self._rows(
            f"SELECT id, lock_key, extract(epoch FROM {_NOW} - beat_at)::float8, pg_try_advisory_lock(lock_key)"
            " FROM executor WHERE id <> %s ORDER BY started_at, id",
            executor_id,
        )
        return [Peer(*row) for row in rows]

    def is_listed(self, executor_id: str) -> bool:
        """Whether the executor is still known."""
        return bool(self._ask("SELECT true FROM executor WHERE id = %s", executor_id))

    def remove(self, executor_id: str) -> None:
        """Forget an executor; safe to call again."""
        self._rows("DELETE FROM executor WHERE id = %s", executor_id)

    def wait(self, seconds: float) -> None:
        """Stay idle, at most so long; raises Unavailable as soon as the server has ended the session."""
        try:
            readable = select.select([self._link.fileno()], [], [], max(0.0, seconds))[0]
        except (OSError, ValueError) as error:
            raise _unavailable(error) from None
        if readable:  # in an idle session that is its end, or a notice
            self._ask("SELECT true")

    def close(self) -> None:
        """End it; safe to call twice."""
        self._link.close()

    def _ask(self, text: LiteralString, *values: object) -> object:
        rows = self._rows(text, *values)
        return rows[0][0] if rows else None

    def _rows(self, text: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        import psycopg

        try:
            cursor = self._link.execute(text, values)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise _unavailable(error) from None


def _unavailable(error: Exception) -> Unavailable:
    code = getattr(error, "sqlstate", None) or type(error).__name__
    return Unavailable(f"is not to be had now ({code})", where="database", fix="check that the server can be reached")
