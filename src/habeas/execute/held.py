"""Counting rows that would be deleted but for others that hold them: what a preview tells of deletes.

Asks the very question that an erasure asks once its rows are frozen, of keys that wait in the preview's own spool.
Reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from habeas.connectors.base import Connector, FrozenChunk, Reader
from habeas.execute.deletes import delete_segments
from habeas.execute.wire import pack_chunk, unpack_chunk
from habeas.plan.model import Plan, Segment
from habeas.spool.frames import Frame, Spool


class HeldRows:
    """Keys of rows to be deleted, taken in while each segment is read; then asked about, store by store."""

    def __init__(self, plan: Plan, connector: Callable[[str], Connector], spool: Spool) -> None:
        self._plan = plan
        self._connector = connector
        self._spool = spool
        self._asked = {index: segment for segment in delete_segments(plan) for index in segment.steps}
        self._frames: dict[int, list[Frame]] = {}

    def take(self, segment: Segment, reader: Reader) -> None:
        """Keep the keys of the subject's rows of steps that delete, and of those that come with them."""
        for index in (each for each in segment.steps if each in self._asked):
            step = self._plan.steps[index]
            for number, rows in enumerate(reader.own(step, step.key) if step.key else ()):
                if rows:
                    keys = [list(column) for column in zip(*(key for _, key in rows), strict=True)]
                    chunk = FrozenChunk(index, number, keys, [member for member, _ in rows], {}, [], [])
                    name = f"held-{index:05}-{number:06}"
                    frame = self._spool.write(name, pack_chunk(chunk), durable=False)
                    self._frames.setdefault(index, []).append(frame)

    def count(self, label: str) -> Mapping[int, int]:
        """Rows that would be masked instead of deleted, by step."""
        counts: dict[int, int] = {}
        for segment in dict.fromkeys(self._asked.values()):
            with self._connector(segment.connection).reader(self._plan, segment, label) as reader:
                for chunk in (chunk for index in segment.steps for chunk in self._chunks(index)):
                    reader.load(chunk)
                reader.hold_back()
                counts |= self._held(segment, reader)
        return {index: rows for index, rows in counts.items() if rows}

    def _held(self, segment: Segment, reader: Reader) -> dict[int, int]:
        return {
            index: sum(len(reader.set_aside(self._plan.steps[index], chunk)[0]) for chunk in self._chunks(index))
            for index in segment.steps
            if self._plan.steps[index].delete
        }

    def _chunks(self, index: int) -> Iterator[FrozenChunk]:
        for frame in self._frames.get(index, ()):
            yield unpack_chunk(self._spool.read(frame))
