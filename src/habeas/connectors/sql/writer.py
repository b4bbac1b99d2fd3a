"""The writer of SQL connectors: frozen chunks, each in one explicit transaction that repeats safely.

A constant writes the same again, other masks write their frozen values, a delete carries its guard in
its own WHERE. So nothing is ever masked twice. Values never appear in a statement's text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from habeas.connectors.base import Fence, FrozenChunk, Verified, Writer, at
from habeas.connectors.sql.dialect import Dialect
from habeas.connectors.sql.remains import covered_by
from habeas.connectors.sql.session import Row, Session
from habeas.connectors.sql.writing import CHANGED, KEPT, UNTOUCHED, VANISHED, StepWrites, known_table
from habeas.core.schema import RemainsOf
from habeas.plan.model import Step

ANALYZED_FROM = 1_000
DIGEST_BYTES = 32


class SqlWriter(Writer):
    """Writes chunks in one session. Whoever opened the session closes it."""

    def __init__(self, session: Session, dialect: Dialect, fence: Fence) -> None:
        self._session = session
        self._dialect = dialect
        self._fence = fence
        self._writes: dict[int, StepWrites] = {}
        self._known: dict[int, Step] = {}  # steps whose own rows were taken in

    def mask(self, step: Step, chunk: FrozenChunk, digest_key: bytes | None = None) -> int:
        """By an array of keys where all masks are constant, else joined with the frozen values."""
        if not len(chunk) or not step.masks:
            return 0
        writes = self._of(step)
        by_keys = writes.mask_by_keys()
        with at(step), self._transaction():
            if by_keys is not None:
                return self._session.change(by_keys.statement, {**by_keys.constants, **self._keys(chunk)})
            guard = digest_key if writes.guarded else None
            self._fill(writes, chunk, digests=guard is not None)
            masked = writes.mask_from_work(guarded=guard is not None)
            parameters = {**masked.constants, **_bounds(chunk)}
            if guard is not None:
                parameters.update(self._dialect.digest_parameters(guard))
                for carry in step.carries:  # while the old keys still tell whose the rows are
                    self._session.change(writes.carry(carry), self._dialect.digest_parameters(guard))
            return self._session.change(masked.statement, parameters)

    def delete(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> int:
        """Guarded by the digest in the statement itself."""
        if not len(chunk):
            return 0
        writes = self._of(step)
        with at(step), self._transaction():
            self._fill(writes, chunk, digests=True)
            parameters = {**self._dialect.digest_parameters(digest_key), **_bounds(chunk)}
            return self._session.change(writes.delete(), parameters)

    def know(self, step: Step, chunks: Iterable[FrozenChunk]) -> None:
        """Into a temp table of the session's own, once."""
        if step.index in self._known:
            return
        table, keys = known_table(self._dialect, step.index), tuple(self._dialect.quote(name) for name in step.key)
        filling = self._dialect.fill_found(table, tuple(f"k{index}" for index in range(len(keys))))
        with at(step), self._transaction(writes=False):
            self._session.change(self._dialect.drop_temp(table))
            self._session.change(self._dialect.create_found(table, step.table, keys, step.columns))
            for chunk in chunks:
                if len(chunk):
                    self._session.put(filling.statement, ((0, 1, 0, 0, *key) for key in zip(*chunk.keys, strict=True)))
        self._known[step.index] = step

    def untie(self, step: Step, chunk: FrozenChunk) -> int:
        """By one UPDATE, whatever the columns hold: the rows are deleted next."""
        if not len(chunk):
            return 0
        writes = self._of(step)
        with self._transaction():
            self._fill(writes, chunk, digests=False)
            return self._session.change(writes.untie(), _bounds(chunk))

    def delete_together(self, parts: Iterable[tuple[Step, FrozenChunk]], digest_key: bytes) -> int:
        """One DELETE a chunk, each guarded by its digests."""
        deleted = 0
        with self._transaction():
            self._session.change(self._dialect.defer_constraints)
            for step, chunk in (part for part in parts if len(part[1])):
                writes = self._of(step)
                self._fill(writes, chunk, digests=True)
                parameters = {**self._dialect.digest_parameters(digest_key), **_bounds(chunk)}
                deleted += self._session.change(writes.delete(), parameters)
                self._session.change(writes.empty())
        return deleted

    def verify(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> Verified:
        """By one join; NULL counts as masked, since NULL stays NULL. Constants are counted first."""
        if step.alike:
            return self._verify_alike(step, chunk)
        found: dict[int, list[int]] = {VANISHED: [], UNTOUCHED: [], CHANGED: [], KEPT: []}
        with at(step):
            if len(chunk) and not self._is_all_masked(step, chunk):
                for position, state in self._states(step, chunk, digest_key):
                    found[state].append(position)
                found[CHANGED] += self._left_behind(step, chunk, digest_key, found)
        return Verified(found[VANISHED], found[UNTOUCHED], found[CHANGED])

    def _verify_alike(self, step: Step, chunk: FrozenChunk) -> Verified:
        """By counts. Rows that are no longer found as they were once written can't vanish: they are gone either way."""
        if not len(chunk):
            return Verified([], [], [])
        writes = self._of(step)
        with at(step), self._transaction(writes=False):
            self._fill(writes, chunk, digests=False)
            counting = writes.count_alike()
            found = {position: counts for position, *counts in self._session.fetch(*counting)}
        changed = sorted(position for position, (rows, masked) in found.items() if rows > masked)
        vanished: list[int] = []
        for position, copies in enumerate(() if step.strays else chunk.copies or ()):
            vanished += [position] * (copies - found.get(position, (0, 0))[0])
        return Verified(vanished, [], changed)

    def withheld(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> Sequence[int]:
        """By the statement that verifies."""
        if not (len(chunk) and step.guards):
            return ()
        with at(step):
            return [position for position, state in self._states(step, chunk, digest_key) if state == KEPT]

    def remains(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> tuple[RemainsOf, list[bytes]] | None:
        """By one join with the rows that are masked."""
        if step.delete or not step.key:
            return None
        writes, digests = self._of(step), [bytes(DIGEST_BYTES)] * len(chunk)
        if len(chunk):
            with at(step), self._transaction(writes=False):
                self._fill(writes, chunk, digests=False)
                told = writes.remains()
                parameters = {**told.constants, **self._dialect.digest_parameters(digest_key)}
                for position, digest in self._session.fetch(told.statement, parameters):
                    digests[position] = bytes(digest)
        return covered_by(step), digests

    def try_out(self, step: Step, chunk: FrozenChunk, check: str) -> Sequence[int]:
        """By the store's own condition over the frozen values."""
        if not len(chunk):
            return ()
        writes = self._of(step)
        with at(step), self._transaction(writes=False):
            self._fill(writes, chunk, digests=False)
            trial = writes.trial(check)
            return [position for (position,) in self._session.fetch(trial.statement, trial.constants)]

    def _states(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> Sequence[Row]:
        writes = self._of(step)
        with self._transaction(writes=False):
            self._fill(writes, chunk, digests=True)
            verify = writes.verify()
            parameters = {**verify.constants, **self._dialect.digest_parameters(digest_key)}
            return self._session.fetch(verify.statement, parameters)

    def _left_behind(
        self, step: Step, chunk: FrozenChunk, digest_key: bytes, found: dict[int, list[int]]
    ) -> Sequence[int]:
        """Positions of rows in none of the states to which others still refer by their old keys."""
        if not step.carries:
            return ()
        writes, parameters = self._of(step), self._dialect.digest_parameters(digest_key)
        known = {position for positions in found.values() for position in positions}
        with self._transaction(writes=False):
            self._fill(writes, chunk, digests=True)
            rows = [row for carry in step.carries for row in self._session.fetch(writes.left_behind(carry), parameters)]
        return sorted({position for (position,) in rows} - known)

    def _is_all_masked(self, step: Step, chunk: FrozenChunk) -> bool:
        counting = self._of(step).count_masked()
        if counting is None:
            return False
        parameters = {**counting.constants, **self._keys(chunk)}
        ((masked,),) = self._session.fetch(counting.statement, parameters)
        return bool(masked == len(chunk))

    def _keys(self, chunk: FrozenChunk) -> dict[str, Any]:
        return {"keys": self._dialect.key_array(chunk.keys[0]), **_bounds(chunk)}

    def _of(self, step: Step) -> StepWrites:
        writes = self._writes.get(step.index)
        if writes is None or writes.step is not step:
            writes = self._writes[step.index] = StepWrites(self._dialect, step, self._known)
        return writes

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[None]:
        if writes:
            self._fence()
        self._session.begin(writes=writes)
        try:
            yield
            self.wrote = self.wrote or writes  # a commit that fails may have taken effect
            self._session.commit()
        except BaseException:
            self._session.rollback()
            raise

    def _fill(self, writes: StepWrites, chunk: FrozenChunk, *, digests: bool) -> None:
        for statement in writes.setup():
            self._session.change(statement)
        values = [writes.written(position, chunk.masked[position] or []) for position in writes.valued]
        columns = [range(len(chunk)), *([chunk.digests] if digests else []), *chunk.keys, *values]
        rows: Iterator[Row] = zip(*columns, strict=True)
        self._session.put(writes.filling(digests=digests), rows)
        analyze = self._dialect.analyze(writes.work) if len(chunk) >= ANALYZED_FROM else None
        if analyze:
            self._session.change(analyze)


def _bounds(chunk: FrozenChunk) -> dict[str, Any]:
    """The range of the first key column: rows of a chunk are in key order."""
    return {"low": chunk.keys[0][0], "high": chunk.keys[0][-1]}
