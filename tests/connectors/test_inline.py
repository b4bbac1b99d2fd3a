"""Accounts that may make no temp tables: what is found goes along with the statements, in access and erasure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectorbook import KEY, Harness, PlanBook, by_email, chunks, no_fence, seed
from habeas.connectors.base import Connector
from habeas.connectors.registry import connector_class
from habeas.connectors.sql import inline
from habeas.core.errors import Refused
from habeas.core.expression import Column, Constant, Digest
from habeas.plan.model import Mask, Standing

CONSTANT = Mask("note", "r", "string_rewrite", "constant", Constant("gone"))
HASHED = Mask("note", "r", "hash", "expression", Digest("sha256", Column("note")))


@pytest.fixture
def limited(harness: Harness) -> Iterator[Connector]:
    """A connector of an account without temp tables, in a store of people and their orders."""
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE purchase (day VARCHAR(10), no INTEGER, buyer INTEGER, note VARCHAR(90), PRIMARY KEY (day, no))",
        "CREATE TABLE paid (id INTEGER PRIMARY KEY, day VARCHAR(10), no INTEGER)",
    )
    harness.run("CREATE TABLE visit (email VARCHAR(90), note VARCHAR(90))")
    harness.put("visit", [("ada@example.com", "x"), ("ada@example.com", "x"), (None, "y"), ("bob@example.com", "z")])
    harness.put("people", [(1, "ada@example.com"), (2, "bob@example.com"), (3, "Ada@Example.com ")])
    harness.put("purchase", [("a'%s\\", 1, 1, "x%"), ("b", 1, 2, "y"), ("b", 2, 3, "it's"), ("\u2603", 1, 1, None)])
    harness.put("paid", [(7, "a'%s\\", 1), (8, "b", 1), (9, "\u2603", 1)])
    kind = connector_class(harness.kind)
    made = kind(kind.secrets_model.model_validate(harness.without_temp_tables()))
    yield made
    made.close()


def book_of(connector: Connector, *masks: Mask, **more: bool) -> PlanBook:
    book = PlanBook(connector, erases=bool(masks) or more.get("delete", False))
    people = book.step("people", people=True, seeds=by_email())
    purchase = book.step("purchase", links=(book.link(people, "id", "buyer", ownership="owned"),), masks=masks, **more)
    book.step("paid", links=(book.link(purchase, "day no", "day no", ownership="owned"),))
    return book


def test_the_check_says_what_to_grant(limited: Connector) -> None:
    result = limited.check()
    assert (result.ok, result.temp_tables) == (True, False)
    assert "GRANT" in result.message


def test_rows_are_found_and_read(limited: Connector) -> None:
    book = book_of(limited)
    with book.found(seed("ada@example.com"), seed("bob@example.com", member=1)) as reader:
        assert book.own(reader, 0) == {1, 3}
        assert book.own(reader, 1) == {("a'%s\\", 1), ("b", 2), ("\u2603", 1)}
        assert book.own(reader, 2) == {7, 9}
        assert book.own(reader, 2, 1) == {8}
        assert reader.counts(book.steps[1]) == {(0, Standing.OWN): 3, (1, Standing.OWN): 1}


@pytest.mark.parametrize("mask", [CONSTANT, HASHED], ids=["constant", "hash"])
def test_rows_are_masked_and_verified(limited: Connector, harness: Harness, mask: Mask) -> None:
    book = book_of(limited, mask)
    step = book.steps[1]
    with book.found(seed("ada@example.com")) as reader:
        frozen = chunks(reader, step)
    with limited.writer("habeas/test/1", no_fence) as writer:
        assert [len(writer.verify(step, chunk, KEY).untouched) for chunk in frozen] == [2]  # NULL counts as masked
        for _ in range(2):
            assert sum(writer.mask(step, chunk) for chunk in frozen) == 3
        assert [writer.verify(step, chunk, KEY) for chunk in frozen] == [([], [], [])]
    left = {key: note for *key, note in harness.rows("SELECT no, day, note FROM purchase") for key in [tuple(key)]}
    assert (left[1, "b"], left[1, "\u2603"]) == ("y", None)
    assert len({left[1, "a'%s\\"], left[2, "b"]} & {"x%", "it's"}) == 0


def test_rows_are_deleted_as_they_were_frozen(limited: Connector, harness: Harness) -> None:
    book = book_of(limited, delete=True)
    step = book.steps[1]
    with book.found(seed("ada@example.com")) as reader:
        frozen = chunks(reader, step)
    harness.run("UPDATE purchase SET note = 'new' WHERE no = 2")
    with limited.writer("habeas/test/1", no_fence) as writer:
        assert sum(writer.delete(step, chunk, KEY) for chunk in frozen) == 2
    assert sorted(harness.rows("SELECT day, no FROM purchase")) == [("b", 1), ("b", 2)]


def test_too_many_rows_are_refused_with_what_to_grant(limited: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "KEPT_AT_MOST", 3)
    book = book_of(limited)
    with pytest.raises(Refused) as refused, book.found(seed("ada@example.com")):
        pass
    assert refused.value.cause == "temp_tables"
    assert "CREATE TEMPORARY TABLES" in (refused.value.fix or "")


def test_rows_without_a_key_are_masked_together(limited: Connector, harness: Harness) -> None:
    book = PlanBook(limited, erases=True)
    book.step("visit", people=True, seeds=by_email(), masks=(CONSTANT,), key=(), alike=("email",))
    step = book.steps[0]
    with book.found(seed("ada@example.com")) as reader:
        (chunk,) = chunks(reader, step)
    assert (len(chunk), chunk.copies) == (1, [2])
    with limited.writer("habeas/test/1", no_fence) as writer:
        assert writer.verify(step, chunk, KEY).changed == [0]
        for _ in range(2):
            writer.mask(step, chunk)
            assert writer.verify(step, chunk, KEY) == ([], [], [])
        harness.run("DELETE FROM visit WHERE email = 'ada@example.com'")
        assert writer.verify(step, chunk, KEY).vanished == [0, 0]
    assert sorted(harness.rows("SELECT note FROM visit")) == [("y",), ("z",)]
