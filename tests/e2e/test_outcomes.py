"""What a request says of itself at its end, and that it is true: each kind of kept, not searched, refused, incomplete.

Statuses and reasons that other modules reach: denied, canceled, incomplete, delivery, requires_input.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import flowbook
from flowbook import Flow

SCHEMA = """
CREATE TABLE address (id integer PRIMARY KEY, street text);
CREATE TABLE product (id integer PRIMARY KEY, label text);
CREATE TABLE member (id integer PRIMARY KEY, email text, address_id integer REFERENCES address(id),
                     sponsor_id integer REFERENCES member(id));
CREATE TABLE buy (id integer PRIMARY KEY, member_id integer REFERENCES member(id),
                  product_id integer REFERENCES product(id), note text);
CREATE TABLE legal (id integer PRIMARY KEY, member_id integer, words text);
INSERT INTO address VALUES (1, 'Shared Street 1'), (2, 'Own Lane 2');
INSERT INTO product VALUES (7, 'Blue Pen');
INSERT INTO member VALUES (1, 'a@example.com', 1, NULL), (2, 'b@example.com', 1, NULL), (3, 'c@example.com', 2, 2),
                          (4, 'd@example.com', NULL, NULL);
INSERT INTO buy VALUES (11, 4, 7, 'gift');
INSERT INTO legal VALUES (21, 4, 'contract');
"""


def field(name: str, category: str | None = None, **meta: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "fides_meta": meta}
    return made | ({"data_categories": [category]} if category else {})


def to(target: str, direction: str, **more: Any) -> list[dict[str, Any]]:
    return [{"dataset": "club", "field": target, "direction": direction, **more}]


def dataset(**collections: list[dict[str, Any]]) -> dict[str, Any]:
    return {"fides_key": "club", "collections": [{"name": name, "fields": each} for name, each in collections.items()]}


ID = field("id", primary_key=True)
MEMBER = [ID, field("email", "user.contact.email", identity="email")]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowbook.flowing(tmp_path_factory.mktemp("outcomes") / "data") as running:
        running.api.access_policy("look", ["user"])
        running.api.erasure_policy("wipe", ["user"])
        yield running


class Club:
    """The club's database behind the connection `club`."""

    def __init__(self, flow: Flow, path: Path) -> None:
        self.api, self.path = flow.api, path
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(SCHEMA)
        self.api.connect("club", "sqlite", {"path": str(path)})

    def run(self, *statements: str) -> list[Any]:
        """The last statement's rows."""
        with closing(sqlite3.connect(self.path)) as connection:
            for each in statements:
                found = connection.execute(each).fetchall()
            connection.commit()
        return found

    def request(self, policy: str, email: str) -> dict[str, Any]:
        return self.api.run(policy, {"email": email})


@pytest.fixture
def club(flow: Flow, tmp_path: Path) -> Iterator[Club]:
    yield Club(flow, tmp_path / "club.db")
    for each in flow.api.call("GET", "/connection")["items"]:
        flow.api.call("DELETE", f"/connection/{each['key']}")


def ended(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["status"], item["outcome"], item["reason"], item["kept"]


ADDRESS = [ID, field("street", "user.contact.address.street")]
HOME = field("address_id", references=to("address.id", "to"))


def test_erased_and_nothing_found_and_delivered(club: Club) -> None:
    club.api.describe("club", dataset(member=[*MEMBER, HOME], address=ADDRESS))
    assert ended(club.request("look", "c@example.com")) == ("complete", "delivered", None, None)
    assert ended(club.request("wipe", "c@example.com")) == ("complete", "erased", None, None)
    assert club.run("SELECT street FROM address ORDER BY id") == [("Shared Street 1",), (None,)]
    for policy in ("wipe", "look"):
        assert ended(club.request(policy, "c@example.com")) == ("complete", "nothing_found", None, None)


def test_a_row_that_is_also_anothers_is_kept(club: Club) -> None:
    club.api.describe("club", dataset(member=[*MEMBER, HOME], address=ADDRESS))
    assert ended(club.request("wipe", "a@example.com")) == ("complete", "erased_with_kept", None, {"shared_row": 1})
    assert club.run("SELECT street FROM address WHERE id = 1") == [("Shared Street 1",)]
    assert club.run("SELECT email FROM member WHERE id IN (1, 2) ORDER BY id") == [(None,), ("b@example.com",)]


def test_somebody_else_is_kept(club: Club) -> None:
    sponsor = field("sponsor_id", references=to("member.id", "to"))
    club.api.describe("club", dataset(member=[*MEMBER, sponsor]))
    assert ended(club.request("wipe", "c@example.com")) == ("complete", "erased_with_kept", None, {"person": 1})
    assert club.run("SELECT email FROM member WHERE id = 2") == [("b@example.com",)]


def test_context_is_kept(club: Club) -> None:
    goods = field("product_id", references=to("product.id", "to", ownership="context"))
    buy = [ID, field("member_id", references=to("member.id", "from")), goods, field("note", "user.content")]
    club.api.describe("club", dataset(member=MEMBER, buy=buy, product=[ID, field("label", "user.content")]))
    assert ended(club.request("wipe", "d@example.com")) == ("complete", "erased_with_kept", None, {"context": 1})
    assert club.run("SELECT label, note FROM product, buy") == [("Blue Pen", None)]


def test_a_key_that_joins_rows_is_kept(club: Club) -> None:
    key = field("id", "user.unique_id", primary_key=True)
    club.api.describe("club", dataset(member=[key, MEMBER[1]]))
    item = club.request("wipe", "d@example.com")
    assert ended(item) == ("complete", "erased_with_kept", None, {"key_kept": 1})
    assert club.run("SELECT id, email FROM member WHERE id = 4") == [(4, None)]


def test_what_is_preserved_is_kept(club: Club) -> None:
    street = field("street", "user.contact.address.street", masking_strategy_override={"strategy": "preserve"})
    club.api.describe("club", dataset(member=[*MEMBER, HOME], address=[ID, street]))
    item = club.request("wipe", "c@example.com")
    assert ended(item) == ("complete", "erased_with_kept", None, {"preserved": 1})
    assert club.run("SELECT street FROM address WHERE id = 2") == [("Own Lane 2",)]


LEGAL = [ID, field("member_id", references=to("member.id", "from")), field("words", "user.content")]


def test_what_is_excluded_is_named(club: Club) -> None:
    described = dataset(member=MEMBER, legal=LEGAL)
    described["collections"][1]["fides_meta"] = {"excluded": {"reason": "the law asks to keep it"}}
    club.api.describe("club", described)
    item = club.request("wipe", "d@example.com")
    assert ended(item) == ("complete", "erased_with_kept", None, {"excluded": 1})
    assert [(each["address"], each["reason"]) for each in item["not_searched"]] == [("club:legal", "excluded")]
    assert club.run("SELECT words FROM legal") == [("contract",)]
    item = club.request("look", "d@example.com")
    assert (item["outcome"], item["not_searched"][0]["reason"]) == ("delivered", "excluded")


def test_what_an_access_can_not_reach_is_named_and_an_erasure_is_refused(club: Club) -> None:
    club.api.describe("club", dataset(member=MEMBER, legal=[ID, LEGAL[2]]))
    item = club.request("look", "d@example.com")
    assert ended(item) == ("complete", "delivered", None, None)
    assert [(each["address"], each["reason"]) for each in item["not_searched"]] == [("club:legal", "unreached")]
    before = club.path.read_bytes()
    item = club.request("wipe", "d@example.com")
    assert ended(item) == ("error", None, "refused", None)
    assert (item["reason_detail"]["address"], item["reason_detail"]["code"]) == ("club:legal", "unreached")
    assert club.path.read_bytes() == before


def test_a_table_without_a_key_is_written_by_its_reference(club: Club) -> None:
    club.run("CREATE TABLE chat (member_id integer, words text)", "INSERT INTO chat VALUES (4, 'hi')")
    chat = [field("member_id", references=to("member.id", "from")), field("words", "user.content")]
    club.api.describe("club", dataset(member=MEMBER, chat=chat))
    assert ended(club.request("look", "d@example.com")) == ("complete", "delivered", None, None)
    club.run("INSERT INTO chat VALUES (3, 'not hers')")
    item = club.request("wipe", "d@example.com")
    assert ended(item) == ("complete", "erased", None, None)
    assert club.run("SELECT words FROM chat ORDER BY member_id") == [("not hers",), (None,)]


WRITERS = {
    "new rows": "CREATE TRIGGER again AFTER UPDATE ON buy BEGIN"
    " INSERT INTO buy SELECT max(id) + 1, NEW.member_id, 7, 'again' FROM buy; END",
    "the old value": "CREATE TRIGGER again AFTER UPDATE OF note ON buy WHEN NEW.note IS NULL BEGIN"
    " UPDATE buy SET note = OLD.note WHERE id = NEW.id; END",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_somebody_goes_on_writing_is_incomplete(club: Club, writer: str) -> None:
    buy = [ID, field("member_id", references=to("member.id", "from")), field("note", "user.content")]
    club.api.describe("club", dataset(member=MEMBER, buy=buy))
    club.run(WRITERS[writer])
    item = club.request("wipe", "d@example.com")
    assert ended(item) == ("error", None, "incomplete", None)
    assert (item["reason_detail"]["address"], item["reason_detail"]["code"]) == ("club:buy", "still_written")
    club.run("DROP TRIGGER again")
    club.api.call("POST", f"/privacy-request/{item['id']}/retry")
    assert ended(club.api.wait(item["id"]))[:2] == ("complete", "erased")
    assert club.run("SELECT count(*) FROM buy WHERE note IS NOT NULL") == [(0,)]
    assert club.run("SELECT email FROM member WHERE id = 4") == [(None,)]
