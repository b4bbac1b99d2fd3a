"""Routes of users, their permissions, passwords and invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, PageNumber, PageOf, PageSize
from habeas.requests import users
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.inputs import Name

TAKEN: dict[int | str, dict[str, Any]] = {400: {"description": "the username exists already"}}

router = APIRouter(tags=["Users"], route_class=GuardedRoute)

Password = Annotated[str, Field(min_length=1, max_length=1024)]


class NamesInput(BaseModel):
    """What a user is called."""

    model_config = ConfigDict(hide_input_in_errors=True)

    first_name: Name | None = None
    last_name: Name | None = None


class UserInput(NamesInput):
    """A new user. Without a password, an invitation is made."""

    username: Annotated[str, Field(min_length=1, max_length=150, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
    password: Password | None = None


class PasswordInput(BaseModel):
    """The old password and the new one, as they are or in base64."""

    model_config = ConfigDict(hide_input_in_errors=True)

    old_password: Password
    new_password: Password


class PermissionsInput(BaseModel):
    """Scopes, and roles, which are bundles of them; `id` is taken and ignored (fidesops)."""

    id: str | None = None
    scopes: list[str] = Field(default_factory=list, max_length=1000)
    roles: list[str] = Field(default_factory=list, max_length=100)


class CreatedAnswer(BaseModel):
    """The new user's id; the code of the invitation, if it is one, is shown only here."""

    id: str
    invite_code: str | None = None
    invite_expires_at: datetime | None = None


class UserAnswer(BaseModel):
    """A user; `status` is `invited` until a password is set."""

    id: str
    username: str
    created_at: datetime
    first_name: str | None
    last_name: str | None
    last_login_at: datetime | None
    roles: list[str]
    status: str


class PermissionsAnswer(BaseModel):
    """All that a user holds: `scopes` with those of its roles."""

    id: str
    user_id: str
    scopes: list[str]
    roles: list[str]


@router.post("/user", response_model=CreatedAnswer, response_model_exclude_none=True, status_code=201, responses=TAKEN)
def create_user(
    given: Annotated[UserInput, Body()], here: Here, actor: Annotated[Actor, needs("user:create")]
) -> dict[str, Any]:
    """A new user, who may read requests. Without a password the answer has an invitation's code to hand over."""
    names = {"first_name": given.first_name, "last_name": given.last_name}
    return users.create_user(here, actor, given.username, password=given.password, names=names)


@router.get("/user", response_model=PageOf[UserAnswer])
def get_users(
    here: Here,
    _: Annotated[Actor, needs("user:read")],
    username: Annotated[str | None, Query(max_length=150, description="a part of the name")] = None,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """Users, newest first."""
    return users.list_users(here, username, page, size)


@router.get("/user/{user_id}", response_model=UserAnswer)
def get_user(user_id: str, here: Here, _: Annotated[Actor, needs("user:read")]) -> dict[str, Any]:
    """One user."""
    return users.read_user(here, user_id)


@router.put("/user/{user_id}", response_model=UserAnswer)
def put_user(
    user_id: str,
    given: Annotated[NamesInput, Body()],
    here: Here,
    actor: Annotated[Actor, needs("user:update")],
) -> dict[str, Any]:
    """Change first and last name; one that isn't given stays."""
    return users.rename_user(here, actor, user_id, given.model_dump(exclude_unset=True))


@router.delete("/user/{user_id}", status_code=204)
def delete_user(user_id: str, here: Here, actor: Annotated[Actor, needs("user:delete")]) -> None:
    """Delete a user; all sessions end at once."""
    users.delete_user(here, actor, user_id)


@router.post("/user/{user_id}/invite", response_model=CreatedAnswer)
def invite_user(user_id: str, here: Here, actor: Annotated[Actor, needs("user:create")]) -> dict[str, Any]:
    """Another invitation: for a user who never came, or forgot the password."""
    return users.invite(here, actor, user_id)


@router.post("/user/{user_id}/reset-password", response_model=UserAnswer)
def reset_password(
    user_id: str,
    given: Annotated[PasswordInput, Body()],
    here: Here,
    actor: Annotated[Actor, needs("user:reset-password")],
) -> dict[str, Any]:
    """Change one's own password; all sessions end, this one too."""
    return users.change_password(here, actor, user_id, given.old_password, given.new_password)


@router.post("/user/{user_id}/permission", response_model=PermissionsAnswer, status_code=201)
def create_permissions(
    user_id: str,
    given: Annotated[PermissionsInput, Body()],
    here: Here,
    actor: Annotated[Actor, needs("user-permission:create")],
) -> dict[str, Any]:
    """Give a user permissions for the first time; the user's sessions end."""
    return users.set_permissions(here, actor, user_id, given.scopes, given.roles, first=True)


@router.put("/user/{user_id}/permission", response_model=PermissionsAnswer, status_code=201)
def put_permissions(
    user_id: str,
    given: Annotated[PermissionsInput, Body()],
    here: Here,
    actor: Annotated[Actor, needs("user-permission:update")],
) -> dict[str, Any]:
    """Replace a user's permissions; the user's sessions end."""
    return users.set_permissions(here, actor, user_id, given.scopes, given.roles, first=False)


@router.get("/user/{user_id}/permission", response_model=PermissionsAnswer)
def get_permissions(user_id: str, here: Here, _: Annotated[Actor, needs("user-permission:read")]) -> dict[str, Any]:
    """What a user holds."""
    return users.read_permissions(here, user_id)
