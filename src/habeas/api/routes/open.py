"""Routes that anybody may call: health, the public keys that receipts verify with, how to get a token."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from habeas import __version__
from habeas.api.access import GuardedRoute, Here
from habeas.api.errors import problem
from habeas.core.errors import HabeasError
from habeas.requests.scopes import SCOPES
from habeas.store.receipt_format import keys_document
from habeas.store.receipts import published_keys
from habeas.store.tables import setting

router = APIRouter(tags=["Open"], route_class=GuardedRoute)


@router.get("/health", response_model=None)
def get_health(here: Here) -> dict[str, str] | Response:
    """200 when requests can be taken in, 503 when not."""
    try:
        with here.database.begin() as connection:  # what intake needs: to write
            connection.execute(select(setting.c.name).limit(1))
    except HabeasError as error:
        return problem(503, str(error), code="unhealthy", more={"webserver": "healthy", "database": "unhealthy"})
    return {"status": "healthy", "webserver": "healthy", "database": "healthy", "version": __version__}


@router.get("/.well-known/habeas-receipt-keys.json")
def get_receipt_keys(here: Here) -> dict[str, object]:
    """The Ed25519 public keys that receipts of this installation are or were signed with, on any of its machines."""
    with here.database.read() as connection:
        published = published_keys(connection)
    return keys_document({**published, **here.vault.public_keys()})


@router.get("/.well-known/oauth-authorization-server")
def get_oauth_metadata(request: Request) -> dict[str, object]:
    """How clients get, revoke and introspect tokens (RFC 8414); addresses are those that this call was made to."""
    issuer = str(request.base_url).rstrip("/")
    proofs = ["client_secret_basic", "client_secret_post"]
    endpoints: dict[str, object] = {}
    for name, path in (("token", "token"), ("revocation", "revoke"), ("introspection", "introspect")):
        endpoints[f"{name}_endpoint"] = f"{issuer}/api/v1/oauth/{path}"
        endpoints[f"{name}_endpoint_auth_methods_supported"] = proofs
    return {
        "issuer": issuer,
        **endpoints,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": list(SCOPES),
        "service_documentation": f"{issuer}/docs",
    }
