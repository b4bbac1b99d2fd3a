"""Who may call a route: declared at the route by `needs(scope)`, enforced before the body is read.

`GuardedRoute` finds the declaration in its own dependencies, resolves the Bearer token with one statement,
and only then hands on a request whose JSON body is read strictly. A route without a declaration is open, and
the tests list those.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.routing import APIRoute
from fastapi.security import OAuth2
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from habeas.api.body import parse_json
from habeas.api.limits import CallLimit
from habeas.core.errors import BadInput, Unauthorised
from habeas.requests.clients import PUBLIC, Actor, resolve_token
from habeas.requests.installation import Installation
from habeas.requests.scopes import SCOPES

MAX_BODY = 8 * 1024 * 1024
LARGE_BODY = 64 * 1024  # parsed beside the event loop, which other calls need
FORM = "application/x-www-form-urlencoded"

_scheme = OAuth2(
    flows=OAuthFlows(
        clientCredentials=OAuthFlowClientCredentials(
            tokenUrl="/api/v1/oauth/token", scopes={scope: scope for scope in SCOPES}
        )
    ),
    scheme_name="OAuth2ClientCredentials",
    auto_error=False,
)


def _installation(request: Request) -> Installation:
    installation: Installation = request.app.state.installation
    return installation


Here = Annotated[Installation, Depends(_installation)]
"""The installation that serves the call."""


async def _caller(request: Request, _: Annotated[str | None, Depends(_scheme)]) -> Actor:
    actor: Actor = request.state.actor
    return actor


async def _caller_or_public(request: Request, _: Annotated[str | None, Depends(_scheme)]) -> Actor:
    actor: Actor = request.state.actor
    return actor


def needs(scope: str) -> Any:
    """The calling actor, who holds `scope`."""
    return Security(_caller, scopes=[scope])


def needs_unless_verifying(scope: str) -> Any:
    """The calling actor; `PUBLIC` where identities are to be verified first and the call has no token. Such calls are
    counted by address.
    """
    return Security(_caller_or_public, scopes=[scope])


async def _anybody(request: Request) -> None:
    """Marks a route that anybody may call, counted by address before its body is read."""


Anybody = Depends(_anybody)
"""Declares an open route whose calls are counted by address: at most so many a minute, then 429."""


class StrictRequest(Request):
    """A request whose body is bounded and whose JSON is read by our own strict reader."""

    async def body(self) -> bytes:
        """The whole body; 413 beyond the bound."""
        if not hasattr(self, "_body"):
            declared = self.headers.get("content-length", "0")
            if declared.isdigit() and int(declared) > MAX_BODY:
                raise _too_large()
            chunks = bytearray()
            async for chunk in self.stream():
                chunks += chunk
                if len(chunks) > MAX_BODY:
                    raise _too_large()
            self._body = bytes(chunks)
        return self._body

    async def read_json(self) -> None:
        """Read the body as JSON unless it is empty, for `json` to give; raises BadSyntax with line and column."""
        raw = await self.body()
        if len(raw) > LARGE_BODY:
            self._json = await run_in_threadpool(parse_json, raw)
        elif raw:
            self._json = parse_json(raw)


class GuardedRoute(APIRoute):
    """A route that authorises its caller before it reads the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler with the guard in front."""
        handler = super().get_route_handler()
        scope, public = declared_access(self.dependant)
        takes_json = self.body_field is not None
        counted = any(each.call is _anybody for each in _all(self.dependant))

        async def guarded(request: Request) -> Response:
            if counted:
                _count_public(request)
            if scope is not None:
                request.state.actor = await _authorise(request, scope, public)
            strict = StrictRequest(request.scope, request.receive)
            if takes_json:
                _check_media_type(request)
                await strict.read_json()
            return await handler(strict)

        return guarded


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a URL-encoded body. Raises BadInput for a field given twice (RFC 6749 §3.2)."""
    if request.headers.get("content-type", FORM).partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415, f"Supported type: {FORM}")
    text = (await request.body()).decode("utf-8", "replace")
    pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=50)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadInput("a field is given twice")
    return fields


Form = Annotated[dict[str, str], Depends(read_form)]
"""The fields of a URL-encoded body; such a route documents its body itself."""


def declared_access(dependant: Dependant) -> tuple[str | None, bool]:
    """The scope that a route declares (None: open), and whether public intake may call it too."""
    for each in _all(dependant):
        if each.call in (_caller, _caller_or_public) and each.own_oauth_scopes:
            return each.own_oauth_scopes[0], each.call is _caller_or_public
    return None, False


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _all(each)


async def _authorise(request: Request, scope: str, public: bool) -> Actor:
    installation = _installation(request)
    token = bearer_token(request)
    if token is None:
        if public and installation.settings.subject_identity_verification_required:
            _count_public(request)
            return PUBLIC
        raise Unauthorised(
            "Not authenticated", fix="send Authorization: Bearer with a token from POST /api/v1/oauth/token"
        )
    actor = await run_in_threadpool(resolve_token, installation, token)
    actor.require(scope)
    return actor


def _count_public(request: Request) -> None:
    limit: CallLimit = request.app.state.public_limit
    limit.check((address(request),))
    limit.count((address(request),))


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    kind, _, subtype = media_type.partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise HTTPException(415, "Supported type: application/json")


def bearer_token(request: Request) -> str | None:
    """The token of the Authorization header, None without one or with another scheme."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def address(request: Request) -> str:
    """The caller's address: the peer's, or, where that is a proxy of HABEAS_TRUSTED_PROXIES, the last address of
    `X-Forwarded-For` that isn't one. What stands further left could have been written by anybody. Of IPv6 the network
    (/64), which is what one caller has.
    """
    networks = [ip_network(each) for each in _installation(request).settings.trusted_proxies]
    peer = request.client.host if request.client else "unknown"
    hops = [part.strip() for part in ",".join(request.headers.getlist("x-forwarded-for")).split(",") if part.strip()]
    found = peer
    while hops and _is_within(found, networks):
        if _address(hops[-1]) is None:
            break
        found = hops.pop()
    return _counted_as(found)


def _is_within(text: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    found = _address(text)
    return found is not None and any(found.version == each.version and found in each for each in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _counted_as(text: str) -> str:
    found = _address(text)
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found), 64), strict=False).network_address)
    return text if found is None else str(found)


def _too_large() -> HTTPException:
    return HTTPException(413, f"the body is larger than {MAX_BODY // 1024 // 1024} MiB")
