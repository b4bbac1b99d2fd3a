"""Deciding about all requests that a filter finds: first a preview, then the very set that was previewed, or nothing.

The preview's digest covers the requests, their states and the plans by which they would run. Whoever decides gives it
back; where anything changed since, nothing moves and the preview is asked for again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from habeas.core.errors import BadInput, Conflict
from habeas.requests.approval import PlanKey, Planned, is_asked_again, plan_key, plans_of
from habeas.requests.bulk import Bulk
from habeas.requests.clients import Actor
from habeas.requests.installation import Installation
from habeas.requests.model import FINAL, Reason, Status
from habeas.requests.review import approve, cancel, deny, may_be_denied, retry
from habeas.requests.search import RequestFilter, narrow
from habeas.store import request_search as store
from habeas.store.receipt_format import canonical_json

MOST = 1_000

Row = Mapping[str, Any]


class Decision(StrEnum):
    """What can be decided about many."""

    APPROVE = "approve"
    DENY = "deny"
    CANCEL = "cancel"
    RETRY = "retry"


class SelectionChanged(Conflict):
    """What the filter finds isn't what was previewed."""

    code = "selection_changed"


@dataclass(frozen=True)
class Selection:
    """What a decision would mean: how many of the `matching` would move, and by which plans they would run."""

    matching: int
    ids: tuple[str, ...]
    plans: Mapping[PlanKey, Planned]
    counts: Mapping[PlanKey, int]
    digest: str

    def document(self) -> dict[str, Any]:
        """As mappings, lists and strings."""
        return {
            "matching": self.matching,
            "count": len(self.ids),
            "digest": self.digest,
            "plans": [
                {
                    "policy_key": key[0],
                    "identity_kinds": list(key[1]),
                    "count": self.counts[key],
                    "plan_digest": each.digest,
                    "problem": each.problem,
                }
                for key, each in sorted(self.plans.items())
            ],
        }


def preview_decision(installation: Installation, decision: Decision, wanted: RequestFilter) -> Selection:
    """What a decision about all that match would mean. Raises BadInput for more than `MOST`."""
    with installation.database.read() as connection:
        narrowed = narrow(installation, wanted)
        rows = store.page_beyond(connection, narrowed, None, descending=False, limit=MOST + 1)
    if len(rows) > MOST:
        raise BadInput(f"finds more than {MOST} requests", where="filter", fix="narrow it")
    able = [row for row in rows if _ABLE[decision](row)]
    runs = decision in (Decision.APPROVE, Decision.RETRY)
    plans = plans_of(installation, able) if runs else {}
    counts = Counter(plan_key(row) for row in able)
    return Selection(len(rows), tuple(row["id"] for row in able), plans, counts, _digest(decision, able, plans))


def decide_many(
    installation: Installation,
    decision: Decision,
    wanted: RequestFilter,
    digest: str,
    *,
    actor: Actor,
    reason: str | None = None,
) -> Bulk:
    """Decide about all that match, if it is what was previewed under this digest. Raises SelectionChanged."""
    found = preview_decision(installation, decision, wanted)
    if not hmac.compare_digest(found.digest.encode(), digest.encode()):
        raise SelectionChanged("what matches, or its plan, changed since the preview", fix="preview it again")
    if decision is Decision.APPROVE:
        return approve(installation, found.ids, actor=actor, plans=found.plans, most=MOST)
    if decision is Decision.RETRY:
        return retry(installation, found.ids, actor=actor, most=MOST)
    act = deny if decision is Decision.DENY else cancel
    return act(installation, found.ids, actor=actor, reason=reason, most=MOST)


def _digest(decision: Decision, rows: Sequence[Row], plans: Mapping[PlanKey, Planned]) -> str:
    states = sorted([row["id"], row["status"], row["stage"], str(row["reason"]), row["attempt"]] for row in rows)
    planned = [[key[0], list(key[1]), str(each.digest), str(each.problem)] for key, each in sorted(plans.items())]
    covered = {"decision": str(decision), "requests": states, "plans": planned}
    return hashlib.sha256(canonical_json(covered)).hexdigest()


def _may_be_retried(row: Row) -> bool:
    waits = row["status"] in (Status.ERROR, Status.REQUIRES_INPUT)
    decided = row["reason"] in (Reason.IDENTITIES_DISAGREE, Reason.DUPLICATE, Reason.PLAN_CHANGED)
    return waits and not decided and row["deleted_at"] is None


_ABLE: Mapping[Decision, Callable[[Row], bool]] = {
    Decision.APPROVE: lambda row: row["status"] == Status.PENDING or is_asked_again(row),
    Decision.DENY: may_be_denied,
    Decision.CANCEL: lambda row: Status(row["status"]) not in FINAL and row["reason"] != Reason.INCOMPLETE,
    Decision.RETRY: _may_be_retried,
}
