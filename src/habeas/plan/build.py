"""Compiles a policy, a catalog and identity kinds into a plan: one page, read from top to bottom.

The same input gives the same bytes, whatever order it comes in. Knows no identity values, reads no store,
keeps nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

import msgspec

from habeas.core.errors import Refused
from habeas.plan.assemble import assemble_steps, segments_of
from habeas.plan.deletes import order_deletes, widen_deletes
from habeas.plan.draft import Draft
from habeas.plan.far import find_far_holds
from habeas.plan.folding import warn_folding
from habeas.plan.graph import Catalog, build_graph
from habeas.plan.guards import guard_writes
from habeas.plan.keyless import find_alike
from habeas.plan.masks import choose_masks
from habeas.plan.model import Plan, RuleOutput, Segment
from habeas.plan.own import add_own_steps, with_own_steps
from habeas.plan.passes import (
    arrange_steps,
    ask,
    follow_references,
    judge_ownership,
    leave_out,
    prune,
    select_fields,
)
from habeas.plan.scans import warn_scans
from habeas.plan.surroundings import check_surroundings
from habeas.plan.writes import check_writes, rank_writes
from habeas.policy.model import ActionType, Policy

PASSES: tuple[Callable[[Draft], Draft], ...] = (
    select_fields,
    follow_references,
    leave_out,
    judge_ownership,
    prune,
    ask,
    arrange_steps,
    assemble_steps,
    choose_masks,
    find_alike,
    widen_deletes,
    find_far_holds,
    order_deletes,
    add_own_steps,
    guard_writes,
    check_surroundings,
    check_writes,
    rank_writes,
    warn_scans,
    warn_folding,
)


def build_plan(policy: Policy, catalog: Catalog, kinds: Collection[str], *, region: str) -> Plan:
    """The plan of a policy for requests that give these identity kinds.

    `region` is the default for phone numbers. Raises Refused, the first problem in order of place, with all
    of them in `problems`: what can't be done is found here, before any write.
    """
    draft = Draft(policy=policy, graph=build_graph(catalog), kinds=tuple(sorted(set(kinds))), region=region)
    for run_pass in PASSES:
        draft = run_pass(draft)
    outputs = _outputs(policy)
    _refuse([*draft.problems, *(each for each in outputs if isinstance(each, Refused))])
    return Plan(
        policy=policy.key,
        policy_version=version_of(policy),
        catalog_version=catalog.version(),
        kinds=draft.kinds,
        steps=draft.steps,
        segments=tuple(
            with_own_steps(Segment(run.connection, steps, run.loop), draft.steps)
            for run, steps in segments_of(draft.runs)
        ),
        outputs=tuple(each for each in outputs if isinstance(each, RuleOutput)),
        not_searched=draft.not_searched,
        warnings=tuple(sorted(set(draft.warnings), key=lambda each: (each.address, each.code, each.message))),
        erases=bool(policy.rules_of(ActionType.ERASURE)),
        partial_identities=policy.partial_identities,
        absent_kinds=_absent_kinds(draft),
    )


def version_of(policy: Policy) -> str:
    """Hex SHA-256 of the policy's content."""
    return hashlib.sha256(_ENCODER.encode(policy)).hexdigest()


_ENCODER = msgspec.json.Encoder(order="sorted")


def _outputs(policy: Policy) -> list[RuleOutput | Refused]:
    return [
        RuleOutput(rule.key, rule.storage_key)
        if rule.storage_key
        else Refused(
            f"access rule {rule.key} has no destination",
            cause="no_destination",
            where=policy.key,
            fix="give the rule a storage_destination_key",
        )
        for rule in policy.rules_of(ActionType.ACCESS)
    ]


def _refuse(problems: list[Refused]) -> None:
    found = {(each.where or "", each.cause, each.message): each for each in problems}
    if not found:
        return
    ordered = tuple(found[key] for key in sorted(found))
    first = ordered[0]
    raise Refused(first.message, cause=first.cause, where=first.where, fix=first.fix, problems=ordered)


def _absent_kinds(draft: Draft) -> tuple[str, ...]:
    searched = (draft.graph.nodes[address].fields.values() for address in draft.kept)
    known = {field.identity for fields in searched for field in fields if field.identity}
    return tuple(sorted(known.difference(draft.kinds)))
