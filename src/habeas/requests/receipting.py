"""The receipts of a cohort on their way into our database: built before its last transaction, put in within it.

A cohort may have a hundred thousand members, and SQLite's only writer is not to wait while receipts are built: so
they are built first and held compressed, some at a time. Knows nothing of what a receipt says.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from sqlalchemy.engine import Connection

from habeas.requests.installation import Installation
from habeas.store import receipt_format as form
from habeas.store.receipts import HeadSeen, Unsigned, append_head, insert_receipts

AT_ONCE = 1_000  # members whose receipts, or ends, are held as they are written


class _Pack(NamedTuple):
    requests: list[Unsigned]  # without their bodies
    bodies: bytes  # one a line, compressed: canonical JSON holds no line end


class PackedReceipts:
    """All receipts of a cohort, in order of member."""

    def __init__(self, receipts: Iterable[Unsigned]) -> None:
        self._leaves: list[bytes] = []
        self._packs: list[_Pack] = []
        remaining = iter(receipts)
        while some := list(islice(remaining, AT_ONCE)):
            bodies = [form.canonical_json(each.body) for each in some]
            self._leaves += map(form.leaf_hash, bodies)
            self._packs.append(_Pack([each._replace(body={}) for each in some], zlib.compress(b"\n".join(bodies), 1)))

    def append(self, connection: Connection, installation: Installation, cohort_id: str) -> HeadSeen | None:
        """Put them in under one signed head, next in the chain; gives it, None where the cohort has no members or had
        one. Other transactions that append wait until this one ends.
        """
        if not self._leaves:
            return None
        seen = installation.heads.seen
        head = append_head(connection, installation.clock, installation.vault, cohort_id, self._leaves, seen)
        if head is not None:
            first = 0
            for requests, packed in self._packs:
                bodies = zlib.decompress(packed).split(b"\n")
                leaves = self._leaves[first : first + len(requests)]
                insert_receipts(connection, installation.clock, cohort_id, head.number, requests, bodies, leaves, first)
                first += len(requests)
        return head
