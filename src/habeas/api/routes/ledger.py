"""Routes over what was erased before: replays after a restored backup, verifications later. None needs an identity."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, PageNumber, PageOf, PageSize
from habeas.requests import erased
from habeas.requests.bulk import Page
from habeas.requests.clients import Actor
from habeas.requests.ledger_run import REPLAY, VERIFICATION

router = APIRouter(tags=["Erased rows"], route_class=GuardedRoute)


class ReplayInput(BaseModel):
    """What is to be erased again."""

    model_config = ConfigDict(extra="forbid")

    since: Annotated[datetime, Field(description="when the backup was taken; without a zone: UTC")]
    connection_key: Annotated[str | None, Field(description="only in this system")] = None


class LedgerRunAnswer(BaseModel):
    """A replay or verification. `counts` per collection: rows `looked_for`, `found` as they were before they were
    erased, and in a replay `erased` again and `kept`.
    """

    id: str
    kind: str
    status: str
    created_at: datetime
    finished_at: datetime | None
    since: datetime | None
    connection_key: str | None
    reappeared: int
    counts: dict[str, dict[str, int]]
    problems: list[dict[str, Any]] | None


class CollectionVerified(BaseModel):
    """Rows that were erased, and how many of them are back."""

    rows: int
    reappeared: int


class RequestVerified(BaseModel):
    """Whether what was erased for a request is still gone. `incomparable`: rows of tables without a key, by collection,
    which can't be told again.
    """

    id: str
    verified: bool
    incomparable: dict[str, int]
    rows: int
    reappeared: int
    collections: dict[str, CollectionVerified]
    reverified_at: datetime


@router.post("/replay", response_model=LedgerRunAnswer, status_code=202)
def create_replay(
    given: Annotated[ReplayInput, Body()], here: Here, actor: Annotated[Actor, needs("replay:create")]
) -> dict[str, Any]:
    """After a backup was restored: erase again what was erased since it was taken. Durable once it is answered."""
    return erased.start_replay(here, given.since, given.connection_key, actor=actor)


@router.get("/replay", response_model=PageOf[LedgerRunAnswer])
def get_replays(
    here: Here,
    _: Annotated[Actor, needs("replay:read")],
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """Replays, newest first."""
    return erased.list_runs(here, REPLAY, page=page, size=size)


@router.get("/replay/{replay_id}", response_model=LedgerRunAnswer)
def get_replay(replay_id: str, here: Here, _: Annotated[Actor, needs("replay:read")]) -> dict[str, Any]:
    """One replay."""
    return erased.read_run(here, replay_id, REPLAY)


@router.get("/replay/{replay_id}/receipt")
def get_replay_receipt(replay_id: str, here: Here, _: Annotated[Actor, needs("receipt:read")]) -> dict[str, Any]:
    """The signed receipt of a replay."""
    return dict(erased.replay_receipt(here, replay_id))


@router.post("/erasure-verification", response_model=LedgerRunAnswer, status_code=202)
def create_verification(here: Here, actor: Annotated[Actor, needs("erasure-verification:create")]) -> dict[str, Any]:
    """Look again for everything that was ever erased. Durable once it is answered."""
    return erased.start_verification(here, actor=actor)


@router.get("/erasure-verification", response_model=PageOf[LedgerRunAnswer])
def get_verifications(
    here: Here,
    _: Annotated[Actor, needs("erasure-verification:read")],
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """Verifications of everything, newest first."""
    return erased.list_runs(here, VERIFICATION, page=page, size=size)


@router.get("/erasure-verification/{verification_id}", response_model=LedgerRunAnswer)
def get_verification(
    verification_id: str, here: Here, _: Annotated[Actor, needs("erasure-verification:read")]
) -> dict[str, Any]:
    """One verification of everything."""
    return erased.read_run(here, verification_id, VERIFICATION)


@router.post("/privacy-request/{request_id}/verify-erasure", response_model=RequestVerified)
def verify_privacy_request(
    request_id: str, here: Here, actor: Annotated[Actor, needs("erasure-verification:create")]
) -> dict[str, Any]:
    """Look now whether what was erased for a request is still gone."""
    return erased.verify_request(here, request_id, actor=actor)
