"""Routes of e-mail: the configuration, a test message, and what became of messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, PageNumber, PageOf, PageSize
from habeas.requests import email_configs, messages
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.email_configs import EmailConfigInput

router = APIRouter(tags=["E-mail"], route_class=GuardedRoute)


class EmailConfigAnswer(BaseModel):
    """The configuration; secrets never show."""

    id: str
    key: str
    name: str
    service_type: str
    details: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class EmailSecretsAnswer(BaseModel):
    """What setting the secrets did."""

    msg: str
    test_status: str | None
    failure_reason: str | None


class TestInput(BaseModel):
    """Where a test message goes."""

    to: Annotated[str, Field(min_length=3, max_length=320)]


class TestAnswer(BaseModel):
    """Whether the test message went out."""

    test_status: Literal["succeeded", "failed"]
    failure_reason: str | None


class MessageAnswer(BaseModel):
    """A message on its way, without text and recipient. `subject` is the id of what it is about."""

    id: int
    kind: str
    subject: str
    state: Literal["waiting", "sent", "failed"]
    attempts: int
    error: str | None
    created_at: datetime
    due_at: datetime | None
    sent_at: datetime | None
    failed_at: datetime | None


Read = Annotated[Actor, needs("email:read")]
Write = Annotated[Actor, needs("email:create_or_update")]


@router.post("/email/config", response_model=EmailConfigAnswer)
def create_email_config(given: Annotated[EmailConfigInput, Body()], here: Here, actor: Write) -> dict[str, Any]:
    """Make the configuration; 400 where there is one already."""
    return email_configs.create_config(here, actor, given)


@router.get("/email/config", response_model=PageOf[EmailConfigAnswer])
def get_email_configs(here: Here, _: Read, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE) -> Page:
    """The configuration, as a page."""
    return email_configs.list_configs(here, page, size)


@router.get("/email/config/{config_key}", response_model=EmailConfigAnswer)
def get_email_config(config_key: str, here: Here, _: Read) -> dict[str, Any]:
    """The configuration of that key."""
    return email_configs.read_config(here, config_key)


@router.patch("/email/config/{config_key}", response_model=EmailConfigAnswer)
def change_email_config(
    config_key: str, given: Annotated[EmailConfigInput, Body()], here: Here, actor: Write
) -> dict[str, Any]:
    """Replace name and details."""
    return email_configs.change_config(here, actor, config_key, given)


@router.put("/email/config/{config_key}/secret", response_model=EmailSecretsAnswer)
def put_email_secrets(
    config_key: str, secrets: Annotated[dict[str, Any], Body()], here: Here, actor: Write
) -> dict[str, Any]:
    """Replace the secrets: `{username, password}` of smtp, `{mailgun_api_key}` of mailgun."""
    return email_configs.set_secrets(here, actor, config_key, secrets)


@router.delete("/email/config/{config_key}", status_code=204)
def delete_email_config(config_key: str, here: Here, actor: Annotated[Actor, needs("email:delete")]) -> None:
    """Delete the configuration with its secrets."""
    email_configs.delete_config(here, actor, config_key)


@router.post("/email/test", response_model=TestAnswer)
def send_test_message(given: Annotated[TestInput, Body()], here: Here, actor: Write) -> dict[str, Any]:
    """Send a test message now, and say what came of it."""
    return messages.send_test(here, actor, given.to)


@router.get("/email/message", response_model=PageOf[MessageAnswer])
def get_messages(
    here: Here,
    _: Read,
    state: Annotated[Literal["waiting", "sent", "failed"] | None, Query()] = None,
    subject: Annotated[str | None, Query(max_length=128, description="id of a request")] = None,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """What became of messages, newest first."""
    return messages.list_messages(here, state=state, subject=subject, page=page, size=size)


@router.post("/email/message/{message_id}/retry", status_code=204)
def retry_message(message_id: Annotated[int, Field(ge=1, le=2**63 - 1)], here: Here, actor: Write) -> None:
    """Let a failed message be tried again."""
    messages.send_again(here, actor, message_id)
