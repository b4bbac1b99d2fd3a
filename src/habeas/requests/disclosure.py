"""Who saw what: looking at personal data is written to the audit trail before it is handed out.

One entry a request, with kinds and names, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping

from habeas.requests.clients import Actor
from habeas.requests.installation import Installation
from habeas.store import audit

REVEALED = "privacy_request.revealed"


def note_disclosed(
    installation: Installation, actor: Actor, action: str, details: Mapping[str, Mapping[str, object]]
) -> None:
    """Write that an actor is about to see something of these requests: `details` by request id, keys and counts only.

    Call it before the answer leaves: who can't be written down sees nothing.
    """
    entries = [audit.Entry(actor.client_id, action, request_id, dict(detail)) for request_id, detail in details.items()]
    if entries:
        with installation.database.begin() as connection:
            audit.append_all(connection, installation.clock, entries)
