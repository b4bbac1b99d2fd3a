"""Routes of datasets, as JSON and as YAML."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Request
from pydantic import BaseModel

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, BulkOf, PageNumber, PageOf, PageSize
from habeas.core.errors import BadSyntax
from habeas.requests import datasets
from habeas.requests.bulk import MAX_ITEMS, Bulk, Page
from habeas.requests.clients import Actor

router = APIRouter(tags=["Datasets"], route_class=GuardedRoute)

YAML_TYPES = ("application/x-yaml", "application/yaml")  # fidesops' own, and RFC 9512's

Document = dict[str, Any]


class TraversalAnswer(BaseModel):
    """Whether every collection can be reached and every reference leads somewhere."""

    is_traversable: bool
    msg: str | None


class ValidationAnswer(BaseModel):
    """What validating a dataset found."""

    dataset: Document
    traversal_details: TraversalAnswer
    warnings: list[str]


Read = Annotated[Actor, needs("dataset:read")]
Write = Annotated[Actor, needs("dataset:create_or_update")]


async def _yaml_text(request: Request) -> str:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in YAML_TYPES:
        raise HTTPException(415, "Supported type: application/x-yaml")
    raw = await request.body()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise BadSyntax("the text is not UTF-8", where=f"body, line {line}") from None


_YAML_BODY = {
    "requestBody": {"required": True, "content": {"application/x-yaml": {"schema": {"type": "string"}}}},
}


@router.put("/connection/{connection_key}/validate_dataset", response_model=ValidationAnswer)
def validate_dataset(connection_key: str, document: Annotated[Document, Body()], here: Here, _: Read) -> dict[str, Any]:
    """Check a dataset together with all stored ones; nothing is stored."""
    return datasets.validate_document(here, connection_key, document)


@router.patch("/connection/{connection_key}/dataset", response_model=BulkOf[Document])
def create_or_update_datasets(
    connection_key: str, documents: Annotated[list[Document], Body(max_length=MAX_ITEMS)], here: Here, actor: Write
) -> Bulk:
    """Create or update datasets of a connection by `fides_key`."""
    return datasets.save_documents(here, actor, connection_key, documents)


@router.patch("/yml/connection/{connection_key}/dataset", response_model=BulkOf[Document], openapi_extra=_YAML_BODY)
def create_or_update_datasets_from_yaml(
    connection_key: str, text: Annotated[str, Depends(_yaml_text)], here: Here, actor: Write
) -> Bulk:
    """The same from YAML with the top key `dataset`."""
    return datasets.save_text(here, actor, connection_key, text)


@router.get("/connection/{connection_key}/dataset", response_model=PageOf[Document])
def get_datasets(
    connection_key: str, here: Here, _: Read, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE
) -> Page:
    """A connection's datasets, newest first."""
    return datasets.list_documents(here, connection_key, page, size)


@router.get("/connection/{connection_key}/dataset/{fides_key}")
def get_dataset(connection_key: str, fides_key: str, here: Here, _: Read) -> Document:
    """One dataset."""
    return datasets.read_document_of(here, connection_key, fides_key)


@router.delete("/connection/{connection_key}/dataset/{fides_key}", status_code=204)
def delete_dataset(
    connection_key: str, fides_key: str, here: Here, actor: Annotated[Actor, needs("dataset:delete")]
) -> None:
    """Delete a dataset."""
    datasets.delete_document(here, actor, connection_key, fides_key)
