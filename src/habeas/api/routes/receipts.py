"""Route of the chain of receipts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from habeas.api.access import GuardedRoute, Here, needs
from habeas.core.errors import NotFound
from habeas.requests.clients import Actor
from habeas.store import receipts

router = APIRouter(tags=["Receipts"], route_class=GuardedRoute)


@router.get("/receipt/head")
def get_receipt_head(here: Here, _: Annotated[Actor, needs("receipt:read")]) -> dict[str, Any]:
    """The newest head of the chain; published somewhere else, it shows when receipts are dropped later."""
    with here.database.read() as connection:
        head = receipts.last_head(connection)
    if head is None:
        raise NotFound("no receipt was made yet")
    return dict(head)
