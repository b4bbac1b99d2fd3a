"""Which durable spool frames a cohort has, with their digests, so that a lost or changed frame is noticed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.core.clock import Clock, SystemClock
from habeas.store.session import new_or_known
from habeas.store.tables import spool_frame as frame

_SYSTEM = SystemClock()


class FrameLike(Protocol):
    """What the spool knows of a frame."""

    @property
    def name(self) -> str:
        """Unique in the cohort."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def digest(self) -> str:
        """Hex digest of the sealed frame."""
        ...


class StoredFrame(NamedTuple):
    """A frame as it was noted."""

    name: str
    size: int
    digest: str


def record(
    connection: Connection, cohort_id: str, epoch: int, frames: Iterable[FrameLike], clock: Clock = _SYSTEM
) -> None:
    """Note frames that are on disk; noting one again replaces its digest, unless a newer epoch noted it."""
    now = clock.now()
    rows = [
        {"cohort_id": cohort_id, "name": each.name, "epoch": epoch, "digest": each.digest, "size": each.size}
        | {"created_at": now}
        for each in frames
    ]
    if not rows:
        return
    statement = new_or_known(connection, frame)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["cohort_id", "name"],
            set_={name: statement.excluded[name] for name in ("epoch", "digest", "size", "created_at")},
            where=frame.c.epoch <= statement.excluded.epoch,
        ),
        rows,
    )


def list_frames(connection: Connection, cohort_id: str, prefix: str = "") -> list[StoredFrame]:
    """The cohort's frames whose name starts with `prefix`, in order of name by code point."""
    found = sa.select(frame.c.name, frame.c.size, frame.c.digest).where(
        frame.c.cohort_id == cohort_id, sa.func.substr(frame.c.name, 1, len(prefix)) == prefix
    )
    return sorted(StoredFrame(*row) for row in connection.execute(found))


def drop(connection: Connection, cohort_id: str, prefix: str = "") -> None:
    """Forget the cohort's frames whose name starts with `prefix`; safe to call again."""
    named = sa.func.substr(frame.c.name, 1, len(prefix)) == prefix
    connection.execute(sa.delete(frame).where(frame.c.cohort_id == cohort_id, *([named] if prefix else [])))
