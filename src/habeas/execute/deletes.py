"""Deletes: which frozen rows can go, asked once all rows are frozen; and how rows let go of each other before.

A row that another row holds, which stays, is masked instead and counted as `referenced`; its frozen rows lie in
frames of their own. Nothing is written here but foreign keys that are set to NULL on rows that are deleted next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from habeas.connectors.base import FrozenChunk, Reader
from habeas.core.errors import MembersRefused, Refused
from habeas.durable.boundary import reach
from habeas.execute.context import CohortContext
from habeas.execute.far import far_held
from habeas.execute.freeze import Freezer, Tally, count_owners, read_chunk, take_rows
from habeas.plan.model import Plan, Segment, Step

REFERENCED = "referenced"


def settle_deletes(
    context: CohortContext,
    freezer: Freezer,
    tallies: dict[int, Tally],
    *,
    connections: Collection[str] | None = None,
) -> None:
    """Part the frozen rows of steps that delete: those that go, and those that are held. Safe to call again.
    `connections`: only there.

    Raises MembersRefused for requests whose rows are held where that is refused, or that can't be masked instead.
    """
    refused: dict[int, Refused] = {}
    held = -1
    while held != (held := _held_rows(tallies)):  # a row that stays holds others, also across stores
        asked = (*_ask_near(context, freezer, tallies, connections), *_ask_far(context, freezer, tallies, connections))
        for member, problem in asked:
            refused.setdefault(member, problem)
    if refused:
        raise MembersRefused(refused)


def _ask_near(
    context: CohortContext, freezer: Freezer, tallies: dict[int, Tally], connections: Collection[str] | None
) -> Iterator[tuple[int, Refused]]:
    """What rows of the same store hold."""
    for segment in delete_segments(context.plan):
        if connections is not None and segment.connection not in connections:
            continue
        with context.connector(segment.connection).reader(context.plan, segment, context.label) as reader:
            _load(freezer, reader, segment)
            reader.hold_back()
            yield from _part(freezer, reader, segment, tallies)


def _ask_far(
    context: CohortContext, freezer: Freezer, tallies: dict[int, Tally], connections: Collection[str] | None
) -> Iterator[tuple[int, Refused]]:
    """What rows of other stores, and documents, hold."""
    for step in context.plan.steps:
        if connections is not None and step.connection not in connections:
            continue
        for far in step.far_holds:
            with far_held(context, freezer, step, far) as (reader, asked):
                yield from _part_step(freezer, reader, step, tallies.setdefault(step.index, Tally()), asked)


def _held_rows(tallies: dict[int, Tally]) -> int:
    return sum(tally.kept[REFERENCED].total() for tally in tallies.values() if REFERENCED in tally.kept)


def _load(freezer: Freezer, reader: Reader, segment: Segment) -> None:
    for index in segment.steps:
        for chunk in freezer.going(index):
            reader.load(chunk)


def _part(
    freezer: Freezer, reader: Reader, segment: Segment, tallies: dict[int, Tally]
) -> Iterator[tuple[int, Refused]]:
    for index in segment.steps:
        step = freezer.context.plan.steps[index]
        yield from _part_step(freezer, reader, step, tallies.setdefault(index, Tally()))


def as_masked(step: Step) -> Step:
    """The step as it is for rows that are held: masked, not deleted."""
    return msgspec.structs.replace(step, delete=False)


def untie_rows(context: CohortContext, freezer: Freezer, steps: Sequence[Step]) -> None:
    """Set foreign keys that form a cycle to NULL on rows that are deleted next."""
    for step in (each for each in steps if each.untie):
        with context.writer(step.connection) as writer:
            for chunk in freezer.going(step.index):
                writer.untie(step, chunk)
                reach("untie.chunk")


def delete_group(context: CohortContext, freezer: Freezer, steps: Sequence[Step]) -> None:
    """Delete all rows of steps that hold each other, in one transaction; held ones are left to be masked."""

    def parts() -> Iterator[tuple[Step, FrozenChunk]]:
        for step in steps:
            yield from ((step, chunk) for chunk in freezer.going(step.index))

    with context.writer(steps[0].connection) as writer:
        writer.delete_together(parts(), context.digest_key)
    reach("delete.together")


def delete_segments(plan: Plan) -> Iterator[Segment]:
    """Per connection, all steps that delete or come with deletes, where rows may be held or come twice."""
    connections = dict.fromkeys(step.connection for step in plan.steps if step.holds or step.triggered or step.because)
    for connection in connections:
        steps = (step for step in plan.steps if step.connection == connection and (step.delete or step.because))
        yield Segment(connection, tuple(step.index for step in steps))


def _part_step(
    freezer: Freezer, reader: Reader, step: Step, tally: Tally, asked: Step | None = None
) -> Iterator[tuple[int, Refused]]:
    """Part a step's frames by what the reader says of the step, or of `asked`, which is the same table's."""
    frozen = Tally()
    for frame in freezer.frames(step.index):
        chunk = read_chunk(freezer.context, frame)
        held, spared = (frozenset(), frozenset()) if chunk.held else reader.set_aside(asked or step, chunk)
        if held or spared:
            stay = [position for position in range(len(chunk)) if position not in held | spared]
            back = take_rows(chunk, sorted(held))
            back.held = True
            yield from _refusals(step, back)
            freezer.part(take_rows(chunk, stay), back)
            for owner, rows in count_owners(back, range(len(back))).items():
                tally.add_kept(REFERENCED, owner, rows)
            frozen.add_frozen(back)
            chunk = take_rows(chunk, stay)
        frozen.add_frozen(chunk)
    tally.frozen = frozen.frozen


def _refusals(step: Step, back: FrozenChunk) -> Iterator[tuple[int, Refused]]:
    owners = sorted(count_owners(back, range(len(back))))
    if step.on_referenced == "refuse":
        fix = "delete or mask what points to them, or declare another on_referenced"
        problem = Refused("rows to be deleted are held by others", cause=REFERENCED, where=step.address, fix=fix)
        yield from ((owner, problem) for owner in owners)
    elif step.unmaskable:
        message = "rows to be deleted are held by others, and can't be masked instead"
        fix = "declare masking_strategy_override on the field, or another on_referenced"
        problem = Refused(message, cause=REFERENCED, where=step.unmaskable[0], fix=fix)
        yield from ((owner, problem) for owner in owners)


def grouped(steps: Iterable[Step]) -> dict[int, list[Step]]:
    """Steps that are deleted together, by group."""
    groups: dict[int, list[Step]] = {}
    for step in steps:
        if step.together is not None:
            groups.setdefault(step.together, []).append(step)
    return groups
