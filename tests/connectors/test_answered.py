"""Kinds for which somebody answers have no store to run the conformance suite on: what holds for them instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from connectorbook import KEY, no_fence, seed
from habeas.connectors.answered.question import Pending, Question
from habeas.connectors.base import Connector, FrozenChunk, Landing
from habeas.connectors.registry import connector_class, connector_classes
from habeas.core.errors import Refused
from habeas.core.expression import Column, Constant, Digest
from habeas.core.schema import ColumnType, TableName, TypeFamily
from habeas.plan.model import Column as PlanColumn
from habeas.plan.model import Link, Mask, Plan, Rival, Seed, Segment, Standing, Step

ANSWERED = {
    "manual": "people answer: tests/manual",
    "manual_webhook": "people answer fields, it is in no graph: tests/contract/test_manual_webhooks.py",
    "email": "a person is told by e-mail, it is in no graph: tests/contract/test_instructions.py",
    "https": "takes webhooks only, no rows are asked of it: tests/api/test_connections.py",
}
"""Kinds without a store, and where it is shown what they do."""

ADA = seed("ada@example.com")


def test_every_kind_has_a_harness_or_a_reason() -> None:
    assert {each.kind for each in connector_classes() if not each.capabilities.holds_rows} == set(ANSWERED)
    assert all(reason.strip() for reason in ANSWERED.values())


class Told:
    """Answers as a test says: rows by collection; None where nobody answered yet."""

    def __init__(self, **rows: Sequence[Mapping[str, Any]] | None) -> None:
        self.given = rows
        self.questions: list[Question] = []
        self.done = False

    def rows(self, question: Question) -> Sequence[Mapping[str, Any]]:
        self.questions.append(question)
        found = self.given[question.address.partition(":")[2]]
        if found is None:
            raise Pending(question)
        return found

    def unconfirmed(self, question: Question) -> Question | None:
        return None if self.done else question


def step(index: int, name: str, *columns: str, **more: Any) -> Step:
    typed = tuple(PlanColumn(each, ColumnType(TypeFamily.TEXT, "")) for each in columns)
    return Step(index, f"papers:{name}", "papers", TableName(None, name), "", typed, columns[:1], **more)


def plan_of(*steps: Step) -> tuple[Plan, Segment]:
    inside = tuple(each.index for each in steps if each.connection == "papers")
    segment = Segment("papers", inside)
    return Plan("p", "1", "1", ("email",), steps, (segment,), erases=True), segment


def manual(told: Told) -> Connector:
    kind = connector_class("manual")
    return kind(kind.secrets_model()).with_answers(told)


PERSON = step(0, "person", "id", "email", "note", people=True, seeds=(Seed("email", "email"),))


def test_an_unanswered_question_names_what_finds_the_rows_and_what_is_needed() -> None:
    plan, segment = plan_of(PERSON)
    with manual(Told(person=None)).reader(plan, segment, "x") as reader:
        reader.seed(PERSON, [ADA])
        with pytest.raises(Pending) as waiting:
            reader.traverse()
    question = waiting.value.question
    assert question.locators == {"email": ["ada@example.com"]}
    assert question.get == ("id", "email", "note")
    assert "ada" not in str(waiting.value)


def test_somebody_elses_identity_makes_a_row_somebody_elses() -> None:
    told = Told(
        person=[{"id": 1, "email": " ADA@example.com"}, {"id": 2, "email": "bob@example.com"}, {"id": 3, "email": None}]
    )
    plan, segment = plan_of(PERSON)
    with manual(told).reader(plan, segment, "x") as reader:
        reader.seed(PERSON, [ADA])
        reader.traverse()
        (batch,) = reader.rows(PERSON, ["id"])
        assert dict(zip([row[0] for row in batch.rows], batch.standings, strict=True)) == {
            1: Standing.OWN,
            2: Standing.PERSON,
            3: Standing.OWN,
        }


@pytest.mark.parametrize(
    ("ownership", "points", "exclusive", "standing"),
    [
        ("auto", "to_source", False, Standing.OWN),
        ("owned", "to_target", False, Standing.OWN),
        ("auto", "to_target", True, Standing.OWN),
        ("auto", "to_target", False, Standing.SHARED_ROW),
        ("shared", "to_target", True, Standing.SHARED),
        ("context", "to_source", True, Standing.CONTEXT),
    ],
)
def test_what_a_reference_reaches_is_whose_it_says(
    ownership: Any, points: Any, exclusive: bool, standing: Standing
) -> None:
    link = Link(0, 0, ("id",), ("person",), points, ownership)
    far = Step(0, "shop:customer", "shop", TableName(None, "customer"), "", ())
    paper = step(1, "paper", "id", "person", links=(link,))
    plan, segment = plan_of(far, paper)
    with manual(Told(paper=[{"id": 1, "person": 9}])).reader(plan, segment, "x") as reader:
        reader.land(link, [Landing(0, Standing.OWN, exclusive, (9,))])
        reader.traverse()
        assert reader.counts(paper) == {(0, standing): 1}
        assert list(reader.freeze(paper, KEY, {0: {}})) == [] or standing is Standing.OWN


def test_a_row_that_also_points_to_somebody_else_is_not_hers_alone() -> None:
    rival = Rival(("receiver",), 0, ("id",), Standing.SHARED_ROW)
    link = Link(0, 0, ("id",), ("sender",), "to_source", "auto", rivals=(rival,))
    letter = step(1, "letter", "id", "sender", "receiver", links=(link,))
    plan, segment = plan_of(PERSON, letter)
    letters = [
        {"id": 1, "sender": 1, "receiver": 1},
        {"id": 2, "sender": 1, "receiver": 5},
        {"id": 3, "sender": 1, "receiver": None},
    ]
    told = Told(person=[{"id": 1, "email": "ada@example.com"}], letter=letters)
    with manual(told).reader(plan, segment, "x") as reader:
        reader.seed(PERSON, [ADA])
        reader.traverse()
        (batch,) = reader.rows(letter, ["id"])
    assert [(row[0], standing) for row, standing in zip(batch.rows, batch.standings, strict=True)] == [
        (1, Standing.OWN),
        (2, Standing.SHARED_ROW),
        (3, Standing.OWN),
    ]
    assert told.questions[-1].locators == {"sender": [1]}


def frozen(*masks: Mask, delete: bool = False, rows: Sequence[Mapping[str, Any]]) -> tuple[Step, list[FrozenChunk]]:
    written = step(0, "person", "id", "email", "note", seeds=(Seed("email", "email"),), masks=masks, delete=delete)
    plan, segment = plan_of(written)
    with manual(Told(person=rows)).reader(plan, segment, "x") as reader:
        reader.seed(written, [ADA])
        reader.traverse()
        return written, list(reader.freeze(written, KEY, {0: {}}))


ROWS = [{"id": 2, "email": "ada@example.com", "note": "b"}, {"id": 1, "email": "ada@example.com", "note": None}]
GONE = Mask("note", "r", "string_rewrite", "constant", Constant("gone"))
HASH = Mask("email", "r", "hash", "pushed", Digest("sha256", Column("email")))


def test_frozen_rows_are_asked_to_be_written_and_counted_once_confirmed() -> None:
    written, chunks = frozen(GONE, HASH, rows=ROWS)
    again = frozen(GONE, HASH, rows=list(reversed(ROWS)))[1]
    assert [(each.keys, each.digests, each.masked) for each in chunks] == [
        (each.keys, each.digests, each.masked) for each in again
    ]
    told = Told()
    with manual(told).writer("x", no_fence) as writer:
        with pytest.raises(Pending) as waiting:
            writer.mask(written, chunks[0])
        assert writer.verify(written, chunks[0], KEY).untouched == [0, 1]
        first, second = waiting.value.question.changes
        assert (first.locators, second.locators) == ({"id": 1}, {"id": 2})
        assert first.update is not None
        assert second.update is not None
        assert (first.update["note"], second.update["note"]) == (None, "gone")
        assert len(second.update["email"]) == 64
        told.done = True
        assert writer.mask(written, chunks[0]) == 2
        assert writer.verify(written, chunks[0], KEY) == ([], [], [])


def test_rows_to_be_deleted_say_so() -> None:
    written, chunks = frozen(delete=True, rows=ROWS)
    with manual(Told()).writer("x", no_fence) as writer, pytest.raises(Pending) as waiting:
        writer.delete(written, chunks[0], KEY)
    assert waiting.value.question.shown(values=True)[0] == {
        "locators": {"id": 1},
        "get": None,
        "update": None,
        "delete": True,
    }


def test_a_row_without_its_key_can_not_be_erased() -> None:
    with pytest.raises(Refused) as refused:
        frozen(GONE, rows=[{"email": "ada@example.com", "note": "x"}])
    assert refused.value.cause == "no_key"


def test_without_answers_nothing_is_found() -> None:
    kind = connector_class("manual")
    plan, segment = plan_of(PERSON)
    with kind(kind.secrets_model()).reader(plan, segment, "x") as reader:
        reader.seed(PERSON, [ADA])
        reader.traverse()
        assert list(reader.rows(PERSON, ["id"])) == []
