"""Whose a found row is: the ownership rules of the plan, row by row, alone and in a cohort."""

from __future__ import annotations

import pytest

from connectorbook import Harness, PlanBook, by_email, seed
from habeas.connectors.base import Connector, Landing
from habeas.core.schema import TableName
from habeas.plan.model import Pointing, Rival, Segment, Standing

ADA, BOB = seed("ada@example.com"), seed("bob@example.com", member=1)
OWN, SHARED, SHARED_ROW, CONTEXT, PERSON = Standing


def people(harness: Harness) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), household INTEGER, boss INTEGER)")
    harness.put(
        "people",
        [(1, "ada@example.com", 10, 3), (2, "bob@example.com", 11, 3), (3, "cyd@example.com", 11, None)],
    )


def households(harness: Harness, connector: Connector, *, erases: bool = False, ownership: str = "auto") -> PlanBook:
    """People point to their household; another table, in no step, points too."""
    people(harness)
    harness.run(
        "CREATE TABLE households (id INTEGER PRIMARY KEY, region INTEGER, contact VARCHAR(90))",
        "CREATE TABLE regions (id INTEGER PRIMARY KEY)",
        "CREATE TABLE meters (id INTEGER PRIMARY KEY, household INTEGER)",
    )
    harness.put("households", [(10, 100, "x@example.com"), (11, 100, "ada@example.com"), (12, 101, "ada@example.com")])
    harness.put("regions", [(100,), (101,)])
    book = PlanBook(connector, erases=erases)
    book.step("people", people=True, seeds=by_email())
    pointings = (
        Pointing(TableName("people"), ("household",), ("id",), 0),
        Pointing(TableName("meters"), ("household",), ("id",)),
    )
    link = book.link(0, "household", "id", "to_target", ownership=ownership)
    book.step("households", links=[link], pointings=pointings)
    book.step("regions", links=[book.link(1, "region", "id", "to_target", ownership="context")])
    return book


def test_a_parent_is_the_subjects_if_only_hers_point_to_it(harness: Harness, connector: Connector) -> None:
    book = households(harness, connector)
    with book.found(ADA, BOB) as reader:
        assert book.keys(reader, 1) == {(0, 10): OWN, (1, 11): SHARED_ROW}
        assert book.keys(reader, 2) == {(0, 100): CONTEXT, (1, 100): CONTEXT}
        assert reader.counts(book.steps[1]) == {(0, OWN): 1, (1, SHARED_ROW): 1}


def test_a_table_of_no_step_holds_a_row_back(harness: Harness, connector: Connector) -> None:
    book = households(harness, connector)
    harness.put("meters", [(1, 10)])
    with book.found(ADA) as reader:
        assert book.keys(reader, 1) == {(0, 10): SHARED_ROW}


@pytest.mark.parametrize("erases", [False, True])
def test_other_members_rows_hold_back_in_an_access_only(harness: Harness, connector: Connector, erases: bool) -> None:
    book = households(harness, connector, erases=erases)
    cyd = seed("cyd@example.com", member=2)
    with book.found(BOB, cyd) as reader:
        expected = OWN if erases else SHARED_ROW
        assert book.keys(reader, 1) == {(1, 11): expected, (2, 11): expected}


@pytest.mark.parametrize(("ownership", "standing"), [("owned", OWN), ("shared", SHARED), ("context", CONTEXT)])
def test_declared_ownership_needs_no_test(
    harness: Harness, connector: Connector, ownership: str, standing: Standing
) -> None:
    book = households(harness, connector, ownership=ownership)
    with book.found(BOB) as reader:
        assert book.keys(reader, 1) == {(1, 11): standing}
        assert book.keys(reader, 2) == {(1, 100): CONTEXT}


def test_shared_holds_even_if_found_by_identity(harness: Harness, connector: Connector) -> None:
    book = households(harness, connector, ownership="shared")
    link = book.steps[1].links[0]
    book.steps[1:] = []
    book.step("households", links=[link], seeds=by_email("contact"))
    harness.run("UPDATE people SET household = 11 WHERE id = 1")
    with book.found(ADA) as reader:
        assert book.keys(reader, 1) == {(0, 11): SHARED, (0, 12): OWN}


def test_people_found_by_reference_are_somebody_else(harness: Harness, connector: Connector) -> None:
    people(harness)
    harness.put("people", [(4, None, 10, None), (5, "ada@example.com", 11, 4)])  # of 4 no value says who it is
    harness.run("CREATE TABLE visits (id INTEGER PRIMARY KEY, person INTEGER)")
    harness.put("visits", [(1, 1), (3, 3), (4, 4)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email(), links=[book.link(0, "boss", "id", "to_target")])
    book.step("visits", links=[book.link(0, "id", "person")])
    with book.found(ADA) as reader:
        assert book.keys(reader, 0) == {(0, 1): OWN, (0, 3): PERSON, (0, 4): PERSON, (0, 5): OWN}
        assert book.keys(reader, 1) == {(0, 1): OWN}
    with book.found(ADA, seed("cyd@example.com")) as reader:
        assert book.keys(reader, 0) == {(0, 1): OWN, (0, 3): OWN, (0, 4): PERSON, (0, 5): OWN}
        assert book.keys(reader, 1) == {(0, 1): OWN, (0, 3): OWN}


def messages(harness: Harness, connector: Connector, *, erases: bool = False) -> PlanBook:
    people(harness)
    harness.run("CREATE TABLE messages (id INTEGER PRIMARY KEY, sender INTEGER, receiver INTEGER)")
    harness.put("messages", [(1, 1, 2), (2, 2, 1), (3, 1, 1), (4, 1, None), (5, 1, 99), (6, 2, 3), (7, 3, 3)])
    book = PlanBook(connector, erases=erases)
    book.step("people", people=True, seeds=by_email())
    sent = book.link(0, "id", "sender", rivals=(Rival(("receiver",), 0, ("id",), SHARED_ROW),))
    got = book.link(0, "id", "receiver", rivals=(Rival(("sender",), 0, ("id",), SHARED_ROW),))
    book.step("messages", links=[sent, got])
    return book


def test_a_row_with_two_people_is_shared_in_fact(harness: Harness, connector: Connector) -> None:
    book = messages(harness, connector)
    with book.found(ADA) as reader:
        assert book.keys(reader, 1) == {
            (0, 1): SHARED_ROW,
            (0, 2): SHARED_ROW,
            (0, 3): OWN,
            (0, 4): OWN,
            (0, 5): OWN,  # nobody is 99
        }


def test_both_people_in_one_erasure_own_the_row_together(harness: Harness, connector: Connector) -> None:
    book = messages(harness, connector, erases=True)
    with book.found(ADA, BOB) as reader:
        found = book.keys(reader, 1)
    assert {key: found[key] for key in [(0, 1), (1, 1), (0, 2), (1, 2)]} == dict.fromkeys(
        [(0, 1), (1, 1), (0, 2), (1, 2)], OWN
    )
    assert found[1, 6] == SHARED_ROW


def test_a_reply_by_another_author_is_somebody_elses(harness: Harness, connector: Connector) -> None:
    people(harness)
    harness.run("CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER, parent INTEGER)")
    harness.put("posts", [(1, 1, None), (2, 2, 1), (3, 1, 2), (4, None, 1), (5, 2, 4), (6, 1, 5)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    by_author = book.link(0, "id", "author")
    replies = book.link(1, "id", "parent", rivals=(Rival(("author",), 0, ("id",), PERSON),))
    book.step("posts", links=[by_author, replies])
    with book.found(ADA) as reader:
        assert book.keys(reader, 1) == {
            (0, 1): OWN,
            (0, 2): PERSON,
            (0, 3): OWN,
            (0, 4): OWN,
            (0, 5): PERSON,
            (0, 6): OWN,
        }


def test_a_held_back_row_is_judged_again_when_more_is_the_subjects(harness: Harness, connector: Connector) -> None:
    """A parent comment is hers once all its replies are, some of which are found later and through it."""
    people(harness)
    harness.run(
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, person INTEGER)",
        "CREATE TABLE wallets (id INTEGER PRIMARY KEY)",
        "CREATE TABLE cards (id INTEGER PRIMARY KEY, account INTEGER, wallet INTEGER)",
        "CREATE TABLE fobs (id INTEGER PRIMARY KEY, card INTEGER, wallet INTEGER)",
        "CREATE TABLE logs (id INTEGER PRIMARY KEY, wallet INTEGER)",
    )
    harness.put("accounts", [(1, 1), (2, 2)])
    harness.put("wallets", [(1,), (2,), (3,)])
    harness.put("cards", [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 1, 3)])
    harness.put("fobs", [(1, 1, 1), (2, 1, 3), (3, 3, 3)])
    harness.put("logs", [(1, 1), (2, 2), (3, 3)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    book.step("accounts", links=[book.link(0, "id", "person")])
    pointings = (
        Pointing(TableName("cards"), ("wallet",), ("id",), 3),
        Pointing(TableName("fobs"), ("wallet",), ("id",), 4),
    )
    book.step("wallets", links=[book.link(3, "wallet", "id", "to_target")], pointings=pointings)
    book.step("cards", links=[book.link(1, "id", "account")])
    book.step("fobs", links=[book.link(3, "id", "card")])
    book.step("logs", links=[book.link(2, "id", "wallet")])
    with book.found(ADA) as reader:
        assert book.keys(reader, 2) == {(0, 1): OWN, (0, 2): SHARED_ROW, (0, 3): SHARED_ROW}
        assert book.keys(reader, 5) == {(0, 1): OWN}


def test_a_self_pointing_row_doesnt_hold_itself_back(harness: Harness, connector: Connector) -> None:
    people(harness)
    harness.run("CREATE TABLE folders (id INTEGER PRIMARY KEY, parent INTEGER)")
    harness.run("CREATE TABLE files (id INTEGER PRIMARY KEY, person INTEGER, folder INTEGER)")
    harness.put("folders", [(1, 1), (2, 1)])
    harness.put("files", [(1, 1, 2), (2, 2, 1)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    book.step("files", links=[book.link(0, "id", "person")])
    pointings = (
        Pointing(TableName("files"), ("folder",), ("id",), 1),
        Pointing(TableName("folders"), ("parent",), ("id",), 2),
    )
    links = [book.link(1, "folder", "id", "to_target"), book.link(2, "parent", "id", "to_target")]
    book.step("folders", links=links, pointings=pointings)
    with book.found(ADA) as reader:
        assert book.keys(reader, 2) == {(0, 2): OWN, (0, 1): SHARED_ROW}
    with book.found(ADA, seed("bob@example.com")) as reader:
        assert book.keys(reader, 2) == {(0, 2): OWN, (0, 1): OWN}


def test_the_strongest_standing_wins(harness: Harness, connector: Connector) -> None:
    people(harness)
    harness.run("CREATE TABLE places (id INTEGER PRIMARY KEY)")
    harness.run("CREATE TABLE stays (id INTEGER PRIMARY KEY, person INTEGER, place INTEGER, other INTEGER)")
    harness.put("places", [(1,), (2,), (3,)])
    harness.put("stays", [(1, 1, 1, 2), (2, 1, 2, 3)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    book.step("stays", links=[book.link(0, "id", "person")])
    links = [
        book.link(1, "other", "id", "to_target", ownership="context"),
        book.link(1, "place", "id", "to_target", ownership="shared"),
    ]
    book.step("places", links=links)
    with book.found(ADA) as reader:
        assert book.keys(reader, 2) == {(0, 1): SHARED, (0, 2): SHARED, (0, 3): CONTEXT}


def test_exclusiveness_travels_with_departing_values(harness: Harness, connector: Connector) -> None:
    book = households(harness, connector)
    book.segments = [Segment("store", (0,)), Segment("store", (1, 2))]
    link = book.steps[1].links[0]
    with book.found(ADA, BOB) as reader:
        landings = [each for batch in reader.departures(link) for each in batch]
    assert sorted(landings) == [Landing(0, OWN, True, (10,)), Landing(1, OWN, False, (11,))]
    book.steps[1] = type(book.steps[1])(**{**_fields(book.steps[1]), "pointings": ()})
    with book.reader(1) as reader:
        reader.land(link, landings)
        reader.traverse()
        assert book.keys(reader, 1) == {(0, 10): OWN, (1, 11): SHARED_ROW}
        assert book.keys(reader, 2) == {(0, 100): CONTEXT, (1, 100): CONTEXT}


def test_landed_context_leads_only_to_what_it_points_to(harness: Harness, connector: Connector) -> None:
    book = households(harness, connector)
    book.segments = [Segment("store", (0,)), Segment("store", (1, 2))]
    link = book.steps[1].links[0]
    with book.reader(1) as reader:
        reader.land(link, [Landing(0, CONTEXT, False, (10,)), Landing(0, SHARED_ROW, False, (11,))])
        reader.traverse()
        assert book.keys(reader, 1) == {(0, 10): CONTEXT, (0, 11): CONTEXT}


def test_rivals_in_another_store_hold_back_unless_known(harness: Harness, connector: Connector) -> None:
    book = messages(harness, connector)
    far = Segment("far", (0,))
    book.segments = [far, Segment("store", (1,))]
    book.steps[0] = type(book.steps[0])(**{**_fields(book.steps[0]), "connection": "far"})
    with book.reader(1) as reader:
        for link in book.steps[1].links:
            reader.land(link, [Landing(0, OWN, True, (1,))])
        reader.traverse()
        assert book.keys(reader, 1) == {
            (0, 1): SHARED_ROW,
            (0, 2): SHARED_ROW,
            (0, 3): OWN,
            (0, 4): OWN,
            (0, 5): SHARED_ROW,  # whether 99 exists only the other store knows
        }


def _fields(step: object) -> dict[str, object]:
    return {name: getattr(step, name) for name in step.__struct_fields__}  # type: ignore[attr-defined] # a msgspec struct


def test_a_hundred_thousand_rows_are_judged_without_an_index(harness: Harness, connector: Connector) -> None:
    people(harness)
    harness.run(
        "CREATE TABLE parcels (id INTEGER PRIMARY KEY, owner INTEGER, sender INTEGER, label INTEGER)",
        "CREATE TABLE labels (id INTEGER PRIMARY KEY)",
    )
    harness.put("parcels", [(n, 1, 2 if n % 10 == 0 else None, n // 2) for n in range(100_000)])
    harness.put("labels", [(n,) for n in range(50_000)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    rivals = (Rival(("sender",), 0, ("id",), SHARED_ROW),)
    book.step("parcels", links=[book.link(0, "id", "owner", rivals=rivals)])
    pointings = (Pointing(TableName("parcels"), ("label",), ("id",), 1),)
    book.step("labels", links=[book.link(1, "label", "id", "to_target")], pointings=pointings)
    with book.found(ADA) as reader:
        assert reader.counts(book.steps[1]) == {(0, OWN): 90_000, (0, SHARED_ROW): 10_000}
        assert reader.counts(book.steps[2]) == {(0, OWN): 40_000, (0, SHARED_ROW): 10_000}
