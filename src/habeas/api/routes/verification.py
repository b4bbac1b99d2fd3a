"""Routes by which a person proves who she is: answering a code, asking for another one. Anybody may call them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, StringConstraints
from starlette.requests import Request

from habeas.api.access import Anybody, GuardedRoute, Here, address
from habeas.api.limits import CallLimit
from habeas.api.routes.privacy_requests import PrivacyRequestAnswer
from habeas.core.errors import HabeasError
from habeas.requests import service
from habeas.requests.codes import CodeExpired, WrongCode

LIMITED: dict[int | str, dict[str, Any]] = {429: {"description": "too many calls or codes; Retry-After says how long"}}

router = APIRouter(tags=["Verification"], route_class=GuardedRoute)


class CodeInput(BaseModel):
    """The code that was sent."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=32)]


class VerificationConfigAnswer(BaseModel):
    """Whether public requests are verified, and whether codes can be sent."""

    identity_verification_required: bool
    valid_email_config_exists: bool


class SentAnswer(BaseModel):
    """A code is on its way."""

    sent: bool = True


@router.get("/id-verification/config", response_model=VerificationConfigAnswer)
def get_verification_config(here: Here) -> dict[str, bool]:
    """Whether identities of public requests are verified, and whether there is a way to send codes."""
    return service.told_config(here)


@router.post(
    "/privacy-request/{request_id}/verify",
    response_model=PrivacyRequestAnswer,
    responses=LIMITED,
    dependencies=[Anybody],
)
def verify_privacy_request(
    request_id: str, given: Annotated[CodeInput, Body()], here: Here, request: Request
) -> dict[str, Any]:
    """Prove the identity of a request by the code that was sent to its e-mail address."""
    with WrongAnswers(request):
        return service.verify(here, request_id, given.code)


@router.post(
    "/privacy-request/{request_id}/verify/resend",
    response_model=SentAnswer,
    responses=LIMITED,
    dependencies=[Anybody],
)
def resend_verification_code(request_id: str, here: Here) -> SentAnswer:
    """Send another code: one a minute, five in all. Earlier ones work no more."""
    service.resend(here, request_id)
    return SentAnswer()


class WrongAnswers:
    """Counts wrong codes of an address and refuses further ones beyond the limit, over all requests."""

    def __init__(self, request: Request) -> None:
        self._limit: CallLimit = request.app.state.code_limit
        self._key = (address(request),)

    def __enter__(self) -> None:
        self._limit.check(self._key)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HabeasError) and isinstance(error, WrongCode | CodeExpired):
            self._limit.count(self._key)
