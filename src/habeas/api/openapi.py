"""The OpenAPI document: what FastAPI makes of the routes, and what every route can answer beside that.

A status that a caller may meet stands in the document; `tests/security/test_fuzz.py` holds it to that. Answers nothing
itself.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from habeas.api.errors import MEDIA_TYPE

_SCHEMA = {"$ref": "#/components/schemas/Problem"}
_USUAL = {
    400: "malformed, or not possible",
    401: "no valid token",
    403: "the token lacks a scope",
    404: "named thing not found",
    422: "not allowed as given",
}
_OF_ALL = {503: "habeas' own database is out of reach for now; Retry-After says how long"}
_OF_WRITES = {409: "the state of the thing doesn't allow this"}
_OF_BODIES = {413: "the body is too large", 415: "another media type is expected"}


class Problem(BaseModel):
    """An error (RFC 9457). `detail` is text, or for 422 a list of `{loc, msg, type}`."""

    type: str
    title: str
    status: int
    detail: str | list[dict[str, Any]]
    code: str


def problems(meanings: dict[int, str] = _USUAL) -> dict[int | str, dict[str, Any]]:
    """Statuses with what they mean, as a route declares them: by default those of every route below the API."""
    return {
        status: {"description": text, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}} for status, text in meanings.items()
    }


def complete_document(document: dict[str, Any]) -> None:
    """Add what every route can answer, every one that writes, and every one that takes a body; and to each error that
    a route named itself, that it is a problem.
    """
    document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    for methods in document["paths"].values():
        for method, operation in methods.items():
            _complete(method, operation)


def _complete(method: str, operation: dict[str, Any]) -> None:
    found = dict(_OF_ALL)
    if method != "get":
        found |= _OF_WRITES
    if "requestBody" in operation:
        found |= _OF_BODIES
    answers = operation["responses"]
    for status, answer in problems(found).items():
        answers.setdefault(str(status), answer)
    for status, answer in answers.items():
        if status >= "400":
            answer.setdefault("content", {MEDIA_TYPE: {"schema": _SCHEMA}})
