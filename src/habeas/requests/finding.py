"""The row of one privacy request by its id, or fidesops' words where there is none. Never says who may see it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from habeas.core.errors import NotFound
from habeas.store import requests as store


def found_request(connection: Connection, request_id: str) -> dict[str, Any]:
    """Its row, columns as in `tables.privacy_request`. Raises NotFound."""
    row = store.find_by_ids(connection, [request_id]).get(request_id)
    if row is None:
        raise NotFound(f"No privacy request found with id '{request_id}'")
    return row
