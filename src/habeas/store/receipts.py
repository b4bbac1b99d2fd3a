"""Receipts and the chain of signed heads, appended in the transaction that completes a cohort."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from habeas.core.clock import Clock
from habeas.store import receipt_format as form
from habeas.store.bulk import insert_rows
from habeas.store.chains import take_turn
from habeas.store.secrets import Vault
from habeas.store.session import insert_new, new_or_known
from habeas.store.tables import receipt, receipt_head, setting

_KEY_SETTING = "receipt_key:"


class Unsigned(NamedTuple):
    """A receipt to be appended: the request, which attempt of it, and the body (`execute.receipt`)."""

    request_id: str
    attempt: int
    body: Mapping[str, object]


class HeadSeen(NamedTuple):
    """A head as the next one needs it: its number, its digest, and the key that signed it."""

    number: int
    digest: str
    key_id: str


_BEFORE_ALL = HeadSeen(0, form.FIRST, "")


class LastHead:
    """The end of the chain as this process last committed it, so that the next head needn't be looked for. That
    the next number is free tells whether it still is the end. Safe to share between threads.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: HeadSeen | None = None

    @property
    def seen(self) -> HeadSeen | None:
        """The newest head that is known to be committed."""
        return self._seen

    def committed(self, head: HeadSeen | None) -> None:
        """A transaction that appended this head has committed."""
        with self._guard:
            if head is not None and (self._seen is None or head.number > self._seen.number):
                self._seen = head


def append_receipts(
    connection: Connection,
    clock: Clock,
    vault: Vault,
    cohort_id: str,
    receipts: Sequence[Unsigned],
    seen: HeadSeen | None = None,
) -> HeadSeen | None:
    """Make the receipts of a cohort one signed head, next in the chain; gives it, None where the cohort had one.

    Safe to call again: a cohort that has its head keeps it. Other transactions that append wait until this
    one ends. `seen` is the end of the chain if it is thought to be known. Raises BadInput for a body that isn't
    texts and integers, ValueError without receipts.
    """
    bodies = [form.canonical_json(each.body) for each in receipts]
    leaves = [form.leaf_hash(body) for body in bodies]
    head = append_head(connection, clock, vault, cohort_id, leaves, seen)
    if head is not None:
        insert_receipts(connection, clock, cohort_id, head.number, receipts, bodies, leaves)
    return head


def append_head(
    connection: Connection,
    clock: Clock,
    vault: Vault,
    cohort_id: str,
    leaves: Sequence[bytes],
    seen: HeadSeen | None = None,
) -> HeadSeen | None:
    """Append a head over leaf hashes and give it; None where the cohort had one already."""
    take_turn(connection)
    head = seen and _put_head(connection, clock, vault, cohort_id, leaves, seen)
    if head:
        return head
    found = connection.execute(
        sa.select(receipt_head)
        .where(
            (receipt_head.c.cohort_id == cohort_id)
            | (receipt_head.c.number == sa.select(sa.func.max(receipt_head.c.number)).scalar_subquery())
        )
        .order_by(receipt_head.c.cohort_id != cohort_id)
        .limit(1)
    ).one_or_none()
    if found is not None and found.cohort_id == cohort_id:
        return None
    end = _BEFORE_ALL
    if found is not None:
        end = HeadSeen(found.number, form.head_digest(found.body.encode()), json.loads(found.body)["key_id"])
    return _put_head(connection, clock, vault, cohort_id, leaves, end)


def _put_head(
    connection: Connection, clock: Clock, vault: Vault, cohort_id: str, leaves: Sequence[bytes], end: HeadSeen
) -> HeadSeen | None:
    """Put in the head after `end`; None where its number is taken or the cohort has one."""
    key = vault.signing_key()
    public = key.public_key().public_bytes_raw()
    now = clock.now()
    head = form.head_body(
        number=end.number + 1,
        previous=end.digest,
        root=form.tree_root(leaves),
        size=len(leaves),
        time=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        key_id=form.key_id_of(public),
    )
    body = form.canonical_json(head)
    row = {"number": end.number + 1, "cohort_id": cohort_id, "body": body.decode(), "created_at": now}
    put = new_or_known(connection, receipt_head).on_conflict_do_nothing().returning(receipt_head.c.number)
    if connection.execute(put, row | {"signature": form.sign_head(key, body)}).scalar() is None:
        return None
    if end.key_id != head["key_id"]:
        _publish_key(connection, clock, public)
    return HeadSeen(end.number + 1, form.head_digest(body), str(head["key_id"]))


def insert_receipts(
    connection: Connection,
    clock: Clock,
    cohort_id: str,
    head: int,
    receipts: Sequence[Unsigned],
    bodies: Sequence[bytes],
    leaves: Sequence[bytes],
    first: int = 0,
) -> None:
    """Keep leaves of a head in the order of its tree, `first` being the place of the first of them."""
    now = clock.now()
    rows = [
        {
            "privacy_request_id": each.request_id,
            "attempt": each.attempt,
            "cohort_id": cohort_id,
            "position": first + position,
            "leaf": leaves[position],
            "head": head,
            "body": bodies[position].decode(),
            "created_at": now,
        }
        for position, each in enumerate(receipts)
    ]
    insert_rows(connection, receipt, rows)


def find_receipt(connection: Connection, request_id: str) -> dict[str, object] | None:
    """The document of a request's last receipt, as it goes out; None where it has none."""
    found = connection.execute(
        sa.select(receipt).where(receipt.c.privacy_request_id == request_id).order_by(receipt.c.attempt.desc()).limit(1)
    ).one_or_none()
    if found is None:
        return None
    ordered = sa.select(receipt.c.leaf).where(receipt.c.head == found.head).order_by(receipt.c.position)
    leaves = list(connection.execute(ordered).scalars())
    head = connection.execute(sa.select(receipt_head).where(receipt_head.c.number == found.head)).one()
    body = json.loads(head.body)
    return form.receipt_document(
        json.loads(found.body),
        leaves=leaves,
        index=found.position,
        head=body,
        signature=head.signature,
        public_key=published_keys(connection).get(body["key_id"]),
    )


def outcome_of(connection: Connection, request_id: str) -> str | None:
    """The outcome that a request's last receipt tells; None where it has none."""
    last = sa.select(receipt.c.body).where(receipt.c.privacy_request_id == request_id)
    body = connection.execute(last.order_by(receipt.c.attempt.desc()).limit(1)).scalar()
    return None if body is None else str(json.loads(body)["outcome"])


def last_head(connection: Connection) -> dict[str, object] | None:
    """The newest head with its signature, to be published elsewhere; None before the first."""
    found = connection.execute(sa.select(receipt_head).order_by(receipt_head.c.number.desc()).limit(1)).one_or_none()
    return None if found is None else {"head": json.loads(found.body), "signature": found.signature.hex()}


def heads_after(connection: Connection, after: int, limit: int) -> list[dict[str, object]]:
    """Signed heads in order, from the one after this number on."""
    found = connection.execute(
        sa.select(receipt_head).where(receipt_head.c.number > after).order_by(receipt_head.c.number).limit(limit)
    )
    return [{"head": json.loads(row.body), "signature": row.signature.hex()} for row in found]


def published_keys(connection: Connection) -> dict[str, bytes]:
    """The public keys of all that ever signed here, by key id: several hosts may have one each."""
    named = sa.select(setting.c.value).where(sa.func.substr(setting.c.name, 1, len(_KEY_SETTING)) == _KEY_SETTING)
    keys = [bytes.fromhex(value["public_key"]) for value in connection.execute(named).scalars()]
    return {form.key_id_of(key): key for key in keys}


def verify_chain(connection: Connection, public_keys: form.PublicKeys) -> int:
    """Go over all heads and their trees; gives how many heads there are.

    Raises ReceiptRefused naming the first head that isn't signed, doesn't follow or whose receipts differ.
    """
    previous, number = form.FIRST, 0
    for row in _heads(connection):
        number += 1
        body = row.body.encode()
        head = form.verify_head(body, row.signature, previous, number, public_keys)
        found = connection.execute(
            sa.select(receipt.c.body).where(receipt.c.head == number).order_by(receipt.c.position)
        )
        leaves = [form.leaf_hash(each.encode()) for each in found.scalars()]
        if len(leaves) != head["size"] or form.tree_root(leaves).hex() != head["root"]:
            raise form.ReceiptRefused("its receipts are not those that were signed", where=f"head {number}")
        previous = form.head_digest(body)
    return number


def _heads(connection: Connection) -> Iterator[Row[Any]]:
    after = 0
    while rows := connection.execute(
        sa.select(receipt_head).where(receipt_head.c.number > after).order_by(receipt_head.c.number).limit(500)
    ).all():
        yield from rows
        after = rows[-1].number


def _publish_key(connection: Connection, clock: Clock, public: bytes) -> None:
    row = {"name": f"{_KEY_SETTING}{form.key_id_of(public)}", "value": {"public_key": public.hex()}}
    insert_new(connection, setting, [row | {"updated_at": clock.now()}])
