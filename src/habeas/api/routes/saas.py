"""Routes of vendor descriptions (SaaS) as fidesops has them: answered 501, by name, until that engine exists.

They are declared with their scopes, so that a caller without one learns nothing else. Never read a body.
"""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

from fastapi import APIRouter

from habeas.api.access import GuardedRoute, needs
from habeas.core.errors import NotOffered
from habeas.requests.clients import Actor

_ANSWERS: dict[int | str, dict[str, Any]] = {501: {"description": "not offered yet; the code is `saas_not_offered`"}}

router = APIRouter(tags=["SaaS"], route_class=GuardedRoute, responses=_ANSWERS)

Read = Annotated[Actor, needs("saas_config:read")]
Write = Annotated[Actor, needs("saas_config:create_or_update")]


class SaasNotOffered(NotOffered):
    """What needs the engine of vendor descriptions."""

    code = "saas_not_offered"


def _refuse() -> NoReturn:
    raise SaasNotOffered(
        "connections to SaaS vendors are not offered yet", fix="GET /api/v1/connection_type lists what can be connected"
    )


@router.get("/connection/{connection_key}/saas_config")
def get_saas_config(connection_key: str, _: Read) -> None:
    """The vendor description of a connection."""
    _refuse()


@router.patch("/connection/{connection_key}/saas_config")
def update_saas_config(connection_key: str, _: Write) -> None:
    """Give a connection a vendor description."""
    _refuse()


@router.delete("/connection/{connection_key}/saas_config")
def delete_saas_config(connection_key: str, _: Annotated[Actor, needs("saas_config:delete")]) -> None:
    """Take a connection's vendor description away."""
    _refuse()


@router.put("/connection/{connection_key}/validate_saas_config")
def validate_saas_config(connection_key: str, _: Read) -> None:
    """Check a vendor description."""
    _refuse()


@router.get("/connection/{connection_key}/authorize")
def authorize_connection(connection_key: str, _: Annotated[Actor, needs("connection:authorize")]) -> None:
    """Begin a vendor's OAuth flow."""
    _refuse()


@router.post("/connection/instantiate/{saas_type}")
def instantiate_connection(saas_type: str, _: Annotated[Actor, needs("connection:instantiate")]) -> None:
    """Make a connection and its dataset from a vendor description."""
    _refuse()


@router.get("/oauth/callback")
def receive_vendor_code() -> None:
    """Where a vendor's OAuth flow returns to."""
    _refuse()
