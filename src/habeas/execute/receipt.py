"""The body of a receipt: what was done for one privacy request and what the re-scan found. Pure.

Canonical JSON material (RFC 8785): text and integers only. No personal data: identities appear as keyed
hashes, rows as counts. Signing, chaining and storing are `store.receipts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from habeas.core.identity import canonical
from habeas.execute.access import AccessResult
from habeas.execute.deletes import REFERENCED
from habeas.execute.erasure import ErasureResult
from habeas.execute.freeze import Tally
from habeas.execute.members import Member
from habeas.plan.model import Plan, Step

FORMAT = "habeas-receipt/1"


def build_receipt(
    plan: Plan,
    plan_digest: str,
    member: Member,
    *,
    external: Mapping[str, Any],
    access: AccessResult | None,
    erasure: ErasureResult | None,
    identity_hash: Callable[[str, str], str],
    started: datetime,
    finished: datetime,
    region: str,
    confirmed: Mapping[str, Sequence[Any]] = {},
) -> dict[str, Any]:
    """One request's receipt. `external` holds what the store knows: request id, policy key, outcome, packages.
    `confirmed`: of collections that habeas can't look at, who confirmed the erasure, when, and of how many rows.
    """
    body: dict[str, Any] = {
        "format": FORMAT,
        **external,
        "policy_version": plan.policy_version,
        "catalog_version": plan.catalog_version,
        "plan": plan_digest,
        "identities": sorted(
            [each.kind, identity_hash(each.kind, canonical(each.kind, each.value, region)), each.assurance.value]
            for each in member.identities
        ),
        "absent_kinds": list(plan.absent_kinds),
        "schemas": {step.address: step.fingerprint for step in plan.steps},
        "not_searched": [[each.address, each.reason] for each in plan.not_searched],
        "started": _time(started),
        "finished": _time(finished),
    }
    if access is not None:
        body["access"] = {
            plan.steps[index].address: rows
            for index, counts in sorted(access.rows.items())
            if (rows := counts.of(member.index))
        }
    if erasure is not None:
        body["erasure"] = _erasure(plan, erasure, member.index)
        for address, words in confirmed.items():
            body["erasure"][address] |= {"verified": 0, "confirmed": list(words)}
    return body


def _erasure(plan: Plan, erasure: ErasureResult, member: int) -> dict[str, Any]:
    """What was done by place. Steps that share one, such as one for each foreign key that was nulled, are added up."""
    done: dict[str, Any] = {}
    for index, tally in sorted(erasure.tallies.items()):
        step = plan.steps[index]
        told = _collection(step, tally, member)
        done[step.place] = _added(done[step.place], told) if step.place in done else told
    return done


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both: counts add up, names are united."""
    both: dict[str, Any] = {**one, **other}
    for name in one.keys() & other.keys():
        if isinstance(one[name], dict):
            both[name] = _added(one[name], other[name])
        elif isinstance(one[name], int):
            both[name] = one[name] + other[name]
    return both


def _collection(step: Step, tally: Tally, member: int) -> dict[str, Any]:
    frozen, vanished = tally.frozen.of(member), tally.vanished.of(member)
    written = frozen - tally.withheld.of(member)
    done = {"masked": written - vanished, "vanished": vanished}
    if step.delete:
        held = tally.kept[REFERENCED].of(member) if REFERENCED in tally.kept else 0
        done = {"deleted": written - held} | ({"masked": held - vanished, "vanished": vanished} if held else {})
    return {
        "frozen": frozen,
        **done,
        "verified": frozen,
        "fields": {mask.field: mask.strategy for mask in step.field_masks},
        "substituted": {mask.field: mask.substituted for mask in step.field_masks if mask.substituted},
        "kept": tally.kept_of(member),
        "kept_fields": {kept.field: kept.reason for kept in step.kept},
    }


def _time(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
