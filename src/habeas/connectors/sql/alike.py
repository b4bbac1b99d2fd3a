"""Rows of a table without a key, frozen as one where they are alike in what they were found by. Pure.

What is kept of them is how many they are and the sum of their keyed digests, which is the same in any order and
changes with any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from habeas.connectors.sql.session import Row

_BITS = 256


def merge_alike(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows (key, owner, owners, digest), alike ones next to each other, as (key, owner, owners, digest, copies)."""
    current: Row | None = None
    total, copies = 0, 0
    for row in rows:
        if current is None or row[0] != current[0]:
            if current is not None:
                yield _merged(current, total, copies)
            current, total, copies = row, 0, 0
        total += int.from_bytes(row[3])
        copies += 1
    if current is not None:
        yield _merged(current, total, copies)


def _merged(row: Row, total: int, copies: int) -> Row:
    return (bytes(row[0]), row[1], row[2], (total % (1 << _BITS)).to_bytes(_BITS // 8), copies)
