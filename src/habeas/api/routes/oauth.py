"""Routes of OAuth: tokens for client credentials, revoking them, clients and their scopes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from habeas.api.access import Form, GuardedRoute, Here, bearer_token, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, PageNumber, PageOf, PageSize
from habeas.api.errors import problem
from habeas.api.failures import limit_failures
from habeas.api.routes.login import LIMITED
from habeas.core.errors import BadInput, Unauthorised
from habeas.requests import clients
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.scopes import SCOPES

router = APIRouter(tags=["OAuth"], route_class=GuardedRoute)


class TokenAnswer(BaseModel):
    """An access token (RFC 6749 §5.1)."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 – the type, not a token
    expires_in: int
    scope: str


class ClientAnswer(BaseModel):
    """A new client; its secret is shown only here."""

    client_id: str
    client_secret: str


class TokenListItem(BaseModel):
    """An issued token, without the token."""

    id: str
    client_id: str
    scopes: list[str]
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class IntrospectionAnswer(BaseModel):
    """What a token is worth; all but `active` only where it is."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    sub: str | None = None
    token_type: str | None = None
    jti: str | None = None
    exp: int | None = None
    iat: int | None = None


class RevokedAnswer(BaseModel):
    """How many live tokens were revoked."""

    revoked: int


class RotationInput(BaseModel):
    """How long the former secret goes on working; 0 ends it at once."""

    overlap_minutes: int = Field(default=24 * 60, ge=0, le=30 * 24 * 60)


class RotatedAnswer(BaseModel):
    """The new secret, shown only here."""

    client_id: str
    client_secret: str
    former_valid_until: datetime | None


class ScopesInput(BaseModel):
    """Scopes as documented; a bare array is taken too."""

    scopes: list[str] = Field(default_factory=list, max_length=1000)


Scopes = Annotated[ScopesInput | Annotated[list[str], Field(max_length=1000)], Body()]


def _form_body(**fields: str) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    content = {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": properties}}}
    return {"requestBody": {"required": True, "content": content}}


_TOKEN_BODY = _form_body(  # the words are descriptions
    grant_type="client_credentials, or left out",
    client_id="unless in the Authorization header (Basic)",
    client_secret="as client_id",  # noqa: S106 – a description, not a secret
    scope="scopes joined by spaces, to get a part of the client's",
)
_REVOKE_BODY = _form_body(token="the token to revoke", client_id="unless in a header", client_secret="as client_id")  # noqa: S106 – descriptions

_INTROSPECT_BODY = _form_body(token="the token", client_id="unless in a header", client_secret="as client_id")  # noqa: S106 – descriptions


@router.post("/oauth/token", response_model=TokenAnswer, responses=LIMITED, openapi_extra=_TOKEN_BODY)
def create_token(request: Request, fields: Form, here: Here) -> Any:
    """An access token for client credentials, in the form or as HTTP Basic."""
    grant = fields.get("grant_type") or "client_credentials"
    if grant != "client_credentials":
        return problem(
            400, "only client_credentials is granted", code="bad_input", more={"error": "unsupported_grant_type"}
        )
    try:
        client_id, secret = _credentials(request, fields)
        issued = limit_failures(
            request, client_id, lambda: clients.issue_token(here, client_id, secret, fields.get("scope"))
        )
    except Unauthorised as refusal:
        return _invalid_client(refusal)
    except BadInput as refusal:
        return problem(400, str(refusal), code=refusal.code, more={"error": "invalid_scope"})
    return TokenAnswer(access_token=issued.access_token, expires_in=issued.expires_in, scope=" ".join(issued.scopes))


@router.post("/oauth/revoke", response_class=Response, responses=LIMITED, openapi_extra=_REVOKE_BODY)
def revoke_token(request: Request, fields: Form, here: Here) -> Response:
    """Revoke a token at once (RFC 7009); 200 also for a token that isn't known.

    The caller is a client by its credentials, or by a token of its own.
    """

    def revoke(actor: Actor, token: str) -> Response:
        clients.revoke_token(here, actor, token)
        return Response(status_code=200)

    return _about_a_token(request, fields, here, revoke)


def _about_a_token(
    request: Request, fields: dict[str, str], here: Here, answer: Callable[[Actor, str], Response]
) -> Response:
    """What is answered to a caller who proved itself about the token it names; else the error of RFC 6749 §5.2."""
    try:
        actor = _revoker(request, fields, here)
    except Unauthorised as refusal:
        return _invalid_client(refusal)
    if not fields.get("token"):
        return problem(400, "token is missing", code="bad_input", more={"error": "invalid_request"})
    return answer(actor, fields["token"])


def _revoker(request: Request, fields: dict[str, str], here: Here) -> Actor:
    token = bearer_token(request)
    if token is not None:
        return clients.resolve_token(here, token)
    client_id, secret = _credentials(request, fields)
    return limit_failures(request, client_id, lambda: clients.authenticate(here, client_id, secret))


def _credentials(request: Request, fields: dict[str, str]) -> tuple[str, str]:
    """Client id and secret from HTTP Basic (RFC 6749 §2.3.1) or the form; raises Unauthorised without both."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Unauthorised("Authentication Failure", fix="the Basic credentials can't be read") from None
        client_id, colon, secret = text.partition(":")
        if colon:
            return unquote_plus(client_id), unquote_plus(secret)
    client_id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    if not client_id or not secret:
        raise Unauthorised("Authentication Failure", fix="give client_id and client_secret")
    return client_id, secret


def _invalid_client(refusal: Unauthorised) -> Response:
    headers = {"WWW-Authenticate": 'Basic realm="habeas"'}
    return problem(401, str(refusal), code=refusal.code, more={"error": "invalid_client"}, headers=headers)


@router.post("/oauth/introspect", response_model=IntrospectionAnswer, responses=LIMITED, openapi_extra=_INTROSPECT_BODY)
def introspect_token(request: Request, fields: Form, here: Here) -> Response:
    """What a token is worth now (RFC 7662). The caller proves itself as for revoking; it sees its own tokens, and with
    `client:read` all.
    """
    return _about_a_token(
        request, fields, here, lambda actor, token: JSONResponse(clients.introspect_token(here, actor, token))
    )


@router.get("/oauth/token", response_model=PageOf[TokenListItem])
def get_tokens(
    here: Here,
    _: Annotated[Actor, needs("client:read")],
    client_id: Annotated[str | None, Query(max_length=64, description="of this client or user only")] = None,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """Issued tokens and sessions of users, newest first."""
    return clients.list_tokens(here, page, size, client_id)


@router.delete("/oauth/token", response_model=RevokedAnswer)
def delete_all_tokens(here: Here, actor: Annotated[Actor, needs("client:delete")]) -> dict[str, int]:
    """Revoke all tokens and end all sessions at once, the caller's too."""
    return {"revoked": clients.revoke_all_tokens(here, actor)}


@router.delete("/oauth/client/{client_id}/token", response_model=RevokedAnswer)
def delete_client_tokens(client_id: str, here: Here, actor: Annotated[Actor, needs("client:delete")]) -> dict[str, int]:
    """Revoke all tokens of a client, or end all sessions of a user, at once."""
    return {"revoked": clients.revoke_all_tokens(here, actor, client_id)}


@router.delete("/oauth/token/{token_id}", status_code=204)
def delete_token(token_id: str, here: Here, actor: Annotated[Actor, needs("client:delete")]) -> None:
    """Revoke a listed token at once."""
    clients.revoke_token_by_id(here, actor, token_id)


@router.post("/oauth/client", response_model=ClientAnswer)
def create_client(
    here: Here, actor: Annotated[Actor, needs("client:create")], scopes: Scopes = ScopesInput()
) -> dict[str, str]:
    """A new client with some of the caller's own scopes. Its secret is never shown again."""
    client_id, secret = clients.create_client(here, actor, _names(scopes))
    return {"client_id": client_id, "client_secret": secret}


@router.post("/oauth/client/{client_id}/secret", response_model=RotatedAnswer)
def rotate_client_secret(
    client_id: str,
    here: Here,
    actor: Annotated[Actor, needs("client:update")],
    given: Annotated[RotationInput, Body()] = RotationInput(),
) -> dict[str, Any]:
    """Another secret for a client, shown only here; the one before works for the time of the overlap."""
    return clients.rotate_secret(here, actor, client_id, timedelta(minutes=given.overlap_minutes))


@router.delete("/oauth/client/{client_id}")
def delete_client(client_id: str, here: Here, actor: Annotated[Actor, needs("client:delete")]) -> None:
    """Delete a client; its tokens end at once."""
    clients.delete_client(here, actor, client_id)


@router.get("/oauth/client/{client_id}/scope")
def get_client_scopes(client_id: str, here: Here, _: Annotated[Actor, needs("client:read")]) -> list[str]:
    """A client's scopes."""
    return clients.read_scopes(here, client_id)


@router.put("/oauth/client/{client_id}/scope")
def put_client_scopes(
    client_id: str, scopes: Scopes, here: Here, actor: Annotated[Actor, needs("client:update")]
) -> None:
    """Give a client other scopes, some of the caller's own."""
    clients.replace_scopes(here, actor, client_id, _names(scopes))


@router.get("/oauth/scope")
def get_scopes(_: Annotated[Actor, needs("scope:read")]) -> list[str]:
    """All scopes there are."""
    return list(SCOPES)


def _names(scopes: ScopesInput | list[str]) -> list[str]:
    return scopes.scopes if isinstance(scopes, ScopesInput) else scopes
