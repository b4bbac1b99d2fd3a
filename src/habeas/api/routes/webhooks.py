"""Routes of webhooks: those of policies, those asked before approval, what they answer later, and the log of calls."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel, ConfigDict

from habeas.api.access import GuardedRoute, Here, bearer_token, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, PageNumber, PageOf, PageSize
from habeas.api.failures import limit_failures
from habeas.api.routes.connections import ConnectionAnswer
from habeas.api.routes.login import LIMITED
from habeas.api.routes.privacy_requests import PrivacyRequestAnswer
from habeas.core.errors import Unauthorised
from habeas.requests import deliveries, pre_approval, resuming, webhooks
from habeas.requests.bulk import MAX_ITEMS, Page
from habeas.requests.clients import Actor
from habeas.requests.webhook_client import open_webhook_client
from habeas.requests.webhooks import (
    APPROVAL,
    POST,
    PRE,
    ApprovalWebhookInput,
    ApprovalWebhookUpdate,
    WebhookInput,
    WebhookUpdate,
)

NOT_TAKEN: dict[int | str, dict[str, Any]] = {409: {"description": "it was not taken yet: retry the request"}}

router = APIRouter(tags=["Webhooks"], route_class=GuardedRoute)


class WebhookAnswer(BaseModel):
    """A webhook of a policy; of its connection never the secrets."""

    key: str
    name: str
    connection_config: ConnectionAnswer
    policy_key: str
    direction: str
    order: int


class ApprovalWebhookAnswer(BaseModel):
    """A webhook that is asked before approval."""

    key: str
    name: str
    connection_config: ConnectionAnswer


class PlaceAnswer(BaseModel):
    """Where a webhook stands among those of its policy."""

    key: str
    order: int


class ChangedAnswer(BaseModel):
    """A webhook that was changed, and the order of all where its own changed."""

    resource: WebhookAnswer
    new_order: list[PlaceAnswer]


class DeletedAnswer(BaseModel):
    """The order of those that are left, where one moved up."""

    new_order: list[PlaceAnswer]


class AttemptAnswer(BaseModel):
    """One attempt at a call. Without `milliseconds` nobody knows how it ended."""

    began_at: datetime
    milliseconds: int | None
    status_code: int | None
    cause: str | None
    actor: str | None


class DeliveryAnswer(BaseModel):
    """A call of a webhook for a request; `id` is the `webhook-id` that it carries. Never what was sent or answered."""

    id: str
    created_at: datetime
    privacy_request_id: str
    webhook_key: str
    phase: str
    direction: str
    state: str
    due_at: datetime | None
    answered_at: datetime | None
    attempts: list[AttemptAnswer]


class ResumedInput(BaseModel):
    """What a webhook says when a request may go on."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    derived_identity: dict[str, Any] | None = None


Read = Annotated[Actor, needs("webhook:read")]
Write = Annotated[Actor, needs("webhook:create_or_update")]
Delete = Annotated[Actor, needs("webhook:delete")]


async def _bearer(request: Request) -> str:
    token = bearer_token(request)
    if token is None:
        raise Unauthorised("Not authenticated", fix="send Authorization: Bearer with the webhook's reply-to-token")
    return token


Token = Annotated[str, Depends(_bearer)]
"""The reply-to-token of a webhook's call."""

State = Literal["waiting", "awaited", "delivered", "failed", "dropped", "eligible", "not_eligible", "counted"]


def _add(phase: str, word: str) -> None:
    path = f"/policy/{{policy_key}}/webhook/{phase}"
    one = f"{path}/{{webhook_key}}"

    def read_all(
        policy_key: str, here: Here, _: Read, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE
    ) -> Page:
        return webhooks.list_webhooks(here, phase, policy_key, page, size)

    def replace(
        policy_key: str, items: Annotated[list[WebhookInput], Body(max_length=MAX_ITEMS)], here: Here, actor: Write
    ) -> list[dict[str, Any]]:
        return webhooks.replace_webhooks(here, actor, phase, policy_key, items)

    def read(policy_key: str, webhook_key: str, here: Here, _: Read) -> dict[str, Any]:
        return webhooks.read_webhook(here, phase, policy_key, webhook_key)

    def change(
        policy_key: str, webhook_key: str, given: Annotated[WebhookUpdate, Body()], here: Here, actor: Write
    ) -> dict[str, Any]:
        return webhooks.change_webhook(here, actor, phase, policy_key, webhook_key, given)

    def delete(policy_key: str, webhook_key: str, here: Here, actor: Delete) -> dict[str, Any]:
        return webhooks.delete_webhook(here, actor, phase, policy_key, webhook_key)

    when = f"called {word} a request of the policy is executed"
    for method, at, call, model, told in (
        ("GET", path, read_all, PageOf[WebhookAnswer], f"Webhooks {when}, in order."),
        ("PUT", path, replace, list[WebhookAnswer], f"Make the webhooks {when} be exactly these, in this order."),
        ("GET", one, read, WebhookAnswer, f"One webhook {when}."),
        ("PATCH", one, change, ChangedAnswer, f"Change a webhook {when}, or its order."),
        ("DELETE", one, delete, DeletedAnswer, f"Delete a webhook {when}."),
    ):
        name = f"{call.__name__}_{phase}_webhook"
        router.add_api_route(at, call, methods=[method], response_model=model, description=told, name=name)


_add(PRE, "before")
_add(POST, "after")


@router.get("/dsr/webhook/pre_approval", response_model=PageOf[ApprovalWebhookAnswer])
def get_approval_webhooks(here: Here, _: Read, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE) -> Page:
    """Webhooks that are asked before a request is approved."""
    return webhooks.list_webhooks(here, APPROVAL, None, page, size)


@router.put("/dsr/webhook/pre_approval", response_model=list[ApprovalWebhookAnswer])
def replace_approval_webhooks(
    items: Annotated[list[ApprovalWebhookInput], Body(max_length=MAX_ITEMS)], here: Here, actor: Write
) -> list[dict[str, Any]]:
    """Make the webhooks that are asked before approval be exactly these."""
    return webhooks.replace_webhooks(here, actor, APPROVAL, None, items)


@router.get("/dsr/webhook/pre_approval/{webhook_key}", response_model=ApprovalWebhookAnswer)
def get_approval_webhook(webhook_key: str, here: Here, _: Read) -> dict[str, Any]:
    """One webhook that is asked before approval."""
    return webhooks.read_webhook(here, APPROVAL, None, webhook_key)


@router.patch("/dsr/webhook/pre_approval/{webhook_key}", response_model=ApprovalWebhookAnswer)
def change_approval_webhook(
    webhook_key: str, given: Annotated[ApprovalWebhookUpdate, Body()], here: Here, actor: Write
) -> dict[str, Any]:
    """Change a webhook that is asked before approval."""
    changed: dict[str, Any] = webhooks.change_webhook(here, actor, APPROVAL, None, webhook_key, given)["resource"]
    return changed


@router.delete("/dsr/webhook/pre_approval/{webhook_key}", status_code=204)
def delete_approval_webhook(webhook_key: str, here: Here, actor: Delete) -> None:
    """Delete a webhook that is asked before approval."""
    webhooks.delete_webhook(here, actor, APPROVAL, None, webhook_key)


@router.post("/privacy-request/{request_id}/resume", response_model=PrivacyRequestAnswer, responses=LIMITED)
def resume_privacy_request(
    request_id: str,
    request: Request,
    here: Here,
    token: Token,
    given: Annotated[ResumedInput | None, Body()] = None,
) -> dict[str, Any]:
    """Let a request go on that a webhook halted. The token is that of the webhook's call, `reply-to-token`."""
    derived = given.derived_identity if given else None
    return limit_failures(request, request_id, lambda: resuming.resume_by_webhook(here, request_id, token, derived))


@router.post("/privacy-request/{request_id}/pre-approve/eligible", status_code=200)
def mark_eligible(request_id: str, here: Here, token: Token) -> None:
    """Say that a request may be approved. The token is that of the webhook's call, `reply-to-token`."""
    pre_approval.answer(here, request_id, token, eligible=True)


@router.post("/privacy-request/{request_id}/pre-approve/not-eligible", status_code=200)
def mark_not_eligible(request_id: str, here: Here, token: Token) -> None:
    """Say that a person is to decide. The token is that of the webhook's call, `reply-to-token`."""
    pre_approval.answer(here, request_id, token, eligible=False)


@router.get("/webhook/delivery", response_model=PageOf[DeliveryAnswer])
def get_deliveries(
    here: Here,
    _: Read,
    privacy_request_id: str | None = None,
    webhook_key: str | None = None,
    state: State | None = None,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """Calls of webhooks, newest first, each with its attempts."""
    return deliveries.list_deliveries(
        here, privacy_request_id=privacy_request_id, webhook_key=webhook_key, state=state, page=page, size=size
    )


@router.get("/webhook/delivery/{delivery_id}", response_model=DeliveryAnswer)
def get_delivery(delivery_id: str, here: Here, _: Read) -> dict[str, Any]:
    """One call of a webhook with its attempts."""
    return deliveries.read_delivery(here, delivery_id)


@router.post("/webhook/delivery/{delivery_id}/replay", response_model=DeliveryAnswer, responses=NOT_TAKEN)
def replay_delivery(delivery_id: str, here: Here, actor: Write) -> dict[str, Any]:
    """Send a call again that was taken before, under the same id. Nothing about the request changes."""
    with open_webhook_client(here.settings) as client:
        return deliveries.replay_delivery(here, actor, delivery_id, client)
