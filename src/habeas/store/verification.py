"""Queries on verification codes: one row a subject, which holds the last code. Decides nothing.

Codes come and go as keyed digests. Whoever checks a code reads its row locked, so that of two answers at once the
second sees what the first left.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.store.session import new_or_known
from habeas.store.tables import verification_code as code


def put(connection: Connection, row: Mapping[str, Any]) -> None:
    """Keep a subject's new code; an older one is gone with it, and how many were made is counted on."""
    fresh = new_or_known(connection, code).values(**row, wrong=0, sent=1, used_at=None)
    replaced = {name: fresh.excluded[name] for name in ("kind", "blind_index", "digest", "issued_at", "expires_at")}
    connection.execute(
        fresh.on_conflict_do_update(
            index_elements=[code.c.subject], set_={**replaced, "wrong": 0, "used_at": None, "sent": code.c.sent + 1}
        )
    )


def find_locked(connection: Connection, subject: str) -> dict[str, Any] | None:
    """A subject's code, held until the caller's transaction ends; None where there never was one."""
    row = connection.execute(sa.select(code).where(code.c.subject == subject).with_for_update()).one_or_none()
    return None if row is None else row._asdict()


def count_wrong(connection: Connection, subject: str) -> None:
    """One more wrong answer."""
    connection.execute(sa.update(code).where(code.c.subject == subject).values(wrong=code.c.wrong + 1))


def use(connection: Connection, subject: str, now: datetime) -> None:
    """The code was answered and works no more."""
    connection.execute(sa.update(code).where(code.c.subject == subject).values(used_at=now))


def count_sent(connection: Connection, blind_index: bytes, since: datetime) -> int:
    """How many codes were made for an identity whose last one was made after a moment."""
    mine = (code.c.blind_index == blind_index, code.c.issued_at > since)
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.sum(code.c.sent), 0)).where(*mine)).scalar_one())


def drop_old(connection: Connection, before: datetime) -> int:
    """Forget codes that expired before a moment; how many."""
    return connection.execute(sa.delete(code).where(code.c.expires_at < before)).rowcount
