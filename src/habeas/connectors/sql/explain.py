"""All statements of a segment by purpose, for preview and explain. Nothing is run and nothing is bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from habeas.connectors.base import Statement
from habeas.connectors.sql import own, reading
from habeas.connectors.sql.statements import SegmentStatements
from habeas.connectors.sql.writing import StepWrites
from habeas.plan.model import Step


def segment_statements(statements: SegmentStatements) -> Sequence[Statement]:
    """In the order of the segment's steps; of a step, as they run."""
    plan = statements.plan
    return [
        each
        for index in statements.segment.steps
        for each in (*_finding(statements, plan.steps[index]), *_using(statements, plan.steps[index]))
    ]


def _finding(statements: SegmentStatements, step: Step) -> Iterator[Statement]:
    if step.own_of is not None:
        found = [own.claim_values(statements, step, seed).statement for seed in step.seeds if not step.masks[0].parts]
        yield from (Statement(step.place, "seed", text) for text in found or [own.claim_documents(statements, step)])
        return
    for seed in step.seeds:
        if seed.kind in statements.plan.kinds:
            yield Statement(step.address, "seed", statements.seed(step, seed)[0])
    for link in step.links:
        for move in statements.follow(link, first=False):
            yield Statement(step.address, "follow", move.statement)
        if statements.is_tested(link):
            yield Statement(step.address, "follow", statements.judge(link, first=False).statement)


def _using(statements: SegmentStatements, step: Step) -> Iterator[Statement]:
    names = statements.names[step.index]
    if step.output:
        columns = list(dict.fromkeys(output.path.partition(".")[0] for output in step.output))
        yield Statement(step.address, "rows", reading.read_rows(statements.dialect, names, columns, one_member=False))
    if not step.writes or not (step.key or step.alike):
        return
    place = step.address if step.own_of is None else step.place
    freezing = reading.read_to_freeze(statements, step, "single", new_only=False)
    yield Statement(place, "freeze", freezing.statement)
    writes = StepWrites(statements.dialect, step, {each.index: each for each in statements.plan.steps})
    if step.delete:
        yield Statement(place, "delete", writes.delete())
    else:
        yield Statement(
            place, "mask", (writes.mask_by_keys() or writes.mask_from_work(guarded=writes.guarded)).statement
        )
    for carry in step.carries:
        yield Statement(place, "mask", writes.carry(carry))
    yield Statement(place, "verify", (writes.count_alike() if step.alike else writes.verify()).statement)
