"""Routes of the audit trail: who decided and saw what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, PageNumber, PageOf, PageSize
from habeas.requests import trail
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.trail import TrailFilter

router = APIRouter(tags=["Audit trail"], route_class=GuardedRoute)

Read = Annotated[Actor, needs("audit:read")]


class EntryAnswer(BaseModel):
    """One entry: `actor` (a client's id, or `system`) did `action` to `subject`. `digest` covers the one before too."""

    id: int
    created_at: datetime
    actor: str
    action: str
    subject: str | None
    detail: dict[str, Any] | None
    digest: str


class ChainAnswer(BaseModel):
    """Whether all entries follow one another; `digest` is the last one's, to be kept elsewhere."""

    verified: bool
    entries: int
    broken_at: int | None
    digest: str


def _wanted(
    actor: str | None = None,
    action: Annotated[str | None, Query(description="prefix, such as privacy_request.")] = None,
    subject: Annotated[str | None, Query(description="the id or key of what it was done to")] = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> TrailFilter:
    return TrailFilter(actor, action, subject, since, until)


@router.get("/audit-trail", response_model=PageOf[EntryAnswer])
def get_audit_trail(
    here: Here,
    _: Read,
    wanted: Annotated[TrailFilter, Depends(_wanted)],
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """Entries that match all filters, newest first."""
    return trail.entries(here, wanted, page=page, size=size)


@router.get("/audit-trail/chain", response_model=ChainAnswer)
def get_audit_chain(here: Here, _: Read) -> dict[str, Any]:
    """Check the whole chain now."""
    return trail.check(here)


@router.get(
    "/audit-trail/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {}, "text/csv": {}}, "description": "all entries"}},
)
def export_audit_trail(
    here: Here, _: Read, format: Annotated[Literal["jsonl", "csv"], Query(description="of the file")] = "jsonl"
) -> StreamingResponse:
    """The whole trail in a stream, oldest first; the last line says whether each entry follows the one before."""
    if format == "csv":
        return StreamingResponse(trail.export_csv(here), media_type="text/csv")
    return StreamingResponse(trail.export_jsonl(here), media_type="application/jsonl")
