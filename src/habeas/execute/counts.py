"""Counts by member of a cohort: eight bytes a member, since there may be a hundred thousand. Knows nothing of what it
counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain, groupby


class Counts:
    """How many of something each member has; none for members that were never counted."""

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._counts = array("q")
        for member, count in (counts or {}).items():
            self.add(member, count)

    def add(self, member: int, count: int) -> None:
        """Count so many more for a member."""
        if member >= len(self._counts):
            self._counts.extend([0] * (member + 1 - len(self._counts)))
        self._counts[member] += count

    def add_all(self, counts: Mapping[int, int]) -> None:
        """Count more for several members."""
        for member, count in counts.items():
            self.add(member, count)

    def of(self, member: int) -> int:
        """What one member has."""
        return self._counts[member] if member < len(self._counts) else 0

    def total(self) -> int:
        """What all have together."""
        return sum(self._counts)

    def runs(self) -> list[int]:
        """All counts as plain data: a count and how many members in a row have it, by turns."""
        return list(chain.from_iterable((count, sum(1 for _ in run)) for count, run in groupby(self._counts)))

    @classmethod
    def from_runs(cls, runs: Sequence[int]) -> Counts:
        """The counts that `runs` gave."""
        made = cls()
        for count, times in zip(runs[::2], runs[1::2], strict=True):
            made._counts.extend([count] * times)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return f"Counts({self.runs()})"


def plain(value: object) -> object:
    """For msgspec: counts as plain data."""
    if isinstance(value, Counts):
        return value.runs()
    raise NotImplementedError(type(value).__name__)


def from_plain(kind: type, value: object) -> object:
    """For msgspec: counts from plain data, also as they were kept before, by member."""
    if kind is not Counts:
        raise NotImplementedError(kind.__name__)
    if isinstance(value, dict):
        return Counts({int(member): count for member, count in value.items()})
    return Counts.from_runs(value)  # type: ignore[arg-type] # what `plain` gave
