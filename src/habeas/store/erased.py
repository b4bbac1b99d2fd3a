"""Which rows of a source an earlier erasure left as they are: such rows are nobody's, and hold nothing back.

Asked about rows by key and by the keyed digest of what they hold now. A key that was given to somebody else, or a row
that anybody wrote since, has another digest and isn't among them. Read from the ledger chunk by chunk; keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from habeas.core.schema import RemainsOf
from habeas.store.ledger import hashed_key, unpack_keys
from habeas.store.session import Database
from habeas.store.tables import ledger

DIGEST_BYTES = 32
Key = tuple[Any, ...]
_CHUNKS = 20  # read at once


class ErasedRows:
    """The ledger's answer, as of when a collection was first asked about. `secret` is the vault's ledger key,
    `digest_key` the one that rows are digested with.
    """

    def __init__(self, database: Database, secret: bytes, digest_key: bytes) -> None:
        self._database = database
        self._secret = secret
        self.digest_key = digest_key
        self._kinds: dict[str, dict[RemainsOf, int]] = {}

    def kinds(self, address: str) -> Mapping[RemainsOf, int]:
        """What digests of a collection's erased rows cover, with how many rows there are; most often none."""
        if address not in self._kinds:
            self._kinds[address] = self._read_kinds(address)
        return self._kinds[address]

    def _read_kinds(self, address: str) -> dict[RemainsOf, int]:
        told = sa.select(ledger.c.remains_of, ledger.c.size).where(
            ledger.c.address == address, ledger.c.remains.is_not(None)
        )
        kinds: dict[RemainsOf, int] = {}
        with self._database.read() as connection:
            for found, size in connection.execute(told):
                kind = msgspec.convert(found, RemainsOf)
                kinds[kind] = kinds.get(kind, 0) + size
        return kinds

    def among(self, address: str, kind: RemainsOf, rows: Sequence[tuple[Key, bytes]]) -> list[int]:
        """Positions of those rows (key, present digest) that are as an erasure left them."""
        if kind.rekeyed:  # the ledger has their old keys
            return self._by_digest(address, kind, rows)
        plain = {(key, digest): position for position, (key, digest) in enumerate(rows)}
        hashed = {(hashed_key(key, self._secret), digest): position for position, (key, digest) in enumerate(rows)}
        found: set[int] = set()
        for form, keys, digests in self._chunks(address, kind):
            wanted: Mapping[Any, int] = plain if form == "plain" else hashed
            found.update(wanted[each] for each in zip(keys, digests, strict=True) if each in wanted)
        return sorted(found)

    def _by_digest(self, address: str, kind: RemainsOf, rows: Sequence[tuple[Key, bytes]]) -> list[int]:
        known = {digest: position for position, (_, digest) in enumerate(rows)}
        every = (digest for _, _, digests in self._chunks(address, kind) for digest in digests)
        return sorted({known[digest] for digest in every if digest in known})

    def _chunks(self, address: str, kind: RemainsOf) -> Iterator[tuple[str, Sequence[Any], Sequence[bytes]]]:
        wanted = (
            sa.select(ledger.c.id, ledger.c.form, ledger.c["keys"], ledger.c.remains, ledger.c.remains_of)
            .where(ledger.c.address == address, ledger.c.remains.is_not(None))
            .order_by(ledger.c.id)
            .limit(_CHUNKS)
        )
        after = 0
        while True:
            with self._database.read() as connection:
                rows = connection.execute(wanted.where(ledger.c.id > after)).all()
            for row in rows:
                if msgspec.convert(row.remains_of, RemainsOf) == kind:
                    ends = range(DIGEST_BYTES, len(row.remains) + 1, DIGEST_BYTES)
                    digests = [row.remains[end - DIGEST_BYTES : end] for end in ends]
                    yield row.form, unpack_keys(row.form, row[2]), digests
            if not rows:
                return
            after = rows[-1].id
