"""The merge of all steps' rows by member: each cursor walks one step once, in order of member.

Checks the order it relies on, so that a row can't reach another member's package. Never looks into rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from habeas.core.errors import HabeasError
from habeas.deliver.base import EncodedRows, StepRows


class OutOfOrder(HabeasError):
    """A step's rows didn't come in order of member; nothing of it is delivered."""

    code = "rows_out_of_order"


class StepCursor:
    """One step's rows, member by member."""

    def __init__(self, source: StepRows) -> None:
        self.address = source.address
        self.columns: Sequence[str] = source.columns
        self._groups = iter(source.frames)
        self._next: EncodedRows | None = None
        self._reached = -1
        self._advance()

    def rows_of(self, member: int) -> Iterator[bytes]:
        """The member's groups of rows, without empty ones. Members asked for must ascend; rows of members
        that were passed over (they left the cohort) are dropped.
        """
        while self._next is not None and self._next[0] < member:
            self._advance()
        while self._next is not None and self._next[0] == member:
            data = self._next[1]
            self._advance()
            if data:
                yield data

    def _advance(self) -> None:
        self._next = next(self._groups, None)
        if self._next is None:
            return
        if self._next[0] < self._reached:
            raise OutOfOrder("rows don't come in order of member", where=self.address)
        self._reached = self._next[0]
