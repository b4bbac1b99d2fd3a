"""The shapes that answers share: pages and bulk answers, and the query parameters of a page."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from habeas.requests.bulk import DEFAULT_SIZE, MAX_SIZE

T = TypeVar("T")

PageNumber = Annotated[int, Query(ge=1, le=1_000_000, description="which page, from 1")]
PageSize = Annotated[int, Query(ge=1, le=MAX_SIZE, description="items on a page")]
FIRST_PAGE, PAGE_SIZE = 1, DEFAULT_SIZE


class PageOf(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    total: int
    page: int
    size: int


class FailureAnswer(BaseModel):
    """An item that was not taken, as the caller gave it, and why."""

    message: str
    data: dict[str, Any]


class BulkOf(BaseModel, Generic[T]):
    """A bulk answer; `warnings` is there only when there are some."""

    succeeded: list[T]
    failed: list[FailureAnswer]
    warnings: list[str] = []

    @model_serializer(mode="wrap")
    def _without_empty_warnings(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = handler(self)
        if not shown.get("warnings"):
            shown.pop("warnings", None)
        return shown
