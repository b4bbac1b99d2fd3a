"""Status, stage and outcome of a privacy request, and the two tables of legal moves. Pure.

Code, docs and property tests use these tables; a move that isn't in them can't be written. The status is
what the outside sees (fidesops' words); the stage is where in its life the request is.
"""

from __future__ import annotations

from enum import StrEnum

from habeas.core.errors import Conflict


class Status(StrEnum):
    """What the outside sees."""

    IDENTITY_UNVERIFIED = "identity_unverified"
    PENDING = "pending"
    APPROVED = "approved"
    IN_PROCESSING = "in_processing"
    REQUIRES_INPUT = "requires_input"
    PAUSED = "paused"
    COMPLETE = "complete"
    DENIED = "denied"
    CANCELED = "canceled"
    ERROR = "error"


class Stage(StrEnum):
    """Where in its life a request is. From ACCESS to RECEIPT it runs in a cohort."""

    INTAKE = "intake"
    VERIFY_IDENTITY = "verify_identity"
    APPROVE = "approve"
    PRE_WEBHOOKS = "pre_webhooks"
    QUEUED = "queued"
    ACCESS = "access"
    DELIVER = "deliver"
    FREEZE = "freeze"
    MASK = "mask"
    VERIFY = "verify"
    RECEIPT = "receipt"
    POST_WEBHOOKS = "post_webhooks"
    DONE = "done"


class Outcome(StrEnum):
    """What came of a complete request."""

    DELIVERED = "delivered"
    ERASED = "erased"
    ERASED_WITH_KEPT = "erased_with_kept"
    NOTHING_FOUND = "nothing_found"


class Reason(StrEnum):
    """Why a request isn't complete."""

    REFUSED = "refused"
    INCOMPLETE = "incomplete"
    WEBHOOK = "webhook"
    DELIVERY = "delivery"
    NOT_SEARCHED = "not_searched"
    IDENTITIES_DISAGREE = "identities_disagree"
    DUPLICATE = "duplicate"
    PLAN_CHANGED = "plan_changed"
    MANUAL = "manual"


STATUS_MOVES: dict[Status, frozenset[Status]] = {
    Status.IDENTITY_UNVERIFIED: frozenset({Status.PENDING, Status.DENIED, Status.CANCELED}),
    Status.PENDING: frozenset(
        {Status.APPROVED, Status.DENIED, Status.CANCELED, Status.IN_PROCESSING, Status.ERROR, Status.REQUIRES_INPUT}
    ),
    Status.APPROVED: frozenset({Status.IN_PROCESSING, Status.CANCELED, Status.ERROR, Status.REQUIRES_INPUT}),
    Status.IN_PROCESSING: frozenset(
        {Status.COMPLETE, Status.ERROR, Status.REQUIRES_INPUT, Status.PAUSED, Status.CANCELED, Status.PENDING}
    ),
    # People confirmed: complete, or in processing while webhooks are told.
    Status.REQUIRES_INPUT: frozenset(
        {Status.PENDING, Status.CANCELED, Status.DENIED, Status.ERROR, Status.COMPLETE, Status.IN_PROCESSING}
    ),
    Status.PAUSED: frozenset({Status.PENDING, Status.IN_PROCESSING, Status.CANCELED, Status.ERROR}),
    Status.ERROR: frozenset({Status.PENDING, Status.IN_PROCESSING, Status.CANCELED}),  # half an erasure goes on
    Status.COMPLETE: frozenset(),
    Status.DENIED: frozenset(),
    Status.CANCELED: frozenset(),
}

_ORDER = list(Stage)

# A request moves forward, over stages its policy doesn't need. Retry goes back to the queue, or, with an erasure
# that stopped half-way, to masking what it froze.
STAGE_MOVES: dict[Stage, frozenset[Stage]] = {
    stage: frozenset(_ORDER[position + 1 :])
    | (frozenset({Stage.QUEUED}) if Stage.QUEUED in _ORDER[: position + 1] and stage is not Stage.DONE else frozenset())
    for position, stage in enumerate(_ORDER)
} | {Stage.DONE: frozenset({Stage.QUEUED, Stage.MASK, Stage.POST_WEBHOOKS})}  # retry of one that isn't complete
# Whoever lets a request go on queues it; webhooks that its policy has, and that weren't told yet, come first.
STAGE_MOVES[Stage.QUEUED] |= {Stage.PRE_WEBHOOKS}

FINAL = frozenset(status for status, moves in STATUS_MOVES.items() if not moves)


def check_status(old: Status, new: Status) -> None:
    """Raises Conflict if the status can't move so. Staying is always legal."""
    if new != old and new not in STATUS_MOVES[old]:
        raise Conflict(f"a request that is {old} can't become {new}", fix=_advice(old))


def check_stage(old: Stage, new: Stage) -> None:
    """Raises Conflict if the stage can't move so. Staying is always legal."""
    if new != old and new not in STAGE_MOVES[old]:
        raise Conflict(f"a request at stage {old} can't go to {new}")


def _advice(old: Status) -> str | None:
    return "it is final; submit a new one" if old in FINAL else None
