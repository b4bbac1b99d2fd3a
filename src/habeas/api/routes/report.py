"""Routes of reports: how requests go, the yearly table of the CCPA, and metrics for Prometheus. Counts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.metrics import USUAL_SPAN, Scraper
from habeas.core.errors import BadQueryInput
from habeas.report.exposition import MEDIA_TYPE
from habeas.report.metrics import build_ccpa_table, build_summary
from habeas.requests.clients import Actor

router = APIRouter(tags=["Reports"], route_class=GuardedRoute)
metrics_router = APIRouter(tags=["Reports"], route_class=GuardedRoute)


class GroupAnswer(BaseModel):
    """Requests of one regime and action that came in the span."""

    regime: str | None
    action: str
    received: int
    complete: int
    denied: int
    canceled: int
    error: int
    median_days: float | None
    mean_days: float | None


class ConnectionSteps(BaseModel):
    """Log entries of a connection with one status."""

    connection: str | None
    status: str
    steps: int


class SummaryAnswer(BaseModel):
    """What is open now, and what came in the span."""

    since: datetime
    until: datetime
    statuses: dict[str, int]
    open: int
    overdue: int
    at_risk: int
    oldest_open_days: int | None
    reasons: dict[str, int]
    groups: list[GroupAnswer]
    connections: list[ConnectionSteps]


class YearlyLine(BaseModel):
    """A line of the table of 11 CCR §7102(a)."""

    right: str
    received: int
    complied_in_whole: int
    complied_in_part: int
    denied: int
    withdrawn: int
    open: int
    median_days: float | None
    mean_days: float | None


class YearlyAnswer(BaseModel):
    """The table of a year."""

    year: int
    regime: str | None
    lines: list[YearlyLine]


Read = Annotated[Actor, needs("report:read")]


@router.get("/report/summary", response_model=SummaryAnswer)
def get_summary(here: Here, _: Read, since: datetime | None = None, until: datetime | None = None) -> dict[str, Any]:
    """How requests go: of now, and by regime and action those that came between `since` (in it; by default a year ago)
    and `until` (not in it; by default now).
    """
    now = here.clock.now()
    end = _aware(until) or now + timedelta(seconds=1)
    begin = _aware(since) or end - USUAL_SPAN
    if begin >= end:
        raise BadQueryInput("must be before until", where="since")
    with here.database.read() as connection:
        return build_summary(connection, now, begin, end) | {"since": begin, "until": end}


@router.get("/report/ccpa", response_model=YearlyAnswer)
def get_ccpa_table(
    here: Here,
    _: Read,
    year: Annotated[int, Query(ge=2018, le=9998, description="calendar year in which the requests came")],
    regime: Annotated[str | None, Query(max_length=64, description="count its requests only")] = None,
) -> dict[str, Any]:
    """What 11 CCR §7102 asks to be published for a year, of all requests or those of one regime."""
    with here.database.read() as connection:
        return {"year": year, "regime": regime, "lines": build_ccpa_table(connection, year, regime)}


@metrics_router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def get_metrics(request: Request, _: Read) -> Response:
    """Metrics for Prometheus, which sends a token as `authorization: {credentials: …}` says."""
    scraper: Scraper = request.app.state.metrics
    return Response(scraper.scrape(), media_type=MEDIA_TYPE)


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
