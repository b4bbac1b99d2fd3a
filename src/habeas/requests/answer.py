"""What the outside sees of a privacy request: the item of every answer, as plain data.

Sealed columns never show; identities only where they are asked for, opened by the caller. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from habeas.core.identity import Identity
from habeas.requests.model import Reason, Status

SHOWN = (
    "id",
    "created_at",
    "updated_at",
    "requested_at",
    "started_processing_at",
    "finished_processing_at",
    "reviewed_at",
    "reviewed_by",
    "identity_verified_at",
    "paused_at",
    "canceled_at",
    "cancel_reason",
    "due_date",
    "regime",
    "extended_at",
    "clock_stopped_at",
    "status",
    "stage",
    "outcome",
    "reason",
    "reason_detail",
    "kept",
    "confirmed",
    "not_searched",
    "withheld",
    "absent_kinds",
    "warnings",
    "external_id",
    "reappeared",
    "reverified_at",
    "attempt",
    "plan_digest",
    "duplicate_of",
    "resubmits",
    "first_approved_by",
    "first_approved_at",
    "approved_digest",
    "deleted_at",
    "purged_at",
)
TIMES = frozenset(name for name in SHOWN if name.endswith("_at") or name == "due_date")

_RESUMES = {Status.ERROR: "retry", Status.REQUIRES_INPUT: "resume_from_requires_input"}

Policies = Mapping[str, Mapping[str, Any]]
"""What is shown of policies, by id."""


def item_of(row: Mapping[str, Any], policies: Policies, today: date) -> dict[str, Any]:
    """One item: fidesops' fields and ours. `row` needs the columns of `SHOWN`, and `policy_id`, `policy_key`, `kinds`,
    `claimed`.

    `days_left` counts whole days in UTC, may be negative, and stands while the clock is stopped.
    `resume_endpoint` is relative to the API's root.
    """
    item = {name: row[name] for name in SHOWN}
    due, stopped = row["due_date"], row["clock_stopped_at"]
    ending = _resumed_by(row)
    item |= {
        "policy": policies.get(row["policy_id"]) or {"key": row["policy_key"]},
        "identity": None,
        "identity_kinds": row["kinds"],
        "claimed_kinds": row["claimed"] or [],
        "reviewer": {"id": row["reviewed_by"]} if row["reviewed_by"] else None,
        "days_left": None if due is None else (due.date() - (stopped.date() if stopped else today)).days,
        "package": [_package(each) for each in row["package"] or ()],
        "action_required_details": _action_required(row),
        "resume_endpoint": f"/privacy-request/{row['id']}/{ending}" if ending else None,
    }
    return item


def _resumed_by(row: Mapping[str, Any]) -> str | None:
    """The route that lets a request go on."""
    if row["status"] == Status.PAUSED and row["reason"] == Reason.MANUAL:
        return {"access": "manual_input", "erasure": "erasure_confirm"}[row["reason_detail"]["step"]]
    return _RESUMES.get(Status(row["status"]))


def _action_required(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """What somebody must do, in fidesops' shape."""
    if row["status"] != Status.REQUIRES_INPUT or row["reason"] != Reason.IDENTITIES_DISAGREE:
        return None
    return {
        "step": "verify_identity",
        "collection": row["reason_detail"]["address"],
        "action_needed": [{"claimed_identities": ["drop", "vouch"]}],
    }


def policies_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is shown of policies, by id, from rows of `store.requests.find_policies`."""
    shown: dict[str, dict[str, Any]] = {}
    for row in rows:
        names = ("key", "name", "drp_action", "execution_timeframe", "regime")
        policy = shown.setdefault(row["id"], {name: row[name] for name in names} | {"rules": []})
        if row["rule_id"] is not None:
            rule = {name: row[f"rule_{name}"] for name in ("key", "name", "action_type")}
            policy["rules"].append(rule | {"storage_destination_key": row["rule_storage_key"]})
    return shown


def identities_of(identities: Iterable[Identity]) -> dict[str, Any]:
    """Identities as a caller gives them: the first value of each kind; `{label, value}` where it has a label."""
    shown: dict[str, Any] = {}
    for each in identities:
        value = each.value if each.label is None else {"label": each.label, "value": each.value}
        shown.setdefault(each.kind, value)
    return shown


def _package(reference: Mapping[str, Any]) -> dict[str, Any]:
    return {name: reference.get(name) for name in ("storage", "location", "digest", "size")}
