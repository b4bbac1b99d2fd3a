"""What becomes of the rows of collections that delete: which go, which are held, what goes or lets go with them.

By brute force over raw rows, from the design's text (§5.11). Imports nothing of habeas.
"""

from __future__ import annotations

from collections.abc import Iterator

from truth.company import Table
from truth.oracle import Judgement, Pointer, RowId, Structure, World


class Fates:
    """Of one cohort. `deleting` are the ids of the collections that delete."""

    def __init__(self, structure: Structure, world: World, judgement: Judgement, deleting: set[str]) -> None:
        self.structure = structure
        self.world = world
        self.own = {row for row in judgement.anybody() if row[0] in deleting}
        self.held: set[RowId] = set()
        while fresh := {row for row in self._maskable() - self.held if self._is_held(row)}:
            self.held |= fresh
        self.along = self.closure(self.own - self.held)
        self.going = (self.own - self.held) | self.along
        self.untied: dict[RowId, set[str]] = {}
        for row, columns in self.lets_go(self.own - self.held):
            self.untied.setdefault(row, set()).update(columns)

    def mode(self, key: str) -> str:
        """What becomes of rows that others point to."""
        return self._table(key).on_referenced or "mask"

    def closure(self, roots: set[RowId]) -> set[RowId]:
        """Rows that are deleted since what they point to is, every level."""
        found: set[RowId] = set()
        waiting = [row for row in roots if self.mode(row[0]) == "cascade"]
        while waiting:
            for other in self._pointing(waiting.pop()):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return found

    def lets_go(self, roots: set[RowId]) -> set[tuple[RowId, tuple[str, ...]]]:
        """Rows whose reference becomes NULL since what they point to is deleted, with the reference's columns."""
        return {
            (other, pointer.columns)
            for row in roots
            if self.mode(row[0]) == "null"
            for pointer in self._pointers(row[0])
            for other in self.world.pointed(row, pointer.target_columns, pointer.holder, pointer.columns)
        }

    def _table(self, key: str) -> Table:
        return self.structure.tables[key]

    def _maskable(self) -> set[RowId]:
        """Own rows that are masked where something holds them."""
        return {row for row in self.own if self.mode(row[0]) in ("mask", "refuse")}

    def _is_held(self, row: RowId) -> bool:
        if self._table(row[0]).delete_trigger:
            return True
        roots = self.own - self.held
        going = roots | self.closure(roots)
        return any(other not in going for other in self._pointing(row, far=True))

    def _pointers(self, key: str, *, far: bool = False) -> Iterator[Pointer]:
        """References and foreign keys to a table; `far`: of other stores too, which hold but never go along."""
        for pointer in self.structure.pointers:
            if pointer.target == key and (far or not self.structure.is_far(pointer)):
                yield pointer

    def _pointing(self, row: RowId, *, far: bool = False) -> Iterator[RowId]:
        for pointer in self._pointers(row[0], far=far):
            for other in self.world.pointed(row, pointer.target_columns, pointer.holder, pointer.columns):
                if other != row:  # a row that points to itself goes with itself
                    yield other
