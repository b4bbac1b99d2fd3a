"""A database of 32 tables with messy names, drafted on each engine, measured against what a privacy engineer says,
and taken from draft over a few edits to an erasure that completes.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import yaml

import flowbook
from conftest import fresh_mariadb, mariadb_connection
from draftbook import ddl, read_company
from habeas.connectors.registry import connector_class
from habeas.dataset.check import check_datasets
from habeas.dataset.draft import draft_dataset
from habeas.dataset.load import load_datasets
from habeas.dataset.model import Dataset, Field

ENGINES = ("sqlite", "postgresql", "mariadb")
Pair = tuple[str, str]


class Store(NamedTuple):
    """The company in a store: how habeas reaches it, and how this test runs statements."""

    kind: str
    url: str
    run: Callable[..., list[Any]]


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path, worker_name: str) -> Iterator[Store]:
    if request.param == "mariadb":
        with fresh_mariadb(request.getfixturevalue("mariadb_server"), worker_name) as url:
            yield _filled(Store("mariadb", url, lambda *texts: _run(mariadb_connection(url), texts)), "mariadb")
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        yield _filled(Store("postgres", url, lambda *texts: _run(psycopg.connect(url), texts)), "postgresql")
    else:
        path = tmp_path / "company.db"
        yield _filled(Store("sqlite", f"sqlite:///{path}", lambda *texts: _run(sqlite3.connect(path), texts)), "sqlite")


def _run(connection: Any, texts: tuple[str, ...]) -> list[Any]:
    with closing(connection):
        cursor = connection.cursor()
        found: list[Any] = []
        for text in texts:
            cursor.execute(text)
            found = list(cursor.fetchall()) if cursor.description else []
        connection.commit()
        return found


def _filled(store: Store, dialect: str) -> Store:
    store.run(*ddl(dialect))
    return store


def drafted(store: Store) -> str:
    made = connector_class(store.kind)
    connector = made(made.secrets_model.model_validate({"url": store.url}))
    try:
        return draft_dataset("company", connector.introspect(None), connection="company")
    finally:
        connector.close()


def told(dataset: Dataset, what: Callable[[Field], str | None]) -> dict[Pair, str]:
    return {
        (collection.name, field.name): said
        for collection in dataset.collections
        for field in collection.fields
        if (said := what(field))
    }


def category(field: Field) -> str | None:
    return next((each for each in field.data_categories if each != "system.operations"), None)


def reference(field: Field) -> str | None:
    return field.references[0].field if field.references else None


def truth(*words: str) -> dict[Pair, str]:
    return {
        (table.name, column.name): said
        for table in read_company()
        for column in table.columns
        if (said := next((column.says(word) for word in words if column.says(word)), None))
    }


def measured(found: dict[Pair, str], true: dict[Pair, str]) -> tuple[float, float]:
    """Precision and recall."""
    right = len(found.items() & true.items())
    return right / len(found), right / len(true)


def test_what_is_proposed_is_mostly_true_and_mostly_all(store: Store) -> None:
    (dataset,) = load_datasets(drafted(store), name="draft")
    assert len(dataset.collections) == len(read_company()) == 32
    declared = truth("fk")
    self_references = {pair: said for pair, said in declared.items() if said.split(".")[0] == pair[0]}
    results = {
        "identities": measured(told(dataset, lambda field: field.identity), truth("id")),
        "categories": measured(told(dataset, category), truth("cat")),
        "references": measured(told(dataset, reference), truth("fk", "ref")),
    }
    assert results["identities"] == (1.0, 1.0)
    assert min(results["categories"]) > 0.95, results
    assert results["references"][0] == 1.0, results
    assert results["references"][1] > 0.85, results
    assert {pair: said for pair, said in declared.items() if pair not in self_references}.items() <= told(
        dataset, reference
    ).items()
    people = {collection.name for collection in dataset.collections if collection.holds_people}
    assert {table.name for table in read_company() if table.people} <= people <= _people_at_most()


def _people_at_most() -> set[str]:
    return {table.name for table in read_company() if table.people} | {"newsletter_subscribers"}


def test_what_can_not_be_known_is_asked_with_its_evidence(store: Store) -> None:
    text = drafted(store)
    for comment in (
        "# a reference? with attachable_type it names rows of several tables, which can't be followed",
        "# a reference? with table_name it names rows of several tables, which can't be followed",
        "# a reference? it names a person: of which table?",
        "# the name is short for customers",
        "# the name says who of staff does it",
        "# the name ends in customer_addresses",
        "# the name says: tel",
        "person: false}  # its rows seem to be about people, not people themselves",
        "# references itself: add a direction to follow it.",
    ):
        assert comment in text, comment
    by_place = defaultdict(list)
    for problem in check_datasets(load_datasets(text, name="draft")):
        assert problem.fix, problem
        by_place[problem.path].append(problem.severity)
    assert dict(by_place) == {
        "company:attachments": ["error"],
        "company:comments": ["error"],
        "company:feature_flags": ["error"],
        "company:login_attempts": ["error"],
        "company:crm_activities:staff_id references[0]": ["warning"],
    }


def edited(text: str) -> dict[str, Any]:
    """What a privacy engineer changes in the draft: eight places."""
    document = yaml.safe_load(text)["dataset"][0]
    collections = {each["name"]: each for each in document["collections"]}
    fields = {(name, each["name"]): each for name, one in collections.items() for each in one["fields"]}
    for name in ("attachments", "feature_flags"):
        collections[name]["fides_meta"] = {"excluded": {"reason": "holds no personal data"}}
    collections["login_attempts"]["fides_meta"] = {"person": False}
    fields["login_attempts", "username"]["fides_meta"]["identity"] = "email"
    fields["comments", "author_id"]["fides_meta"]["references"] = [
        {"dataset": "company", "field": "staff.id", "ownership": "context"}
    ]
    fields["tickets", "requester_id"]["fides_meta"]["references"] = [{"dataset": "company", "field": "customers.id"}]
    fields["tickets", "subject"]["data_categories"] = ["user.content"]
    fields["crm_activities", "staff_id"]["fides_meta"]["references"][0]["ownership"] = "context"
    del fields["loyalty_cards", "card_no"]["data_categories"]
    fields["events", "payload"]["data_categories"] = ["user.behavior"]
    return document


ROWS = (
    "INSERT INTO customers (id, email, first_name, phone, pwd_hash) VALUES (1, 'ada@example.com', 'Ada', '1', 'x1'),"
    " (2, 'bea@example.com', 'Bea', '2', 'x2')",
    "INSERT INTO staff (id, full_name, email) VALUES (1, 'Sam Staff', 'sam@example.com')",
    "INSERT INTO customer_addresses (id, cust_id, addr_line1) VALUES (1, 1, 'Ada Street'), (2, 2, 'Bea Street')",
    "INSERT INTO orders (order_id, customer_id, billing_address_id, order_no, contact_email, customer_note) VALUES"
    " (1, 1, 1, 'A-1', 'ada@example.com', 'for Ada'), (2, 2, 2, 'B-1', 'bea@example.com', 'for Bea')",
    "INSERT INTO shipments (id, order_ref, recipient_name) VALUES (1, 'A-1', 'Ada'), (2, 'B-1', 'Bea')",
    "INSERT INTO tickets (id, requester_id, assignee_id, subject) VALUES (1, 1, 1, 'Ada asks'), (2, 2, 1, 'Bea asks')",
    "INSERT INTO ticket_messages (id, ticket_id, body) VALUES (1, 1, 'Ada says'), (2, 2, 'Bea says')",
    "INSERT INTO newsletter_subscribers (email) VALUES ('ada@example.com'), ('bea@example.com')",
    "INSERT INTO login_attempts (id, username, ip) VALUES (1, 'ada@example.com', '10.0.0.1')",
    """INSERT INTO events (id, customer_id, payload) VALUES (1, 1, '{"q": "Ada"}'), (2, 2, '{"q": "Bea"}')""",
)


def everything(store: Store) -> str:
    """All rows of all tables as text."""
    return " ".join(repr(store.run(f"SELECT * FROM {table.name}")) for table in read_company())


def test_from_draft_over_a_few_edits_to_an_erasure_that_completes(store: Store, tmp_path: Path) -> None:
    store.run(*ROWS)
    document = edited(drafted(store))
    assert check_datasets(load_datasets(yaml.safe_dump(document), name="edited")) == []
    with flowbook.flowing(tmp_path / "data") as flow:
        flow.api.connect("company", store.kind, {"url": store.url})
        flow.api.describe("company", document)
        flow.api.erasure_policy("wipe", ["user"])
        flow.api.access_policy("look", ["user"])
        item = flow.api.run("look", {"email": "ada@example.com"})
        found = {address: len(rows) for address, rows in flow.package(item["id"]).items()}
        assert found.pop("company:staff", 1) == 1
        assert found == dict.fromkeys((f"company:{name}" for name in FOUND), 1)
        item = flow.api.run("wipe", {"email": "ada@example.com"})
    assert (item["status"], item["outcome"]) == ("complete", "erased_with_kept"), item
    left = everything(store)
    assert "ada" not in left.lower()
    assert left.count("Bea") == 7
    assert left.count("bea@example.com") == 3
    assert "Sam Staff" in left


FOUND = (
    "customers",
    "customer_addresses",
    "orders",
    "shipments",
    "tickets",
    "ticket_messages",
    "newsletter_subscribers",
    "login_attempts",
    "events",
)
