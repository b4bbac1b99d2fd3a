"""Routes of instructions to processors, and the page of their links: plain HTML with one button, without script."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from habeas.api.access import Anybody, GuardedRoute, Here, needs
from habeas.requests import instructions
from habeas.requests.clients import Actor
from habeas.requests.instructions import Verdict

router = APIRouter(tags=["Manual Work"], route_class=GuardedRoute)
pages = APIRouter(tags=["Pages for people"], route_class=GuardedRoute, dependencies=[Anybody])

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_SAID = {
    Verdict.OPEN: (200, "Confirm an erasure", "Did you erase the data that the message names, or hold none of it?"),
    Verdict.CONFIRMED: (200, "Confirmed", "Thank you. The erasure is confirmed; there is nothing else to do."),
    Verdict.EXPIRED: (410, "This link is too old", "Please ask whoever sent it for another one."),
    Verdict.UNKNOWN: (404, "This link doesn't work", "It was replaced by a newer one, or is incomplete."),
}
_HTML = {"text/html": {"schema": {"type": "string"}}}
_PAGES: dict[int | str, dict[str, Any]] = {
    200: {"description": "A page", "content": _HTML},
    404: {"description": "No such link", "content": _HTML},
    410: {"description": "The link is too old", "content": _HTML},
    429: {"description": "Too many calls from this address"},
}


class InstructionAnswer(BaseModel):
    """An instruction; `message` is what became of the last one sent."""

    connection_key: str
    state: Literal["waiting", "confirmed", "given_up"]
    sent: int
    message: Literal["waiting", "sent", "failed"] | None
    message_error: str | None
    expires_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    created_at: datetime


Resume = Annotated[Actor, needs("privacy-request:resume")]


@router.get("/privacy-request/{request_id}/erasure_instruction", response_model=list[InstructionAnswer])
def get_erasure_instructions(
    request_id: str, here: Here, _: Annotated[Actor, needs("privacy-request:read")]
) -> list[dict[str, Any]]:
    """What processors were told to erase for a request, and which of them confirmed it."""
    return instructions.list_instructions(here, request_id)


@router.post("/privacy-request/{request_id}/erasure_instruction/{connection_key}/resend", status_code=204)
def resend_erasure_instruction(request_id: str, connection_key: str, here: Here, actor: Resume) -> None:
    """Send the message again, with another link; the former works no more."""
    instructions.resend(here, actor, request_id, connection_key)


@router.post("/privacy-request/{request_id}/erasure_instruction/{connection_key}/confirm", status_code=204)
def confirm_erasure_instruction(request_id: str, connection_key: str, here: Here, actor: Resume) -> None:
    """Confirm for a processor who said so in another way."""
    instructions.confirm(here, actor, request_id, connection_key)


@router.post("/privacy-request/{request_id}/erasure_instruction/{connection_key}/give_up", status_code=204)
def give_up_erasure_instruction(request_id: str, connection_key: str, here: Here, actor: Resume) -> None:
    """Wait no longer: the request ends as an error, and a retry tells the processor anew."""
    instructions.give_up(here, actor, request_id, connection_key)


@pages.get("/privacy/confirm/{token}", response_class=HTMLResponse, responses=_PAGES)
def get_confirmation(token: str, here: Here) -> HTMLResponse:
    """The page of a processor's link. Looking at it confirms nothing."""
    return _page(instructions.look_at_link(here, token))


@pages.post("/privacy/confirm/{token}", response_class=HTMLResponse, responses=_PAGES)
def post_confirmation(token: str, here: Here) -> HTMLResponse:
    """The button of that page."""
    return _page(instructions.follow_link(here, token))


def _page(verdict: Verdict) -> HTMLResponse:
    status, title, text = _SAID[verdict]
    button = '<form method="post"><button>Yes, confirm</button></form>' if verdict is Verdict.OPEN else ""
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title>'
        "<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}"
        "button{font:inherit;padding:.6rem 1.2rem}</style>"
        f"<main><h1>{escape(title)}</h1><p>{escape(text)}</p>{button}</main></html>"
    )
    return HTMLResponse(body, status, headers={"Content-Security-Policy": _POLICY})
