"""Identities as requests give them, through the whole flow: kinds, forms, regions, assurance, what isn't searched."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import mariadb_connection
from flowbook import Flow, opened
from habeas.core.identity import Assurance, Identity
from habeas.execute.context import CohortContext
from habeas.execute.members import Member, Roster
from habeas.requests.clients import PUBLIC
from habeas.requests.service import submit
from requestbook import MAIL

DDL = [
    "CREATE TABLE contact (id integer PRIMARY KEY, email varchar(60), phone varchar(60), uk_phone varchar(60),"
    " exact_phone varchar(60), member_no integer, loyalty varchar(60))",
    "CREATE TABLE badge (id integer PRIMARY KEY, badge varchar(20), note varchar(20))",
]
FIELDS: dict[str, dict[str, Any]] = {
    "email": {"identity": "email"},
    "phone": {"identity": "phone_number"},
    "uk_phone": {"identity": "phone_number", "region": "GB"},
    "exact_phone": {"identity": "phone_number", "identity_match": "exact"},
    "member_no": {"identity": "member_no"},
    "loyalty": {"identity": "loyalty_id"},
}
BADGE = {
    "name": "badge",
    "fields": [
        {"name": "id", "fides_meta": {"primary_key": True}},
        {"name": "badge", "fides_meta": {"identity": "badge"}},
        {"name": "note", "data_categories": ["user.content"]},
    ],
}


def dataset(*collections: Mapping[str, Any]) -> dict[str, Any]:
    fields = [{"name": name, "fides_meta": meta} for name, meta in FIELDS.items()]
    key = {"name": "id", "data_categories": ["user.unique_id"], "fides_meta": {"primary_key": True}}
    return {"fides_key": "book", "collections": [{"name": "contact", "fields": [key, *fields]}, *collections]}


class Book:
    """A table of contacts on one engine, in which requests look for people."""

    def __init__(self, flow: Flow, kind: str, url: str) -> None:
        self.flow = flow
        self.kind = kind
        self.url = url

    def run(self, *statements: str) -> None:
        connected: Any
        if self.kind == "postgres":
            connected = psycopg.connect(self.url, autocommit=True)
        elif self.kind == "mariadb":
            connected = mariadb_connection(self.url)
        else:
            connected = sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)
        with closing(connected) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)

    def hold(self, column: str, *values: str | int | None) -> None:
        """Make contacts 1, 2, … that hold these values in one column."""
        self.run("DELETE FROM contact")
        for number, value in enumerate(values, 1):
            shown = "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"
            self.run(f"INSERT INTO contact (id, {column}) VALUES ({number}, {shown})")

    def find(self, identity: Mapping[str, Any], **more: Any) -> list[int]:
        """The contacts in the package of an access by this identity."""
        item = self.flow.api.run("download_user", identity, **more)
        assert item["status"] == "complete", item["reason_detail"]
        return [row["id"] for row in self.flow.package(item["id"]).get("book:contact", [])]


@contextmanager
def described(book: Book, document: Mapping[str, Any]) -> Iterator[None]:
    book.flow.api.connect("book", book.kind, {"url": book.url})
    try:
        book.flow.api.describe("book", document)
        yield
    finally:
        book.flow.api.call("DELETE", "/connection/book")


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def book(flow: Flow, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    if request.param == "sqlite":
        made = Book(flow, "sqlite", f"sqlite:///{tmp_path / 'book.db'}")
    elif request.param == "mariadb":
        made = Book(flow, "mariadb", request.getfixturevalue("mariadb_url"))
    else:
        made = Book(flow, "postgres", request.getfixturevalue("postgres_url_of_session"))
        made.run("DROP TABLE IF EXISTS contact, badge")
    made.run(*DDL)
    with described(made, dataset()):
        yield made


def test_a_kind_of_ones_own_finds_by_equality(book: Book) -> None:
    book.hold("loyalty", "L-7", "l-7", " L-7", "L-70", "", None)
    assert book.find({"loyalty_id": "L-7"}) == [1]


def test_an_integer_finds_in_a_number_column_and_a_text_that_is_none_finds_nothing(book: Book) -> None:
    book.hold("member_no", 7, 70, 0, -7, None)
    assert book.find({"member_no": 7}) == [1]
    assert book.find({"member_no": "7"}) == [1]
    assert book.find({"member_no": 0}) == [3]
    assert book.find({"member_no": "7abc"}) == []
    assert book.find({"member_no": "07"}) == []


def test_an_integer_finds_in_a_text_column(book: Book) -> None:
    book.hold("loyalty", "7", "07", "7.0")
    assert book.find({"loyalty_id": 7}) == [1]


def test_a_label_is_shown_and_compared_with_nothing(book: Book) -> None:
    book.hold("loyalty", "L-7", "Card")
    api = book.flow.api
    item = api.run("download_user", {"loyalty_id": {"label": "Card", "value": "L-7"}})
    assert [row["id"] for row in book.flow.package(item["id"])["book:contact"]] == [1]
    (shown,) = api.call("GET", "/privacy-request", id=item["id"], include_identities=True)["items"]
    assert shown["identity"] == {"loyalty_id": {"label": "Card", "value": "L-7"}}


def test_alternative_identities_are_one_person(book: Book) -> None:
    book.hold("email", "ada@example.com", "ada@example.org", "ada@example.net", "bob@example.com")
    alternatives = [{"email": "ada@example.com"}, {"email": "ADA@example.org"}]
    answer = book.flow.api.call(
        "POST", "/privacy-request", [{"policy_key": "download_user", "identities": alternatives}]
    )
    item = book.flow.api.wait(answer["succeeded"][0]["id"])
    assert [row["id"] for row in book.flow.package(item["id"])["book:contact"]] == [1, 2]


def test_an_e_mail_address_is_the_same_in_any_spelling(book: Book) -> None:
    book.hold(
        "email", "Ada@Example.com", " ada@example.com ", "zoë@example.com", "zoe\u0308@EXAMPLE.com", "ADA@EXAMPLE.COM."
    )
    assert book.find({"email": "ada@example.COM"}) == [1, 2]
    assert book.find({"email": "ZOË@example.com"}) == [3, 4]


def test_a_number_without_a_country_is_read_in_the_fields_region(book: Book) -> None:
    book.hold("uk_phone", "020 7946 0101", "+44 20 7946 0101", "(202) 555-0101", "+1 202 555 0101")
    assert book.find({"phone_number": "+44 20 7946 0101"}) == [1, 2]
    assert book.find({"phone_number": "+1 202 555 0101"}) == [4]


def test_the_given_number_is_read_in_the_installations_region(book: Book) -> None:
    book.hold("phone", "+1 202 555 0101", "+44 20 2555 0101")
    assert book.find({"phone_number": "202 555 0101"}) == [1]


def test_an_extension_is_part_of_the_number(book: Book) -> None:
    book.hold("phone", "202-555-0101", "202-555-0101 ext. 5", "+1 202 555 0101 x5", "2025550101#5", "202-555-0101 x6")
    assert book.find({"phone_number": "+12025550101"}) == [1]
    assert book.find({"phone_number": "+1 202 555 0101 ext 5"}) == [2, 3, 4]


def test_what_cannot_be_a_number_is_compared_as_it_is(book: Book) -> None:
    book.hold("phone", "front desk", "Front Desk", "12", " front desk ", "112")
    assert book.find({"phone_number": "front desk"}) == [1, 4]
    assert book.find({"phone_number": "12"}) == [3]


def test_exact_compares_what_was_given(book: Book) -> None:
    book.hold("exact_phone", "(202) 555-0101", "+12025550101")
    assert book.find({"phone_number": "(202) 555-0101"}) == [1]
    assert book.find({"phone_number": "+12025550101"}) == [2]
    assert book.find({"phone_number": "202.555.0101"}) == []


def test_a_collection_whose_kind_was_not_given_is_named_and_an_erasure_asks(flow: Flow, tmp_path: Path) -> None:
    book = Book(flow, "sqlite", f"sqlite:///{tmp_path / 'book.db'}")
    book.run(*DDL, "INSERT INTO badge VALUES (1, 'B-1', 'hers')")
    with described(book, dataset(BADGE)):
        read = flow.api.run("download_user", {"email": "ada@example.com"})
        assert (read["status"], read["outcome"]) == ("complete", "delivered")
        (missed,) = read["not_searched"]
        assert (missed["address"], missed["reason"]) == ("book:badge", "identity_absent")
        assert "badge" in missed["detail"]
        erased = flow.api.run("delete_user", {"email": "ada@example.com"})
        assert (erased["status"], erased["reason"]) == ("requires_input", "not_searched")
        assert erased["reason_detail"]["address"] == "book:badge"
        flow.api.patch_all("/policy", [{"name": "delete_user", "key": "delete_user", "partial_identities": "accept"}])
        assert erased["resume_endpoint"] == f"/privacy-request/{erased['id']}/resume_from_requires_input"
        flow.api.call("POST", erased["resume_endpoint"])
        assert flow.api.wait(erased["id"])["status"] == "complete"
        flow.api.patch_all("/policy", [{"name": "delete_user", "key": "delete_user", "partial_identities": "ask"}])
        both = flow.api.run("delete_user", {"email": "ada@example.com", "badge": "B-1"})
        assert (both["status"], both["outcome"]) == ("complete", "erased")


def test_given_kinds_are_named_in_item_and_receipt(flow: Flow, tmp_path: Path) -> None:
    book = Book(flow, "sqlite", f"sqlite:///{tmp_path / 'book.db'}")
    book.run(*DDL)
    with described(book, dataset()):
        item = flow.api.run("download_user", {"email": "ada@example.com", "phone_number": "202-555-0101"})
    assert item["identity_kinds"] == ["email", "phone_number"]
    receipt = flow.api.call("GET", f"/privacy-request/{item['id']}/receipt")["receipt"]
    assert [(kind, assurance) for kind, _, assurance in receipt["identities"]] == [
        ("email", "vouched"),
        ("phone_number", "vouched"),
    ]
    assert receipt["absent_kinds"] == ["loyalty_id", "member_no"]  # that this collection knows, too
    assert "ada@example.com" not in str(receipt)


def test_a_receipt_says_why_fields_stay(flow: Flow, tmp_path: Path) -> None:
    book = Book(flow, "sqlite", f"sqlite:///{tmp_path / 'book.db'}")
    book.run(*DDL, "INSERT INTO contact (id, email) VALUES (1, 'ada@example.com')")
    kept = {"strategy": "preserve", "configuration": {"reason": "tax_law"}}
    document = dataset()
    (email,) = [each for each in document["collections"][0]["fields"] if each["name"] == "email"]
    email |= {"data_categories": ["user.contact.email"]}
    email["fides_meta"] = email["fides_meta"] | {"masking_strategy_override": kept}
    with described(book, document):
        item = flow.api.run("delete_user", {"email": "ada@example.com"})
    assert (item["outcome"], item["kept"]) == ("erased_with_kept", {"key_kept": 1, "tax_law": 1})
    receipt = flow.api.call("GET", f"/privacy-request/{item['id']}/receipt")["receipt"]
    assert receipt["erasure"]["book:contact"]["kept_fields"] == {"email": "tax_law", "id": "key_kept"}


def test_only_verified_and_vouched_values_seed_a_traversal() -> None:
    member = Member(
        index=0,
        request_id="pri_1",
        identities=tuple(Identity("email", f"{assurance}@example.com", assurance) for assurance in Assurance),
        seed=b"",
        encryption_key=None,
    )
    context = CohortContext(
        cohort_id="coh", epoch=1, plan=None, members=Roster((member,)), connector=None, spool=None, frames=None,  # type: ignore[arg-type]
        fence=None, log=None, digest_key=b"",  # type: ignore[arg-type]
    )  # fmt: skip
    assert [seed.given for seed in context.seeds] == ["verified@example.com", "vouched@example.com"]
    claimed = replace(member, identities=(Identity("email", "ada@example.com"),))
    assert list(replace(context, members=Roster((claimed,))).seeds) == []


def test_what_the_public_claims_waits_for_verification(tmp_path: Path) -> None:
    with opened(tmp_path / "data", subject_identity_verification_required=True, **MAIL) as public:
        public.api.access_policy("download_user", ["user"])
        item = {"policy_key": "download_user", "identity": {"email": "ada@example.com"}}
        (taken,) = submit(public.installation, [item], actor=PUBLIC).succeeded
        shown = public.api.show(taken["id"])
        assert (shown["status"], shown["stage"]) == ("identity_unverified", "verify_identity")
        (vouched,) = public.api.submit("download_user", {"email": "ada@example.com"})
        shown = public.api.show(vouched)
        assert (shown["status"], shown["stage"]) == ("pending", "queued")


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        ({}, "at least one identity"),
        ({"email": ""}, "at least one identity"),
        ({"email": "ada"}, "no @"),
        ({"email": "ada@example.com\n"}, "control characters"),
        ({"loyalty_id": "x" * 321}, "longer than 320"),
        ({"loyalty_id": 1.5}, "string or an integer"),
        ({"loyalty_id": True}, "string or an integer"),
        ({"loyalty_id": {"label": "Card"}}, "label, value"),
        ({"loyalty id": "x"}, "kind"),
    ],
)
def test_what_intake_refuses(flow: Flow, identity: dict[str, Any], told: str) -> None:
    item = {"policy_key": "download_user", "identity": identity}
    (failed,) = flow.api.call("POST", "/privacy-request", [item])["failed"]
    assert told in failed["message"]
    assert all(str(value) not in failed["message"] for value in identity.values() if isinstance(value, str) and value)
