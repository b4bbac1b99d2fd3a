"""Runs a plan's traversal: segment by segment, each one snapshot of one store, values carried between them.

Finds rows; what is done with them is the caller's `visit`. Never writes to a source. A segment's read is
atomic: after a failure the whole traversal runs again. Values that leave a segment wait in sealed,
undurable spool frames, since they can be found again.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from habeas.connectors.base import Connector, Erased, FrozenChunk, Landing, Reader, SeedValue, at
from habeas.execute.wire import pack_landings, unpack_landings
from habeas.plan.model import Link, Plan, Segment, Standing
from habeas.spool.frames import Frame, Spool

Visit = Callable[[Segment, Reader], None]
Begin = Callable[[Segment], None]
Loads = Callable[[int], Iterable[FrozenChunk]]


class Exchange:
    """Values on their way from one segment to another, by link or by step, in spool frames."""

    def __init__(self, spool: Spool, name: str) -> None:
        self._spool = spool
        self._name = name
        self._frames: dict[str, list[Frame]] = {}
        self._tallies: dict[str, Counter[tuple[int, bool]]] = {}

    def depart(self, way: str, batches: Iterable[list[Landing]]) -> bool:
        """Keep the values that go a way, replacing earlier ones; whether their tally changed.

        Sets only grow and standings only strengthen, so an equal tally means an equal set.
        """
        frames, tally = [], Counter[tuple[int, bool]]()
        for number, batch in enumerate(batches):
            frames.append(self._spool.write(f"{self._name}-{way}-{number}", pack_landings(batch), durable=False))
            tally.update((int(each.standing), each.exclusive) for each in batch)
        changed = tally != self._tallies.get(way, Counter())
        self._frames[way], self._tallies[way] = frames, tally
        return changed

    def arrivals(self, way: str) -> Iterator[Landing]:
        """The values that went a way, one frame in memory at a time."""
        for frame in self._frames.get(way, ()):
            yield from unpack_landings(self._spool.read(frame))


class Traversal:
    """One run of a plan's traversal for one cohort."""

    def __init__(
        self,
        plan: Plan,
        connector: Callable[[str], Connector],
        spool: Spool,
        *,
        seeds: Iterable[SeedValue],
        own: Iterable[SeedValue] = (),
        label: str,
        loads: Loads | None = None,
        name: str = "landings",
        begin: Begin | None = None,
        erased: Erased | None = None,
    ) -> None:
        self._plan = plan
        self._connector = connector
        self._exchange = Exchange(spool, name)
        self._asked = sorted({each for segment in plan.segments for each in plan.asked(segment)})
        self._seeds = seeds
        self._own = own  # values by which fields in shared rows are known as the subject's
        self._label = label
        self._loads = loads
        self._begin = begin
        self._erased = erased  # rows that hold nothing back
        self._begun: set[Segment] = set()

    def run(self, visit: Visit) -> None:
        """Find all rows; `visit` is called once a segment, while its snapshot is open, sources before targets
        (inside a loop: after the loop's fixpoint), `begin` before its first statement."""
        for loop, group in groupby(self._plan.segments, key=lambda segment: segment.loop):
            segments = tuple(group)
            if loop is None:
                for segment in segments:
                    self._run_segment(segment, visit)
            else:
                self._run_loop(segments, visit)

    def _run_loop(self, segments: tuple[Segment, ...], visit: Visit) -> None:
        # The last round adds nothing anywhere, so visiting waits for it: a list, not any(), runs them all.
        while any([self._run_segment(segment, None) for segment in segments]):
            pass
        for segment in segments:
            self._run_segment(segment, visit)

    def _run_segment(self, segment: Segment, visit: Visit | None) -> bool:
        plan = self._plan
        if self._begin is not None and segment not in self._begun:
            self._begun.add(segment)
            self._begin(segment)
        connector = self._connector(segment.connection)
        with at(plan.steps[segment.steps[0]]), connector.reader(plan, segment, self._label) as reader:
            self._feed(segment, reader)
            reader.traverse()
            if self._erased is not None:
                reader.disregard(self._erased)
            changed = [self._exchange.depart(_by_link(link), reader.departures(link)) for link in plan.exports(segment)]
            changed += [
                self._exchange.depart(_by_step(index, columns), _landings(reader.own(plan.steps[index], columns)))
                for index, columns in self._asked
                if index in segment.steps
            ]
            if visit is not None:
                self._claim(segment, reader)
                visit(segment, reader)
        return any(changed)

    def _claim(self, segment: Segment, reader: Reader) -> None:
        for step in (self._plan.steps[index] for index in segment.steps):
            if step.own_of is not None and self._own:
                reader.claim(step, self._own)

    def _feed(self, segment: Segment, reader: Reader) -> None:
        """What the segment starts from: identities, frozen rows, and values of other segments."""
        plan = self._plan
        for index in segment.steps:
            step = plan.steps[index]
            if step.seeds and self._seeds and step.own_of is None:
                reader.seed(step, self._seeds)
            for chunk in self._loads(index) if self._loads else ():
                reader.load(chunk)
        for link in plan.imports(segment):
            reader.land(link, self._exchange.arrivals(_by_link(link)))
        for index, columns in plan.asked(segment):
            arrived = self._exchange.arrivals(_by_step(index, columns))
            reader.recognise(plan.steps[index], columns, ((each.member, each.values) for each in arrived))


def _by_link(link: Link) -> str:
    return f"{link.id}"


def _by_step(index: int, columns: Sequence[str]) -> str:
    # Frames have short plain names, columns don't: a digest tells them apart.
    return f"own-{index}-{zlib.crc32(repr(columns).encode()):08x}"


def _landings(batches: Iterable[Sequence[tuple[int, tuple[Any, ...]]]]) -> Iterator[list[Landing]]:
    for batch in batches:
        yield [Landing(member, Standing.OWN, True, values) for member, values in batch]


def count_rows(
    traversal: Traversal, plan: Plan, also: Visit | None = None
) -> Mapping[int, Mapping[tuple[int, int], int]]:
    """Per step, found rows by (member, standing): what a preview shows. `also` visits each segment too.
    Reads only.
    """
    counts: dict[int, Mapping[tuple[int, int], int]] = {}

    def visit(segment: Segment, reader: Reader) -> None:
        for index in segment.steps:
            found = reader.counts(plan.steps[index])
            counts[index] = {(member, int(standing)): rows for (member, standing), rows in found.items()}
        if also is not None:
            also(segment, reader)

    traversal.run(visit)
    return counts
