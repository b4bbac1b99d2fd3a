"""Routes by which users sign in and out, and accept an invitation."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field

from habeas.api.access import GuardedRoute, Here, bearer_token
from habeas.api.failures import limit_failures
from habeas.api.routes.users import Password, UserAnswer
from habeas.core.errors import Unauthorised
from habeas.requests import sign_in
from habeas.requests.clients import IssuedToken, resolve_token

LIMITED: dict[int | str, dict[str, Any]] = {429: {"description": "too many failures; Retry-After says how long"}}

router = APIRouter(tags=["Users"], route_class=GuardedRoute)

Username = Annotated[str, Field(min_length=1, max_length=150)]


class LoginInput(BaseModel):
    """Who signs in; the password as it is or in base64."""

    model_config = ConfigDict(hide_input_in_errors=True)

    username: Username
    password: Password


class InvitationInput(BaseModel):
    """An invitation's code, and the password that it asks for."""

    model_config = ConfigDict(hide_input_in_errors=True)

    username: Username
    invite_code: Annotated[str, Field(min_length=1, max_length=128)]
    new_password: Password


class TokenData(BaseModel):
    """A session's token, for `Authorization: Bearer`."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 – the type, not a token
    expires_in: int


class LoginAnswer(BaseModel):
    """The user and the session (fidesops)."""

    user_data: UserAnswer
    token_data: TokenData


@router.post("/login", response_model=LoginAnswer, responses=LIMITED)
def login(request: Request, given: Annotated[LoginInput, Body()], here: Here) -> dict[str, Any]:
    """Sign in. A wrong name and a wrong password are answered alike, 403."""
    return _answer(
        *limit_failures(request, given.username, lambda: sign_in.sign_in(here, given.username, given.password))
    )


@router.post("/user/accept-invite", response_model=LoginAnswer, responses=LIMITED)
def accept_invitation(request: Request, given: Annotated[InvitationInput, Body()], here: Here) -> dict[str, Any]:
    """Set a password with the code of an invitation, and sign in. The code works once."""

    def accept() -> tuple[dict[str, Any], IssuedToken]:
        return sign_in.accept_invitation(here, given.username, given.invite_code, given.new_password)

    return _answer(*limit_failures(request, given.username, accept))


@router.post("/logout", status_code=204)
def logout(request: Request, here: Here) -> None:
    """End all sessions of the user whose token this is; 204 also for a token that isn't valid (any more)."""
    token = bearer_token(request)
    if token is None:
        raise Unauthorised("Not authenticated", fix="send Authorization: Bearer with the session's token")
    try:
        actor = resolve_token(here, token)
    except Unauthorised:
        return
    sign_in.sign_out(here, actor)


def _answer(user: dict[str, Any], issued: IssuedToken) -> dict[str, Any]:
    return {
        "user_data": user,
        "token_data": {"access_token": issued.access_token, "expires_in": issued.expires_in},
    }
