"""Routes by which people decide about requests: one by one, by ids, or all that a filter finds, after a preview."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, model_validator

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import BulkOf
from habeas.api.routes.privacy_requests import PrivacyRequestAnswer
from habeas.requests import service
from habeas.requests.bulk import MAX_ITEMS, Bulk
from habeas.requests.clients import Actor
from habeas.requests.model import Status
from habeas.requests.review_many import Decision
from habeas.requests.service import RequestFilter

router = APIRouter(tags=["Privacy Requests"], route_class=GuardedRoute)


class FilterInput(BaseModel):
    """What a list of requests is narrowed by, named as in its query."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    request_id: str | None = None
    external_id: str | None = None
    identity: str | None = None
    policy_key: str | None = None
    status: list[Status] = Field(default=[], max_length=len(Status))
    created_lt: datetime | None = None
    created_gt: datetime | None = None
    due_lt: datetime | None = None
    due_gt: datetime | None = None
    overdue: bool = False
    at_risk: bool = False
    at_risk_days: int = Field(default=7, ge=1, le=366)
    duplicates: bool | None = None
    custom_field: str | None = None

    def wanted(self) -> RequestFilter:
        """As the service takes it."""
        return RequestFilter(**self.model_dump())


class DecisionInput(BaseModel):
    """Requests to decide about: by their ids, or by a filter with the digest of its preview."""

    model_config = ConfigDict(
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [
                {"request_ids": ["pri_00000000-0000-4000-8000-000000000000"], "reason": "withdrawn"},
                {"filter": {"policy_key": "download", "status": ["pending"]}, "digest": "of the preview"},
            ]
        },
    )

    request_ids: Annotated[list[str], Field(max_length=MAX_ITEMS)] | None = None
    filter: FilterInput | None = None
    digest: Annotated[str, Field(max_length=64)] | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> DecisionInput:
        if (self.request_ids is None) == (self.filter is None):
            raise ValueError("give request_ids, or filter with digest")
        if (self.filter is None) != (self.digest is None):
            raise ValueError("a filter needs the digest of its preview, POST /privacy-request/administrate/preview")
        return self


class PreviewInput(BaseModel):
    """A decision about all that match."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"decision": "approve", "filter": {"policy_key": "download"}}]}
    )

    decision: Decision
    filter: FilterInput


class PlannedAnswer(BaseModel):
    """Requests that would run by one plan; `problem` where there is none now."""

    policy_key: str
    identity_kinds: list[str]
    count: int
    plan_digest: str | None
    problem: str | None


class PreviewAnswer(BaseModel):
    """What a decision would mean: `count` of the `matching` requests would move. `digest` is given with it."""

    matching: int
    count: int
    digest: str
    plans: list[PlannedAnswer]


Review = Annotated[Actor, needs("privacy-request:review")]
Resume = Annotated[Actor, needs("privacy-request:resume")]
_CHANGED: dict[int | str, dict[str, Any]] = {409: {"description": "What matches changed since the preview"}}


@router.post("/privacy-request/administrate/preview", response_model=PreviewAnswer)
def preview_decision(given: Annotated[PreviewInput, Body()], here: Here, _: Review) -> dict[str, Any]:
    """What a decision about all that match would mean; nothing moves."""
    return service.preview_decision(here, given.decision, given.filter.wanted()).document()


@router.patch("/privacy-request/administrate/approve", response_model=BulkOf[PrivacyRequestAnswer], responses=_CHANGED)
def approve_privacy_requests(given: Annotated[DecisionInput, Body()], here: Here, actor: Review) -> Bulk:
    """Approve pending requests; where a policy asks for two, the first approval leaves them pending."""
    return _decide(Decision.APPROVE, given, here, actor)


@router.patch("/privacy-request/administrate/deny", response_model=BulkOf[PrivacyRequestAnswer], responses=_CHANGED)
def deny_privacy_requests(given: Annotated[DecisionInput, Body()], here: Here, actor: Review) -> Bulk:
    """Deny requests that haven't begun."""
    return _decide(Decision.DENY, given, here, actor)


@router.patch("/privacy-request/administrate/cancel", response_model=BulkOf[PrivacyRequestAnswer], responses=_CHANGED)
def cancel_privacy_requests(given: Annotated[DecisionInput, Body()], here: Here, actor: Review) -> Bulk:
    """Cancel requests of which nothing is masked yet."""
    return _decide(Decision.CANCEL, given, here, actor)


@router.patch("/privacy-request/administrate/retry", response_model=BulkOf[PrivacyRequestAnswer], responses=_CHANGED)
def retry_privacy_requests(given: Annotated[DecisionInput, Body()], here: Here, actor: Resume) -> Bulk:
    """Run failed requests again."""
    return _decide(Decision.RETRY, given, here, actor)


@router.post("/privacy-request/bulk/retry", response_model=BulkOf[PrivacyRequestAnswer])
def bulk_retry_privacy_requests(
    ids: Annotated[list[str], Body(max_length=MAX_ITEMS)], here: Here, actor: Resume
) -> Bulk:
    """Run failed requests again, by their ids (fides)."""
    return service.retry(here, ids, actor=actor)


def _decide(decision: Decision, given: DecisionInput, here: Any, actor: Actor) -> Bulk:
    if given.filter is not None:
        wanted, digest = given.filter.wanted(), given.digest or ""
        return service.decide_many(here, decision, wanted, digest, actor=actor, reason=given.reason)
    ids = given.request_ids or []
    if decision is Decision.APPROVE:
        return service.approve(here, ids, actor=actor)
    if decision is Decision.RETRY:
        return service.retry(here, ids, actor=actor)
    act = service.deny if decision is Decision.DENY else service.cancel
    return act(here, ids, actor=actor, reason=given.reason)
