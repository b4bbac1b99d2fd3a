"""Erases by asking: somebody writes or deletes the rows and confirms it. Nothing is written by habeas.

A row counts as erased when somebody confirmed it, and whoever shows that says so: no re-scan agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from habeas.connectors.answered.question import Change, Pending, Question
from habeas.connectors.base import FrozenChunk, Verified, Writer
from habeas.plan.model import Step

Left = Callable[[Question], Question | None]


class AnsweredWriter(Writer):
    """Asks for the erasure of frozen rows, a chunk at a time."""

    def __init__(self, left: Left) -> None:
        self._left = left

    def mask(self, step: Step, chunk: FrozenChunk, digest_key: bytes | None = None) -> int:
        """Rows whose erasure was confirmed; raises Pending where nobody did yet."""
        left = self._left(question_of(step, chunk))
        if left is not None:
            raise Pending(left)
        return len(chunk)

    def delete(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> int:
        """The same for rows that are to be deleted."""
        return self.mask(step, chunk)

    def know(self, step: Step, chunks: Iterable[FrozenChunk]) -> None:
        """Nothing can be asked again of rows that nobody queries."""

    def verify(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> Verified:
        """What was confirmed counts as written, all else as it was frozen."""
        left = self._left(question_of(step, chunk))
        return Verified([], [] if left is None else list(range(len(chunk))), [])


def question_of(step: Step, chunk: FrozenChunk) -> Question:
    """What is asked about a chunk: the same at every run, since keys and masked values are frozen."""
    changes = tuple(
        Change(
            {name: column[row] for name, column in zip(step.key, chunk.keys, strict=True)},
            None if step.delete else {mask.field: _at(chunk, mask_at, row) for mask_at, mask in enumerate(step.masks)},
        )
        for row in range(len(chunk))
    )
    return Question(chunk.owners[0], step.address, "erasure", changes=changes)


def _at(chunk: FrozenChunk, position: int, row: int) -> object:
    values = chunk.masked[position]
    return None if values is None else values[row]
