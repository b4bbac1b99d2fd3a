"""Audit trail, plans, frames, receipts, ledger, outbox and executors on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.clock import FixedClock
from habeas.core.errors import BadInput, HabeasError, NotFound
from habeas.plan.model import Plan
from habeas.store import audit, ledger, outbox, plans, receipts
from habeas.store.app_key import check_app_key
from habeas.store.receipt_format import ReceiptRefused, verify_receipt_document
from habeas.store.secrets import Vault
from habeas.store.session import Database
from habeas.store.tables import audit_trail, receipt, receipt_head

CLOCK = FixedClock(datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC))
KEY = "k" * 43


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault((KEY,), tmp_path / "keys")


def test_the_audit_trail_is_one_chain(database: Database) -> None:
    with database.begin() as connection:
        audit.append(connection, CLOCK, "root", "policy.create", "pol_1", {"rules": 2, "keys": ["a", "ü"]})
        audit.append_all(connection, CLOCK, [audit.Entry("root", "policy.delete"), audit.Entry("jo", "x.y", "z")])
    with database.begin() as connection:
        audit.append(connection, CLOCK, "root", "request.approve", "pri_1")
    with database.read() as connection:
        assert audit.verify_chain(connection) == audit.ChainReport(4, None)
        assert len({row.previous for row in connection.execute(sa.select(audit_trail))}) == 4


@pytest.mark.parametrize(
    "tamper",
    [
        sa.update(audit_trail).where(audit_trail.c.id == 2).values(actor="mallory"),
        sa.update(audit_trail).where(audit_trail.c.id == 2).values(detail={"rules": 3}),
        sa.update(audit_trail).where(audit_trail.c.id == 2).values(created_at=datetime(2020, 1, 1, tzinfo=UTC)),
        sa.update(audit_trail).where(audit_trail.c.id == 2).values(digest=b"0" * 32),
        sa.delete(audit_trail).where(audit_trail.c.id == 2),
        sa.delete(audit_trail).where(audit_trail.c.id == 1),
    ],
)
def test_a_tampered_audit_trail_shows(database: Database, tamper: sa.Update | sa.Delete) -> None:
    with database.begin() as connection:
        audit.append_all(connection, CLOCK, [audit.Entry("root", "a.b", str(number)) for number in range(3)])
        connection.execute(tamper)
        assert audit.verify_chain(connection).broken_at is not None


def test_an_audit_detail_holds_plain_values_only(database: Database) -> None:
    with pytest.raises(BadInput), database.begin() as connection:
        audit.append(connection, CLOCK, "root", "a.b", None, {"x": object()})


def in_parallel(database: Database, work: int, body: object) -> None:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            with database.begin() as connection:
                body(connection, number)  # type: ignore[operator]
        except HabeasError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_many_may_append_at_once(url: str, vault: Vault) -> None:
    database = Database.open(url)
    database.migrate()

    def both(connection: sa.Connection, number: int) -> None:
        if number % 2:
            audit.append(connection, CLOCK, "root", "a.b", str(number))
        one = receipts.Unsigned(f"pri_{number}", 1, {"request": number})
        receipts.append_receipts(connection, CLOCK, vault, f"coh_{number}", [one])
        audit.append(connection, CLOCK, "root", "c.d", str(number))

    in_parallel(database, 12, both)
    with database.read() as connection:
        assert audit.verify_chain(connection) == audit.ChainReport(18, None)
        assert receipts.verify_chain(connection, vault.public_keys()) == 12
    database.close()


def plan(version: str = "1") -> Plan:
    return Plan("delete", version, "c", ("email",), (), ())


def test_a_plan_is_kept_once_by_its_digest(database: Database) -> None:
    with database.begin() as connection:
        digest = plans.put(connection, plan())
        assert plans.put(connection, plan(), CLOCK) == digest == plan().digest()
        assert plans.get(connection, digest) == plan()
        with pytest.raises(NotFound):
            plans.get(connection, plan("2").digest())
        connection.execute(sa.text("UPDATE plan SET body = replace(body, 'email', 'phone')"))
        with pytest.raises(HabeasError, match="changed"):
            plans.get(connection, digest)


def append(
    database: Database, vault: Vault, cohort: str, *bodies: dict[str, object], seen: receipts.HeadSeen | None = None
) -> receipts.HeadSeen | None:
    unsigned = [receipts.Unsigned(f"pri_{cohort}_{n}", 1, body) for n, body in enumerate(bodies)]
    with database.begin() as connection:
        return receipts.append_receipts(connection, CLOCK, vault, cohort, unsigned, seen)


def test_a_head_follows_the_one_that_was_seen_or_the_one_that_is_there(database: Database, vault: Vault) -> None:
    last = receipts.LastHead()
    heads = []
    for cohort in "abc":
        heads.append(append(database, vault, cohort, {"n": cohort}, seen=last.seen))
        last.committed(heads[-1])
    assert [head.number for head in heads if head] == [1, 2, 3]
    assert last.seen == heads[-1]
    stale = append(database, vault, "d", {"n": 4}, seen=heads[0])  # another process moved the end meanwhile
    assert stale is not None
    assert stale.number == 4
    assert append(database, vault, "d", {"n": 4}, seen=stale) is None  # it has its head
    last.committed(stale)
    last.committed(heads[0])
    assert last.seen == stale
    with database.read() as connection:
        assert receipts.verify_chain(connection, vault.public_keys()) == 4


def test_receipts_of_a_cohort_share_a_head_and_each_is_verified_alone(database: Database, vault: Vault) -> None:
    first = append(database, vault, "a", {"n": 0}, {"n": 1}, {"n": 2})
    assert first is not None
    assert append(database, vault, "a", {"n": 0}, {"n": 1}, {"n": 2}) is None
    second = append(database, vault, "b", {"n": 0})
    assert second is not None
    assert (first.number, second.number) == (1, 2)
    with database.read() as connection:
        for cohort, size in (("a", 3), ("b", 1)):
            for position in range(size):
                document = receipts.find_receipt(connection, f"pri_{cohort}_{position}")
                assert document is not None
                assert verify_receipt_document(document, vault.public_keys()).receipt == {"n": position}
        assert receipts.find_receipt(connection, "pri_c") is None
        assert receipts.verify_chain(connection, vault.public_keys()) == 2
        assert receipts.published_keys(connection) == vault.public_keys()
        head = receipts.last_head(connection)
        assert head is not None
        assert head["head"]["number"] == 2  # type: ignore[index]


def test_a_retried_request_shows_its_last_receipt(database: Database, vault: Vault) -> None:
    append(database, vault, "a", {"try": 1})
    with database.begin() as connection:
        receipts.append_receipts(connection, CLOCK, vault, "later", [receipts.Unsigned("pri_a_0", 2, {"try": 2})])
        document = receipts.find_receipt(connection, "pri_a_0")
    assert document is not None
    assert document["receipt"] == {"try": 2}


def test_several_hosts_sign_one_chain(database: Database, vault: Vault, tmp_path: Path) -> None:
    other = Vault((KEY,), tmp_path / "other")
    for number, each in enumerate((vault, other, vault, other)):
        append(database, each, f"c{number}", {"n": number})
    with database.read() as connection:
        published = receipts.published_keys(connection)
        assert published == vault.public_keys() | other.public_keys()
        assert receipts.verify_chain(connection, published) == 4
        with pytest.raises(ReceiptRefused, match="head 2"):
            receipts.verify_chain(connection, vault.public_keys())


@pytest.mark.parametrize(
    "tamper",
    [
        sa.delete(receipt_head).where(receipt_head.c.number == 1),
        sa.delete(receipt_head).where(receipt_head.c.number == 2),
        sa.update(receipt_head).where(receipt_head.c.number == 2).values(signature=b"0" * 64),
        sa.update(receipt_head)
        .where(receipt_head.c.number == 2)
        .values(body=sa.func.replace(receipt_head.c.body, "2026", "2025")),
        sa.update(receipt_head).where(receipt_head.c.number == 2).values(body="nonsense"),
        sa.update(receipt_head).where(receipt_head.c.number == 2).values(body=" " + receipt_head.c.body),
        sa.update(receipt).where(receipt.c.head == 2).values(body='{"n":9}'),
        sa.delete(receipt).where(receipt.c.head == 2, receipt.c.position == 1),
    ],
)
def test_a_tampered_chain_is_refused(database: Database, vault: Vault, tamper: sa.Update | sa.Delete) -> None:
    for cohort in "abc":
        append(database, vault, cohort, {"n": 0}, {"n": 1})
    with database.begin() as connection:
        connection.execute(tamper)
        with pytest.raises(ReceiptRefused, match="head"):
            receipts.verify_chain(connection, vault.public_keys())


SECRET = b"s" * 32
TWO = UUID(int=2)


def test_the_ledger_gives_back_what_was_erased_and_repeats_nothing(database: Database) -> None:
    with database.begin() as connection:
        for _ in range(2):
            keep(
                connection,
                "coh_1",
                "shop:people",
                0,
                [[1, 2, 3]],
                [b"a", b"b", b"c"],
                [0, 0, 1],
                {1: [0, 2]},
                secret=SECRET,
            )
        keep(connection, "coh_1", "shop:orders", 0, [[7], ["x"]], [b"dd"], [0], {}, secret=SECRET, clock=CLOCK)
        keep(connection, "coh_2", "shop:people", 0, [[9]], [b"e"], [4], {}, secret=SECRET)
    with database.read() as connection:
        people = list(ledger.chunks(connection, address="shop:people"))
        assert [each.cohort_id for each in people] == ["coh_1", "coh_2"]
        assert people[0][:-1] == (
            "coh_1",
            "shop:people",
            "plain",
            [(1,), (2,), (3,)],
            [b"a", b"b", b"c"],
            [0, 0, 1],
            {1: [0, 2]},
        )
        (orders,) = ledger.chunks(connection, address="shop:orders", cohort_id="coh_1")
        assert (orders.form, orders.keys) == ("hmac", [ledger.hashed_key((7, "x"), SECRET)])
        assert len(list(ledger.chunks(connection))) == 3


def keep(connection: sa.Connection, *chunk: Any, **more: Any) -> None:
    ledger.append_rows(connection, [ledger.row_of(*chunk, **more)])


key_columns = st.integers(1, 4).flatmap(
    lambda rows: st.lists(
        st.lists(st.integers(), min_size=rows, max_size=rows)
        | st.lists(st.uuids(), min_size=rows, max_size=rows)
        | st.lists(st.uuids().map(str), min_size=rows, max_size=rows),
        min_size=1,
        max_size=3,
    )
)


@given(key_columns)
def test_plain_keys_round_trip(columns: list[list[object]]) -> None:
    form, packed = ledger.pack_keys(columns, SECRET)
    assert form == "plain"
    assert ledger.unpack_keys(form, packed) == list(zip(*columns, strict=True))


@pytest.mark.parametrize(
    "value", ["jane@example.com", str(TWO).replace("-", ""), Decimal("1.0"), True, None, b"1", 1.0]
)
def test_any_other_key_counts_as_personal(value: object) -> None:
    form, packed = ledger.pack_keys([[1, 2], [value, 3]], SECRET)
    assert form == "hmac"
    assert len(packed) == 64
    assert b"jane" not in packed
    assert (
        ledger.unpack_keys(form, packed)[0]
        == ledger.hashed_key((1, value), SECRET)
        != ledger.hashed_key((1, value), b"o")
    )


def test_the_outbox_gives_each_message_to_one_and_again_when_it_went_stale(database: Database) -> None:
    clock = FixedClock(CLOCK.now())
    with database.begin() as connection:
        ids = [outbox.put(connection, clock, "webhook", f"pri_{n}", b"sealed") for n in range(3)]
    with database.begin() as connection:
        first = outbox.claim(connection, clock, "one", limit=2, stale_after_seconds=60)
        second = outbox.claim(connection, clock, "two", limit=5, stale_after_seconds=60)
        assert [each.id for each in first + second] == ids
        assert first[0] == (ids[0], "webhook", "pri_0", b"sealed", 1)
        assert outbox.mark_sent(connection, clock, "two", ids) == 1
        outbox.release(connection, "one", ids[:1])
        again = outbox.claim(connection, clock, "two", limit=5, stale_after_seconds=60)
        assert [(each.id, each.attempts) for each in again] == [(ids[0], 2)]
        clock.advance(61)
        stale = outbox.claim(connection, clock, "three", limit=5, stale_after_seconds=60)
        assert [each.id for each in stale] == ids[:2]
        assert outbox.mark_sent(connection, clock, "one", ids) == 0
        assert outbox.mark_sent(connection, clock, "three", ids) == 2
        assert outbox.claim(connection, clock, "four", limit=5, stale_after_seconds=-1) == []


def test_another_app_key_is_found_at_the_start(database: Database, vault: Vault, tmp_path: Path) -> None:
    other = Vault(("o" * 43,), tmp_path)
    rotated = Vault(("o" * 43, KEY), tmp_path)
    for each in (vault, vault, rotated):
        with database.begin() as connection:
            check_app_key(connection, CLOCK, each)
    with pytest.raises(BadInput, match=other.key_id) as caught, database.begin() as connection:
        check_app_key(connection, CLOCK, other)
    assert vault.key_id in str(caught.value)
