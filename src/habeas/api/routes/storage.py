"""Routes of storage destinations, and of documents handed in for a request."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, BulkOf, PageNumber, PageOf, PageSize
from habeas.requests import destinations
from habeas.requests.bulk import MAX_ITEMS, Bulk, Page
from habeas.requests.clients import Actor
from habeas.requests.destinations import DestinationInput
from habeas.requests.upload import UploadInput, upload

router = APIRouter(tags=["Storage"], route_class=GuardedRoute)


class StorageAnswer(BaseModel):
    """A destination; secrets never show."""

    id: str
    key: str
    name: str
    type: str
    format: str
    details: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class StorageSecretsAnswer(BaseModel):
    """What setting the secrets of a destination did."""

    msg: str
    test_status: str | None
    failure_reason: str | None


class UploadAnswer(BaseModel):
    """Where the document is."""

    location: str


Read = Annotated[Actor, needs("storage:read")]
Write = Annotated[Actor, needs("storage:create_or_update")]


@router.get("/storage/config", response_model=PageOf[StorageAnswer])
def get_storage_configs(here: Here, _: Read, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE) -> Page:
    """Destinations, newest first."""
    return destinations.list_destinations(here, page, size)


@router.get("/storage/config/{config_key}", response_model=StorageAnswer)
def get_storage_config(config_key: str, here: Here, _: Read) -> dict[str, Any]:
    """One destination."""
    return destinations.read_destination(here, config_key)


@router.patch("/storage/config", response_model=BulkOf[StorageAnswer])
def create_or_update_storage_configs(
    items: Annotated[list[DestinationInput], Body(max_length=MAX_ITEMS)], here: Here, actor: Write
) -> Bulk:
    """Create or update destinations by key."""
    return destinations.save_destinations(here, actor, items)


@router.put("/storage/config/{config_key}/secret", response_model=StorageSecretsAnswer)
def put_storage_secrets(
    config_key: str, secrets: Annotated[dict[str, Any], Body()], here: Here, actor: Write, verify: bool = True
) -> dict[str, Any]:
    """Replace a destination's secrets."""
    return destinations.set_secrets(here, actor, config_key, secrets)


@router.delete("/storage/config/{config_key}", status_code=204)
def delete_storage_config(config_key: str, here: Here, actor: Annotated[Actor, needs("storage:delete")]) -> None:
    """Delete a destination that no rule names."""
    destinations.delete_destination(here, actor, config_key)


@router.post("/storage/{request_id}", response_model=UploadAnswer, status_code=201)
def upload_document(request_id: str, given: Annotated[UploadInput, Body()], here: Here, actor: Write) -> dict[str, str]:
    """Store a JSON document for a request, beside its packages and never in their place."""
    return {"location": upload(here, actor, request_id, given)}
