"""Rows are found by identity exactly as the canonical forms say, whatever the database's own `=` thinks."""

from __future__ import annotations

import pytest

from connectorbook import Harness, PlanBook, by_email, seed
from habeas.connectors.base import Connector
from habeas.plan.model import Seed, Standing

EMAILS = [
    (1, "ada@example.com"),
    (2, "ADA@Example.COM"),
    (3, "  ada@example.com "),
    (4, "\tada@example.com\n"),
    (5, "bob@example.com"),
    (6, None),
    (7, "ada@example.com.au"),
    (8, "stra\u00dfe@example.com"),
    (9, "STRASSE@example.com"),
    (10, "Jose\u0301@example.com"),
    (11, "jos\u00e9@example.com"),
    (12, "'; DROP TABLE people; --@example.com"),
    (13, "%@example.com"),
    (14, ""),
]

PHONES = [
    (1, "+1 202 555 0123"),
    (2, "(202) 555-0123"),
    (3, "202.555.0123"),
    (4, "+1 202 555 0124"),
    (5, "2025550123 x5"),
    (6, "+1 202 555 0123 ext. 5"),
    (7, "+1 202 555 0123 #5"),
    (8, None),
    (9, "\uff12\uff10\uff12\uff15\uff15\uff15\uff10\uff11\uff12\uff13"),
    (10, "call me"),
    (11, " call me "),
    (12, "12"),
]


@pytest.fixture
def people(harness: Harness, connector: Connector) -> PlanBook:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(200))")
    harness.put("people", EMAILS)
    book = PlanBook(connector)
    book.step("people", people=True, seeds=by_email())
    return book


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ada@example.com", {1, 2, 3, 4}),
        (" Ada@EXAMPLE.com", {1, 2, 3, 4}),
        ("STRASSE@EXAMPLE.COM", {8, 9}),
        ("stra\u00dfe@example.com", {8, 9}),
        ("JOS\u00c9@example.com", {10, 11}),
        ("'; drop table people; --@example.com", {12}),
        ("%@example.com", {13}),
        ("nobody@example.com", set()),
    ],
)
def test_email_matches_canonically(people: PlanBook, given: str, expected: set[int]) -> None:
    with people.found(seed(given)) as reader:
        assert people.own(reader, 0) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("+12025550123", {1, 2, 3, 9}),
        ("202-555-0123", {1, 2, 3, 9}),
        ("+1 202 555 0123;ext=5", {5, 6, 7}),
        ("call me", {10, 11}),
        ("12", {12}),
        ("+12025550199", set()),
    ],
)
def test_phone_matches_by_number_and_extension(
    harness: Harness, connector: Connector, given: str, expected: set[int]
) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, phone VARCHAR(60))")
    harness.put("people", PHONES)
    book = PlanBook(connector)
    book.step("people", people=True, seeds=(Seed("phone", "phone_number"),))
    with book.found(seed(given, "phone_number")) as reader:
        assert book.own(reader, 0) == expected


def test_a_numeric_column_can_hold_phone_numbers(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, phone BIGINT)")
    harness.put("people", [(1, 2025550123), (2, 12025550123), (3, 2025550124)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=(Seed("phone", "phone_number"),))
    with book.found(seed("+1 202 555 0123", "phone_number")) as reader:
        assert book.own(reader, 0) == {1, 2}


@pytest.mark.parametrize(
    ("match", "given", "expected"),
    [
        ("canonical", "42", {1}),
        ("canonical", "042", set()),
        ("canonical", "0", {2}),
        ("canonical", "-7", {3}),
        ("canonical", "x", set()),
        ("canonical", "99999999999999999999999", set()),
        ("exact", "42", {1}),
        ("exact", "042", {1}),
        ("exact", "x", set()),
        ("exact", "1; DELETE FROM people", set()),
    ],
)
def test_other_kinds_are_typed_as_their_column(
    harness: Harness, connector: Connector, match: str, given: str, expected: set[int]
) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, account INTEGER)")
    harness.put("people", [(1, 42), (2, 0), (3, -7), (4, None)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=(Seed("account", "account", match=match),))  # type: ignore[arg-type] # a literal
    with book.found(seed(given, "account")) as reader:
        assert book.own(reader, 0) == expected


def test_exact_uses_the_callers_form(people: PlanBook) -> None:
    people.steps.clear()
    people.step("people", people=True, seeds=(Seed("email", "email", match="exact"),))
    with people.found(seed("ADA@Example.COM")) as reader:
        assert people.own(reader, 0) == {2}


def test_several_identities_and_columns_unite(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), other VARCHAR(90), phone VARCHAR(40))")
    harness.put(
        "people",
        [
            (1, "ada@example.com", "ada@example.com", "+12025550123"),
            (2, "x@example.com", "ADA@example.com", None),
            (3, None, None, "202 555 0123"),
            (4, None, None, "202 555 0199"),
        ],
    )
    book = PlanBook(connector)
    seeds = (*by_email(), *by_email("other"), Seed("phone", "phone_number"))
    book.step("people", people=True, seeds=seeds)
    with book.found(seed("ada@example.com"), seed("+12025550123", "phone_number")) as reader:
        assert book.keys(reader, 0) == {(0, 1): Standing.OWN, (0, 2): Standing.OWN, (0, 3): Standing.OWN}
        assert reader.counts(book.steps[0]) == {(0, Standing.OWN): 3}


def test_ten_thousand_members_are_sought_at_once(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(90), account INTEGER)")
    harness.put("people", [(n, f"Person{n}@example.com", n) for n in range(10_000)])
    book = PlanBook(connector)
    book.step("people", people=True, seeds=(*by_email(), Seed("account", "account")))
    seeds = [seed(f"person{n}@EXAMPLE.com", member=n) for n in range(10_000)]
    seeds += [seed(str(n), "account", member=n) for n in range(0, 10_000, 2)]
    with book.found(*seeds) as reader:
        assert book.keys(reader, 0) == {(n, n): Standing.OWN for n in range(10_000)}


def test_two_members_may_be_one_row(people: PlanBook) -> None:
    with people.found(seed("ada@example.com"), seed("ADA@EXAMPLE.COM", member=3)) as reader:
        assert set(people.keys(reader, 0)) == {(member, key) for member in (0, 3) for key in (1, 2, 3, 4)}
