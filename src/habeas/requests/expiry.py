"""What is forgotten with time: requests that nobody proved, codes, the text of messages that failed.

Called now and then by a worker. Safe to call again, and from several at once.
"""

from __future__ import annotations

from datetime import timedelta

from habeas.requests.duplicates import close_answered
from habeas.requests.installation import Installation
from habeas.requests.model import Stage, Status, check_stage, check_status
from habeas.store import audit, consent, outbox, verification
from habeas.store import requests as store

UNPROVEN_KEPT = timedelta(days=7)
CODES_KEPT = timedelta(days=1)

_ACTOR = "habeas"


def expire(installation: Installation) -> int:
    """Cancel requests whose code wasn't answered for a week, and forget what is of no use any more; how many were
    canceled.
    """
    now = installation.clock.now()
    check_status(Status.IDENTITY_UNVERIFIED, Status.CANCELED)
    check_stage(Stage.VERIFY_IDENTITY, Stage.DONE)
    values = {
        "status": Status.CANCELED,
        "stage": Stage.DONE,
        "cancel_reason": "the identity was not verified in time",
        "canceled_at": now,
        "finished_processing_at": now,
        "updated_at": now,
    }
    with installation.database.begin() as connection:
        expected = {"status": Status.IDENTITY_UNVERIFIED}
        canceled = store.move_old(connection, now - UNPROVEN_KEPT, expected, values)
        verification.drop_old(connection, now - CODES_KEPT)
        consent.drop_unverified(connection, now - UNPROVEN_KEPT)
        outbox.forget_bodies(connection, now - timedelta(days=installation.settings.spool_retention_days))
        entries = [audit.Entry(_ACTOR, "privacy_request.expired", each) for each in sorted(canceled)]
        audit.append_all(connection, installation.clock, entries)
    close_answered(installation)
    return len(canceled)
