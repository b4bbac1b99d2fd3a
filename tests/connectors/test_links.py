"""Links find exactly the rows that references lead to: tuples, cycles, text against numbers, NULL, names."""

from __future__ import annotations

import random
from typing import Any

import pytest

from connectorbook import Harness, PlanBook, by_email, seed
from habeas.connectors.base import Connector, Landing
from habeas.plan.model import Seed, Segment, Standing

ADA = seed("ada@example.com")


def shop(harness: Harness, connector: Connector) -> PlanBook:
    harness.run(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER)",
        "CREATE TABLE items (order_id INTEGER, line INTEGER, note VARCHAR(40), PRIMARY KEY (order_id, line))",
    )
    harness.put("customers", [(1, "ada@example.com"), (2, "bob@example.com"), (0, "zero@example.com")])
    harness.put("orders", [(10, 1), (11, 1), (12, 2), (13, None), (14, 0)])
    harness.put("items", [(10, 1, "a"), (10, 2, "b"), (12, 1, "c"), (11, 1, None), (14, 1, "z")])
    book = PlanBook(connector)
    customers = book.step("customers", people=True, seeds=by_email())
    orders = book.step("orders", links=[book.link(customers, "id", "customer_id")])
    book.step("items", links=[book.link(orders, "id", "order_id")])
    return book


def test_children_of_children(harness: Harness, connector: Connector) -> None:
    book = shop(harness, connector)
    with book.found(ADA) as reader:
        assert book.own(reader, 1) == {10, 11}
        assert book.own(reader, 2) == {(10, 1), (10, 2), (11, 1)}


def test_zero_is_a_key_like_others(harness: Harness, connector: Connector) -> None:
    book = shop(harness, connector)
    with book.found(seed("zero@example.com")) as reader:
        assert book.own(reader, 1) == {14}


def test_nothing_found_is_nothing(harness: Harness, connector: Connector) -> None:
    book = shop(harness, connector)
    with book.found(seed("nobody@example.com")) as reader:
        assert [book.keys(reader, index) for index in range(3)] == [{}, {}, {}]
        assert reader.counts(book.steps[2]) == {}
        assert list(reader.departures(book.steps[2].links[0])) == []
        assert list(reader.freeze(book.steps[2], b"k", {})) == []


def test_tuple_keys_match_as_tuples(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), country VARCHAR(2), number INTEGER)",
        "CREATE TABLE cards (id INTEGER PRIMARY KEY, country VARCHAR(2), number INTEGER)",
    )
    harness.put(
        "people", [(1, "ada@example.com", "DE", 1), (2, "ada@example.com", "FR", 2), (3, "ada@example.com", None, 3)]
    )
    harness.put("cards", [(1, "DE", 1), (2, "DE", 2), (3, "FR", 1), (4, "FR", 2), (5, None, 3), (6, "DE", None)])
    book = PlanBook(connector)
    people = book.step("people", people=True, seeds=by_email())
    book.step("cards", links=[book.link(people, "country number", "country number")])
    with book.found(ADA) as reader:
        assert book.own(reader, 1) == {1, 4}


def test_text_against_number_compares_as_text(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person VARCHAR(20))",
    )
    harness.put("people", [(1, "ada@example.com")])
    harness.put("notes", [(1, "1"), (2, "01"), (3, "1abc"), (4, " 1"), (5, "1 "), (6, None), (7, "")])
    book = PlanBook(connector)
    people = book.step("people", people=True, seeds=by_email())
    book.step("notes", links=[book.link(people, "id", "person", compare="text")])
    with book.found(ADA) as reader:
        assert book.own(reader, 1) == {1}


def test_self_reference_reaches_the_fixpoint(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER, parent INTEGER)",
    )
    harness.put("people", [(1, "ada@example.com")])
    harness.put("posts", [(1, 1, None), *((n, None, n - 1) for n in range(2, 60)), (60, None, None), (61, None, 61)])
    book = PlanBook(connector)
    people = book.step("people", people=True, seeds=by_email())
    posts = book.step("posts")
    links = (book.link(people, "id", "author"), book.link(posts, "id", "parent"))
    book.steps.clear()
    book.step("people", people=True, seeds=by_email())
    book.step("posts", links=links)
    with book.found(ADA) as reader:
        assert book.own(reader, 1) == set(range(1, 60))


def _closure(edges: set[tuple[int, int]], starts: set[int]) -> set[int]:
    reached, waiting = set(starts), list(starts)
    while waiting:
        at = waiting.pop()
        fresh = {there for here, there in edges if here == at} - reached
        reached |= fresh
        waiting += fresh
    return reached


@pytest.mark.parametrize("number", range(4))
def test_cycles_equal_a_naive_fixpoint(harness: Harness, connector: Connector, number: int) -> None:
    random_ = random.Random(number)
    count = 40
    edges = {(random_.randrange(count), random_.randrange(count)) for _ in range(45)}
    harness.run(
        "CREATE TABLE nodes (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE edges (id INTEGER PRIMARY KEY, here INTEGER, there INTEGER)",
    )
    harness.put("nodes", [(n, f"n{n}@example.com") for n in range(count)])
    harness.put("edges", [(index, *edge) for index, edge in enumerate(sorted(edges))])
    book = PlanBook(connector)
    onward = book.link(1, "there", "id", "to_target", ownership="owned")
    book.step("nodes", people=True, seeds=by_email(), links=[onward])
    book.step("edges", links=[book.link(0, "id", "here")])
    starts = {member: random_.randrange(count) for member in range(3)}
    with book.found(*(seed(f"n{start}@example.com", member=member) for member, start in starts.items())) as reader:
        for member, start in starts.items():
            assert book.own(reader, 0, member) == _closure(edges, {start})


def test_a_table_without_a_key_is_read_by_row(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE visits (person INTEGER, page VARCHAR(40))",
    )
    harness.put("people", [(1, "ada@example.com"), (2, "bob@example.com")])
    harness.put("visits", [(1, "a"), (1, "a"), (2, "b"), (1, "c")])
    book = PlanBook(connector)
    people = book.step("people", people=True, seeds=by_email())
    visits = book.step("visits", links=[book.link(people, "id", "person")])
    with book.found(ADA) as reader:
        pages = [row for batch in reader.rows(book.steps[visits], ["page"]) for row in batch.rows]
    assert sorted(pages) == [("a",), ("a",), ("c",)]


NAMES = ["order", "Mixed Case", 'quo"te', "per%cent", "semi;colon", "%(seen)s", "üñí", "a.b", ":tick", "h"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_quoted(harness: Harness, connector: Connector, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        f"CREATE TABLE {quoted} ({quoted} INTEGER PRIMARY KEY, person INTEGER)",
    )
    harness.put("people", [(1, "ada@example.com")])
    harness.put(quoted, [(7, 1), (8, 2)])
    book = PlanBook(connector)
    people = book.step("people", people=True, seeds=by_email())
    step = book.step(name, links=[book.link(people, "id", "person")])
    with book.found(ADA) as reader:
        assert book.own(reader, step) == {7}
    assert connector.statements(book.plan(), book.plan().segments[0])


def two_stores(harness: Harness, connector: Connector, left: str, right: str, values: Any) -> PlanBook:
    """People in one segment, notes in another, linked by a column of these types."""
    harness.run(
        f"CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), code {left})",
        f"CREATE TABLE notes (id INTEGER PRIMARY KEY, code {right})",
    )
    harness.put(
        "people", [(1, "ada@example.com", values[0]), (2, "ada@example.com", None), (3, "b@example.com", values[1])]
    )
    harness.put("notes", [(10, values[0]), (11, values[1]), (12, None), (13, values[0])])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    return book


@pytest.mark.parametrize(
    ("left", "right", "values", "compare"),
    [
        ("INTEGER", "BIGINT", (5, 6), "native"),
        ("BIGINT", "SMALLINT", (5, 6), "native"),
        ("VARCHAR(20)", "TEXT", ("x'; --", "y"), "native"),
        ("INTEGER", "VARCHAR(20)", (5, 6), "text"),
        ("NUMERIC(10, 2)", "NUMERIC(12, 4)", (1.5, 2.5), "native"),
        ("TEXT", "CHAR(5)", ("abcde", "fghij"), "native"),
    ],
)
def test_values_cross_from_segment_to_segment(
    harness: Harness, connector: Connector, left: str, right: str, values: Any, compare: str
) -> None:
    book = two_stores(harness, connector, left, right, values)
    link = book.link(0, "code", "code", compare=compare)
    book.step("notes", links=[link])
    book.segments = [Segment("store", (0,)), Segment("store", (1,))]
    with book.found(ADA) as reader:
        landings = [each for batch in reader.departures(link) for each in batch]
    assert [(each.member, each.standing, each.exclusive) for each in landings] == [(0, Standing.OWN, True)]
    with book.reader(1) as reader:
        reader.land(link, landings)
        reader.land(link, [])
        assert reader.traverse() == 2
        assert book.own(reader, 1) == {10, 13}


@pytest.mark.parametrize("value", ["x", None, 1 << 70, 3.5, b"\x00"])
def test_landed_values_that_no_row_can_hold_match_nothing(harness: Harness, connector: Connector, value: Any) -> None:
    book = two_stores(harness, connector, "INTEGER", "SMALLINT", (5, 6))
    link = book.link(0, "code", "code")
    book.step("notes", links=[link])
    book.segments = [Segment("store", (0,)), Segment("store", (1,))]
    with book.reader(1) as reader:
        reader.land(link, [Landing(0, Standing.OWN, True, (value,))])
        reader.traverse()
        assert book.keys(reader, 1) == {}


def test_many_landings_are_taken_in_batches(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY)", "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER)"
    )
    harness.put("notes", [(n, n % 25_000) for n in range(50_000)])
    book = PlanBook(connector)
    book.step("people", people=True)
    link = book.link(0, "id", "person")
    book.step("notes", links=[link])
    book.segments = [Segment("store", (0,)), Segment("store", (1,))]
    with book.reader(1) as reader:
        reader.land(link, (Landing(n % 3, Standing.OWN, True, (n,)) for n in range(25_000)))
        assert reader.traverse() == 50_000
        counts = reader.counts(book.steps[1])
        assert sum(counts.values()) == 50_000
        assert set(counts) == {(0, Standing.OWN), (1, Standing.OWN), (2, Standing.OWN)}


def test_a_hundred_thousand_rows_stream_by_member_and_key(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE events (id INTEGER PRIMARY KEY, person INTEGER, note VARCHAR(90))",
    )
    harness.put("people", [(1, "ada@example.com"), (2, "bob@example.com"), (3, "cyd@example.com")])
    harness.put("events", [(n, 1 + n % 3, f"event {n}") for n in range(150_000)])
    book = PlanBook(connector)
    people = book.step("people", people=True, seeds=by_email())
    events = book.step("events", links=[book.link(people, "id", "person")])
    with book.found(ADA, seed("bob@example.com", member=1)) as reader:
        last, total = (-1, -1), 0
        for batch in reader.rows(book.steps[events], ["id", "person"]):
            assert 0 < len(batch.rows) <= 2_000
            for member, (key, person) in zip(batch.members, batch.rows, strict=True):
                assert person == member + 1
                assert (member, key) > last
                last, total = (member, key), total + 1
        assert total == 100_000


def test_loaded_rows_are_found_without_looking(harness: Harness, connector: Connector) -> None:
    book = shop(harness, connector)
    plan = book.plan()
    erasing = book.steps[0]
    with book.found(ADA) as reader:
        frozen = list(reader.freeze(erasing, b"key", {}))
    harness.run("UPDATE customers SET email = NULL", "INSERT INTO orders VALUES (20, 1)")
    with book.reader() as reader:
        for chunk in frozen:
            reader.load(chunk)
        reader.traverse()
        assert book.own(reader, 1) == {10, 11, 20}
        assert list(reader.freeze(erasing, b"key", {}, new_only=True)) == []
        ((new,),) = [chunk.keys for chunk in reader.freeze(plan.steps[1], b"key", {}, new_only=True)]
        assert new == [10, 11, 20]


def test_rows_found_and_loaded_count_once_and_as_loaded(harness: Harness, connector: Connector) -> None:
    book = shop(harness, connector)
    step = book.steps[1]
    with book.found(ADA) as reader:
        frozen = list(reader.freeze(step, b"key", {}))
    harness.run("INSERT INTO orders VALUES (20, 1)")
    with book.reader() as reader:
        reader.seed(book.steps[0], [ADA])
        for chunk in frozen:
            reader.load(chunk)
            reader.load(chunk)
        reader.traverse()
        assert book.own(reader, 1) == {10, 11, 20}
        assert [chunk.keys for chunk in reader.freeze(step, b"key", {}, new_only=True)] == [[[20]]]


def test_a_snapshot_reads_one_moment(harness: Harness, connector: Connector) -> None:
    book = shop(harness, connector)
    with book.found(ADA) as reader:
        harness.run("DELETE FROM items", "INSERT INTO orders VALUES (20, 1)")
        reader.seed(book.steps[0], [seed("bob@example.com")])
        reader.traverse()
        assert book.own(reader, 1) == {10, 11, 12}
        assert book.own(reader, 2) == {(10, 1), (10, 2), (11, 1), (12, 1)}


def test_an_opaque_seed_of_text_ignores_the_collation(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, account VARCHAR(40))")
    harness.put("people", [(1, "Abc"), (2, "abc"), (3, "abc "), (4, None)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=(Seed("account", "account"),))
    with book.found(seed("abc", "account")) as reader:
        assert book.own(reader, 0) == {2}


def test_a_view_without_a_key_is_read_and_followed(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE visits (id INTEGER PRIMARY KEY, person INTEGER, page VARCHAR(20))",
        "CREATE VIEW seen AS SELECT id AS who, email FROM people",
        "CREATE VIEW pages AS SELECT person, page FROM visits",
    )
    harness.put("people", [(1, "ada@example.com"), (2, "bob@example.com"), (3, None)])
    harness.put("visits", [(1, 1, "a"), (2, 1, "a"), (3, 2, "b"), (4, 1, "c"), (5, 1, None)])
    book = PlanBook(connector)
    seen = book.step("seen", people=True, seeds=by_email(), key=())
    pages = book.step("pages", key=(), links=[book.link(seen, "who", "person")])
    with book.found(ADA, seed("bob@example.com", member=1)) as reader:
        shown = [
            (member, *row)
            for batch in reader.rows(book.steps[pages], ["page"])
            for member, row in zip(batch.members, batch.rows, strict=True)
        ]
        assert len(list(reader.rows(book.steps[seen], ["email"]))) == 1
    assert sorted(shown, key=str) == sorted([(0, "a"), (0, "a"), (0, "c"), (0, None), (1, "b")], key=str)
