"""Routes of connections and of the kinds of systems there are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, BulkOf, PageNumber, PageOf, PageSize
from habeas.requests import connections
from habeas.requests.bulk import MAX_ITEMS, Bulk, Page
from habeas.requests.clients import Actor
from habeas.requests.connections import ConnectionInput, System
from habeas.store.connections import Filter

router = APIRouter(tags=["Connections"], route_class=GuardedRoute)


class ConnectionAnswer(BaseModel):
    """A connection; secrets never show."""

    id: str
    key: str
    name: str
    description: str | None
    connection_type: str
    access: str
    disabled: bool
    last_test_timestamp: datetime | None
    last_test_succeeded: bool | None
    created_at: datetime
    updated_at: datetime


class CheckAnswer(BaseModel):
    """What a test of a connection found."""

    msg: str
    test_status: Literal["succeeded", "failed", "skipped"] | None
    failure_reason: str | None


class SecretsAnswer(CheckAnswer):
    """The same after secrets were given; `changed`: whether they were others than before."""

    changed: bool


class KindAnswer(BaseModel):
    """A kind of system that habeas can connect."""

    identifier: str
    type: str
    human_readable: str


Read = Annotated[Actor, needs("connection:read")]
Write = Annotated[Actor, needs("connection:create_or_update")]
ReadKinds = Annotated[Actor, needs("connection_type:read")]
Search = Annotated[str | None, Query(max_length=255)]


@router.get("/connection", response_model=PageOf[ConnectionAnswer])
def get_connections(
    here: Here,
    _: Read,
    search: Search = None,
    connection_type: Annotated[list[str] | None, Query()] = None,
    disabled: bool | None = None,
    test_status: Literal["passed", "failed", "untested"] | None = None,
    system_type: System | None = None,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """Connections in order of name."""
    wanted = Filter(search, connection_type or None, disabled, test_status)
    return connections.list_connections(here, wanted, system_type, page, size)


@router.get("/connection/{connection_key}", response_model=ConnectionAnswer)
def get_connection(connection_key: str, here: Here, _: Read) -> dict[str, Any]:
    """One connection."""
    return connections.read_connection(here, connection_key)


@router.patch("/connection", response_model=BulkOf[ConnectionAnswer])
def create_or_update_connections(
    items: Annotated[list[ConnectionInput], Body(max_length=MAX_ITEMS)], here: Here, actor: Write
) -> Bulk:
    """Create or update connections by key."""
    return connections.save_connections(here, actor, items)


@router.delete("/connection/{connection_key}", status_code=204, responses={409: {"description": "webhooks call it"}})
def delete_connection(connection_key: str, here: Here, actor: Annotated[Actor, needs("connection:delete")]) -> None:
    """Delete a connection with its datasets."""
    connections.delete_connection(here, actor, connection_key)


@router.put("/connection/{connection_key}/secret", response_model=SecretsAnswer)
def put_connection_secrets(
    connection_key: str, secrets: Annotated[dict[str, Any], Body()], here: Here, actor: Write, verify: bool = True
) -> dict[str, Any]:
    """Replace all secrets of a connection: `url` or its parts; a value may be `env:NAME`, or `file:PATH` below
    HABEAS_SECRETS_DIR.
    """
    return connections.set_secrets(here, actor, connection_key, secrets, verify=verify)


@router.get("/connection/{connection_key}/test", response_model=CheckAnswer)
def get_connection_test(connection_key: str, here: Here, _: Read) -> dict[str, Any]:
    """Try the connection now."""
    return connections.try_connection(here, connection_key)


@router.get("/connection_type", response_model=PageOf[KindAnswer])
def get_connection_types(
    _: ReadKinds,
    search: Search = None,
    system_type: System | None = None,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """Kinds of systems that habeas can connect."""
    return connections.list_kinds(search, system_type, page, size)


@router.get("/connection_type/{connection_type}/secret")
def get_connection_type_secret(connection_type: str, _: ReadKinds) -> dict[str, Any]:
    """The JSON schema of a kind's secrets."""
    return connections.secrets_schema(connection_type)
