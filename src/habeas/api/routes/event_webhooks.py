"""Routes of event webhooks: where events are sent to, and what became of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field
from starlette.responses import Response

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, PageNumber, PageOf, PageSize
from habeas.requests import event_webhooks
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.event_webhooks import WebhookChange, WebhookInput

router = APIRouter(tags=["Events"], route_class=GuardedRoute)


class EventWebhookAnswer(BaseModel):
    """A webhook; its secret never shows. `disabled_reason`: `asked`, or `failures` where habeas did it."""

    id: str
    key: str
    name: str
    url: str
    types: list[str]
    disabled: bool
    disabled_reason: str | None
    failures: int
    created_at: datetime
    updated_at: datetime


class NewEventWebhookAnswer(EventWebhookAnswer):
    """A new webhook with its signing secret, which is shown this once."""

    secret: str


class DeliveryAnswer(BaseModel):
    """An event on its way to a webhook. `error` says what went wrong last, in one word and the status."""

    event_id: int
    type: str
    state: Literal["waiting", "sent", "failed"]
    attempts: int
    error: str | None
    created_at: datetime
    due_at: datetime | None
    sent_at: datetime | None
    failed_at: datetime | None


class ReplayInput(BaseModel):
    """What to send again: what failed, or all behind an event's id."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    failed: bool = False


class ReplayAnswer(BaseModel):
    """How many are sent again."""

    events: int


Read = Annotated[Actor, needs("webhook:read")]
Write = Annotated[Actor, needs("webhook:create_or_update")]
_TAKEN: dict[int | str, dict[str, Any]] = {409: {"description": "the key is taken, or the webhook is disabled"}}


@router.post("/event-webhook", status_code=201, response_model=NewEventWebhookAnswer, responses=_TAKEN)
def create_event_webhook(given: WebhookInput, here: Here, actor: Write) -> dict[str, Any]:
    """Register where events are sent to, signed. Needs `event:read` too. It hears what happens from now on."""
    return event_webhooks.register(here, actor, given)


@router.get("/event-webhook", response_model=PageOf[EventWebhookAnswer])
def get_event_webhooks(here: Here, _: Read, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE) -> Page:
    """All of them, by key."""
    return event_webhooks.list_all(here, page=page, size=size)


@router.get("/event-webhook/{key}", response_model=EventWebhookAnswer)
def get_event_webhook(key: str, here: Here, _: Read) -> dict[str, Any]:
    """One webhook."""
    return event_webhooks.read(here, key)


@router.patch("/event-webhook/{key}", response_model=EventWebhookAnswer)
def change_event_webhook(key: str, given: WebhookChange, here: Here, actor: Write) -> dict[str, Any]:
    """Change what is given; `disabled` stops it and lets it go on. Needs `event:read` too."""
    return event_webhooks.change(here, actor, key, given)


@router.delete("/event-webhook/{key}", status_code=204)
def delete_event_webhook(key: str, here: Here, actor: Annotated[Actor, needs("webhook:delete")]) -> Response:
    """Take it away with all that waits for it."""
    event_webhooks.remove(here, actor, key)
    return Response(status_code=204)


@router.get("/event-webhook/{key}/delivery", response_model=PageOf[DeliveryAnswer])
def get_event_webhook_deliveries(
    key: str,
    here: Here,
    _: Read,
    state: Literal["waiting", "sent", "failed"] | None = None,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """What was, is, or could not be sent, newest first; kept for `HABEAS_OUTBOX_RETENTION_DAYS`."""
    return event_webhooks.deliveries(here, key, state=state, page=page, size=size)


@router.post("/event-webhook/{key}/replay", response_model=ReplayAnswer, responses=_TAKEN)
def replay_event_webhook(key: str, given: Annotated[ReplayInput, Body()], here: Here, actor: Write) -> dict[str, Any]:
    """Send again; receivers know a repeated event by its `webhook-id`. Needs `event:read` too."""
    return {"events": event_webhooks.replay(here, actor, key, after=given.after, failed=given.failed)}
