"""Erasure: freeze, mask, verify. Set-based, a chunk a transaction, never a statement per row.

Everything here may run again after a crash and then has the effect of having run once: constants write the
same, value-dependent masks write their frozen values, deletes are guarded by the frozen digest. Nothing is
green unless a re-scan agrees: masked + vanished + kept = frozen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from habeas.connectors.base import FrozenChunk, Verified, Writer, at
from habeas.core.errors import Incomplete, StillWritten
from habeas.durable.boundary import reach
from habeas.execute.context import CohortContext, LogEntry
from habeas.execute.deletes import REFERENCED, as_masked, delete_group, grouped, settle_deletes, untie_rows
from habeas.execute.drift import check_drift
from habeas.execute.freeze import Freezer, Tally, VisitSteps, read_chunk
from habeas.execute.traversal import Traversal
from habeas.execute.trial import try_writes
from habeas.plan.model import Step, base_of
from habeas.spool.frames import Frame

ROUNDS = 3  # of looking again for rows or values that somebody goes on writing


class ErasureResult(msgspec.Struct):
    """Per written step (or step with kept rows), what happened to its rows."""

    tallies: dict[int, Tally] = {}

    def frozen(self) -> int:
        """Rows frozen in all; a joint row counts for each owner."""
        return sum(tally.frozen.total() for tally in self.tallies.values())

    def pairs(self) -> int:
        """Rows of all steps and members, those kept included."""
        kept = (counts for tally in self.tallies.values() for counts in tally.kept.values())
        return self.frozen() + sum(counts.total() for counts in kept)

    def frozen_of(self, member: int) -> int:
        """Rows frozen for one member."""
        return sum(tally.frozen.of(member) for tally in self.tallies.values())

    def kept_of(self, member: int) -> dict[str, int]:
        """What of one member's rows stays, by reason."""
        kept: dict[str, int] = {}
        for tally in self.tallies.values():
            for reason, rows in tally.kept_of(member).items():
                kept[reason] = kept.get(reason, 0) + rows
        return dict(sorted(kept.items()))


def run_freeze(context: CohortContext, epoch: int) -> ErasureResult:
    """Find every row the erasure will touch and freeze it durably. Writes to no source; safe to run again.

    Raises MembersRefused for requests whose masked values a store would not take.
    """
    result = ErasureResult()
    freezer = Freezer(context, epoch)
    freezer.begin()
    written = [step for step in context.plan.steps if step.writes]
    context.log([LogEntry(step, "erasure", "in_processing", "looking for its rows") for step in written])
    _traverse(context, freezer.visit(result.tallies), seeded=True)
    settle_deletes(context, freezer, result.tallies)
    try_writes(context, freezer)
    return result


def run_mask(context: CohortContext, epoch: int, result: ErasureResult) -> None:
    """Write all frozen rows, steps that hold identity or reference fields last, joint rows after all others.

    Rows of the subject that appeared since the freeze are frozen and written too, before the fields by
    which they are found go; where none of those go, verification looks for them. Raises Incomplete where new
    ones keep coming.
    """
    reach("mask.before")
    freezer = Freezer(context, epoch)
    first, anchors = write_order(context)
    if context.epoch > 1:  # an earlier attempt may have left statements running
        for connection in sorted({step.connection for step in (*first, *anchors)}):
            context.connector(connection).end_sessions(context.label_prefix, context.label)
    check_drift(context)
    write_steps(context, freezer, first)
    if first and anchors:
        check_drift(context)  # all deletions are still to come
        _catch_new_rows(context, freezer, result, seeded=True, write=first)
    write_steps(context, freezer, anchors)


def run_verify(context: CohortContext, epoch: int, result: ErasureResult) -> ErasureResult:
    """Look at every frozen row again, and from the identities and every frozen key for new rows; returns the final
    tallies.

    It looks until it finds nothing to write, since what is written can make a database write more: a trigger that
    keeps old values brings the identity back elsewhere.

    Raises StillWritten if a value or a new row is still there after three rounds.
    """
    freezer = Freezer(context, epoch)
    first, anchors = write_order(context)
    steps = (*first, *anchors)
    for _ in range(ROUNDS):
        _catch_new_rows(context, freezer, result, seeded=True, write=steps)
        freezer.forget_withheld()
        final = ErasureResult({index: Tally(kept=tally.kept) for index, tally in result.tallies.items()})
        tallies = [final.tallies.setdefault(step.index, Tally()) for step in steps]
        late = [verify_step(context, freezer, *each) for each in zip(steps, tallies, strict=True)]
        if not any(late):
            context.log([_complete(context, *each) for each in zip(steps, tallies, strict=True)])
            return final
    raise StillWritten("values were still there after being written", where=steps[late.index(True)].address)


def verify_step(context: CohortContext, freezer: Freezer, step: Step, tally: Tally) -> bool:
    """Count the step's rows as they are now; whether some had to be written. Raises StillWritten as `run_verify`."""
    late = False
    with at(step), context.writer(step.connection) as writer:
        _know(context, freezer, writer, step)
        for chunk in freezer.chunks(step.index):
            tally.add_frozen(chunk)
            reach("verify.chunk")
            vanished, kept, written = _settle(context, writer, step, chunk)
            late = late or written
            if kept:
                freezer.withhold(chunk, kept)
                tally.add_withheld(chunk, list(kept))
            if not step.delete or chunk.held:  # of rows that are deleted, all are to be gone
                tally.add_vanished(chunk, vanished)
    return late


def _know(context: CohortContext, freezer: Freezer, writer: Writer, step: Step) -> None:
    """Let the session know the subject's rows that the step's guards ask about."""
    for guard in step.guards:
        if guard.step is not None:
            writer.know(context.plan.steps[guard.step], freezer.own(guard.step))


def is_anchor(context: CohortContext, step: Step) -> bool:
    """Whether writing the step destroys fields by which rows are found: identity or reference fields."""
    finding = context.plan.steps[step.origin]
    found_by = {base_of(seed.column) for seed in finding.seeds} | {
        base_of(column) for link in finding.links for column in link.columns
    }
    leads_on = {
        base_of(column)
        for other in context.plan.steps
        for link in other.links
        if link.source == step.origin
        for column in link.source_columns
    }
    return step.delete or any(mask.field in found_by | leads_on for mask in step.masks)


def write_order(context: CohortContext) -> tuple[list[Step], list[Step]]:
    """Written steps in order: those first that hold no field by which rows are found, then the others."""
    written = sorted(
        (step for step in context.plan.steps if step.writes), key=lambda step: (step.write_rank, step.index)
    )
    last = next((place for place, step in enumerate(written) if is_anchor(context, step)), len(written))
    return written[:last], written[last:]


def _traverse(context: CohortContext, visit: VisitSteps, *, seeded: bool, frozen: Freezer | None = None) -> int:
    traversal = Traversal(
        context.plan,
        context.connector,
        context.spool,
        seeds=context.seeds if seeded else (),
        own=context.seeds,
        erased=context.erased,
        label=context.label,
        loads=frozen.loads if frozen else None,
    )
    traversal.run(visit)
    return visit.rows


def _catch_new_rows(
    context: CohortContext,
    freezer: Freezer,
    result: ErasureResult,
    *,
    seeded: bool,
    write: Sequence[Step] = (),
) -> None:
    place: str | None = None
    for _ in range(ROUNDS):
        freezer.take_new()
        if _traverse(context, freezer.visit(result.tallies, new_only=True), seeded=seeded, frozen=freezer):
            settle_deletes(context, freezer, result.tallies)
        if not freezer.new_rows():
            return
        place = freezer.new_place()
        write_steps(context, freezer, write, only_new=True)
    raise StillWritten("new rows of the subject keep appearing", where=place)


def write_steps(context: CohortContext, freezer: Freezer, steps: Sequence[Step], *, only_new: bool = False) -> None:
    """Write the frozen rows of these steps, joint rows after all others. Safe to run again.

    Joint rows that are deleted go in their step's turn: what they point to can't be deleted before them.
    """
    fresh = freezer.take_new() if only_new else None
    untie_rows(context, freezer, steps)
    groups = grouped(steps)
    for joint in (False, True):
        for step in steps:
            if step.together in groups:
                delete_group(context, freezer, groups.pop(step.together))
            frames = [frame for frame in freezer.frames(step.index) if _waits(step, frame) is joint]
            if fresh is not None:
                frames = [frame for frame in frames if frame.name in fresh]
            if frames:
                _write_frames(context, freezer, step, frames)


def _waits(step: Step, frame: Frame) -> bool:
    return "-joint." in frame.name and not step.delete


def _write_frames(context: CohortContext, freezer: Freezer, step: Step, frames: Iterable[Frame]) -> None:
    with at(step), context.writer(step.connection) as writer:
        _know(context, freezer, writer, step)
        for frame in frames:
            chunk = read_chunk(context, frame)
            together = step.together is not None and not chunk.held
            if not together and not (context.epoch > 1 and _is_written(context, writer, step, chunk)):
                _write(context, writer, step, chunk)
            reach("mask.chunk")


def _is_written(context: CohortContext, writer: Writer, step: Step, chunk: FrozenChunk) -> bool:
    """Whether an earlier attempt wrote the chunk: it isn't written twice, since triggers would notice."""
    seen = writer.verify(as_masked(step) if chunk.held else step, chunk, context.digest_key)
    return not seen.untouched and not seen.changed


def _write(context: CohortContext, writer: Writer, step: Step, chunk: FrozenChunk) -> None:
    if step.delete and not chunk.held:
        writer.delete(step, chunk, context.digest_key)
    else:
        writer.mask(as_masked(step) if step.delete else step, chunk, context.digest_key)


def _settle(
    context: CohortContext, writer: Writer, step: Step, chunk: FrozenChunk
) -> tuple[list[int], Sequence[int], bool]:
    """Verify a chunk, writing again what isn't as it should be; positions that are gone and that stay, and whether it
    wrote.
    """
    for number in range(ROUNDS):
        seen = writer.verify(as_masked(step) if chunk.held else step, chunk, context.digest_key)
        if step.own_of is not None and not step.masks[0].parts:
            # What it held of the subject is gone; what it holds now is found again if it is hers too.
            seen = Verified(sorted(seen.vanished + seen.changed), seen.untouched, [])
        if not seen.untouched and not seen.changed:
            kept = writer.withheld(step, chunk, context.digest_key) if step.guards else ()
            return seen.vanished, kept, number > 0
        _write(context, writer, step, chunk)
    if seen.changed and any(mask.parts for mask in step.masks):
        message = "documents were changed by somebody else between freezing and masking, and are left as they are"
        raise Incomplete(message, where=step.address, fix="send the request again")
    raise StillWritten("values were still there after being written", where=step.address)


def _complete(context: CohortContext, step: Step, tally: Tally) -> LogEntry:
    frozen = tally.frozen.total() - tally.withheld.total()
    vanished = tally.vanished.total()
    counts = {"frozen": frozen, "masked": frozen - vanished}
    if step.delete:
        held = tally.kept[REFERENCED].total() if REFERENCED in tally.kept else 0
        counts = {"frozen": frozen, "deleted": frozen - held} | ({"masked": held - vanished} if held else {})
    if vanished:
        counts["vanished"] = vanished
    return LogEntry(step, "erasure", "complete", context.told(step), counts)
