"""Route of dataset drafts: a live schema as the beginning of a dataset."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from habeas.api.access import GuardedRoute, Here, needs
from habeas.requests.clients import Actor
from habeas.requests.drafts import draft_of_connection

router = APIRouter(tags=["Datasets"], route_class=GuardedRoute)


class DraftAnswer(BaseModel):
    """A drafted dataset, as YAML with comments."""

    yaml: str


@router.get("/connection/{connection_key}/draft_dataset", response_model=DraftAnswer)
def get_draft_dataset(
    connection_key: str,
    here: Here,
    _: Annotated[Actor, needs("dataset:read")],
    fides_key: Annotated[str | None, Query(max_length=255)] = None,
    schema: Annotated[str | None, Query(max_length=255)] = None,
) -> dict[str, str]:
    """A dataset for the connection's live schema, with its guesses marked; nothing is stored."""
    return {"yaml": draft_of_connection(here.sources, connection_key, fides_key, schema)}
