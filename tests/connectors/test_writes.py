"""Freezing, masking, deleting and verifying: exactly the frozen rows, once, whatever runs again."""

from __future__ import annotations

from typing import Any

import pytest

from connectorbook import KEY, Harness, PlanBook, by_email, chunks, no_fence, seed
from habeas.connectors.base import Connector, FrozenChunk
from habeas.core.errors import Fenced, Refused, SourceRejected
from habeas.core.expression import Column, Concat, Constant, Digest, Expression, Hmac, Null, Secret
from habeas.plan.model import Mask

ADA, BOB = seed("ada@example.com"), seed("bob@example.com", member=1)
SECRETS = {0: {"h.salt": "pepper", "h.key": "k0"}, 1: {"h.salt": "salt", "h.key": "k1"}}

CONSTANT = (
    Mask("email", "r", "string_rewrite", "constant", Constant("MASKED")),
    Mask("note", "r", "null_rewrite", "constant", Null()),
)
HASHED = Mask("email", "r", "h", "pushed", Digest("sha256", Concat((Column("email"), Secret("h.salt")))), length=90)


def customers(harness: Harness, connector: Connector, *masks: Mask, erases: bool = True, **more: Any) -> PlanBook:
    harness.run(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(90), note VARCHAR(90), other VARCHAR(90))"
    )
    harness.put(
        "customers",
        [
            (1, "ada@example.com", "n1", "o1"),
            (2, "ADA@example.com", None, "o2"),
            (3, "bob@example.com", "n3", "o3"),
            (4, None, "n4", "o4"),
        ],
    )
    book = PlanBook(connector, erases=erases)
    book.step("customers", people=True, seeds=by_email(), masks=masks, **more)
    return book


def frozen(book: PlanBook, *seeds: Any) -> list[FrozenChunk]:
    with book.found(*(seeds or (ADA,))) as reader:
        return chunks(reader, book.steps[0], SECRETS)


def mask(book: PlanBook, found: list[FrozenChunk]) -> int:
    with book.connector.writer("habeas/test/1", no_fence) as writer:
        return sum(writer.mask(book.steps[0], chunk) for chunk in found)


def state(book: PlanBook, chunk: FrozenChunk) -> tuple[list[int], list[int], list[int]]:
    with book.connector.writer("habeas/test/1", no_fence) as writer:
        return tuple(writer.verify(book.steps[0], chunk, KEY))


ALL = "SELECT id, email, note FROM customers ORDER BY id"


def test_constants_are_written_to_exactly_the_frozen_rows(harness: Harness, connector: Connector) -> None:
    book = customers(harness, connector, *CONSTANT)
    (chunk,) = frozen(book)
    assert (chunk.keys, chunk.owners, chunk.others, chunk.masked) == ([[1, 2]], [0, 0], {}, [None, None])
    assert len(set(chunk.digests)) == 2
    assert state(book, chunk) == ([], [0, 1], [])
    assert mask(book, [chunk]) == 2
    expected = [(1, "MASKED", None), (2, "MASKED", None), (3, "bob@example.com", "n3"), (4, None, "n4")]
    assert harness.rows(ALL) == expected
    assert state(book, chunk) == ([], [], [])
    assert mask(book, [chunk]) == 2
    assert harness.rows(ALL) == expected


def test_null_stays_null(harness: Harness, connector: Connector) -> None:
    book = customers(harness, connector, Mask("note", "r", "string_rewrite", "constant", Constant("x")))
    (chunk,) = frozen(book)
    mask(book, [chunk])
    assert [row[2] for row in harness.rows(ALL)] == ["x", None, "n3", "n4"]
    assert state(book, chunk) == ([], [], [])


def test_values_that_depend_on_the_row_are_frozen_and_written_again_unchanged(
    harness: Harness, connector: Connector
) -> None:
    import hashlib

    book = customers(harness, connector, HASHED, CONSTANT[1])
    (chunk,) = frozen(book)
    expected = [
        hashlib.sha256(text.encode()).hexdigest() for text in ("ada@example.compepper", "ADA@example.compepper")
    ]
    assert chunk.masked == [expected, None]
    for _ in range(2):
        assert mask(book, [chunk]) == 2
        assert harness.rows(ALL)[:2] == [(1, expected[0], None), (2, expected[1], None)]
        assert state(book, chunk) == ([], [], [])
    assert harness.rows(ALL)[2:] == [(3, "bob@example.com", "n3"), (4, None, "n4")]


def test_members_are_masked_with_their_own_secrets(harness: Harness, connector: Connector) -> None:
    import hashlib

    book = customers(harness, connector, HASHED)
    (chunk,) = frozen(book, ADA, BOB)
    assert (chunk.keys, chunk.owners) == ([[1, 2, 3]], [0, 0, 1])
    assert chunk.masked[0] is not None
    assert chunk.masked[0][2] == hashlib.sha256(b"bob@example.comsalt").hexdigest()


def test_rows_of_several_members_come_in_chunks_of_their_own(harness: Harness, connector: Connector) -> None:
    book = customers(harness, connector, HASHED)
    single, joint = frozen(book, BOB, ADA, seed("ada@example.com", member=5))
    assert (single.keys, single.owners, single.joint) == ([[3]], [1], False)
    assert (joint.keys, joint.owners, joint.others, joint.joint) == ([[1, 2]], [0, 0], {0: [0, 5], 1: [0, 5]}, True)
    assert (single.number, joint.number) == (0, 1)


def test_computed_masks_get_the_present_values(harness: Harness, connector: Connector) -> None:
    book = customers(harness, connector, Mask("note", "r", "aes_encrypt", "computed"), CONSTANT[0])
    (chunk,) = frozen(book)
    assert chunk.current == {0: ["n1", None]}
    assert chunk.masked == [[None, None], None]
    chunk.masked[0] = ["sealed", None]
    mask(book, [chunk])
    assert harness.rows(ALL)[:2] == [(1, "MASKED", "sealed"), (2, "MASKED", None)]
    assert state(book, chunk) == ([], [], [])


def test_a_secret_constant_is_frozen_per_member(harness: Harness, connector: Connector) -> None:
    secret = Mask("note", "r", "h", "constant", Secret("h.salt"))
    book = customers(harness, connector, secret)
    (chunk,) = frozen(book, ADA, BOB)
    assert chunk.masked == [["pepper", None, "salt"]]
    mask(book, [chunk])
    assert [row[2] for row in harness.rows(ALL)] == ["pepper", None, "salt", "n4"]


def test_verify_tells_gone_and_changed_rows(harness: Harness, connector: Connector) -> None:
    book = customers(harness, connector, HASHED, CONSTANT[1])
    (chunk,) = frozen(book, ADA, BOB)
    harness.run("DELETE FROM customers WHERE id = 1", "UPDATE customers SET email = 'new@example.com' WHERE id = 3")
    assert state(book, chunk) == ([0], [1], [2])
    assert mask(book, [chunk]) == 2
    assert state(book, chunk) == ([0], [], [])


def test_a_masks_text_is_cut_to_its_column(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(16), note VARCHAR(3), other CHAR(4))")
    harness.put("customers", [(1, "ada@example.com", "äöü", "abcd")])
    masks = (
        Mask("email", "r", "h", "pushed", HASHED.expression, length=16),
        Mask("note", "r", "s", "constant", Constant("ÄÖÜß"), length=3),
        Mask("other", "r", "s", "constant", Constant("x"), length=4),
    )
    book = PlanBook(connector, erases=True)
    book.step("customers", people=True, seeds=by_email(), masks=masks)
    (chunk,) = frozen(book)
    mask(book, [chunk])
    ((_, email, note, other),) = harness.rows("SELECT id, email, note, other FROM customers")
    assert (len(email), note, other.strip()) == (16, "ÄÖÜ", "x")
    assert state(book, chunk) == ([], [], [])


@pytest.mark.parametrize(
    ("kind", "value", "constant"),
    [
        ("INTEGER", "7", 0),
        ("SMALLINT", "7", 0),
        ("NUMERIC(10, 2)", "7.25", 0),
        ("DOUBLE PRECISION", "7.5", 0.0),
        ("DATE", "'2001-02-03'", "1970-01-01"),
        ("TIMESTAMP", "'2001-02-03 04:05:06'", "1970-01-01 00:00:00"),
    ],
)
def test_constants_take_the_columns_type(
    harness: Harness, connector: Connector, kind: str, value: str, constant: Any
) -> None:
    harness.run(
        f"CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(90), it {kind})",
        f"INSERT INTO customers VALUES (1, 'ada@example.com', {value})",
    )
    book = PlanBook(connector, erases=True)
    masks = (Mask("it", "r", "s", "constant", Constant(constant)),)
    book.step("customers", people=True, seeds=by_email(), masks=masks)
    (chunk,) = frozen(book)
    assert state(book, chunk) == ([], [0], [])
    mask(book, [chunk])
    assert state(book, chunk) == ([], [], [])


@pytest.mark.parametrize("form", ["constant", "pushed"])
@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("VARCHAR(20)", ["a'); --", "b", "Z", "ä", ""]),
        ("CHAR(3)", ["abc", "b", "c", "d", "e"]),
        ("NUMERIC(20, 5)", ["1.5", "2", "-3.25", "4", "5"]),
        ("BIGINT", [1 << 62, -5, 0, 7, 8]),
        ("TIMESTAMP", [f"2001-02-0{n} 04:05:06" for n in range(1, 6)]),
    ],
)
def test_keys_of_any_type(harness: Harness, connector: Connector, kind: str, keys: list[Any], form: str) -> None:
    harness.run(f"CREATE TABLE customers (id {kind} NOT NULL PRIMARY KEY, email VARCHAR(90))")
    harness.put(
        "customers", [(key, f"{who}@example.com") for key, who in zip(keys, ["ada"] * 4 + ["bob"], strict=True)]
    )
    book = PlanBook(connector, erases=True)
    masks = (CONSTANT[0],) if form == "constant" else (HASHED,)
    book.step("customers", people=True, seeds=by_email(), masks=masks)
    (chunk,) = frozen(book)
    assert len(chunk) == 4
    assert mask(book, [chunk]) == 4
    assert state(book, chunk) == ([], [], [])
    assert harness.rows("SELECT count(*) FROM customers WHERE email = 'bob@example.com'") == [(1,)]


@pytest.mark.parametrize("form", ["constant", "pushed"])
def test_composite_keys(harness: Harness, connector: Connector, form: str) -> None:
    harness.run("CREATE TABLE customers (a INTEGER, b VARCHAR(9), email VARCHAR(90), PRIMARY KEY (a, b))")
    rows = [(1, "x", "ada@example.com"), (1, "y", "bob@example.com"), (2, "x", "ada@example.com")]
    harness.put("customers", rows)
    book = PlanBook(connector, erases=True)
    book.step("customers", people=True, seeds=by_email(), masks=(CONSTANT[0],) if form == "constant" else (HASHED,))
    (chunk,) = frozen(book)
    assert chunk.keys == [[1, 2], ["x", "x"]]
    assert mask(book, [chunk]) == 2
    assert state(book, chunk) == ([], [], [])
    assert harness.rows("SELECT a, b FROM customers WHERE email = 'bob@example.com'") == [(1, "y")]


@pytest.mark.parametrize("key", ["id", "a b"])
def test_deletes_only_what_is_still_as_frozen(harness: Harness, connector: Connector, key: str) -> None:
    columns = key.split()
    harness.run(
        f"CREATE TABLE customers (id INTEGER NOT NULL, a INTEGER, b INTEGER, email VARCHAR(90), "
        f"PRIMARY KEY ({', '.join(columns)}))"
    )
    rows = [(n, n, n, f"{who}@example.com") for n, who in enumerate(("ada", "ada", "ada", "bob"))]
    harness.put("customers", rows)
    book = PlanBook(connector, erases=True)
    step = book.step("customers", people=True, seeds=by_email(), delete=True)
    (chunk,) = frozen(book)
    harness.run("UPDATE customers SET email = 'heir@example.com' WHERE id = 1")
    with connector.writer("habeas/test/1", no_fence) as writer:
        assert writer.verify(book.steps[step], chunk, KEY) == ([], [0, 2], [1])
        assert writer.delete(book.steps[step], chunk, KEY) == 2
        assert writer.delete(book.steps[step], chunk, KEY) == 0
        assert writer.verify(book.steps[step], chunk, KEY) == ([0, 2], [], [1])
    assert harness.rows("SELECT id FROM customers ORDER BY id") == [(1,), (3,)]


def test_digests_depend_on_their_key_and_tell_null_from_text(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(90), a VARCHAR(9), b VARCHAR(9))")
    pairs = [("x", None), (None, "x"), ("", "x"), ("x", ""), ('x","', None), ("null", None)]
    harness.put("customers", [(n, "ada@example.com", *pair) for n, pair in enumerate(pairs)])
    book = PlanBook(connector, erases=True)
    masks = [Mask(name, "r", "null_rewrite", "constant", Null()) for name in ("a", "b")]
    book.step("customers", people=True, seeds=by_email(), masks=masks)
    with book.found(ADA) as reader:
        (first,) = reader.freeze(book.steps[0], KEY, {})
        (second,) = reader.freeze(book.steps[0], KEY, {})
        (other,) = reader.freeze(book.steps[0], b"another" * 20, {})
    assert len(set(first.digests)) == 6
    assert first.digests == second.digests
    assert not set(first.digests) & set(other.digests)
    assert all(len(digest) == 32 for digest in first.digests)


def test_a_lost_fence_writes_nothing(harness: Harness, connector: Connector) -> None:
    book = customers(harness, connector, *CONSTANT)
    (chunk,) = frozen(book)
    before = harness.rows(ALL)

    def lost() -> None:
        raise Fenced("another attempt owns the work")

    with connector.writer("habeas/test/1", lost) as writer:
        with pytest.raises(Fenced):
            writer.mask(book.steps[0], chunk)
        with pytest.raises(Fenced):
            writer.delete(book.steps[0], chunk, KEY)
    assert harness.rows(ALL) == before


def test_a_constraint_that_refuses_leaves_nothing_half_done(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(90) UNIQUE, note VARCHAR(9) NOT NULL)")
    harness.put("customers", [(1, "ada@example.com", "a"), (2, " ada@example.com", "b")])
    book = PlanBook(connector, erases=True)
    book.step("customers", people=True, seeds=by_email(), masks=(CONSTANT[0],))
    (chunk,) = frozen(book)
    with connector.writer("habeas/test/1", no_fence) as writer:
        with pytest.raises(SourceRejected) as refused:
            writer.mask(book.steps[0], chunk)
        assert "example.com" not in str(refused.value)
        assert "MASKED" not in str(refused.value)
        assert writer.verify(book.steps[0], chunk, KEY) == ([], [0, 1], [])


def test_a_step_without_a_key_is_not_frozen_nor_written(harness: Harness, connector: Connector) -> None:
    book = customers(harness, connector, *CONSTANT, key=())
    with book.found(ADA) as reader, pytest.raises(Refused) as refused:
        chunks(reader, book.steps[0])
    assert refused.value.cause == "no_key"


def expression_cases() -> list[Expression]:
    return [Hmac("sha512", Secret("h.key"), Column("email")), Digest("sha512", Column("email"))]


@pytest.mark.parametrize("expression", expression_cases(), ids=["hmac", "digest"])
def test_a_hundred_thousand_rows_in_chunks(harness: Harness, connector: Connector, expression: Expression) -> None:
    harness.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(90), note VARCHAR(200), person INTEGER)")
    harness.put(
        "customers", [(n, "ada@example.com" if n == 0 else f"x{n}@example.com", "n", 0) for n in range(120_001)]
    )
    book = PlanBook(connector, erases=True)
    book.step("customers", people=False, seeds=by_email())
    link = book.link(0, "id", "person", ownership="owned")
    book.steps.clear()
    masks = (Mask("note", "r", "h", "pushed", expression), CONSTANT[0])
    book.step("customers", people=False, seeds=by_email(), links=[link], masks=masks)
    with book.found(ADA) as reader, connector.writer("habeas/test/1", no_fence) as writer:
        sizes = []
        for chunk in reader.freeze(book.steps[0], KEY, SECRETS):
            sizes.append(len(chunk))
            assert chunk.keys[0] == sorted(chunk.keys[0])
            assert writer.mask(book.steps[0], chunk) == len(chunk)
            assert writer.verify(book.steps[0], chunk, KEY) == ([], [], [])
    assert sizes == [50_000, 50_000, 20_001]
    assert harness.rows("SELECT count(*) FROM customers WHERE email <> 'MASKED' OR note = 'n'") == [(0,)]
