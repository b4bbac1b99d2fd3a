"""Looking again for rows that were erased, by the ledger alone, and erasing again those that are back.

A row is looked for by its key, and is back only if its digest is still what it was before it was erased: keys are
reused, also by strangers. Keys of which the ledger holds an HMAC are looked for among all keys of the collection. No
identity is needed, and no reference is followed. Because a row that is erased again has another digest, everything
here may run again and does nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import msgspec

from habeas.connectors.base import Connector, FrozenChunk, Reader, at
from habeas.core.errors import HabeasError, Refused, SourceError, StillWritten
from habeas.core.expression import Null
from habeas.execute.context import CohortContext
from habeas.execute.deletes import as_masked, settle_deletes
from habeas.execute.erasure import ROUNDS, verify_step, write_order, write_steps
from habeas.execute.freeze import Freezer, Tally, take_rows
from habeas.plan.model import Mask, Plan, Segment, Step
from habeas.spool.frames import Frame
from habeas.store.ledger import LedgerChunk, LedgerPart, hashed_key

HASHED_AT_ONCE = 200_000  # HMACs held in memory while the keys of a collection are read once
AT_ONCE = 50_000


@dataclass(frozen=True)
class Erased:
    """What some cohorts of one plan erased. `read` gives a part's rows, with members as the context numbers them;
    `secret` is the vault's ledger key.
    """

    plan: Plan
    parts: Sequence[LedgerPart]
    read: Callable[[LedgerPart], LedgerChunk]
    secret: bytes = field(repr=False)
    connection: str | None = None  # only what is there

    def by_step(self) -> Iterator[tuple[Step, list[LedgerPart]]]:
        """Steps that were written, with their parts, in the order of the plan."""
        for step in self.plan.steps:
            if step.writes and self.connection in (None, step.connection):
                parts = [part for part in self.parts if _is_of(part, step)]
                if parts:
                    yield step, parts


def _is_of(part: LedgerPart, step: Step) -> bool:
    if part.address != step.address:
        return False
    return part.step == (step.index if step.place != step.address else None)


class Seen(NamedTuple):
    """Rows of one step that exist: all of them, which of them are as they were before they were erased, which aren't
    but are masked, and the parts of the ledger that hold them.
    """

    rows: FrozenChunk
    back: list[int]
    masked: list[int]
    parts: frozenset[int]


def look_again(
    erased: Erased, step: Step, parts: Sequence[LedgerPart], connector: Connector, label: str, digest_key: bytes
) -> Iterator[Seen]:
    """Look for a step's rows in its store. Writes nothing."""
    plain = ((_plain(step, erased.read(part)), frozenset({part.id})) for part in parts if part.form == "plain")
    hashed = _live(erased, step, [part for part in parts if part.form == "hmac"], connector, label)
    with at(step), connector.writer(label, lambda: None) as writer:
        for rows, ids in chain(plain, hashed):
            if len(rows):
                seen = writer.verify(_looked_for(step, held=rows.held), rows, digest_key)
                other = {*seen.untouched, *seen.changed, *seen.vanished}
                yield Seen(rows, seen.untouched, [row for row in range(len(rows)) if row not in other], ids)


def _live(
    erased: Erased, step: Step, parts: Sequence[LedgerPart], connector: Connector, label: str
) -> Iterator[tuple[FrozenChunk, frozenset[int]]]:
    for wanted in _hashed(parts, erased.read):
        with connector.reader(erased.plan, _segment(step), label) as reader:
            yield from _among_live_keys(reader, step, wanted, erased.secret)


def _segment(step: Step) -> Segment:
    return Segment(step.connection, tuple(sorted({step.origin, step.index})))


def _looked_for(step: Step, *, held: bool) -> Step:
    """The step, with what the ledger doesn't hold left out: masked values, and whose the rows around are."""
    masks = tuple(mask if _is_constant(mask) else _nothing(mask) for mask in step.masks)
    looked = msgspec.structs.replace(as_masked(step) if held else step, masks=masks, guards=())
    return msgspec.structs.replace(looked, delete=True) if looked.rekeys else looked  # no masked row has the old key


def _is_constant(mask: Mask) -> bool:
    return mask.form == "constant" and not mask.parts


def _nothing(mask: Mask) -> Mask:
    return msgspec.structs.replace(mask, form="constant", expression=Null(), parts=())


def _plain(step: Step, chunk: LedgerChunk) -> FrozenChunk:
    return FrozenChunk(
        step=step.index,
        number=0,
        keys=[list(column) for column in zip(*chunk.keys, strict=True)],
        owners=list(chunk.owners),
        others={row: list(members) for row, members in chunk.others.items()},
        digests=list(chunk.digests),
        masked=[None] * len(step.masks),
        held=chunk.held,
    )


class _Wanted(NamedTuple):
    """One row under an HMAC."""

    digest: bytes
    owner: int
    others: Sequence[int] | None
    held: bool
    part: int


def _hashed(
    parts: Iterable[LedgerPart], read: Callable[[LedgerPart], LedgerChunk]
) -> Iterator[Mapping[bytes, list[_Wanted]]]:
    """Rows by the HMAC of their key, so many that memory holds them."""
    wanted: dict[bytes, list[_Wanted]] = {}
    for part in parts:
        chunk = read(part)
        for row, key in enumerate(chunk.keys):
            if isinstance(key, bytes):
                found = _Wanted(chunk.digests[row], chunk.owners[row], chunk.others.get(row), chunk.held, part.id)
                wanted.setdefault(key, []).append(found)
        if len(wanted) >= HASHED_AT_ONCE:
            yield wanted
            wanted = {}
    if wanted:
        yield wanted


def _among_live_keys(
    reader: Reader, step: Step, wanted: Mapping[bytes, list[_Wanted]], secret: bytes
) -> Iterator[tuple[FrozenChunk, frozenset[int]]]:
    """Rows whose key's HMAC is wanted, in chunks; those that are wanted under several digests come several times."""
    found: list[tuple[tuple[object, ...], list[_Wanted]]] = []
    for batch in reader.keys(step):
        found += [(key, hits) for key in batch if (hits := wanted.get(hashed_key(key, secret)))]
        if len(found) >= AT_ONCE:
            yield from _layers(step, found)
            found = []
    yield from _layers(step, found)


def _layers(
    step: Step, found: Sequence[tuple[tuple[object, ...], list[_Wanted]]]
) -> Iterator[tuple[FrozenChunk, frozenset[int]]]:
    for held in (False, True):
        rows = [(key, [each for each in hits if each.held is held]) for key, hits in found]
        for layer in range(max((len(hits) for _, hits in rows), default=0)):
            yield _layer(step, [(key, hits[layer]) for key, hits in rows if len(hits) > layer], held=held)


def _layer(
    step: Step, chosen: Sequence[tuple[tuple[object, ...], _Wanted]], *, held: bool
) -> tuple[FrozenChunk, frozenset[int]]:
    rows = FrozenChunk(
        step=step.index,
        number=0,
        keys=[list(column) for column in zip(*(key for key, _ in chosen), strict=True)],
        owners=[each.owner for _, each in chosen],
        others={row: list(each.others) for row, (_, each) in enumerate(chosen) if each.others},
        digests=[each.digest for _, each in chosen],
        masked=[None] * len(step.masks),
        held=held,
    )
    return rows, frozenset(each.part for _, each in chosen)


class Book:
    """The frames of one run, in memory: what is lost with the process is found again."""

    def __init__(self) -> None:
        self._known: dict[str, Frame] = {}

    def record(self, frames: Sequence[Frame]) -> None:
        """Note frames."""
        self._known.update((frame.name, frame) for frame in frames)

    def list(self, prefix: str) -> list[Frame]:
        """Frames whose name starts so, in order of name."""
        return [self._known[name] for name in sorted(self._known) if name.startswith(prefix)]

    def forget(self, prefix: str) -> None:
        """Leave out frames whose name starts so."""
        for frame in self.list(prefix):
            del self._known[frame.name]


def replayable(plan: Plan) -> Plan:
    """The plan as it is run again: on whatever schema the restored store has, and with the guards that can still be
    asked. Whose the rows of collections are that weren't written, nobody knows any more.
    """
    written = {step.index for step in plan.steps if step.writes}
    steps = tuple(
        msgspec.structs.replace(
            step,
            fingerprint="",
            guards=tuple(guard for guard in step.guards if guard.step is None or guard.step in written),
        )
        for step in plan.steps
    )
    return msgspec.structs.replace(plan, steps=steps)


class Refrozen(NamedTuple):
    """Rows that are back, frozen to be erased again: how many by address, and the parts of the ledger they are in.
    `problems` by address: what can't be looked for, or not be erased again.
    """

    found: dict[str, int]
    parts: set[int]
    tallies: dict[int, Tally]
    problems: dict[str, HabeasError]


def freeze_again(context: CohortContext, freezer: Freezer, erased: Erased) -> Refrozen:
    """Find what is back, and freeze it; a system out of reach doesn't stop the others. Writes to no source."""
    frozen = Refrozen({}, set(), {}, {})
    away: set[str] = set()
    for step, parts in erased.by_step():
        if step.connection in away:
            continue
        try:
            _check_comparable(step)
            _freeze_step(context, freezer, erased, step, parts, frozen)
        except Refused as problem:
            frozen.problems[step.address] = problem
        except SourceError as problem:
            frozen.problems[step.address] = problem
            away.add(step.connection)
    return frozen


def _freeze_step(
    context: CohortContext,
    freezer: Freezer,
    erased: Erased,
    step: Step,
    parts: Sequence[LedgerPart],
    frozen: Refrozen,
) -> None:
    asked = any(guard.step == step.index for other in context.plan.steps for guard in other.guards)
    connector = context.connector(step.connection)
    for number, seen in enumerate(look_again(erased, step, parts, connector, context.label, context.digest_key)):
        if asked:
            freezer.keep_keys(step, number, take_rows(seen.rows, sorted([*seen.back, *seen.masked])))
        if seen.back:
            _check_whole(context.plan, step)
            back, tally = take_rows(seen.rows, seen.back), frozen.tallies.setdefault(step.index, Tally())
            with connector.reader(context.plan, _segment(step), context.label) as reader:
                rows = freezer.freeze_again(reader, step, back, tally)
            frozen.found[step.address] = frozen.found.get(step.address, 0) + rows
            frozen.parts.update(seen.parts)


def _check_comparable(step: Step) -> None:
    if step.alike:
        raise Refused(
            "rows of a table without a key were erased, which can't be told again",
            cause="no_key",
            where=step.address,
            fix="send the requests of these persons again",
        )


def _check_whole(plan: Plan, step: Step) -> None:
    if (step.own_of is not None or plan.steps[step.origin].entries) and any(mask.parts for mask in step.masks):
        raise Refused(
            "rows are back of whose documents only some elements were erased; which ones isn't known any more",
            cause="elements",
            where=step.address,
            fix="send the person's request again",
        )


def erase_again(context: CohortContext, freezer: Freezer, frozen: Refrozen) -> dict[str, int]:
    """Write what `freeze_again` froze, and verify it; rows that were kept since they aren't the subject's alone any
    more, by address. Raises StillWritten where values are still there after three rounds.
    """
    first, anchors = write_order(context)
    steps = [step for step in (*first, *anchors) if freezer.frames(step.index)]
    connections = {step.connection for step in steps}
    if context.epoch > 1:  # an earlier attempt may have left statements running
        for connection in sorted(connections):
            context.connector(connection).end_sessions(context.label_prefix, context.label)
    settle_deletes(context, freezer, frozen.tallies, connections=connections)
    write_steps(context, freezer, steps)
    for _ in range(ROUNDS):
        freezer.forget_withheld()
        late = [verify_step(context, freezer, step, Tally()) for step in steps]
        if not any(late):
            return _withheld(freezer, steps)
    raise StillWritten("values were still there after being written", where=steps[late.index(True)].address)


def _withheld(freezer: Freezer, steps: Collection[Step]) -> dict[str, int]:
    kept: dict[str, int] = {}
    for step in steps:
        frozen = sum(len(chunk) for chunk in freezer.chunks(step.index))
        written = sum(len(chunk) for chunk in freezer.written(step.index))
        if frozen > written:
            kept[step.address] = kept.get(step.address, 0) + frozen - written
    return kept


def _owners(rows: FrozenChunk, row: int) -> Sequence[int]:
    return rows.others.get(row) or (rows.owners[row],)


def back_by_member(
    erased: Erased, connector: Callable[[str], Connector], label: str, digest_key: bytes
) -> dict[int, dict[str, int]]:
    """How many rows are back, by member and address; a joint row counts for each owner. Those of tables without a key
    can't be told again. Writes nothing.
    """
    back: dict[int, dict[str, int]] = {}
    for step, parts in erased.by_step():
        if step.alike:
            continue
        for seen in look_again(erased, step, parts, connector(step.connection), label, digest_key):
            for member in chain.from_iterable(_owners(seen.rows, row) for row in seen.back):
                counts = back.setdefault(member, {})
                counts[step.address] = counts.get(step.address, 0) + 1
    return back
