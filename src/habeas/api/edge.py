"""The outermost layer of the HTTP application: framing, patience, trailing slashes, security headers, unforeseen
errors.

Plain ASGI, so that it costs next to nothing and never buffers a body. Decides nothing about who may do what.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from habeas.api.errors import answer_unexpected, problem
from habeas.api.patience import PatientReceive

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
}
STRICT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Edge:
    """Wraps the application; see the module."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection; only HTTP passes through the layer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, scope)
            await send(message)

        if _is_ambiguous(scope):
            answer = problem(
                400, "Content-Length and Transfer-Encoding are both given (RFC 9112 §6.1)", code="bad_framing"
            )
            answer.headers["Connection"] = "close"
            await answer(scope, receive, guarded_send)
            return
        try:
            await self._app(_without_slash(scope), PatientReceive(receive), guarded_send)
        except Exception as error:  # noqa: BLE001 – the edge: a server's own handler would log the message, which may hold values
            if started:
                raise ConnectionAbortedError("the answer broke off") from None
            await answer_unexpected(error, scope["method"], scope["path"])(scope, receive, guarded_send)


def _is_ambiguous(scope: Scope) -> bool:
    names = [name.lower() for name, _ in scope["headers"]]
    return b"content-length" in names and b"transfer-encoding" in names


def _without_slash(scope: Scope) -> MutableMapping[str, Any]:
    """Both forms of a path are one route, without a redirect (fidesops)."""
    path = scope["path"]
    if len(path) < 2 or not path.endswith("/"):
        return scope
    return {**scope, "path": path.rstrip("/") or "/", "raw_path": None}


def _add_headers(message: Message, scope: Scope) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    headers.setdefault("Content-Security-Policy", STRICT_POLICY)
    headers.setdefault("Cache-Control", "no-store")
    if scope.get("scheme") == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
