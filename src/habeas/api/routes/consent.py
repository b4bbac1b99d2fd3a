"""Routes of consent: a person's own, which a code opens, and a client's, which a scope does."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field, StringConstraints
from starlette.requests import Request

from habeas.api.access import Anybody, GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, PageNumber, PageOf, PageSize
from habeas.api.routes.verification import LIMITED, CodeInput, WrongAnswers
from habeas.requests import consent
from habeas.requests.bulk import MAX_ITEMS, Page
from habeas.requests.clients import Actor
from habeas.requests.consent import ConsentRequestInput, Wish

router = APIRouter(tags=["Consent"], route_class=GuardedRoute)


class ConsentRequestAnswer(BaseModel):
    """The consent request that a code was sent for."""

    consent_request_id: str


class PreferenceAnswer(BaseModel):
    """Whether data may be used for something."""

    data_use: str
    data_use_description: str | None
    opt_in: bool


class PreferencesAnswer(BaseModel):
    """A person's preferences; null where she has none."""

    consent: list[PreferenceAnswer] | None


class ChangeAnswer(BaseModel):
    """One change of a preference."""

    created_at: datetime
    data_use: str
    opt_in: bool
    consent_request_id: str


class WishesInput(BaseModel):
    """The code, and what shall hold."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    consent: Annotated[list[Wish], Field(max_length=MAX_ITEMS)]


Read = Annotated[Actor, needs("consent:read")]


@router.post("/consent-request", response_model=ConsentRequestAnswer, responses=LIMITED, dependencies=[Anybody])
def create_consent_request(given: Annotated[ConsentRequestInput, Body()], here: Here) -> dict[str, str]:
    """Send a code to an address, by which its owner can see and change her preferences."""
    made = consent.ask_consent(here, given)
    here.wake()
    return {"consent_request_id": made}


@router.post("/consent-request/preferences", response_model=PreferencesAnswer)
def get_preferences(given: Annotated[ConsentRequestInput, Body()], here: Here, _: Read) -> dict[str, Any]:
    """The preferences of a person, by a proven identity."""
    return {"consent": consent.find_consent(here, given)}


@router.post("/consent-request/preferences/history", response_model=PageOf[ChangeAnswer])
def get_preferences_history(
    given: Annotated[ConsentRequestInput, Body()],
    here: Here,
    _: Read,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """How a person's preferences changed, newest first."""
    return consent.consent_history(here, given, page, size)


@router.post(
    "/consent-request/{consent_request_id}/verify",
    response_model=PreferencesAnswer,
    responses=LIMITED,
    dependencies=[Anybody],
)
def verify_consent_request(
    consent_request_id: str, given: Annotated[CodeInput, Body()], here: Here, request: Request
) -> dict[str, Any]:
    """The preferences, for the code that was sent."""
    with WrongAnswers(request):
        return {"consent": consent.verify_consent(here, consent_request_id, given.code)}


@router.patch(
    "/consent-request/{consent_request_id}/preferences",
    response_model=PreferencesAnswer,
    responses=LIMITED,
    dependencies=[Anybody],
)
def change_preferences(
    consent_request_id: str, given: Annotated[WishesInput, Body()], here: Here, request: Request
) -> dict[str, Any]:
    """Change preferences, one a data use; the code works until it expires."""
    with WrongAnswers(request):
        return {"consent": consent.save_consent(here, consent_request_id, given.code, given.consent)}
