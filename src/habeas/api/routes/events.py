"""The route of events: what happens to requests, as server-sent events."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from habeas.api.access import GuardedRoute, Here, bearer_token, needs
from habeas.api.event_stream import EventStream
from habeas.api.event_watch import EventWatch
from habeas.core.errors import BadHeader
from habeas.requests import events
from habeas.requests.clients import Actor, resolve_token
from habeas.requests.installation import Installation

router = APIRouter(tags=["Events"], route_class=GuardedRoute)

SCOPE = "event:read"
_LARGEST = 2**63 - 1

_ANSWERS: dict[int | str, dict[str, object]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "events, as they happen"},
    410: {"description": "events after that position are no longer kept, or it lies ahead of all"},
    429: {"description": "too many streams are open"},
}


@router.get("/events", response_class=Response, responses=_ANSWERS)
async def get_events(
    request: Request,
    here: Here,
    actor: Annotated[Actor, needs(SCOPE)],
    type: Annotated[list[str] | None, Query(description="only these types")] = None,
    request_id: Annotated[str | None, Query(description="only of this request")] = None,
    after: Annotated[int | None, Query(ge=0, le=_LARGEST, description="begin behind the event of this id")] = None,
    last: Annotated[int | None, Query(ge=0, le=1000, description="begin with so many of the newest")] = None,
    follow: Annotated[bool, Query(description="false: end when all that there are are told")] = True,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", description="as `after`; wins")] = None,
) -> Response:
    """What happens to requests, in one order without gaps: each event's `id` is its position. Without a position it
    begins with what comes next. `Last-Event-ID` goes on behind the last event that was seen.
    """
    watch: EventWatch = request.app.state.events
    begin = _position(last_event_id) if last_event_id else after
    sought = await run_in_threadpool(events.seek, here, tuple(type or ()), request_id)
    span = await run_in_threadpool(events.begin, here, sought, after=begin, last=last, follow=follow)
    with watch.stream(actor.client_id):  # raises while an answer can still say so
        pass
    check = partial(_check, here, bearer_token(request) or "")
    return EventStream(watch, actor.client_id, span, partial(events.page, here, sought), check, follow=follow)


def _position(given: str) -> int:
    if not (given.isascii() and given.isdigit()) or int(given[:20]) > _LARGEST:
        raise BadHeader("is no id of an event", where="Last-Event-ID", fix="send the id of the last event, a number")
    return int(given)


def _check(installation: Installation, token: str) -> None:
    resolve_token(installation, token).require(SCOPE)
