"""Access: finds a cohort's rows and spools them, encoded, by package, step and member.

Rows stream from the store in batches; each is encoded once, here, and packages are put together from the
encoded bytes. Rows that aren't the subject's own lose their identifying fields (absent, counted as
withheld); rows of somebody else in a collection that holds no people are left out and counted. Never
writes to a source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import msgspec

from habeas.connectors.base import Reader, RowBatch
from habeas.core.values import Row, RowEncoder, encoder_for, row_shape
from habeas.execute.context import CohortContext, LogEntry
from habeas.execute.traversal import Traversal
from habeas.plan.model import Output, Segment, Standing, Step
from habeas.spool.frames import Frame
from habeas.spool.rows import FRAME_BYTES, RowGroup, pack_rows


class AccessResult(msgspec.Struct):
    """Per step and member: rows in the package, and rows shown in part or left out, by reason."""

    rows: dict[int, dict[int, int]] = {}
    withheld: dict[int, dict[str, dict[int, int]]] = {}
    packages: dict[int, list[dict[str, Any]]] = {}  # by member

    def count(self, step: Step, member: int, standing: Standing, rows: int) -> bool:
        """Count rows of one member; whether they are shown, in whole or in part."""
        if standing is not Standing.OWN:
            reasons = self.withheld.setdefault(step.index, {}).setdefault(standing.name.lower(), {})
            reasons[member] = reasons.get(member, 0) + rows
            if standing is Standing.PERSON and not step.people:
                return False  # somebody else's row, such as a reply by another author
        counts = self.rows.setdefault(step.index, {})
        counts[member] = counts.get(member, 0) + rows
        return True

    def pairs(self) -> int:
        """Rows of all steps and members, those not shown included; what is shown in part counts twice."""
        withheld = (counts for reasons in self.withheld.values() for counts in reasons.values())
        return sum(sum(counts.values()) for counts in (*self.rows.values(), *withheld))

    def found(self, member: int) -> int:
        """Rows of all steps in this member's package."""
        return sum(counts.get(member, 0) for counts in self.rows.values())


class SpooledRows(msgspec.Struct):
    """The frames of one step's rows for one package, in order of member."""

    step: int
    frames: list[Frame]


def run_access(
    context: CohortContext, packages: Sequence[frozenset[str]]
) -> tuple[AccessResult, list[list[SpooledRows]]]:
    """Find and spool all rows. `packages` are the sets of rules whose fields go together; for each, in their
    order, the spooled rows in plan order. Safe to run again.
    """
    result = AccessResult()
    spooled: list[list[SpooledRows]] = [[] for _ in packages]

    def shown_in(segment: Segment) -> list[Step]:
        steps = [context.plan.steps[index] for index in segment.steps]
        return [step for step in steps if step.output]

    def begin(segment: Segment) -> None:
        context.log([LogEntry(step, "access", "in_processing", "starting") for step in shown_in(segment)])

    def visit(segment: Segment, reader: Reader) -> None:
        shown = shown_in(segment)
        for step in shown:
            for package, frames in _spool_step(context, reader, step, packages, result).items():
                spooled[package].append(SpooledRows(step.index, frames))
        context.log([_complete(step, result) for step in shown])

    # A row that she owns together with another member of the cohort is hers to erase along with him, but not
    # hers to read: an access judges as if she were alone.
    alone, seeds = context.plan.alone, context.seeds()
    traversal = Traversal(
        alone,
        context.connector,
        context.spool,
        seeds=seeds,
        label=context.label,
        begin=begin,
        erased=context.erased,
    )
    traversal.run(visit)
    for rows in spooled:
        rows.sort(key=lambda each: each.step)
    return result, spooled


class _StepSpooler:
    """Encodes one step's rows for one package and cuts them into frames."""

    def __init__(
        self, context: CohortContext, package: int, step: Step, outputs: Sequence[Output], columns: Sequence[str]
    ) -> None:
        self._context = context
        self._name = f"rows-{package:03}-{step.index:05}"
        self._whole = _encoder(columns, [output.path for output in outputs])
        self._partial = _encoder(columns, [output.path for output in outputs if not output.identifying])
        self._pending: list[RowGroup] = []
        self._size = 0
        self.frames: list[Frame] = []

    def add(self, member: int, own: bool, rows: Sequence[Row]) -> None:
        """Rows of one member, all of one kind of standing."""
        encoded = (self._whole if own else self._partial)(rows)
        self._pending.append(RowGroup(member, encoded, len(rows)))
        self._size += len(encoded)
        if self._size >= FRAME_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a frame."""
        if self._pending:
            name = f"{self._name}-{len(self.frames):06}"
            self.frames.append(self._context.spool.write(name, pack_rows(self._pending), durable=False))
            self._pending, self._size = [], 0


def _encoder(columns: Sequence[str], paths: Sequence[str]) -> RowEncoder:
    """Encodes these paths of rows that hold these columns."""
    shape = row_shape(paths)
    encode = encoder_for(shape.columns, shape.nested)
    if shape.columns == tuple(columns):
        return encode
    positions = [columns.index(name) for name in shape.columns]

    def narrowed(rows: Sequence[Row]) -> bytes:
        return encode([tuple(row[position] for position in positions) for row in rows])

    return narrowed


def _spool_step(
    context: CohortContext, reader: Reader, step: Step, packages: Sequence[frozenset[str]], result: AccessResult
) -> Mapping[int, list[Frame]]:
    columns = row_shape(output.path for output in step.output).columns
    spoolers = {
        package: _StepSpooler(context, package, step, outputs, columns)
        for package, rules in enumerate(packages)
        if (outputs := [output for output in step.output if not rules.isdisjoint(output.rules)])
    }
    result.rows.setdefault(step.index, {})
    runs = chain.from_iterable(map(_runs, reader.rows(step, columns)))
    for member, standing, rows in runs:
        if result.count(step, member, Standing(standing), len(rows)):
            for spooler in spoolers.values():
                spooler.add(member, standing == Standing.OWN, rows)
    for spooler in spoolers.values():
        spooler.flush()
    return {package: spooler.frames for package, spooler in spoolers.items()}


def _runs(batch: RowBatch) -> Iterator[tuple[int, int, Sequence[Row]]]:
    """A batch cut where the member or the standing changes."""
    members, standings, rows = batch
    if members[0] == members[-1] and len(set(standings)) == 1:
        yield members[0], standings[0], rows
        return
    zipped = zip(members, standings, rows, strict=True)
    for (member, standing), run in groupby(zipped, key=itemgetter(0, 1)):
        yield member, standing, [row for _, _, row in run]


def _complete(step: Step, result: AccessResult) -> LogEntry:
    counts = {"rows": sum(result.rows.get(step.index, {}).values())}
    for reason, members in result.withheld.get(step.index, {}).items():
        counts[reason] = sum(members.values())
    return LogEntry(step, "access", "complete", "success", counts)


def shown_columns(step: Step, rules: frozenset[str]) -> list[str]:
    """The paths of the step that these rules take, in the order rows show them."""
    return [output.path for output in step.output if not rules.isdisjoint(output.rules)]
