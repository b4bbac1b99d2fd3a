"""Values inside columns of documents, for every kind that can look there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from connectorbook import KEY, Harness, PlanBook, chunks, no_fence, seed
from habeas.connectors.base import Connector
from habeas.core.schema import ColumnType, TypeFamily
from habeas.plan.model import Column, Inside, Mask, Seed, Standing

TEXT = ColumnType(TypeFamily.TEXT, "text")
INTEGER = ColumnType(TypeFamily.INTEGER, "integer")


def inside(name: str, kind: ColumnType = TEXT, *, whole: bool = False) -> Column:
    """A value inside a column, by its plan's name."""
    column, *path = name.removesuffix("[]").split(".")
    return Column(name, kind, inside=Inside(column, tuple(path), whole))


@dataclass
class Room:
    """A store of rooms with guests, and of bills that a guest's element names."""

    harness: Harness
    book: PlanBook

    def room(self, *columns: Column, **more: Any) -> int:
        index = self.book.step("room", **more)
        step = self.book.steps[index]
        self.book.steps[index] = msgspec.structs.replace(step, columns=(*step.columns, *columns))
        return index


@pytest.fixture
def rooms(harness: Harness, connector: Connector) -> Room:
    harness.run("CREATE TABLE probe (id INTEGER PRIMARY KEY)")  # a file of SQLite without a table tells nothing
    if not connector.introspect().documents:
        pytest.skip("n/a: this kind doesn't look inside columns: a plan that asks for it is refused")
    harness.run(
        "CREATE TABLE room (id INTEGER PRIMARY KEY, guests JSON)",
        "CREATE TABLE bill (id INTEGER PRIMARY KEY, payer INTEGER)",
    )
    guests = [
        [{"mail": "ada@example.com", "bill": 7}, {"mail": "bob@example.com", "bill": 8}],
        [{"mail": "bob@example.com"}],
        {"mail": ["eve@example.com", ["ADA@example.com "]]},
        [],
    ]
    harness.put("room", [(number, json.dumps(each)) for number, each in enumerate(guests)])
    harness.put("bill", [(7, 1), (8, 2), (9, 1)])
    return Room(harness, PlanBook(connector))


def test_rows_are_found_by_elements_and_show_only_these(rooms: Room) -> None:
    index = rooms.room(inside("guests.mail"), seeds=(Seed("guests.mail", "email"),))
    with rooms.book.found(seed("ada@example.com"), seed("bob@example.com", member=1)) as reader:
        shown = {
            (member, row[0]): row[1]
            for batch in reader.rows(rooms.book.steps[index], ["id", "guests"])
            for member, row in zip(batch.members, batch.rows, strict=True)
        }
    assert shown == {
        (0, 0): [{"mail": "ada@example.com", "bill": 7}],
        (0, 2): {"mail": [["ADA@example.com "]]},
        (1, 0): [{"mail": "bob@example.com", "bill": 8}],
        (1, 1): [{"mail": "bob@example.com"}],
    }


def test_only_her_elements_are_followed(rooms: Room) -> None:
    room = rooms.room(inside("guests.mail"), inside("guests.bill", INTEGER), seeds=(Seed("guests.mail", "email"),))
    bill = rooms.book.step("bill")
    link = rooms.book.link(room, "guests.bill", "id", "to_target", ownership="owned")
    rooms.book.steps[bill] = msgspec.structs.replace(rooms.book.steps[bill], links=(link,))
    with rooms.book.found(seed("ada@example.com")) as reader:
        assert rooms.book.keys(reader, bill) == {(0, 7): Standing.OWN}


def test_rows_lead_into_documents(rooms: Room) -> None:
    bill = rooms.book.step("bill", seeds=(Seed("payer", "account", "exact"),))
    room = rooms.room(inside("guests.bill", INTEGER))
    link = rooms.book.link(bill, "id", "guests.bill", ownership="owned")
    rooms.book.steps[room] = msgspec.structs.replace(rooms.book.steps[room], links=(link,))
    with rooms.book.found(seed("1", "account"), seed("2", "account", 1)) as reader:
        assert rooms.book.keys(reader, room) == {(0, 0): Standing.OWN, (1, 0): Standing.OWN}
        wanted = [chunk.elements for chunk in chunks(reader, rooms.book.steps[room])]
    assert wanted == [[{"guests": {("bill",): frozenset({"7", "8"})}}]]  # one row of both


def test_a_document_that_changed_meanwhile_is_left(rooms: Room, connector: Connector) -> None:
    part = Mask("guests.mail", "r", "null_rewrite", "computed")
    mask = Mask("guests", "r", "null_rewrite", "computed", parts=(part,))
    index = rooms.room(inside("guests.mail"), seeds=(Seed("guests.mail", "email"),), masks=(mask,))
    step = rooms.book.steps[index]
    with rooms.book.found(seed("bob@example.com")) as reader:
        [chunk] = chunks(reader, step)
    assert [json.loads(text) for text in (chunk.current or {})[0] if text][1] == [{"mail": "bob@example.com"}]
    chunk.masked[0] = ['[{"masked": 1}]', '[{"masked": 2}]']
    rooms.harness.run('UPDATE room SET guests = \'[{"mail": "new"}]\' WHERE id = 1')
    with connector.writer("habeas/test/1", no_fence) as writer:
        for _ in range(2):
            writer.mask(step, chunk, KEY)
            assert writer.verify(step, chunk, KEY).changed == [1]
    left = [rooms.harness.rows(f"SELECT guests FROM room WHERE id = {number}")[0][0] for number in (0, 1)]
    found = [json.loads(each) if isinstance(each, str) else each for each in left]
    assert found == [[{"masked": 1}], [{"mail": "new"}]]


def test_many_elements_are_followed_as_a_set(rooms: Room) -> None:
    rooms.harness.put("bill", [(number, 99) for number in range(1_000, 11_000)])
    documents = [json.dumps([{"bill": 1_000 + 10 * number + each} for each in range(10)]) for number in range(1_000)]
    rooms.harness.put("room", [(100 + number, document) for number, document in enumerate(documents)])
    bill = rooms.book.step("bill", seeds=(Seed("payer", "account", "exact"),))
    room = rooms.room(inside("guests.bill", INTEGER))
    link = rooms.book.link(bill, "id", "guests.bill", ownership="owned")
    rooms.book.steps[room] = msgspec.structs.replace(rooms.book.steps[room], links=(link,))
    with rooms.book.found(seed("99", "account")) as reader:
        rows = [row for batch in reader.rows(rooms.book.steps[room], ["guests"]) for row in batch.rows]
    assert len(rows) == 1_000
    assert all(len(guests) == 10 for (guests,) in rows)


@pytest.mark.parametrize("name", ['it\'s "q" \\ %x', "$[*]", "ключ ☃", "select", ""])
def test_any_name_inside_a_document_is_a_name(rooms: Room, name: str) -> None:
    rooms.harness.put("room", [(50, json.dumps([{name: "ivy@example.com"}, {name + "2": "eve@example.com"}]))])
    column = Column("guests.name", TEXT, inside=Inside("guests", (name,)))
    index = rooms.room(column, seeds=(Seed("guests.name", "email"),))
    with rooms.book.found(seed("ivy@example.com"), seed("eve@example.com", member=1)) as reader:
        assert rooms.book.keys(reader, index) == {(0, 50): Standing.OWN}


def test_an_integer_inside_a_document_is_one_exact_text(rooms: Room) -> None:
    bills = ["7", "7\n", "07", " 7", 7.0, True, ["7"], {"bill": 7}, None, 12345678901234567890123]
    rooms.harness.put("room", [(100 + number, json.dumps({"bill": each})) for number, each in enumerate(bills)])
    bill = rooms.book.step("bill", seeds=(Seed("id", "account", "exact"),))
    room = rooms.room(inside("guests.bill", INTEGER))
    link = rooms.book.link(bill, "id", "guests.bill", ownership="owned")
    rooms.book.steps[room] = msgspec.structs.replace(rooms.book.steps[room], links=(link,))
    with rooms.book.found(seed("7", "account")) as reader:
        assert rooms.book.own(reader, room) == {0, 100, 106}


def test_texts_inside_documents_compare_with_columns_of_any_collation(rooms: Room) -> None:
    rooms.harness.run("CREATE TABLE guest (mail VARCHAR(60) PRIMARY KEY, name VARCHAR(40))")
    rooms.harness.put("guest", [("bob@example.com", "Bob"), ("ivy@example.com ☃", "Ivy")])
    rooms.harness.put("room", [(50, json.dumps({"mail": "ivy@example.com ☃"}))])
    rooms.book = PlanBook(rooms.book.connector)  # which knows the new table
    guest = rooms.book.step("guest", seeds=(Seed("name", "account", "exact"),))
    room = rooms.room(inside("guests.mail"))
    back = rooms.book.step("guest")
    link = rooms.book.link(guest, "mail", "guests.mail", ownership="owned")
    rooms.book.steps[room] = msgspec.structs.replace(rooms.book.steps[room], links=(link,))
    link = rooms.book.link(room, "guests.mail", "mail", "to_target")
    rooms.book.steps[back] = msgspec.structs.replace(rooms.book.steps[back], links=(link,))
    with rooms.book.found(seed("Ivy", "account"), seed("Bob", "account", 1)) as reader:
        assert rooms.book.own(reader, room) == {50}
        assert rooms.book.own(reader, room, 1) == {0, 1}
        assert rooms.book.own(reader, back) == {"ivy@example.com ☃"}
