"""Access: finds a cohort's rows and spools them, encoded, by package, step and member.

Rows stream from the store in batches; each is encoded once, here, and packages are put together from the
encoded bytes. Rows that aren't the subject's own lose their identifying fields (absent, counted as
withheld), but for those of a shared row that hold a value of hers; rows of somebody else in a collection that
holds no people are left out and counted. Never writes to a source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter

import msgspec

from habeas.connectors.base import Reader, RowBatch
from habeas.core.nested import NotADocument, open_document, values_at
from habeas.core.values import Row, RowEncoder, encoder_for, row_shape
from habeas.execute.context import CohortContext, LogEntry
from habeas.execute.counts import Counts
from habeas.execute.own_values import OwnValues
from habeas.execute.traversal import Traversal
from habeas.plan.model import Output, Plan, Segment, Standing, Step
from habeas.spool.frames import Frame
from habeas.spool.rows import FRAME_BYTES, RowGroup, pack_rows

Shown = frozenset[str] | None
"""Identifying fields that rows show all the same; None where they show all."""
_SHARED = (Standing.SHARED, Standing.SHARED_ROW)


class Package(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a member's package is: the storage's key, the place there, hex SHA-256 and bytes."""

    storage: str
    location: str
    digest: str
    size: int


class AccessResult(msgspec.Struct):
    """Per step and member: rows in the package, and rows shown in part or left out, by reason."""

    rows: dict[int, Counts] = {}
    withheld: dict[int, dict[str, Counts]] = {}
    hidden: dict[int, Counts] = {}  # fields that are absent from rows, by step and member
    packages: dict[int, list[Package]] = {}  # by member

    def count(self, step: Step, member: int, standing: Standing, rows: int) -> bool:
        """Count rows of one member; whether they are shown, in whole or in part."""
        if standing is not Standing.OWN:
            reasons = self.withheld.setdefault(step.index, {})
            reasons.setdefault(standing.name.lower(), Counts()).add(member, rows)
            if standing is Standing.PERSON and not step.people:
                return False  # somebody else's row, such as a reply by another author
        self.rows.setdefault(step.index, Counts()).add(member, rows)
        return True

    def pairs(self) -> int:
        """Rows of all steps and members, those not shown included; what is shown in part counts twice."""
        withheld = (counts for reasons in self.withheld.values() for counts in reasons.values())
        return sum(counts.total() for counts in (*self.rows.values(), *withheld))

    def hide(self, step: Step, member: int, fields: int) -> None:
        """Count fields that rows of one member don't show."""
        if fields:
            self.hidden.setdefault(step.index, Counts()).add(member, fields)

    def hidden_of(self, plan: Plan, member: int) -> dict[str, int]:
        """Fields that are absent from this member's rows, by collection."""
        counted = ((plan.steps[index].address, counts.of(member)) for index, counts in sorted(self.hidden.items()))
        return {address: fields for address, fields in counted if fields}

    def found(self, member: int) -> int:
        """Rows of all steps in this member's package."""
        return sum(counts.of(member) for counts in self.rows.values())


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
            for package, frames in _spool_step(context, reader, step, packages, result, values).items():
                spooled[package].append(SpooledRows(step.index, frames))
        context.log([_complete(step, result) for step in shown])

    # A row that she owns together with another member of the cohort is hers to erase along with him, but not
    # hers to read: an access judges as if she were alone.
    alone, seeds = context.plan.alone, context.seeds
    values = OwnValues(seeds)
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


class _OwnFields:
    """Which identifying fields of a step's rows are shown although the row isn't the subject's alone."""

    def __init__(self, step: Step, columns: Sequence[str], values: OwnValues) -> None:
        self._values = values
        self._identifying = sum(output.identifying for output in step.output)
        self._outputs = [
            (output, columns.index(base), tuple(rest.split(".")) if rest else ())
            for output in step.output
            for base, _, rest in (output.path.partition("."),)
            if output.own
        ]

    def cut(self, member: int, standing: Standing, rows: Sequence[Row]) -> Iterator[tuple[Shown, Sequence[Row]]]:
        """The rows in order, in runs that show the same; None for rows that show all."""
        if standing is Standing.OWN:
            yield None, rows
        elif standing not in _SHARED or not self._outputs:
            yield frozenset(), rows
        else:
            for shown, run in groupby(rows, key=lambda row: self._own(member, row)):
                yield shown, list(run)

    def hidden(self, shown: Shown) -> int:
        """How many fields are absent from each row that shows these."""
        return 0 if shown is None else self._identifying - len(shown)

    def _own(self, member: int, row: Row) -> frozenset[str]:
        return frozenset(
            output.path
            for output, position, rest in self._outputs
            if self._is_own(member, output, values_at(_opened(row[position], rest), rest))
        )

    def _is_own(self, member: int, output: Output, values: Iterator[object]) -> bool:
        found = list(values)
        return bool(found) and all(self._values.holds(member, output.own, value) for value in found)


def _opened(value: object, rest: tuple[str, ...]) -> object:
    """What a column holds; text in which nobody can look holds nothing at a path."""
    try:
        return open_document(value, {rest: None}) if rest else value
    except NotADocument:
        return None


class _StepSpooler:
    """Encodes one step's rows for one package and cuts them into frames."""

    def __init__(
        self, context: CohortContext, package: int, step: Step, outputs: Sequence[Output], columns: Sequence[str]
    ) -> None:
        self._context = context
        self._name = f"rows-{package:03}-{step.index:05}"
        self._outputs, self._columns = outputs, columns
        self._encoders: dict[Shown, RowEncoder] = {}
        self._pending: list[RowGroup] = []
        self._size = 0
        self.frames: list[Frame] = []

    def add(self, member: int, shown: Shown, rows: Sequence[Row]) -> None:
        """Rows of one member that show the same."""
        if shown not in self._encoders:
            paths = [each.path for each in self._outputs if shown is None or not each.identifying or each.path in shown]
            self._encoders[shown] = _encoder(self._columns, paths)
        encoded = self._encoders[shown](rows)
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
    context: CohortContext,
    reader: Reader,
    step: Step,
    packages: Sequence[frozenset[str]],
    result: AccessResult,
    values: OwnValues,
) -> Mapping[int, list[Frame]]:
    columns = row_shape(output.path for output in step.output).columns
    spoolers = {
        package: _StepSpooler(context, package, step, outputs, columns)
        for package, rules in enumerate(packages)
        if (outputs := _outputs_of(step, rules))
    }
    result.rows.setdefault(step.index, Counts())
    own = _OwnFields(step, columns, values)
    runs = chain.from_iterable(map(_runs, reader.rows(step, columns)))
    for member, standing, rows in runs:
        if not result.count(step, member, Standing(standing), len(rows)):
            continue
        for shown, run in own.cut(member, Standing(standing), rows):
            result.hide(step, member, own.hidden(shown) * len(run))
            for spooler in spoolers.values():
                spooler.add(member, shown, run)
    for spooler in spoolers.values():
        spooler.flush()
    return {package: spooler.frames for package, spooler in spoolers.items()}


def _outputs_of(step: Step, rules: frozenset[str]) -> list[Output]:
    return [output for output in step.output if not rules.isdisjoint(output.rules)]


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
    counts = {"rows": result.rows[step.index].total()}
    if step.index in result.hidden:
        counts["withheld_fields"] = result.hidden[step.index].total()
    for reason, members in result.withheld.get(step.index, {}).items():
        counts[reason] = members.total()
    return LogEntry(step, "access", "complete", "success", counts)


def shown_columns(step: Step, rules: frozenset[str]) -> list[str]:
    """The paths of the step that these rules take, in the order rows show them."""
    return [output.path for output in _outputs_of(step, rules)]
