"""Reading the audit trail: who decided and saw what, newest first, and whether its chain still holds. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from habeas.requests.bulk import Page
from habeas.requests.installation import Installation
from habeas.store import audit


@dataclass(frozen=True)
class TrailFilter:
    """What a list of entries is narrowed by; None narrows nothing. `action` is a prefix, the others are exact; times
    without a zone are UTC, `since` is inclusive, `until` isn't.
    """

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def entries(installation: Installation, wanted: TrailFilter, *, page: int, size: int) -> Page:
    """One page of entries, newest first."""
    with installation.database.read() as connection:
        rows, total = audit.page(
            connection,
            actor=wanted.actor,
            action=wanted.action,
            subject=wanted.subject,
            since=_aware(wanted.since),
            until=_aware(wanted.until),
            offset=(page - 1) * size,
            limit=size,
        )
    return Page(rows, total, page, size)


def check(installation: Installation) -> dict[str, Any]:
    """Go over the whole chain: how many entries follow one another, the first that doesn't, and the last digest, to be
    kept elsewhere: a dropped end shows only against it.
    """
    with installation.database.read() as connection:
        report = audit.verify_chain(connection)
        digest = audit.last_digest(connection)
    return {
        "verified": report.broken_at is None,
        "entries": report.entries,
        "broken_at": report.broken_at,
        "digest": digest.hex(),
    }


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
