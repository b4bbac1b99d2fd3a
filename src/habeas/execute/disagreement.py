"""Do the values that somebody claimed belong to one person? Asked of the stores before anything is read for a package.

A row found by one value that carries another value of a kind also given disagrees: the phone number's row has
somebody else's e-mail address. Looked up are claims too, which otherwise find nothing; what is found tells only that a
person must decide. Reads only, follows no reference, hands on no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from habeas.connectors.base import Connector, Reader, SeedValue, at
from habeas.core.identity import Identity, canonical
from habeas.core.nested import open_document, values_at
from habeas.core.values import canonical_text
from habeas.execute.members import Member
from habeas.plan.model import Plan, Seed, Segment, Step, base_of


def find_disagreements(
    plan: Plan, members: Sequence[Member], connector: Callable[[str], Connector], label: str, region: str
) -> dict[int, str]:
    """The members whose given values disagree, each with the collection that says so.

    `plan` is one for all kinds given, claimed ones included. Raises as readers do.
    """
    bare = _without_links(plan)
    given = {member.index: _by_kind(member.identities) for member in members}
    seeds = [
        SeedValue(member.index, each.kind, each.value, canonical(each.kind, each.value, region))
        for member in members
        for each in member.identities
    ]
    found: dict[int, str] = {}
    for step in bare.steps:
        if len({seed.kind for seed in step.seeds}) < 2:
            continue
        segment = Segment(step.connection, (step.index,))
        with at(step), connector(step.connection).reader(bare, segment, label) as reader:
            for member in _disagreeing(reader, step, seeds, given):
                found.setdefault(member, step.address)
    return found


def _disagreeing(
    reader: Reader, step: Step, seeds: Sequence[SeedValue], given: Mapping[int, Mapping[str, Sequence[Identity]]]
) -> Iterator[int]:
    reader.seed(step, seeds)
    columns = list(dict.fromkeys(base_of(seed.column) for seed in step.seeds))
    for members, _, rows in reader.rows(step, columns):
        for member, row in zip(members, rows, strict=True):
            if _disagrees(step, dict(zip(columns, row, strict=True)), given[member]):
                yield member


def _disagrees(step: Step, row: Mapping[str, Any], given: Mapping[str, Sequence[Identity]]) -> bool:
    agreements: dict[str, bool] = {}
    for seed in step.seeds:
        wanted = given.get(seed.kind)
        carried = list(_carried(step, seed, row)) if wanted else []
        if wanted and carried:
            same = any(_is_same(seed, each, text) for each in wanted for text in carried)
            agreements[seed.kind] = agreements.get(seed.kind, False) or same
    return True in agreements.values() and False in agreements.values()


def _carried(step: Step, seed: Seed, row: Mapping[str, Any]) -> Iterator[str]:
    """The values of the seed's column, or inside it, as text; blank ones are none."""
    value, inside = row[base_of(seed.column)], step.column(seed.column).inside
    if inside is None:
        texts = [canonical_text(value)]
    else:
        texts = [canonical_text(each) for each in values_at(open_document(value), inside.path)]
    for text in texts:
        if text is not None and text.strip():
            yield text


def _is_same(seed: Seed, identity: Identity, text: str) -> bool:
    if seed.match == "exact":
        return identity.value == text
    return canonical(seed.kind, identity.value, seed.region) == canonical(seed.kind, text, seed.region)


def _by_kind(identities: Sequence[Identity]) -> dict[str, list[Identity]]:
    kinds: dict[str, list[Identity]] = {}
    for each in identities:
        kinds.setdefault(each.kind, []).append(each)
    return kinds


def _without_links(plan: Plan) -> Plan:
    """The plan's steps as lookups of identities and nothing else."""
    return msgspec.structs.replace(
        plan, erases=False, steps=tuple(msgspec.structs.replace(step, links=(), pointings=()) for step in plan.steps)
    )
