"""Routes that show what would be done, and do nothing: fidesops' preview, and the explained plan."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field

from habeas.api.access import GuardedRoute, Here, needs
from habeas.requests import service
from habeas.requests.clients import Actor
from habeas.requests.inputs import Body as Given
from habeas.requests.inputs import Key

router = APIRouter(tags=["Privacy Requests"], route_class=GuardedRoute)


class AddressAnswer(BaseModel):
    """A collection."""

    dataset: str
    collection: str


class PreviewAnswer(BaseModel):
    """A collection and the statements that would find its rows."""

    collectionAddress: AddressAnswer  # noqa: N815 – fidesops' name
    query: str | None


class PlanInput(Given):
    """A policy, and one person's identities in either form."""

    policy_key: Key
    identity: dict[str, Any] | None = None
    identities: Annotated[list[dict[str, Any]], Field(max_length=50)] | None = None


Read = Annotated[Actor, needs("privacy-request:read")]


@router.put("/privacy-request/preview", response_model=list[PreviewAnswer])
def preview_privacy_request(
    here: Here, _: Read, dataset_keys: Annotated[list[str] | None, Body(max_length=1000)] = None
) -> list[dict[str, Any]]:
    """The queries of an access over these datasets (all, if none are named), as if every identity were given."""
    return service.preview(here, dataset_keys)


@router.post("/privacy-request/plan")
def explain_privacy_request(
    given: Annotated[PlanInput, Body()], here: Here, _: Read, counts: Literal["exact", "estimate"] = "exact"
) -> dict[str, Any]:
    """What a request would read and write, per collection, and the same as text. Nothing is written."""
    groups = [*([given.identity] if given.identity is not None else []), *(given.identities or [])]
    made = service.explain(here, given.policy_key, groups, counts)
    return made.document() | {"text": made.explanation.render()}
