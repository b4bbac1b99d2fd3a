"""The receipts of a cohort on their way into our database: built before its last transaction, put in within it.

A cohort may have a hundred thousand members, and SQLite's only writer is not to wait while receipts are built: so
they are built first and wait in frames of the spool. Knows nothing of what a receipt says.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from habeas.execute.members import AT_ONCE
from habeas.requests.installation import Installation
from habeas.spool.frames import Frame, Spool
from habeas.store import receipt_format as form
from habeas.store.receipts import HeadSeen, Unsigned, append_head, insert_receipts


class _Built(NamedTuple):
    """Some receipts: whose, of which attempt, and their bodies in canonical JSON."""

    requests: Sequence[tuple[str, int]]
    bodies: Sequence[bytes]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Built)


class BuiltReceipts:
    """All receipts of a cohort, in order of member, built a thousand at a time; their leaves stay in memory."""

    def __init__(self, receipts: Iterable[Unsigned], spool: Spool) -> None:
        self._spool = spool
        self._leaves: list[bytes] = []
        self._built: list[_Built | Frame] = []
        remaining = iter(receipts)
        while some := list(islice(remaining, AT_ONCE)):
            built = _Built(
                [(each.request_id, each.attempt) for each in some], [form.canonical_json(each.body) for each in some]
            )
            self._leaves += map(form.leaf_hash, built.bodies)
            self._built.append(self._kept(built) if self._built else built)

    def _kept(self, built: _Built) -> Frame:
        packed = zlib.compress(_encoder.encode(built), 1)
        return self._spool.write(f"receipts-{len(self._built):06}", packed, durable=False)

    def _opened(self, built: _Built | Frame) -> _Built:
        return _decoder.decode(zlib.decompress(self._spool.read(built))) if isinstance(built, Frame) else built

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
            for each in self._built:
                built = self._opened(each)
                requests = [Unsigned(request_id, attempt, {}) for request_id, attempt in built.requests]
                leaves = self._leaves[first : first + len(requests)]
                insert_receipts(
                    connection, installation.clock, cohort_id, head.number, requests, built.bodies, leaves, first
                )
                first += len(requests)
        return head
