"""Routes of privacy requests: take in, list, watch, review, retry, cancel; their logs, receipts and plans."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from habeas.api.access import GuardedRoute, Here, needs, needs_unless_verifying
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, BulkOf, PageNumber, PageOf, PageSize
from habeas.core.errors import Conflict
from habeas.requests import service
from habeas.requests.bulk import MAX_ITEMS, Bulk, Page
from habeas.requests.clients import Actor
from habeas.requests.manual import MOST_ROWS
from habeas.requests.model import Status
from habeas.requests.service import RequestFilter

router = APIRouter(tags=["Privacy Requests"], route_class=GuardedRoute)

_IDENTITY = {
    "type": "object",
    "description": "values by identity kind: text, an integer, or {label, value}",
    "additionalProperties": True,
    "properties": {"email": {"type": "string"}, "phone_number": {"type": "string"}},
}
_ITEM = {
    "type": "object",
    "title": "PrivacyRequestCreate",
    "required": ["policy_key"],
    "properties": {
        "external_id": {"type": "string", "maxLength": 1024, "description": "the caller's own id; not unique"},
        "requested_at": {"type": "string", "format": "date-time"},
        "policy_key": {"type": "string"},
        "identity": _IDENTITY,
        "identities": {"type": "array", "items": _IDENTITY, "description": "alternative identities of one person"},
        "encryption_key": {"type": "string", "description": "16 bytes: the package is encrypted with it"},
        "custom_privacy_request_fields": {
            "type": "object",
            "description": "what the policy asks besides, by name: {label, value}",
            "additionalProperties": True,
        },
    },
}

Item = Annotated[Any, WithJsonSchema(_ITEM)]
"""One request as given. Its faults are its own: they never stop the other items, so the service checks it."""


class RuleOfRequest(BaseModel):
    """A rule of the policy of a request."""

    key: str
    name: str
    action_type: str
    storage_destination_key: str | None = None


class PolicyOfRequest(BaseModel):
    """The policy of a request; the key alone where the policy is gone."""

    key: str
    name: str | None = None
    drp_action: str | None = None
    execution_timeframe: int | None = None
    regime: str | None = None
    rules: list[RuleOfRequest] = []


class PackageAnswer(BaseModel):
    """Where a package is."""

    storage: str | None
    location: str | None
    digest: str | None
    size: int | None


class PrivacyRequestAnswer(BaseModel):
    """A privacy request. `status` is what happened, `stage` where it is, `outcome` or `reason` why."""

    model_config = ConfigDict(extra="ignore")

    id: str
    external_id: str | None
    created_at: datetime
    updated_at: datetime
    requested_at: datetime
    started_processing_at: datetime | None
    finished_processing_at: datetime | None
    reviewed_at: datetime | None
    reviewed_by: str | None
    reviewer: dict[str, Any] | None
    identity_verified_at: datetime | None
    paused_at: datetime | None
    canceled_at: datetime | None
    cancel_reason: str | None
    due_date: datetime | None
    regime: str | None
    extended_at: datetime | None
    clock_stopped_at: datetime | None
    days_left: int | None
    status: str
    stage: str
    outcome: str | None
    reason: str | None
    reason_detail: dict[str, Any] | None
    kept: dict[str, int] | None
    confirmed: list[dict[str, Any]] | None
    not_searched: list[dict[str, Any]] | None
    withheld: dict[str, int] | None
    absent_kinds: list[str] | None
    warnings: list[str] | None
    reappeared: int | None
    reverified_at: datetime | None
    attempt: int
    plan_digest: str | None
    duplicate_of: str | None
    resubmits: str | None
    first_approved_by: str | None
    first_approved_at: datetime | None
    approved_digest: str | None
    deleted_at: datetime | None
    purged_at: datetime | None
    policy: PolicyOfRequest
    identity: dict[str, Any] | None
    identity_kinds: list[str]
    claimed_kinds: list[str]
    package: list[PackageAnswer]
    action_required_details: dict[str, Any] | None
    resume_endpoint: str | None


class ListedRequestAnswer(PrivacyRequestAnswer):
    """A request in a list; `results` are there only in a verbose one, identities and fields only when asked for."""

    identities: list[dict[str, Any]] | None = Field(default=None, exclude_if=lambda value: value is None)
    custom_privacy_request_fields: dict[str, dict[str, Any]] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    results: dict[str, list[dict[str, Any]]] | None = Field(default=None, exclude_if=lambda value: value is None)


class LogAnswer(BaseModel):
    """One step of an execution: counts and never values."""

    dataset_name: str
    collection_name: str
    fields_affected: list[dict[str, Any]]
    message: str | None
    action_type: str
    status: str
    updated_at: datetime
    counts: dict[str, Any] | None


class ErasureConfirmInput(BaseModel):
    """How many rows somebody erased."""

    row_count: Annotated[int, Field(ge=0, strict=True)]


class ReasonInput(BaseModel):
    """Why a request is canceled."""

    reason: str | None = None


class ResumeInput(BaseModel):
    """What a reviewer decided."""

    claimed_identities: Literal["drop", "vouch"] | None = None


Read = Annotated[Actor, needs("privacy-request:read")]
Review = Annotated[Actor, needs("privacy-request:review")]
Resume = Annotated[Actor, needs("privacy-request:resume")]
Create = Annotated[Actor, needs_unless_verifying("privacy-request:create")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="makes a repeated call answer the same; remembered for 24 hours, after that the key is new again",
    ),
]


@router.post(
    "/privacy-request",
    response_model=BulkOf[PrivacyRequestAnswer],
    responses={429: {"description": "too many calls without a token; Retry-After says how long"}},
)
def create_privacy_request(
    items: Annotated[list[Item], Body(max_length=MAX_ITEMS)],
    here: Here,
    actor: Create,
    idempotency_key: IdempotencyKey = None,
) -> Bulk:
    """Take in up to 50 requests. What is in `succeeded` is durable; one bad item doesn't stop the others."""
    return service.submit(here, items, actor=actor, idempotency_key=idempotency_key)


def _times(
    created_lt: datetime | None = None,
    created_gt: datetime | None = None,
    started_lt: datetime | None = None,
    started_gt: datetime | None = None,
    completed_lt: datetime | None = None,
    completed_gt: datetime | None = None,
    errored_lt: datetime | None = None,
    errored_gt: datetime | None = None,
    due_lt: datetime | None = None,
    due_gt: datetime | None = None,
) -> RequestFilter:
    return RequestFilter(
        created_lt=created_lt,
        created_gt=created_gt,
        started_lt=started_lt,
        started_gt=started_gt,
        completed_lt=completed_lt,
        completed_gt=completed_gt,
        errored_lt=errored_lt,
        errored_gt=errored_gt,
        due_lt=due_lt,
        due_gt=due_gt,
    )


def _wanted(
    times: Annotated[RequestFilter, Depends(_times)],
    id: Annotated[str | None, Query(description="exact")] = None,
    request_id: Annotated[str | None, Query(description="prefix")] = None,
    external_id: Annotated[str | None, Query(description="prefix")] = None,
    identity: Annotated[str | None, Query(description="exact value of one identity")] = None,
    policy_key: str | None = None,
    action: Annotated[Literal["access", "erasure"] | None, Query(description="that its policy does today")] = None,
    status: Annotated[list[Status] | None, Query()] = None,
    overdue: Annotated[bool, Query(description="not answered and past the due date")] = False,
    at_risk: Annotated[bool, Query(description="not answered and due within `at_risk_days`")] = False,
    at_risk_days: Annotated[int, Query(ge=1, le=366)] = 7,
    custom_field: Annotated[str | None, Query(description="name:value of a searchable custom field")] = None,
    include_deleted: bool = False,
    duplicates: Annotated[bool | None, Query(description="only those that are duplicates; false: only others")] = None,
) -> RequestFilter:
    return replace(
        times,
        id=id,
        request_id=request_id,
        external_id=external_id,
        identity=identity,
        policy_key=policy_key,
        action=action,
        status=tuple(status or ()),
        overdue=overdue,
        at_risk=at_risk,
        at_risk_days=at_risk_days,
        duplicates=duplicates,
        include_deleted=include_deleted,
        custom_field=custom_field,
    )


@router.get(
    "/privacy-request",
    response_model=PageOf[ListedRequestAnswer],
    responses={200: {"content": {"text/csv": {}, "application/jsonl": {}}, "description": "A page, or all"}},
)
def get_privacy_requests(
    here: Here,
    actor: Read,
    wanted: Annotated[RequestFilter, Depends(_wanted)],
    verbose: bool = False,
    include_identities: bool = False,
    include_custom_privacy_request_fields: Annotated[
        bool, Query(description="needs the scope privacy-request:view_data")
    ] = False,
    download_csv: bool = False,
    download_jsonl: bool = False,
    sort_field: str = "created_at",
    sort_direction: Literal["asc", "desc"] = "desc",
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Any:
    """Requests that match all filters, newest first. `verbose` adds the log under `results`; `download_csv` gives all
    of them, with their identities, as CSV in order of age; `download_jsonl` the items, one a line, by age too.
    """
    if download_csv:
        lines = service.export_csv(
            here, wanted, sort_field=sort_field, sort_direction=sort_direction, revealed_to=actor
        )
        name = f"privacy_requests_download_{here.clock.now():%Y-%m-%d}.csv"
        return StreamingResponse(
            lines, media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )
    if download_jsonl:
        found = service.export_jsonl(
            here, wanted, sort_direction=sort_direction, revealed_to=actor if include_identities else None
        )
        return StreamingResponse(found, media_type="application/jsonl")
    return service.find(
        here,
        wanted,
        page=page,
        size=size,
        sort_field=sort_field,
        sort_direction=sort_direction,
        revealed_to=actor if include_identities else None,
        fields_to=actor if include_custom_privacy_request_fields else None,
        verbose=verbose,
    )


@router.get("/privacy-request/{request_id}", response_model=ListedRequestAnswer)
def get_privacy_request(request_id: str, here: Here, actor: Read, include_identities: bool = False) -> dict[str, Any]:
    """One request; `include_identities` shows identities and the values by which a person finds rows, audited."""
    return service.read_request(here, request_id, revealed_to=actor if include_identities else None)


@router.get("/privacy-request/{request_id}/log", response_model=PageOf[LogAnswer])
def get_privacy_request_log(
    request_id: str, here: Here, _: Read, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE
) -> Page:
    """The execution log, oldest first, appearing while the request runs."""
    return service.logs(here, request_id, page=page, size=size)


@router.get("/privacy-request/{request_id}/receipt")
def get_privacy_request_receipt(
    request_id: str, here: Here, _: Annotated[Actor, needs("receipt:read")]
) -> dict[str, Any]:
    """The signed receipt, which `habeas receipt verify` checks offline."""
    return dict(service.receipt(here, request_id))


@router.get("/privacy-request/{request_id}/plan")
def get_privacy_request_plan(request_id: str, here: Here, _: Read) -> dict[str, Any]:
    """The plan the request was last executed with."""
    return service.plan(here, request_id)


@router.post("/privacy-request/{request_id}/retry", response_model=PrivacyRequestAnswer)
def retry_privacy_request(request_id: str, here: Here, actor: Resume) -> dict[str, Any]:
    """Run a failed request again: planned anew, and nothing that was done is repeated."""
    service.read_request(here, request_id)
    return _only(service.retry(here, [request_id], actor=actor))


@router.post("/privacy-request/{request_id}/manual_input", response_model=PrivacyRequestAnswer)
def give_manual_input(
    request_id: str,
    rows: Annotated[list[dict[str, Any]], Body(max_length=MOST_ROWS)],
    here: Here,
    actor: Resume,
) -> dict[str, Any]:
    """Answer the access step of a paused request with the rows of the collection it asks for; `[]`: there are none."""
    return service.give_rows(here, request_id, rows, actor=actor)


@router.post("/privacy-request/{request_id}/erasure_confirm", response_model=PrivacyRequestAnswer)
def confirm_manual_erasure(
    request_id: str, given: Annotated[ErasureConfirmInput, Body()], here: Here, actor: Resume
) -> dict[str, Any]:
    """Confirm the erasure step of a paused request: all rows that it asks for are erased."""
    return service.confirm_erasure(here, request_id, given.row_count, actor=actor)


@router.post("/privacy-request/{request_id}/resume_from_requires_input", response_model=PrivacyRequestAnswer)
def resume_privacy_request_from_requires_input(
    request_id: str, here: Here, actor: Resume, given: Annotated[ResumeInput | None, Body()] = None
) -> dict[str, Any]:
    """Go on with a request that waited for somebody: it is planned anew, with what is configured now.

    `claimed_identities` decides about values that nobody vouches for, and needs `privacy-request:review` too.
    """
    status = service.read_request(here, request_id)["status"]
    if status != Status.REQUIRES_INPUT:
        raise WrongState(f"can't be resumed: it is {status}, not requires_input", where=request_id)
    claimed = given.claimed_identities if given else None
    return _only(service.resume(here, request_id, actor=actor, claimed=claimed))


@router.post("/privacy-request/{request_id}/cancel", response_model=PrivacyRequestAnswer)
def cancel_privacy_request(
    request_id: str, here: Here, actor: Review, given: Annotated[ReasonInput | None, Body()] = None
) -> dict[str, Any]:
    """Stop a request, as long as nothing of it is masked yet."""
    service.read_request(here, request_id)
    return _only(service.cancel(here, [request_id], actor=actor, reason=given.reason if given else None))


def _only(bulk: Bulk) -> dict[str, Any]:
    if bulk.failed:
        raise WrongState(bulk.failed[0].message)
    return bulk.succeeded[0]


class WrongState(Conflict):
    """The request's status doesn't allow this (fidesops answers 400)."""

    status = 400
