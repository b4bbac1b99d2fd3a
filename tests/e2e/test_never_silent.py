"""What other systems report as done although it isn't, each with another outcome here: erased for good, or not green.

The six green-but-not-done paths, the failure stories of whole systems, and what was seen in the last measurement of
fides: one test each, named after it. Every test looks into the store itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowbook import Flow, flowing

HMAC = {"strategy": "hmac", "configuration": {"algorithm": "SHA-256"}}
NULL = {"strategy": "null_rewrite", "configuration": {}}
ADA = {"email": "ada@example.com"}


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowing(tmp_path_factory.mktemp("silent") / "data") as made:
        yield made


class Story:
    """One store, declared for one test and forgotten after it."""

    def __init__(self, flow: Flow, path: Path) -> None:
        self.flow, self.path = flow, path

    def execute(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            for each in statements:
                connection.execute(each)
            connection.commit()

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)

    def holds(self, *values: str) -> list[str]:
        """Which of these values the store still shows in any row."""
        with closing(sqlite3.connect(self.path)) as connection:
            text = "\n".join(connection.iterdump())
        return [each for each in values if each in text]

    def declare(self, **collections: Sequence[Mapping[str, Any]]) -> None:
        """The store's dataset: fields by collection."""
        api = self.flow.api
        if not any(each["key"] == "store" for each in api.call("GET", "/connection")["items"]):
            api.connect("store", "sqlite", {"url": f"sqlite:///{self.path}"})
        listed = [{"name": name, "fields": list(fields)} for name, fields in collections.items()]
        api.describe("store", {"fides_key": "store", "collections": listed})

    def erase(
        self, identity: Mapping[str, Any] = ADA, targets: Sequence[str] = ("user",), strategy: Any = NULL
    ) -> dict[str, Any]:
        """Erase somebody; the request at rest."""
        api = self.flow.api
        key = f"policy_{api.call('GET', '/policy')['total']}"
        api.erasure_policy(key, targets, strategy)
        return api.run(key, identity)


@pytest.fixture
def story(flow: Flow, tmp_path: Path) -> Iterator[Story]:
    yield Story(flow, tmp_path / "store.db")
    flow.api.http.request("DELETE", "/api/v1/connection/store")


def field(name: str, category: str | None = None, **meta: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name}
    if category:
        made["data_categories"] = [category]
    return made | ({"fides_meta": meta} if meta else {})


def to(target: str, direction: str = "from") -> list[dict[str, str]]:
    return [{"dataset": "store", "field": target, "direction": direction}]


ID = field("id", primary_key=True)
EMAIL = field("email", "user.contact.email", identity="email")


def test_path_1_a_strategy_that_does_not_fit_the_type_erases_all_the_same(story: Story) -> None:
    """fides: a warning, and the field is left as it is."""
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text, born date, height integer NOT NULL)",
        "INSERT INTO person VALUES (1, 'ada@example.com', '1815-12-10', 168)",
        "INSERT INTO person VALUES (2, 'bob@example.com', '1815-12-10', 168)",
    )
    story.declare(person=[ID, EMAIL, field("born", "user.demographic"), field("height", "user.demographic")])
    item = story.erase(strategy=HMAC)
    assert item["outcome"] == "erased", item
    ada, bob = story.rows("person")
    assert (ada[2], ada[3]) not in (("1815-12-10", 168),)
    assert (ada[2] or "") != "1815-12-10"
    assert ada[3] != 168
    assert bob == (2, "bob@example.com", "1815-12-10", 168)
    receipt = story.flow.api.call("GET", f"/privacy-request/{item['id']}/receipt")["receipt"]
    assert set(receipt["erasure"]["store:person"]["substituted"]) == {"born", "height"}


def test_path_2_rows_without_a_key_are_erased_or_refused(story: Story) -> None:
    """fides: no statement is made for the row, which is skipped."""
    story.execute(
        "CREATE TABLE lead (email text, remark text)",
        "INSERT INTO lead VALUES ('ada@example.com', 'likes tea'), ('ada@example.com', 'likes tea'), ('b@x.org', 'b')",
    )
    story.declare(lead=[EMAIL, field("remark", "user.content")])
    item = story.erase()
    assert item["status"] == "error" or not story.holds("ada@example.com", "likes tea"), item
    assert ("b@x.org", "b") in story.rows("lead")


def test_path_3_a_key_that_nobody_annotated_is_the_stores_own(story: Story) -> None:
    """fides: complete, with 0 rows masked."""
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text, name text)",
        "INSERT INTO person VALUES (1, 'ada@example.com', 'Ada'), (2, 'bob@example.com', 'Bob')",
    )
    story.declare(person=[field("id"), EMAIL, field("name", "user.name")])
    item = story.erase()
    assert item["outcome"] == "erased", item
    assert story.rows("person") == [(1, None, None), (2, "bob@example.com", "Bob")]


def test_path_4_a_missing_table_is_refused_before_anything_is_written(story: Story) -> None:
    """fides: skipped, which counts as completed."""
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text)",
        "INSERT INTO person VALUES (1, 'ada@example.com')",
    )
    note = [ID, field("person_id", references=to("person.id")), field("body", "user.content")]
    story.declare(person=[ID, EMAIL], note=note)
    item = story.erase()
    assert (item["status"], item["reason"], item["reason_detail"]["code"]) == ("error", "refused", "missing_table"), (
        item
    )
    assert item["reason_detail"]["address"] == "store:note"
    assert story.rows("person") == [(1, "ada@example.com")]


def test_path_5_keys_of_another_type_do_not_drop_out_of_the_lookup(story: Story) -> None:
    """fides: a value that can't be cast becomes None and vanishes; zero and the empty text likewise."""
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text, code text UNIQUE)",
        "CREATE TABLE visit (id integer PRIMARY KEY, person text, place text)",
        "CREATE TABLE badge (id integer PRIMARY KEY, code text, print text)",
        "INSERT INTO person VALUES (0, 'ada@example.com', ''), (-7, 'ada@example.com', 'c7'), (1, 'b@x.org', 'c1')",
        "INSERT INTO visit VALUES (1, '0', 'London'), (2, '-7', 'Paris'), (3, '00', 'Rome')",
        "INSERT INTO visit VALUES (4, 'abc', 'Oslo'), (5, '1', 'Bonn')",
        "INSERT INTO badge VALUES (1, '', 'whorl'), (2, 'c7', 'loop'), (3, 'c1', 'arch')",
    )
    story.declare(
        person=[ID, EMAIL, field("code")],
        visit=[ID, field("person", references=to("person.id")), field("place", "user.location")],
        badge=[ID, field("code", references=to("person.code")), field("print", "user.biometric")],
    )
    item = story.erase()
    assert item["outcome"] == "erased", item["reason_detail"]
    assert [row[2] for row in story.rows("visit")] == [None, None, "Rome", "Oslo", "Bonn"]
    assert [row[2] for row in story.rows("badge")] == [None, None, "arch"]


def test_path_6_a_store_that_swallows_writes_is_found_out(story: Story) -> None:
    """fides: the number of rows changed is added up and never compared."""
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text)",
        "INSERT INTO person VALUES (1, 'ada@example.com')",
        "CREATE TRIGGER swallow BEFORE UPDATE ON person BEGIN SELECT RAISE(IGNORE); END",
    )
    story.declare(person=[ID, EMAIL])
    item = story.erase()
    assert item["status"] == "error", item
    assert item["reason"] in ("incomplete", "refused")
    assert story.rows("person") == [(1, "ada@example.com")]


def test_a_trigger_that_writes_the_value_back_is_found_out(story: Story) -> None:
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text)",
        "INSERT INTO person VALUES (1, 'ada@example.com')",
        "CREATE TRIGGER back AFTER UPDATE ON person WHEN new.email IS NULL"
        " BEGIN UPDATE person SET email = old.email WHERE id = old.id; END",
    )
    story.declare(person=[ID, EMAIL])
    item = story.erase()
    assert (item["status"], item["reason"]) == ("error", "incomplete"), item


def test_not_null_in_a_later_collection_does_not_leave_half_an_erasure(story: Story) -> None:
    """fides 2.86: an erasure half committed when a later collection violated NOT NULL."""
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text)",
        "CREATE TABLE note (id integer PRIMARY KEY, person_id integer, body text NOT NULL, mood text NOT NULL"
        " CHECK (mood IN ('glad', 'sad')))",
        "INSERT INTO person VALUES (1, 'ada@example.com')",
        "INSERT INTO note VALUES (1, 1, 'secret', 'glad')",
    )
    note = [ID, field("person_id", references=to("person.id")), field("body", "user.content")]
    story.declare(person=[ID, EMAIL], note=note)
    assert story.erase()["outcome"] == "erased"
    assert story.rows("note") == [(1, 1, "", "glad")]
    story.execute("UPDATE note SET body = 'secret'", "UPDATE person SET email = 'ada@example.com'")
    story.declare(person=[ID, EMAIL], note=[*note, field("mood", "user.content")])
    item = story.erase()
    whole = (story.rows("person"), story.rows("note")) == ([(1, "ada@example.com")], [(1, 1, "secret", "glad")])
    assert (item["status"] == "error" and whole) or not story.holds("ada@example.com", "secret"), item


def test_untyped_fields_are_masked_by_hmac(story: Story) -> None:
    """fides 2.86: hmac skipped untyped fields with "success - masked 0 records"."""
    story.execute("CREATE TABLE person (id integer PRIMARY KEY, email, nick)")
    story.execute("INSERT INTO person VALUES (1, 'ada@example.com', 'countess')")
    story.declare(person=[ID, EMAIL, field("nick", "user.name")])
    item = story.erase(strategy=HMAC)
    assert item["status"] == "error" or not story.holds("ada@example.com", "countess"), item
    if item["status"] == "complete":
        log = story.flow.api.call("GET", f"/privacy-request/{item['id']}/log")["items"]
        assert [each["counts"]["masked"] for each in log if each["status"] == "complete"] == [1]


def test_nobody_elses_address_is_nulled_because_an_order_points_to_it(story: Story) -> None:
    """fides 2.86: another customer's address was."""
    story.execute(
        "CREATE TABLE address (id integer PRIMARY KEY, street text)",
        "CREATE TABLE person (id integer PRIMARY KEY, email text, address_id integer REFERENCES address(id))",
        "CREATE TABLE purchase (id integer PRIMARY KEY, person_id integer, ship_to integer REFERENCES address(id))",
        "INSERT INTO address VALUES (1, 'Ada Lane'), (2, 'Bob Road')",
        "INSERT INTO person VALUES (1, 'ada@example.com', 1), (2, 'bob@example.com', 2)",
        "INSERT INTO purchase VALUES (1, 1, 2)",
    )
    story.declare(
        address=[ID, field("street", "user.contact.address")],
        person=[ID, EMAIL, field("address_id", references=to("address.id", "to"))],
        purchase=[
            ID,
            field("person_id", references=to("person.id")),
            field("ship_to", references=to("address.id", "to")),
        ],
    )
    item = story.erase()
    assert (item["outcome"], item["kept"]) == ("erased_with_kept", {"shared_row": 1}), item
    assert story.rows("address") == [(1, None), (2, "Bob Road")]


def test_a_composite_reference_matches_as_a_tuple(story: Story) -> None:
    """Column by column, (1, 2) and (2, 1) would reach (1, 1) and (2, 2)."""
    key = {"key": "both"}
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text, a integer, b integer)",
        "CREATE TABLE spot (a integer, b integer, note text, PRIMARY KEY (a, b))",
        "INSERT INTO person VALUES (1, 'ada@example.com', 1, 2), (2, 'ada@example.com', 2, 1), (3, 'b@x.org', 1, 1)",
        "INSERT INTO spot VALUES (1, 1, 'eleven'), (1, 2, 'twelve'), (2, 1, 'twenty-one'), (2, 2, 'twenty-two')",
    )
    story.declare(
        person=[ID, EMAIL, field("a"), field("b")],
        spot=[
            field("a", primary_key=True, references=[to("person.a")[0] | key]),
            field("b", primary_key=True, references=[to("person.b")[0] | key]),
            field("note", "user.content"),
        ],
    )
    item = story.erase()
    assert item["status"] == "complete" or item["reason"] == "refused", item
    assert story.holds("eleven", "twenty-two") == ["eleven", "twenty-two"]
    assert item["status"] != "complete" or not story.holds("twelve", "twenty-one")


def test_guests_without_an_account_are_found_by_their_e_mail(story: Story) -> None:
    story.execute(
        "CREATE TABLE account (id integer PRIMARY KEY, email text)",
        "CREATE TABLE checkout (id integer PRIMARY KEY, account_id integer, contact text, wish text)",
        "INSERT INTO account VALUES (1, 'ada@example.com')",
        "INSERT INTO checkout VALUES (1, 1, NULL, 'red'), (2, NULL, ' ADA@Example.com', 'blue')",
        "INSERT INTO checkout VALUES (3, NULL, NULL, 'gray')",
    )
    contact = field("contact", "user.contact.email", identity="email")
    story.declare(
        account=[ID, EMAIL],
        checkout=[ID, field("account_id", references=to("account.id")), contact, field("wish", "user.content")],
    )
    item = story.erase()
    # Row 1 may be somebody who paid with her account: it stays, and that is told; `person: false` says otherwise.
    assert (item["outcome"], item["kept"]) == ("erased_with_kept", {"person": 1}), item
    assert [row[2:] for row in story.rows("checkout")] == [(None, "red"), (None, None), (None, "gray")]


def test_a_disabled_connection_is_no_reason_to_report_done(story: Story) -> None:
    """fides: a disabled node is skipped, which counts as completed."""
    story.execute("CREATE TABLE person (id integer PRIMARY KEY, email text)")
    story.execute("INSERT INTO person VALUES (1, 'ada@example.com')")
    story.declare(person=[ID, EMAIL])
    connection = {"name": "store", "key": "store", "connection_type": "sqlite", "access": "write", "disabled": True}
    story.flow.api.patch_all("/connection", [connection])
    item = story.erase()
    assert (item["status"], item["reason"]) == ("error", "refused"), item
    assert item["reason_detail"]["code"] == "disabled"


def test_a_read_only_connection_is_refused(story: Story) -> None:
    story.execute("CREATE TABLE person (id integer PRIMARY KEY, email text)")
    story.execute("INSERT INTO person VALUES (1, 'ada@example.com')")
    story.declare(person=[ID, EMAIL])
    story.flow.api.patch_all(
        "/connection", [{"name": "store", "key": "store", "connection_type": "sqlite", "access": "read"}]
    )
    item = story.erase()
    assert (item["status"], item["reason"], item["reason_detail"]["code"]) == ("error", "refused", "read_only"), item


def test_a_collection_that_nothing_reaches_is_not_passed_over(story: Story) -> None:
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email text)",
        "CREATE TABLE island (id integer PRIMARY KEY, name text)",
        "INSERT INTO person VALUES (1, 'ada@example.com')",
        "INSERT INTO island VALUES (1, 'Ada')",
    )
    story.declare(person=[ID, EMAIL], island=[ID, field("name", "user.name")])
    item = story.erase()
    assert (item["status"], item["reason"]) == ("error", "refused"), item
    assert story.rows("person") == [(1, "ada@example.com")]


def test_many_values_cut_to_one_length_stay_unique(story: Story) -> None:
    story.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, email varchar(80), nick varchar(6) NOT NULL UNIQUE)",
        *(f"INSERT INTO person VALUES ({n}, 'ada@example.com', 'nick{n:02}')" for n in range(40)),
    )
    story.declare(person=[ID, EMAIL, field("nick", "user.name")])
    for strategy in (NULL, {"strategy": "string_rewrite", "configuration": {"rewrite_value": "MASKED"}}):
        item = story.erase(strategy=strategy)
        assert item["outcome"] in ("erased", "nothing_found"), item
    nicks = [row[2] for row in story.rows("person")]
    assert len(set(nicks)) == 40
    assert not [nick for nick in nicks if nick.startswith("nick")]
