"""Routes of data categories: the taxonomy, and what operators add to it. Shaped as in fides."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel

from habeas.api.access import GuardedRoute, Here, needs
from habeas.requests import categories
from habeas.requests.categories import CategoryInput
from habeas.requests.clients import Actor

router = APIRouter(tags=["Data categories"], route_class=GuardedRoute)


class CategoryAnswer(BaseModel):
    """A category. `is_default`: one of the taxonomy's own, of which only the key is known."""

    fides_key: str
    name: str | None
    description: str | None
    parent_key: str | None
    is_default: bool
    created_at: datetime | None
    updated_at: datetime | None


class DeletedCategory(BaseModel):
    """What was deleted."""

    message: str
    resource: CategoryAnswer


Read = Annotated[Actor, needs("data_category:read")]
Write = Annotated[Actor, needs("data_category:create_or_update")]


@router.get("/data_category", response_model=list[CategoryAnswer])
def get_data_categories(here: Here, _: Read) -> list[dict[str, Any]]:
    """The whole taxonomy, by key."""
    return categories.list_categories(here)


@router.get("/data_category/{fides_key}", response_model=CategoryAnswer)
def get_data_category(fides_key: str, here: Here, _: Read) -> dict[str, Any]:
    """One category."""
    return categories.read_category(here, fides_key)


@router.post("/data_category", status_code=201, response_model=CategoryAnswer)
def create_data_category(given: CategoryInput, here: Here, actor: Write) -> dict[str, Any]:
    """Make a category below one that exists, or a new root. Datasets and targets may name it from then on."""
    return categories.create_category(here, actor, given)


@router.put("/data_category", response_model=CategoryAnswer)
def change_data_category(given: CategoryInput, here: Here, actor: Write) -> dict[str, Any]:
    """Change name and description of a category of one's own."""
    return categories.change_category(here, actor, given)


@router.delete("/data_category/{fides_key}", response_model=DeletedCategory)
def delete_data_category(
    fides_key: str, here: Here, actor: Annotated[Actor, needs("data_category:delete")]
) -> dict[str, Any]:
    """Delete a category of one's own that nothing names."""
    return {"message": "resource deleted", "resource": categories.delete_category(here, actor, fides_key)}
