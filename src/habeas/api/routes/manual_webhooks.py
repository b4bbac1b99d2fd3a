"""Routes of manual webhooks: what people are asked for, and what they answer for a request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.routes.connections import ConnectionAnswer
from habeas.requests import manual_webhooks
from habeas.requests.clients import Actor
from habeas.requests.manual_webhooks import ManualWebhookInput

router = APIRouter(tags=["Manual Webhooks"], route_class=GuardedRoute)


class AskedFieldAnswer(BaseModel):
    """One thing to look up, and its name in the package."""

    pii_field: str
    dsr_package_label: str


class ManualWebhookAnswer(BaseModel):
    """A manual webhook with its connection."""

    id: str
    fields: list[AskedFieldAnswer]
    connection_config: ConnectionAnswer


class AnsweredAnswer(BaseModel):
    """What a person gave for a request; `checked`: it answers what is asked now."""

    checked: bool
    fields: dict[str, str | None]


Read = Annotated[Actor, needs("webhook:read")]
Write = Annotated[Actor, needs("webhook:create_or_update")]


@router.get("/access_manual_webhook", response_model=list[ManualWebhookAnswer])
def get_access_manual_webhooks(here: Here, _: Read) -> list[dict[str, Any]]:
    """All manual webhooks of connections that aren't disabled."""
    return manual_webhooks.list_enabled(here)


@router.post("/connection/{connection_key}/access_manual_webhook", status_code=201, response_model=ManualWebhookAnswer)
def create_access_manual_webhook(
    connection_key: str, given: Annotated[ManualWebhookInput, Body()], here: Here, actor: Write
) -> dict[str, Any]:
    """Say what people are asked for, once a connection of type `manual_webhook`."""
    return manual_webhooks.create(here, actor, connection_key, given)


@router.patch("/connection/{connection_key}/access_manual_webhook", response_model=ManualWebhookAnswer)
def change_access_manual_webhook(
    connection_key: str, given: Annotated[ManualWebhookInput, Body()], here: Here, actor: Write
) -> dict[str, Any]:
    """Replace what people are asked for; requests that answered other labels wait again."""
    return manual_webhooks.change(here, actor, connection_key, given)


@router.get("/connection/{connection_key}/access_manual_webhook", response_model=ManualWebhookAnswer)
def get_access_manual_webhook(connection_key: str, here: Here, _: Read) -> dict[str, Any]:
    """What people are asked for."""
    return manual_webhooks.read(here, connection_key)


@router.delete("/connection/{connection_key}/access_manual_webhook", status_code=204)
def delete_access_manual_webhook(
    connection_key: str, here: Here, actor: Annotated[Actor, needs("webhook:delete")]
) -> None:
    """Ask no more; where no other webhook is left, the requests that waited go on."""
    manual_webhooks.delete(here, actor, connection_key)


@router.patch("/privacy-request/{request_id}/access_manual_webhook/{connection_key}", response_model=None)
def answer_access_manual_webhook(
    request_id: str,
    connection_key: str,
    given: Annotated[dict[str, Any], Body()],
    here: Here,
    actor: Annotated[Actor, needs("privacy-request:upload_data")],
) -> None:
    """Give what was found for a request, by label; `{}` says: looked, found nothing."""
    manual_webhooks.answer(here, actor, request_id, connection_key, given)


@router.get("/privacy-request/{request_id}/access_manual_webhook/{connection_key}", response_model=AnsweredAnswer)
def get_access_manual_webhook_answer(
    request_id: str,
    connection_key: str,
    here: Here,
    actor: Annotated[Actor, needs("privacy-request:view_data")],
) -> dict[str, Any]:
    """What was given for a request."""
    return manual_webhooks.view(here, actor, request_id, connection_key)
