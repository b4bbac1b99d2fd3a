"""Every error as `application/problem+json` (RFC 9457) that also carries fidesops' `detail`.

For 422 `detail` is fidesops' list of `{loc, msg, type}`, never with the input; else it is text. The only
place, with `edge`, where an unknown exception is caught: it is logged by class and place and answered
without its words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from habeas.core.errors import HabeasError, Refused, Unauthorised
from habeas.core.log import get_logger
from habeas.dataset.problem import DatasetProblems
from habeas.requests.clients import InsufficientScope
from habeas.requests.codes import TooSoon
from habeas.requests.sign_in import SignInLocked

MEDIA_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="habeas"'  # RFC 6750 §3; an error code where a token was given


class TooManyCalls(HabeasError):
    """Failed or anonymous calls beyond the limit; `after` is the seconds to wait."""

    status = 429
    code = "too_many_calls"
    retryable = True

    def __init__(self, after: int) -> None:
        super().__init__("too many failed or anonymous calls", fix=f"wait {after} seconds")
        self.after = after


def problem(
    status: int,
    detail: str | Sequence[Mapping[str, Any]],
    *,
    code: str,
    more: Mapping[str, str | None] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document. `more` adds members such as `where` and `fix`; None ones are left out."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail, "code": code}
    body |= {name: value for name, value in (more or {}).items() if value is not None}
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def answer_error(error: HabeasError, *, with_token: bool) -> Response:
    """The answer for one of our errors, to a call with or without a Bearer token."""
    headers = _headers(error, with_token=with_token)
    more = {"where": error.where, "fix": error.fix}
    if isinstance(error, DatasetProblems):
        items = [each.detail(() if each.loc[:1] == ("body",) else ("body",)) for each in error.problems]
        return problem(error.status, items, code=error.code, more=more, headers=headers)
    if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        found = (isinstance(error, Refused) and error.problems) or (error,)
        return problem(error.status, [_fault(each) for each in found], code=error.code, more=more)
    return problem(error.status, str(error), code=error.code, more=more, headers=headers)


def _headers(error: HabeasError, *, with_token: bool) -> dict[str, str]:
    if isinstance(error, InsufficientScope):
        return {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{error.scope}"'}
    if isinstance(error, Unauthorised):
        return {"WWW-Authenticate": CHALLENGE + (', error="invalid_token"' if with_token else "")}
    if isinstance(error, TooManyCalls | TooSoon | SignInLocked):
        return {"Retry-After": str(error.after)}
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": "1"}
    if error.status == HTTPStatus.REQUEST_TIMEOUT:  # the rest of its body may still come
        return {"Connection": "close"}
    return {}


def _fault(error: HabeasError) -> dict[str, object]:
    parts = error.where.split(".") if error.where else []
    location = [error.part, *(int(part) if part.isdecimal() else part for part in parts)]
    return {"loc": location, "msg": str(error), "type": error.code}


def answer_unexpected(error: Exception, method: str, path: str) -> Response:
    """500 for what nobody foresaw; the log has class and place, the answer nothing."""
    get_logger(__name__).error("a call failed unexpectedly", method=method, path=path, exc_info=error)
    return problem(500, "something went wrong inside habeas; the log says where", code="internal")


def add_error_handlers(app: FastAPI) -> None:
    """Register the handlers with the application."""

    @app.exception_handler(HabeasError)
    async def ours(request: Request, error: HabeasError) -> Response:
        given = request.headers.get("authorization", "").lower().startswith("bearer ")
        return answer_error(error, with_token=given)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        items = [{"loc": list(each["loc"]), "msg": _message(each), "type": each["type"]} for each in error.errors()]
        return problem(422, items, code="bad_input")

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> Response:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return problem(error.status_code, str(error.detail), code=code, headers=error.headers)


def _message(error: Mapping[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
