"""What every kind must do with one standard data set, where no other test of this folder says it already."""

from __future__ import annotations

import threading
import time
import tracemalloc

import pytest

from conformancebook import CASES, missing_tests
from connectorbook import KEY, Harness, PlanBook, by_email, chunks, harnesses, no_fence, seed
from habeas.connectors.base import Connector, FrozenChunk, Landing
from habeas.connectors.registry import connector_classes
from habeas.core.errors import SourceError, SourceUnreachable
from habeas.core.expression import Column, Constant, Digest
from habeas.core.schema import TableName
from habeas.plan.model import Guard, Link, Mask, Seed, Segment, Standing
from linkbook import Proxy

ADA = seed("ada@example.com")
MASK = Mask("note", "r", "string_rewrite", "constant", Constant("gone"))
HASH = Mask("note", "r", "hash", "pushed", Digest("sha256", Column("note")))
ODD = [
    "",
    " ",
    "'; DROP TABLE person; --",
    "\\'; SELECT 1 -- ",
    '") OR ("1"="1',
    "%s %(seen)s :tick ?",
    "\\\\",
    "line\nfeed\ttab",
    "Zo\u00eb \u0416 \u6f22\u5b57 \U0001f600 e\u0301",
    "NULL",
    "0",
]


def standard(harness: Harness, connector: Connector, *masks: Mask, erases: bool = True) -> PlanBook:
    """People, and what they bought: a tuple key, NULLs, odd texts, a table without rows."""
    harness.run(
        "CREATE TABLE person (id INTEGER PRIMARY KEY, email VARCHAR(90), code VARCHAR(90))",
        "CREATE TABLE bought (person INTEGER, line INTEGER, note VARCHAR(90), PRIMARY KEY (person, line))",
        "CREATE TABLE unseen (id INTEGER PRIMARY KEY, person INTEGER)",
    )
    harness.put("person", [(1, "ada@example.com", ODD[2]), (2, "bob@example.com", "x"), (3, None, None)])
    harness.put("bought", [(1, line, text) for line, text in enumerate(ODD)] + [(1, 90, None), (2, 0, "his")])
    book = PlanBook(connector, erases=erases)
    person = book.step("person", people=True, seeds=by_email())
    book.step("bought", links=(book.link(person, "id", "person"),), masks=masks)
    book.step("unseen", links=(book.link(person, "id", "person"),))
    return book


def test_every_case_is_there() -> None:
    assert missing_tests() == []
    assert len(CASES) >= 40


def test_excuses_have_reasons_and_name_tests() -> None:
    for kind, each in harnesses().items():
        assert each.kind == kind
        assert all(reason.strip() for reason in each.excused.values())
        assert missing_tests(each.excused) == []
    databases = {each.kind for each in connector_classes() if each.capabilities.holds_rows}
    assert {kind for kind, each in harnesses().items() if each.absent} == {"mysql"} & databases


def test_odd_texts_are_read_as_they_are(harness: Harness, connector: Connector) -> None:
    book = standard(harness, connector)
    with book.found(ADA) as reader:
        rows = [row for batch in reader.rows(book.steps[1], ["line", "note"]) for row in batch.rows]
        assert dict(rows) == {**dict(enumerate(ODD)), 90: None}
        assert list(reader.rows(book.steps[2], ["id"])) == []
        assert reader.counts(book.steps[1]) == {(0, Standing.OWN): len(ODD) + 1}
        assert reader.counts(book.steps[2]) == {}


@pytest.mark.parametrize("text", ODD)
def test_odd_identities_find_what_equals_them_and_nothing_else(
    harness: Harness, connector: Connector, text: str
) -> None:
    harness.run("CREATE TABLE thing (id INTEGER PRIMARY KEY, code VARCHAR(90))")
    harness.put("thing", list(enumerate([*(each + "x" for each in ODD), text])))
    book = PlanBook(connector)
    book.step("thing", seeds=(Seed("code", "account"),))
    with book.found(seed(text, "account")) as reader:
        assert book.own(reader, 0) == {len(ODD)}


def test_odd_texts_are_masked_and_read_again(harness: Harness, connector: Connector) -> None:
    book = standard(harness, connector, HASH)
    with book.found(ADA) as reader:
        frozen = chunks(reader, book.steps[1])
    with connector.writer("habeas/test/1", no_fence) as writer:
        assert sum(writer.mask(book.steps[1], chunk) for chunk in frozen) == len(ODD) + 1
        assert [writer.verify(book.steps[1], chunk, KEY) for chunk in frozen] == [([], [], [])]
    with book.found(ADA) as reader:
        rows = dict(row for batch in reader.rows(book.steps[1], ["line", "note"]) for row in batch.rows)
    assert rows.pop(90) is None
    assert len(set(rows.values())) == len(ODD)
    assert all(len(note) == 64 for note in rows.values())
    assert harness.rows("SELECT note FROM bought WHERE person = 2") == [("his",)]
    assert len(harness.rows("SELECT id FROM person")) == 3


def test_fifty_thousand_keys_come_from_elsewhere(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE thing (id INTEGER PRIMARY KEY, code VARCHAR(20))")
    harness.put("thing", [(number, f"c{number}") for number in range(60_000)])
    book = PlanBook(connector)
    link = Link(1, source=1, source_columns=("code",), columns=("code",), points="to_source", ownership="owned")
    thing = book.step("thing", links=(link,))
    book.step("thing")
    book.segments = [Segment("store", (0,)), Segment("store", (1,))]
    with book.reader() as reader:
        reader.land(link, (Landing(0, Standing.OWN, True, (f"c{2 * number}",)) for number in range(50_000)))
        reader.traverse()
        assert reader.counts(book.steps[thing]) == {(0, Standing.OWN): 30_000}


def test_memory_stays_flat(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE person (id INTEGER PRIMARY KEY, email VARCHAR(90))",
        "CREATE TABLE event (id INTEGER PRIMARY KEY, person INTEGER, note VARCHAR(200))",
    )
    harness.put("person", [(1, "ada@example.com")])
    harness.put("event", [(number, 1, "x" * 150) for number in range(100_000)])
    book = PlanBook(connector)
    person = book.step("person", people=True, seeds=by_email())
    event = book.step("event", links=(book.link(person, "id", "person"),))
    with book.found(ADA) as reader:
        tracemalloc.start()
        total = sum(len(batch.rows) for batch in reader.rows(book.steps[event], ["id", "note"]))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert total == 100_000
    assert peak < 8_000_000  # all rows at once would take more than 25 MB


def count_after_cut(book: PlanBook, proxy: Proxy) -> None:
    with book.found(ADA) as reader:
        proxy.cut(refuse=True)
        reader.counts(book.steps[1])


def mask_after_cut(book: PlanBook, chunk: FrozenChunk, proxy: Proxy) -> None:
    with book.connector.writer("habeas/test/1", no_fence) as writer:
        proxy.cut()
        writer.mask(book.steps[1], chunk)


def test_a_lost_link_ends_in_an_error_and_the_next_use_works(harness: Harness, connector: Connector) -> None:
    book = standard(harness, connector, MASK)
    with book.found(ADA) as reader:
        frozen = chunks(reader, book.steps[1])
    with Proxy(harness.server or ("", 0)) as proxy:
        distant = harness.connector(**harness.elsewhere(proxy.port))
        book.connector = distant
        with pytest.raises(SourceUnreachable):
            count_after_cut(book, proxy)
        assert distant.check().code == "unreachable"
        proxy.mend()
        with book.found(ADA) as reader:
            assert sum(reader.counts(book.steps[1]).values()) == len(ODD) + 1
        with pytest.raises(SourceUnreachable):
            mask_after_cut(book, frozen[0], proxy)
        assert harness.rows("SELECT note FROM bought WHERE note = 'gone'") == []
        with distant.writer("habeas/test/2", no_fence) as writer:
            assert writer.mask(book.steps[1], frozen[0]) == len(ODD) + 1
        distant.close()


def test_a_canceled_statement_ends_in_an_error(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE probe (id INTEGER PRIMARY KEY)")  # without a table a file of SQLite is none
    failed: list[SourceError] = []
    sessions: list[object] = []

    def run() -> None:
        try:
            with connector._session("read", "habeas/test/1") as session:  # type: ignore[attr-defined] # of the sql family
                sessions.append(session)
                session.fetch(harness.slow_query)
        except SourceError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while thread.is_alive() and time.monotonic() < deadline:
        if sessions:
            harness.cancel(sessions[0])
        thread.join(0.2)
    assert [each.retryable for each in failed] == [True]
    assert connector.check().ok


def test_guards_hold_back_what_others_point_to(harness: Harness, connector: Connector) -> None:
    harness.run(
        "CREATE TABLE person (id INTEGER PRIMARY KEY, email VARCHAR(90), place INTEGER)",
        "CREATE TABLE place (id INTEGER PRIMARY KEY, note VARCHAR(90))",
    )
    harness.put("place", [(1, "hers"), (2, "both")])
    harness.put("person", [(1, "ada@example.com", 1), (2, "ada@example.com", 2), (3, "bob@example.com", None)])
    book = PlanBook(connector, erases=True)
    person = book.step(
        "person", people=True, seeds=by_email(), masks=(Mask("email", "r", "n", "constant", Constant("x")),)
    )
    guard = Guard(TableName("person"), ("place",), ("id",), person)
    place = book.step("place", links=(book.link(person, "place", "id", "to_target"),), masks=(MASK,), guards=(guard,))
    with book.found(ADA) as reader:
        people, places = chunks(reader, book.steps[person]), chunks(reader, book.steps[place])
    harness.run("UPDATE person SET place = 2 WHERE id = 3")  # after the freeze
    with connector.writer("habeas/test/1", no_fence) as writer:
        writer.know(book.steps[person], people)
        assert [writer.mask(book.steps[place], chunk) for chunk in places] == [1]
        assert list(writer.withheld(book.steps[place], places[0], KEY)) == [1]
    assert harness.rows("SELECT note FROM place ORDER BY id") == [("gone",), ("both",)]
