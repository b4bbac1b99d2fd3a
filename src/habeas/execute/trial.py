"""Trying out: whether the stores' CHECKs would take the masked values, asked before the first write.

The stores themselves evaluate their conditions over the frozen values. Nothing is written; who would be
refused is refused here, by name of the table and the CHECK.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from habeas.connectors.base import FrozenChunk, Writer
from habeas.core.errors import MembersRefused, Refused, SourceRejected
from habeas.execute.context import CohortContext
from habeas.execute.deletes import as_masked
from habeas.execute.freeze import Freezer
from habeas.plan.model import Step

_FIX = "give the field a masking_strategy_override that the CHECK allows (preserve keeps it)"


def try_writes(context: CohortContext, freezer: Freezer) -> None:
    """Raises MembersRefused for the requests whose rows a CHECK would refuse, masked as they were frozen."""
    refused: dict[int, Refused] = {}
    for step in context.plan.steps:
        if step.checks and step.masks:
            # Of rows that are deleted only those are masked that others hold.
            chunks = (chunk for chunk in freezer.chunks(step.index) if chunk.held or not step.delete)
            for member, problem in _problems(context, as_masked(step), chunks):
                refused.setdefault(member, problem)
    if refused:
        raise MembersRefused(refused)


def _problems(context: CohortContext, step: Step, chunks: Iterable[FrozenChunk]) -> Iterator[tuple[int, Refused]]:
    with context.writer(step.connection) as writer:
        for chunk in chunks:
            for check in step.checks:
                positions = _refused_rows(writer, step, chunk, check)
                owners = {owner for each in positions for owner in chunk.others.get(each) or (chunk.owners[each],)}
                yield from ((owner, _problem(step, check)) for owner in sorted(owners))


def _refused_rows(writer: Writer, step: Step, chunk: FrozenChunk, check: str) -> Iterable[int]:
    try:
        return writer.try_out(step, chunk, check)
    except SourceRejected:  # a value that can't even be cast: which rows, the store doesn't tell
        return range(len(chunk))


def _problem(step: Step, check: str) -> Refused:
    return Refused(f"the masked values break {check}", cause="unmaskable", where=step.address, fix=_FIX)
