"""The ledger: which rows were erased, so that they can be erased again from a restored backup.

A key is kept plain where every part of it is an integer or a UUID, else as an HMAC under the vault's key; the
old values only as the keyed digests they were frozen with. Chunk by chunk, packed. It holds no personal data
and is never changed.
"""

from __future__ import annotations

import hmac
import json
import sys
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Row

from habeas.core.clock import Clock, SystemClock
from habeas.core.schema import RemainsOf
from habeas.core.values import canonical_text
from habeas.store.session import insert_new
from habeas.store.tables import cohort, ledger

Form = Literal["plain", "hmac"]
BATCH_ROWS = 50_000

KEY_PURPOSE = "ledger"
"""The vault key under which keys that may be personal are hashed: `vault.key(KEY_PURPOSE)`."""

_SYSTEM = SystemClock()
_INT64 = range(-(2**63), 2**63)


class LedgerChunk(NamedTuple):
    """Erased rows of one collection. `keys[r]` is the key as a tuple where `form` is plain, else its HMAC.

    `owners[r]` is the lowest member of the cohort; `others` lists all where several own the row.
    """

    cohort_id: str
    address: str
    form: Form
    keys: Sequence[tuple[object, ...] | bytes]
    digests: Sequence[bytes]
    owners: Sequence[int]
    others: Mapping[int, Sequence[int]]
    held: bool = False  # of a step that deletes: rows that were masked instead


class Remains(NamedTuple):
    """Digests of a chunk's rows as an erasure left them, 32 bytes each; zeros where nobody can tell."""

    of: RemainsOf
    digests: Sequence[bytes]


class LedgerPart(NamedTuple):
    """Where a chunk is in the ledger, without its rows. `step` is told only where a collection has several."""

    id: int
    cohort_id: str
    address: str
    step: int | None
    size: int
    form: Form


_STEP_NUMBERS = 100_000  # two steps of one collection keep their chunks apart


def number_of(chunk: int, step: int | None) -> int:
    """The number of a chunk in the ledger; `step` where its collection has another step too."""
    return chunk + (step or 0) * _STEP_NUMBERS


LedgerRow = Mapping[str, object]
"""A chunk as a row of the table, ready to be put in."""


def row_of(
    cohort_id: str,
    address: str,
    number: int,
    keys: Sequence[Sequence[object]],
    digests: Sequence[bytes],
    owners: Sequence[int],
    others: Mapping[int, Sequence[int]],
    *,
    secret: bytes,
    clock: Clock = _SYSTEM,
    remains: Remains | None = None,
    held: bool = False,
) -> LedgerRow:
    """One frozen chunk: `keys[c][r]` is key column c of row r, `number` the chunk's, unique per address. All
    digests have one length. `secret` is the vault's ledger key. `remains` tells such rows again that nobody touched.
    """
    form, packed = pack_keys(keys, secret)
    return {
        "cohort_id": cohort_id,
        "address": address,
        "number": number,
        "members": {"runs": [[owner, len(list(run))] for owner, run in groupby(owners)]}
        | ({"others": [[row, list(all_of)] for row, all_of in sorted(others.items())]} if others else {})
        | ({"held": True} if held else {}),
        "form": form,
        "keys": packed,
        "digests": b"".join(digests),
        "size": len(owners),
        "created_at": clock.now(),
        "remains": None if remains is None else b"".join(remains.digests),
        "remains_of": None if remains is None else msgspec.to_builtins(remains.of),
    }


def take_rows(rows: Iterator[LedgerRow]) -> list[LedgerRow]:
    """The next rows of about `BATCH_ROWS` erased rows in all; empty at the end."""
    taken: list[LedgerRow] = []
    size = 0
    for row in rows:
        taken.append(row)
        size += int(str(row["size"]))
        if size >= BATCH_ROWS:
            break
    return taken


def append_rows(connection: Connection, rows: Sequence[LedgerRow]) -> None:
    """Keep chunks, in one statement; safe to call again with the same ones."""
    insert_new(connection, ledger, rows)


def chunks(
    connection: Connection, *, address: str | None = None, cohort_id: str | None = None
) -> Iterator[LedgerChunk]:
    """Stream what was erased, oldest first: of one collection, of one cohort, or all."""
    wanted = sa.select(ledger).order_by(ledger.c.id).limit(100)
    if address is not None:
        wanted = wanted.where(ledger.c.address == address)
    if cohort_id is not None:
        wanted = wanted.where(ledger.c.cohort_id == cohort_id)
    after = 0
    while rows := connection.execute(wanted.where(ledger.c.id > after)).all():
        yield from map(_unpacked, rows)
        after = rows[-1].id


def cohorts_since(
    connection: Connection, since: datetime | None = None, *, after: int = 0
) -> list[tuple[str, int, str]]:
    """Cohorts that erased something, or of which something was erased again, at that moment or later, in the order
    in which they first erased: id, number of their first chunk, digest of their plan. `after`: only later ones.
    """
    first = sa.func.min(ledger.c.id)
    last = sa.func.max(sa.func.coalesce(ledger.c.again_at, ledger.c.created_at))
    found = (
        sa.select(ledger.c.cohort_id, first, cohort.c.plan_digest)
        .join(cohort, cohort.c.id == ledger.c.cohort_id)
        .group_by(ledger.c.cohort_id, cohort.c.plan_digest)
        .having(first > after)
        .order_by(first)
    )
    if since is not None:
        found = found.having(last >= sa.literal(since, ledger.c.created_at.type))
    return [(row[0], row[1], row[2]) for row in connection.execute(found)]


def plan_of(connection: Connection, cohort_id: str) -> str | None:
    """The digest of the plan by which a cohort erased something; None where it erased nothing."""
    found = sa.select(cohort.c.plan_digest).join(ledger, ledger.c.cohort_id == cohort.c.id)
    return connection.execute(found.where(cohort.c.id == cohort_id).limit(1)).scalar_one_or_none()


def parts_of(connection: Connection, cohort_ids: Sequence[str]) -> list[LedgerPart]:
    """All chunks of these cohorts, in order."""
    columns = (ledger.c.id, ledger.c.cohort_id, ledger.c.address, ledger.c.number, ledger.c.size, ledger.c.form)
    rows = connection.execute(sa.select(*columns).where(ledger.c.cohort_id.in_(cohort_ids)).order_by(ledger.c.id))
    return [
        LedgerPart(row.id, row.cohort_id, row.address, row.number // _STEP_NUMBERS or None, row.size, row.form)
        for row in rows
    ]


def read_part(connection: Connection, part_id: int) -> LedgerChunk:
    """One chunk with its rows."""
    return _unpacked(connection.execute(sa.select(ledger).where(ledger.c.id == part_id)).one())


def erased_again(connection: Connection, part_ids: Collection[int], now: datetime) -> None:
    """Rows of these chunks were erased again."""
    connection.execute(sa.update(ledger).where(ledger.c.id.in_(part_ids)).values(again_at=now))


def hashed_key(key: Sequence[object], secret: bytes) -> bytes:
    """The HMAC-SHA256 of a row's key, by which a row under form `hmac` is found again among live keys."""
    texts = [canonical_text(part) for part in key]
    return hmac.digest(secret, json.dumps(texts, ensure_ascii=False).encode(), "sha256")


def pack_keys(keys: Sequence[Sequence[object]], secret: bytes) -> tuple[Form, bytes]:
    """Pack key columns; plain only if every column is all integers or all UUIDs."""
    packed = [_pack_column(column) for column in keys]
    plain = [each for each in packed if each is not None]
    if len(plain) == len(packed):
        return "plain", msgspec.msgpack.encode(plain)
    return "hmac", b"".join(hashed_key(key, secret) for key in zip(*keys, strict=True))


def unpack_keys(form: Form, packed: bytes) -> list[tuple[object, ...] | bytes]:
    """What `pack_keys` packed, row by row."""
    if form == "hmac":
        return [packed[at : at + 32] for at in range(0, len(packed), 32)]
    columns = [_unpack_column(kind, data) for kind, data in msgspec.msgpack.decode(packed, type=list[_Packed])]
    return list(zip(*columns, strict=True))


_Packed = tuple[str, bytes | list[str]]


def _pack_column(column: Sequence[object]) -> _Packed | None:
    kinds = {type(value) for value in column}
    if kinds <= {int}:
        return _pack_integers([value for value in column if isinstance(value, int)])
    if kinds == {UUID}:
        return "uuid", _joined(column)
    if kinds == {str} and all(map(_is_uuid_text, column)):
        return "uuid_text", _joined(column)
    return None


def _pack_integers(numbers: list[int]) -> _Packed:
    if all(number in _INT64 for number in numbers):
        return "integer", _big_endian(array("q", numbers)).tobytes()
    return "large", [str(number) for number in numbers]


def _joined(uuids: Sequence[object]) -> bytes:
    return b"".join(UUID(str(each)).bytes for each in uuids)


def _unpack_column(kind: str, data: bytes | list[str]) -> list[object]:
    if isinstance(data, list):
        return [int(text) for text in data]
    if kind == "integer":
        numbers = array("q")
        numbers.frombytes(data)
        return list(_big_endian(numbers))
    uuids = [UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16)]
    return [str(each) for each in uuids] if kind == "uuid_text" else list(uuids)


def _big_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _is_uuid_text(value: object) -> bool:
    # Only the one spelling that comes back unchanged.
    try:
        return str(UUID(str(value))) == value
    except ValueError:
        return False


def _unpacked(row: Row[tuple[object, ...]]) -> LedgerChunk:
    length = len(row.digests) // row.size if row.size else 0
    return LedgerChunk(
        row.cohort_id,
        row.address,
        row.form,
        unpack_keys(row.form, row.keys),
        [row.digests[at * length : (at + 1) * length] for at in range(row.size)],
        [owner for owner, count in row.members["runs"] for _ in range(count)],
        {position: all_of for position, all_of in row.members.get("others", ())},
        row.members.get("held", False),
    )
