"""The HTTP application, put together: routes, error handlers, edge, documentation. Builds, never serves.

Everything it needs comes with the installation; two applications can live in one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from habeas import __version__
from habeas.api import docs
from habeas.api.edge import Edge
from habeas.api.errors import add_error_handlers
from habeas.api.event_watch import EventWatch
from habeas.api.limits import CallLimit
from habeas.api.metrics import Scraper
from habeas.api.openapi import complete_document, problems
from habeas.api.routes import (
    audit,
    categories,
    connections,
    consent,
    cryptography,
    datasets,
    deadlines,
    drafts,
    email,
    event_webhooks,
    events,
    forgetting,
    instructions,
    ledger,
    login,
    manual_webhooks,
    masking,
    oauth,
    open,
    operation,
    plans,
    policies,
    privacy_requests,
    receipts,
    report,
    review,
    saas,
    storage,
    users,
    verification,
    webhooks,
)
from habeas.requests.events import settle
from habeas.requests.installation import Installation

API = "/api/v1"

DESCRIPTION = (
    "Answers privacy requests: finds, hands over, masks and erases what is held about a person, and proves it."
)

FAILURES_PER_ACCOUNT = (10, 60.0)
FAILURES_PER_ADDRESS = (100, 60.0)
PUBLIC_CALLS_PER_ADDRESS = (20, 60.0)
WRONG_CODES_PER_ADDRESS = (20, 600.0)


NOUNS = (
    plans,
    forgetting,
    review,  # before the routes of one request, whose ids `bulk` would match
    privacy_requests,
    policies,
    connections,
    datasets,
    drafts,
    categories,
    storage,
    manual_webhooks,
    instructions,
    masking,
    receipts,
    ledger,
    audit,
    operation,
    oauth,
    login,
    users,
    email,
    events,
    event_webhooks,
    verification,
    consent,
    cryptography,
    deadlines,
    report,
    saas,
    webhooks,
)
"""The routes by noun; of two that match a call, the first one takes it."""


def build_app(installation: Installation) -> FastAPI:
    """The application that serves this installation; the caller opens and closes the installation."""
    app = FastAPI(
        title="habeas",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
    )
    app.state.installation = installation
    app.state.failure_limit = CallLimit(*FAILURES_PER_ACCOUNT)
    app.state.address_limit = CallLimit(*FAILURES_PER_ADDRESS)
    app.state.public_limit = CallLimit(*PUBLIC_CALLS_PER_ADDRESS)
    app.state.metrics = Scraper(installation)
    app.state.events = EventWatch(lambda: settle(installation).position)
    app.state.code_limit = CallLimit(*WRONG_CODES_PER_ADDRESS)
    api = APIRouter(prefix=API, responses=problems())
    for each in NOUNS:
        api.include_router(each.router)
    app.include_router(api)
    app.include_router(open.router)
    app.include_router(instructions.pages)
    app.include_router(report.metrics_router)
    _add_documentation(app)
    add_error_handlers(app)
    _add_cors(app, installation.settings.cors_origins)
    app.add_middleware(Edge)
    return app


def _add_cors(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins call with a token in a header. No cookie or other credential of a browser counts."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_credentials=False,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Retry-After", "Content-Disposition", "WWW-Authenticate"],
            max_age=600,
        )


def _add_documentation(app: FastAPI) -> None:
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = generate()
            complete_document(made)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's documented way to extend the schema

    async def openapi(_: Request) -> JSONResponse:
        return JSONResponse(document())

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(docs.page_of(document()), headers={"Content-Security-Policy": docs.POLICY})

    async def root(_: Request) -> RedirectResponse:
        return RedirectResponse("/docs")

    app.add_route("/", root, include_in_schema=False)
    app.add_route("/openapi.json", openapi, include_in_schema=False)
    app.add_route(f"{API}/openapi.json", openapi, include_in_schema=False)
    app.add_route("/docs", page, include_in_schema=False)
