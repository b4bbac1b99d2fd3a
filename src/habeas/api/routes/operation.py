"""Routes that tell of the installation itself, and the switch that pauses all execution."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel
from pydantic.types import StrictBool

from habeas.api.access import GuardedRoute, Here, needs
from habeas.requests import service
from habeas.requests.clients import Actor

router = APIRouter(tags=["Operation"], route_class=GuardedRoute)


class SwitchInput(BaseModel):
    """The pause switch."""

    paused: StrictBool


class SwitchAnswer(BaseModel):
    """Whether new executions are held back, and how many workers would take them."""

    paused: bool
    workers: int


@router.get("/config")
def get_config(here: Here, _: Annotated[Actor, needs("config:read")]) -> dict[str, Any]:
    """Settings that are safe to show: neither paths nor secrets."""
    settings = here.settings
    return {
        "database": {"kind": here.database.dialect},
        "security": {"oauth_access_token_expire_minutes": settings.oauth_access_token_expire_minutes},
        "execution": {
            "require_manual_request_approval": settings.require_manual_request_approval,
            "subject_identity_verification_required": settings.subject_identity_verification_required,
            "phone_region": settings.phone_region,
            "spool_retention_days": settings.spool_retention_days,
            "cohort_pairs": settings.cohort_pairs,
            "task_retry_count": settings.task_retry_count,
            "task_retry_delay": settings.task_retry_delay,
            "task_retry_backoff": settings.task_retry_backoff,
        },
        "notifications": {
            "send_request_completion_notification": settings.send_request_completion_notification,
            "send_request_receipt_notification": settings.send_request_receipt_notification,
            "send_request_review_notification": settings.send_request_review_notification,
            "message_language": settings.message_language,
        },
    }


@router.get("/execution", response_model=SwitchAnswer)
def get_execution(here: Here, _: Annotated[Actor, needs("execution:read")]) -> dict[str, Any]:
    """Whether new executions are held back, and how many workers are alive."""
    return _execution(here)


@router.put("/execution", response_model=SwitchAnswer)
def put_execution(
    switch: Annotated[SwitchInput, Body()], here: Here, actor: Annotated[Actor, needs("execution:update")]
) -> dict[str, Any]:
    """Hold back new executions, or let them begin again; none is lost."""
    change = service.pause_all if switch.paused else service.resume_all
    change(here, actor=actor)
    return _execution(here)


def _execution(here: Here) -> dict[str, Any]:
    return {"paused": service.is_paused(here), "workers": service.count_workers(here)}
