"""Routes of the chain of receipts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

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


@router.get("/receipt/chain")
def get_receipt_chain(
    here: Here,
    _: Annotated[Actor, needs("receipt:read")],
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="begin after the head of this number")] = 0,
    size: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> dict[str, Any]:
    """Signed heads in order, oldest first, as `docs/verify` checks them."""
    with here.database.read() as connection:
        return {"heads": receipts.heads_after(connection, after, size)}
