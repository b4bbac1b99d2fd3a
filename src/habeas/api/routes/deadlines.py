"""Routes of deadlines: the regimes there are, a request's deadline, and what may be done to it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from habeas.api.access import GuardedRoute, Here, needs
from habeas.requests import deadlines
from habeas.requests.clients import Actor

router = APIRouter(tags=["Deadlines"], route_class=GuardedRoute)


class PeriodAnswer(BaseModel):
    """A length of time: one of these."""

    months: int | None = None
    days: int | None = None
    business_days: int | None = None


class RegimeAnswer(BaseModel):
    """A law, or a rule of one's own."""

    key: str
    name: str
    source: str
    respond: PeriodAnswer
    extend: PeriodAnswer | None = None
    acknowledge: PeriodAnswer | None = None
    calendar: str | None = None


class DeadlineAnswer(BaseModel):
    """A request's deadline."""

    regime: str | None
    requested_at: datetime
    due_date: datetime | None
    acknowledge_by: datetime | None
    extended_at: datetime | None
    extendable_to: datetime | None
    clock_stopped_at: datetime | None
    clock_stopped_seconds: int


class ClockInput(BaseModel):
    """Why a deadline is changed; kept in the audit trail, so it should name nobody."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the request is complex"}]})

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ExtensionInput(ClockInput):
    """How long, and why."""

    days: Annotated[int, Field(ge=1, le=deadlines.LONGEST_OWN)] | None = None


Read = Annotated[Actor, needs("privacy-request:read")]
Review = Annotated[Actor, needs("privacy-request:review")]


@router.get("/deadline-regime", response_model=list[RegimeAnswer])
def get_deadline_regimes(here: Here, _: Annotated[Actor, needs("policy:read")]) -> list[dict[str, Any]]:
    """The regimes that a policy may name."""
    return deadlines.list_regimes(here)


@router.get("/privacy-request/{request_id}/deadline", response_model=DeadlineAnswer)
def get_deadline(request_id: str, here: Here, _: Read) -> dict[str, Any]:
    """When a request is due, and until when its receipt must be confirmed and it could be extended."""
    return deadlines.show(here, request_id)


@router.post("/privacy-request/{request_id}/deadline/extend", response_model=DeadlineAnswer)
def extend_deadline(
    request_id: str, given: Annotated[ExtensionInput, Body()], here: Here, actor: Review
) -> dict[str, Any]:
    """Extend a deadline, once and before it is over; without `days` by all that its regime allows."""
    return deadlines.extend(here, request_id, actor=actor, reason=given.reason, days=given.days)


@router.post("/privacy-request/{request_id}/deadline/stop", response_model=DeadlineAnswer)
def stop_clock(request_id: str, given: Annotated[ClockInput, Body()], here: Here, actor: Review) -> dict[str, Any]:
    """Let a deadline stand, as while its subject is asked something."""
    return deadlines.stop_clock(here, request_id, actor=actor, reason=given.reason)


@router.post("/privacy-request/{request_id}/deadline/start", response_model=DeadlineAnswer)
def start_clock(request_id: str, given: Annotated[ClockInput, Body()], here: Here, actor: Review) -> dict[str, Any]:
    """Let a deadline that stands run on."""
    return deadlines.start_clock(here, request_id, actor=actor, reason=given.reason)
