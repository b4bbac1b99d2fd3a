"""What a worker deletes by itself: finished requests where a setting says so, events and messages that are over, the
engine's records of ended work, and the spools of previews whose process died. Safe to run again, and by several workers
at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from habeas.durable.port import DurableEngine
from habeas.requests.forgetting import PURGED_AT_ONCE, purge_old
from habeas.requests.installation import Installation
from habeas.requests.model import FINAL
from habeas.requests.preview import PREVIEW
from habeas.spool.directory import Directory
from habeas.store import audit, events, outbox, retention

AT_ONCE = 500  # rows a transaction: SQLite's only writer is not to wait long
PREVIEW_SECONDS = 3600.0  # far longer than a preview takes


def run_retention(installation: Installation, engine: DurableEngine) -> None:
    """Delete all that is over. What was deleted of requests is in the audit trail, as a count."""
    settings, now = installation.settings, installation.clock.now()
    engine.prune(time.time() - settings.workflow_retention_days * 86_400)
    _delete_all(installation, events.drop_old, now - timedelta(days=settings.event_retention_days))
    _delete_all(installation, outbox.drop_old, now - timedelta(days=settings.outbox_retention_days))
    if settings.request_retention_days:
        before = now - timedelta(days=settings.request_retention_days)
        while _delete_requests(installation, before) == AT_ONCE:
            continue
        _delete_all(installation, retention.delete_cohorts, before)
    while purge_old(installation) == PURGED_AT_ONCE:
        continue
    previews = Directory(installation.settings.data_dir / "spool")
    for name in previews.idle_since(time.time() - PREVIEW_SECONDS, PREVIEW):
        previews.clear(name)


def _delete_all(
    installation: Installation, delete: Callable[[Connection, datetime, int], int], before: datetime
) -> None:
    deleted = AT_ONCE
    while deleted == AT_ONCE:
        with installation.database.begin() as connection:
            deleted = delete(connection, before, AT_ONCE)


def _delete_requests(installation: Installation, before: datetime) -> int:
    with installation.database.begin() as connection:
        deleted = retention.delete_requests(connection, sorted(FINAL), before, AT_ONCE)
        if deleted:
            detail = {"count": deleted, "unchanged_since": before.isoformat()}
            audit.append(connection, installation.clock, "habeas", "privacy_request.deleted", None, detail)
    return deleted
