"""Routes that hide, purge and repeat requests that ended."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import BulkOf
from habeas.api.routes.privacy_requests import PrivacyRequestAnswer, WrongState
from habeas.requests import service
from habeas.requests.bulk import MAX_ITEMS, Bulk
from habeas.requests.clients import Actor

router = APIRouter(tags=["Privacy Requests"], route_class=GuardedRoute)

Delete = Annotated[Actor, needs("privacy-request:delete")]
_LATE: dict[int | str, dict[str, Any]] = {409: {"description": "It hasn't ended, or was purged"}}


@router.post("/privacy-request/bulk/soft-delete", response_model=BulkOf[PrivacyRequestAnswer])
def bulk_soft_delete_privacy_requests(
    ids: Annotated[list[str], Body(max_length=MAX_ITEMS)], here: Here, actor: Delete
) -> Bulk:
    """Hide requests that ended from lists (fides)."""
    return service.soft_delete(here, ids, actor=actor)


@router.post("/privacy-request/{request_id}/soft-delete", response_model=PrivacyRequestAnswer)
def soft_delete_privacy_request(request_id: str, here: Here, actor: Delete) -> dict[str, Any]:
    """Hide a request that ended from lists."""
    service.read_request(here, request_id)
    bulk = service.soft_delete(here, [request_id], actor=actor)
    if bulk.failed:
        raise WrongState(bulk.failed[0].message)
    return bulk.succeeded[0]


@router.post("/privacy-request/{request_id}/purge", response_model=PrivacyRequestAnswer, responses=_LATE)
def purge_privacy_request(request_id: str, here: Here, actor: Delete) -> dict[str, Any]:
    """Destroy what is held of the person: identities, fields, packages, logs. Receipts, audit and ledger stay."""
    return service.purge(here, request_id, actor=actor)


@router.post("/privacy-request/{request_id}/resubmit", response_model=PrivacyRequestAnswer, responses=_LATE)
def resubmit_privacy_request(
    request_id: str, here: Here, actor: Annotated[Actor, needs("privacy-request:create")]
) -> dict[str, Any]:
    """Hand in an ended request again, as a new one linked to it."""
    return service.resubmit(here, request_id, actor=actor)
