"""Freezing: before the first write, the keys of every row that an erasure will touch, durably.

With each key go a keyed digest of the row's targeted values and, where the mask depends on the row, the
masked value itself, so that whatever runs again writes the same. Never writes to a source, and never
stores a present value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from habeas.connectors.base import FrozenChunk, Reader, Secrets
from habeas.core.errors import Incomplete
from habeas.core.schema import TypeFamily
from habeas.core.values import canonical_text
from habeas.durable.boundary import reach
from habeas.execute.context import CohortContext
from habeas.execute.counts import Counts
from habeas.execute.documents import mask_documents, mask_own_parts
from habeas.execute.draws import make_distinct, may_meet
from habeas.execute.members import MemberSecrets
from habeas.execute.own_values import OwnValues
from habeas.execute.wire import pack_chunk, unpack_chunk
from habeas.masking.base import Masker, row_key
from habeas.masking.registry import strategy
from habeas.plan.kept import KEPT_BY_STANDING
from habeas.plan.model import Mask, Plan, Segment, Standing, Step
from habeas.spool.frames import Frame, FrameLost

_LOST = "restore the data directory's spool, then retry"


class Tally(msgspec.Struct):
    """What happened to the rows of one step, by member of the cohort."""

    frozen: Counts = msgspec.field(default_factory=Counts)
    vanished: Counts = msgspec.field(default_factory=Counts)
    kept: dict[str, Counts] = {}
    withheld: Counts = msgspec.field(default_factory=Counts)  # frozen, but somebody else's too when it was their turn

    def kept_of(self, member: int) -> dict[str, int]:
        """What of one member's rows stays, by reason."""
        kept = {reason: counts.of(member) for reason, counts in self.kept.items()}
        kept["shared_row"] = kept.get("shared_row", 0) + self.withheld.of(member)
        return {reason: rows for reason, rows in sorted(kept.items()) if rows}

    def add_withheld(self, chunk: FrozenChunk, positions: list[int]) -> None:
        """Count rows that stay for each of their owners."""
        self.withheld.add_all(count_owners(chunk, positions))

    def add_frozen(self, chunk: FrozenChunk) -> None:
        """Count a chunk's rows for each of their owners."""
        self.frozen.add_all(count_owners(chunk, range(len(chunk))))

    def add_vanished(self, chunk: FrozenChunk, positions: list[int]) -> None:
        """Count rows that are gone for each of their owners."""
        self.vanished.add_all(count_owners(chunk, positions))

    def add_kept(self, reason: str, member: int, rows: int) -> None:
        """Count rows or fields that stay for one member."""
        self.kept.setdefault(reason, Counts()).add(member, rows)


def count_owners(chunk: FrozenChunk, positions: list[int] | range) -> Counter[int]:
    """Rows at these positions by owner; a joint row counts for each owner. A range counts all copies of a position,
    a list each position as often as it is in it.
    """
    copies = chunk.copies if isinstance(positions, range) else None
    if not chunk.others and copies is None:
        owners = chunk.owners if isinstance(positions, range) else [chunk.owners[each] for each in positions]
        return Counter(owners)
    counts: Counter[int] = Counter()
    for position in positions:
        for owner in chunk.others.get(position) or (chunk.owners[position],):
            counts[owner] += copies[position] if copies else 1
    return counts


def mask_secrets(context: CohortContext) -> Secrets:
    """Each member's secrets for all strategies of the plan."""
    names = {
        (mask.strategy, name)
        for step in context.plan.steps
        for mask in step.field_masks
        for name in strategy(mask.strategy).secret_names
    }
    return MemberSecrets(context.members, names)


class Freezer:
    """Writes the frozen set of one attempt: frames `frozen-<epoch>-<step>-<number>[-joint]`."""

    def __init__(self, context: CohortContext, epoch: int) -> None:
        self.context = context
        self._prefix, self._own_prefix = f"frozen-{epoch}-", f"own-{epoch}-"
        self._withheld_prefix = f"withheld-{epoch}-"
        self._secrets = mask_secrets(context)
        self._own_values = OwnValues(context.seeds)
        self._new: dict[str, int] = {}  # rows of frames written since they were last taken
        self._drawn: dict[str, set[str]] = {}  # by field, values drawn of so few that they may meet

    def visit(self, tallies: dict[int, Tally], *, new_only: bool = False) -> VisitSteps:
        """A traversal's visit that freezes each written step; counts go to `tallies`."""
        return VisitSteps(self, tallies, new_only)

    def begin(self) -> None:
        """Start the set: what a run under this epoch froze before is left out, whose rows may be others by now."""
        self.context.frames.forget(self._prefix)
        self.context.frames.forget(self._own_prefix)

    def frames(self, step: int | None = None) -> list[Frame]:
        """Frames of the set so far, in order; of one step or of all."""
        return self.context.frames.list(self._prefix if step is None else f"{self._prefix}{step:05}-")

    def chunks(self, step: int) -> Iterator[FrozenChunk]:
        """The step's frozen rows, a chunk in memory at a time."""
        for frame in self.frames(step):
            yield read_chunk(self.context, frame)

    def going(self, step: int) -> Iterator[FrozenChunk]:
        """The frozen rows of a step that deletes which nobody holds, as far as is known."""
        return (chunk for chunk in self.chunks(step) if not chunk.held)

    def keep_own(self, reader: Reader, step: Step) -> None:
        """Keep the keys of the subject's rows of a step that isn't written, since guards ask about them."""
        written = []
        for number, rows in enumerate(reader.own(step, step.key)):
            if rows:
                keys = [list(column) for column in zip(*(key for _, key in rows), strict=True)]
                owners = [member for member, _ in rows]
                chunk = FrozenChunk(step.index, number, keys, owners, {}, [], [])
                name = f"{self._own_prefix}{step.index:05}-{number:06}"
                written.append(self.context.spool.write(name, pack_chunk(chunk), durable=True))
        if written:
            self.context.frames.record(written)

    def keep_nobodys(self, reader: Reader, step: Step) -> None:
        """Keep the keys of rows that are nobody's beside those that are the subject's: guards treat both alike."""
        written = []
        for number, keys in enumerate(reader.nobodys(step)):
            columns = [list(column) for column in zip(*keys, strict=True)]
            chunk = FrozenChunk(step.index, number, columns, [0] * len(keys), {}, [], [])
            name = f"{self._own_prefix}{step.index:05}-nobodys-{number:06}"
            written.append(self.context.spool.write(name, pack_chunk(chunk), durable=True))
        if written:
            self.context.frames.record(written)

    def own(self, step: int) -> Iterator[FrozenChunk]:
        """Keys of the subject's rows of a step, written or not."""
        for frame in self.context.frames.list(f"{self._own_prefix}{step:05}-"):
            yield read_chunk(self.context, frame)
        yield from self.loads(step)

    def forget_withheld(self) -> None:
        """Forget which frozen rows stayed: verification is to say it anew."""
        self.context.frames.forget(self._withheld_prefix)

    def withhold(self, chunk: FrozenChunk, positions: Sequence[int]) -> None:
        """Keep which rows of a frozen chunk stayed, since they became somebody else's before they were written."""
        name = f"{self._withheld_prefix}{chunk.step:05}-{chunk.number:06}"
        payload = pack_chunk(take_rows(chunk, positions))
        self.context.frames.record([self.context.spool.write(name, payload, durable=True)])

    def written(self, step: int) -> Iterator[FrozenChunk]:
        """The step's frozen rows without those that stayed: what the ledger holds."""
        stayed = {
            (chunk.number, key)
            for frame in self.context.frames.list(f"{self._withheld_prefix}{step:05}-")
            for chunk in (read_chunk(self.context, frame),)
            for key in zip(*chunk.keys, strict=True)
        }
        for chunk in self.chunks(step):
            if stayed:
                keys = zip(*chunk.keys, strict=True)
                yield take_rows(chunk, [row for row, key in enumerate(keys) if (chunk.number, key) not in stayed])
            else:
                yield chunk

    def loads(self, step: int) -> Iterator[FrozenChunk]:
        """The step's frozen rows by their keys, and, where rows get other keys, by their new ones as well."""
        planned = self.context.plan.steps[step]
        for chunk in self.chunks(step):
            yield chunk
            if planned.rekeys:
                chunk.keys = rekeyed(planned, chunk)
                yield chunk

    def freeze_step(self, reader: Reader, step: Step, tally: Tally, *, new_only: bool) -> int:
        """Freeze one step's rows; returns how many. Numbers go on from frames that exist already."""
        number, rows, written = len(self.frames(step.index)) if new_only else 0, 0, []
        for chunk in reader.freeze(step, self.context.digest_key, self._secrets, new_only=new_only):
            chunk.number = number
            chunk = self._compute(reader, step, chunk)
            if not len(chunk):
                continue
            written.append(self._write(chunk))
            reach("freeze.frame")
            tally.add_frozen(chunk)
            rows, number = rows + len(chunk), number + 1
        if written:
            self.context.frames.record(written)
            reach("freeze.recorded")
        return rows

    def freeze_again(self, reader: Reader, step: Step, wanted: FrozenChunk, tally: Tally) -> int:
        """Freeze those of these rows, of one step and by key, whose digest is still what it is in `wanted`; how many.
        No identity is needed: the reader is told the keys.
        """
        reader.load(wanted)
        same = {tuple(map(canonical_text, key)): wanted.digests[row] for row, key in enumerate(keys_of(wanted))}
        written: list[Frame] = []
        rows, number = 0, len(self.frames(step.index))
        for chunk in reader.freeze(step, self.context.digest_key, self._secrets):
            self._compute(reader, step, chunk)
            found = (same.get(tuple(map(canonical_text, key))) for key in keys_of(chunk))
            again = take_rows(chunk, [row for row, digest in enumerate(found) if digest == chunk.digests[row]])
            if len(again):
                again.number, again.held = number + len(written), wanted.held
                written.append(self._write(again))
                tally.add_frozen(again)
                rows += len(again)
        if written:
            self.context.frames.record(written)
        return rows

    def keep_keys(self, step: Step, number: int, chunk: FrozenChunk) -> None:
        """Let guards of other steps know that rows are the subject's."""
        bare = FrozenChunk(step.index, number, chunk.keys, chunk.owners, chunk.others, [], [])
        frame = self.context.spool.write(
            f"{self._own_prefix}{step.index:05}-{number:06}", pack_chunk(bare), durable=False
        )
        self.context.frames.record([frame])

    def part(self, chunk: FrozenChunk, back: FrozenChunk) -> None:
        """Write a chunk again without the rows that are held back, which get a frame of their own."""
        written = [self._write(chunk)]
        if len(back):
            back.number = len(self.frames(chunk.step))
            written.append(self._write(back))
        self.context.frames.record(written)

    def _write(self, chunk: FrozenChunk) -> Frame:
        name = f"{self._prefix}{chunk.step:05}-{chunk.number:06}{'-joint' if chunk.joint else ''}"
        frame = self.context.spool.write(name, pack_chunk(chunk), durable=True)
        self._new[frame.name] = len(chunk)
        return frame

    def new_rows(self) -> int:
        """Rows of the frames written since they were last taken."""
        return sum(self._new.values())

    def new_place(self) -> str | None:
        """The first collection that has such frames."""
        steps = [int(name.removeprefix(self._prefix)[:5]) for name in self._new]
        return self.context.plan.steps[min(steps)].address if steps else None

    def take_new(self) -> frozenset[str]:
        """Names of the frames written since the last call."""
        taken, self._new = frozenset(self._new), {}
        return taken

    def _compute(self, reader: Reader, step: Step, chunk: FrozenChunk) -> FrozenChunk:
        """The chunk with its masked values, without shared rows that hold nothing of the subject's after all."""
        current = chunk.current or {}
        for position, mask in enumerate(step.masks):
            if mask.parts and step.own_of is not None:
                values = current[position]
                masked = mask_own_parts(step, mask, chunk, values, self._masker, self._own_values)
                chunk.masked[position] = masked
                return take_rows(chunk, [row for row in range(len(chunk)) if masked[row] != values[row]])
            if mask.parts:
                chunk.masked[position] = mask_documents(step, mask, chunk, current[position], self._masker)
            elif mask.form == "computed":
                chunk.masked[position] = self._mask_column(reader, step, mask, chunk, current[position])
        chunk.current = chunk.elements = None
        return chunk

    def _mask_column(
        self, reader: Reader, step: Step, mask: Mask, chunk: FrozenChunk, values: list[str | None]
    ) -> list[Any]:
        place = f"{step.address}:{mask.field}"
        maskers = {owner: self._masker(mask, owner) for owner in set(chunk.owners)}

        def draw(row: int, mark: bytes = b"") -> str | None:
            key = row_key(place, [column[row] for column in chunk.keys]) + mark if mask.per_row else None
            return maskers[chunk.owners[row]](values[row], key)

        masked: list[Any] = [draw(row) for row in range(len(values))]
        if may_meet(mask):
            seen = self._drawn.setdefault(place, set())
            make_distinct(masked, seen, lambda drawn: reader.taken(step, mask.field, drawn), draw, place)
        if step.column(mask.field).type.family is TypeFamily.BINARY:
            return [None if value is None else bytes.fromhex(value) for value in masked]
        return masked

    def _masker(self, mask: Mask, owner: int) -> Masker:
        chosen = strategy(mask.strategy)
        secrets = {name: self._secrets[owner][f"{mask.strategy}.{name}"] for name in chosen.secret_names}
        return chosen.masker(chosen.configure(mask.configuration), secrets, mask.length)


def take_rows(chunk: FrozenChunk, positions: Sequence[int]) -> FrozenChunk:
    """A chunk of these rows only."""

    def pick(values: Sequence[Any]) -> list[Any]:
        return [values[position] for position in positions]

    return FrozenChunk(
        step=chunk.step,
        number=chunk.number,
        keys=[pick(column) for column in chunk.keys],
        owners=pick(chunk.owners),
        others={place: chunk.others[position] for place, position in enumerate(positions) if position in chunk.others},
        digests=pick(chunk.digests),
        masked=[None if column is None else pick(column) for column in chunk.masked],
        joint=chunk.joint,
        held=chunk.held,
        copies=None if chunk.copies is None else pick(chunk.copies),
    )


def keys_of(chunk: FrozenChunk) -> Iterator[tuple[Any, ...]]:
    """The chunk's keys, row by row."""
    return zip(*chunk.keys, strict=True)


def rekeyed(step: Step, chunk: FrozenChunk) -> list[list[Any]]:
    """The chunk's key columns as they are once its rows are masked."""
    new = {mask.field: chunk.masked[position] for position, mask in enumerate(step.masks)}
    return [new.get(name) or column for name, column in zip(step.key, chunk.keys, strict=True)]


class VisitSteps:
    """Freezes the written steps of each segment while its snapshot is open."""

    def __init__(self, freezer: Freezer, tallies: dict[int, Tally], new_only: bool) -> None:
        self._freezer = freezer
        self._tallies = tallies
        self._new_only = new_only
        self.rows = 0
        self._asked = {guard.step for step in freezer.context.plan.steps for guard in step.guards}

    def __call__(self, segment: Segment, reader: Reader) -> None:
        """Freeze what this segment found."""
        plan: Plan = self._freezer.context.plan
        for index in segment.steps:
            step = plan.steps[index]
            tally = self._tallies.setdefault(index, Tally())
            if not self._new_only:
                _count_kept(reader, step, tally)
            if index in self._asked and not self._new_only:
                self._freezer.keep_nobodys(reader, step)
            if step.writes:
                self.rows += self._freezer.freeze_step(reader, step, tally, new_only=self._new_only)
            elif index in self._asked and not self._new_only:
                self._freezer.keep_own(reader, step)


def _count_kept(reader: Reader, step: Step, tally: Tally) -> None:
    if not (step.writes or step.kept):
        return
    for (member, standing), rows in reader.counts(step).items():
        if standing in KEPT_BY_STANDING:
            tally.add_kept(KEPT_BY_STANDING[standing], member, rows)
        for kept in step.kept if standing is Standing.OWN else ():
            tally.add_kept(kept.reason, member, rows)


def read_chunk(context: CohortContext, frame: Frame) -> FrozenChunk:
    """A frozen chunk; raises Incomplete if its frame is lost, since after the first write it can't be made anew."""
    try:
        return unpack_chunk(context.spool.read(frame))
    except FrameLost as error:
        raise Incomplete("a frozen frame is lost", where=frame.name, fix=_LOST) from error
