"""Every key of a dataset end to end: `keys.yml` on PostgreSQL, one access and one erasure of one person.

Each test is named after its key; docs/datasets.md lists them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

import flowbook
from habeas.dataset.check import check_datasets
from habeas.dataset.load import load_datasets, load_yaml

TEXT = (Path(__file__).parent / "keys.yml").read_text(encoding="utf-8")
DOCUMENTS: list[dict[str, Any]] = load_yaml(TEXT, "keys.yml")["dataset"]  # type: ignore[index]
ADA = {"email": "Ada@Example.com", "phone_number": "+49 30 23125 001", "member_no": "M-1"}
TABLES = """
CREATE SCHEMA sales; CREATE SCHEMA care; CREATE SCHEMA tapes;
CREATE TABLE sales.address (id integer PRIMARY KEY, street text);
CREATE TABLE sales.customer (id integer PRIMARY KEY, email varchar(80), phone text, member_no text, name varchar(40),
    nick varchar(20), login text, profile jsonb, address_id integer REFERENCES sales.address);
CREATE TABLE sales.product (id integer PRIMARY KEY, title text);
CREATE TABLE sales.orders (id integer PRIMARY KEY, customer_id integer REFERENCES sales.customer,
    product_id integer REFERENCES sales.product, note text);
CREATE TABLE sales.account (branch integer, number integer, customer_id integer, PRIMARY KEY (branch, number));
CREATE TABLE sales.booking (id integer PRIMARY KEY, branch integer, number integer, text text);
CREATE TABLE sales.visit (no integer, day date, customer_id integer, page text);
CREATE TABLE sales.contract (id integer PRIMARY KEY, text text);
CREATE TABLE sales.cache (id integer PRIMARY KEY, text text);
CREATE TABLE care.ticket (id integer PRIMARY KEY, customer_id integer, body text);
CREATE TABLE care.parcel (id integer PRIMARY KEY, notify text);
CREATE TABLE care.post (id integer PRIMARY KEY, authors text[], readers text[]);
CREATE TABLE tapes.copy (email text);
INSERT INTO sales.address VALUES (1, 'Ada Street'), (2, 'Bea Street');
INSERT INTO sales.customer VALUES
    (1, 'ada@example.com', NULL, NULL, 'Ada', 'ada-ada', 'ada', '{"motto": "carpe", "theme": "dark"}', 1),
    (2, 'bea@example.com', '030 23125 002', 'm-1', 'Bea', 'bea', 'bea', '{"motto": "diem", "theme": "light"}', 2),
    (3, NULL, '030 23125 001', NULL, 'A.', NULL, NULL, NULL, NULL),
    (4, NULL, NULL, 'M-1', 'A. A.', NULL, NULL, NULL, NULL);
INSERT INTO sales.product VALUES (7, 'pen');
INSERT INTO sales.orders VALUES (10, 1, 7, 'for Ada'), (20, 2, 7, 'for Bea');
INSERT INTO sales.account VALUES (1, 1, 1), (1, 2, 2), (2, 1, 2);
INSERT INTO sales.booking VALUES (1, 1, 1, 'Ada pays'), (2, 1, 2, 'Bea pays'), (3, 2, 1, 'Bea pays again');
INSERT INTO sales.visit VALUES (1, '2020-02-02', 1, 'old'), (2, '2026-02-02', 1, 'new'), (3, '2026-02-02', 2, 'Bea''s');
INSERT INTO sales.contract VALUES (1, 'Ada signs');
INSERT INTO sales.cache VALUES (1, 'cached');
INSERT INTO care.ticket VALUES (1, 1, 'Ada asks'), (2, 2, 'Bea asks');
INSERT INTO care.parcel VALUES (1, 'ada@example.com'), (2, 'bea@example.com');
INSERT INTO care.post VALUES
    (1, ARRAY['ada@example.com', 'bea@example.com'], ARRAY['bea@example.com', 'cy@example.com']),
    (2, ARRAY['cy@example.com'], ARRAY['ada@example.com', 'bea@example.com']);
INSERT INTO tapes.copy VALUES ('ada@example.com');
"""


class Ran(NamedTuple):
    """What came of the requests."""

    shown: dict[str, list[dict[str, Any]]]  # the package
    looked: dict[str, Any]
    wiped: dict[str, Any]
    stored: dict[str, Any]  # by key, as the API shows datasets
    order: list[str]  # of collections in the plan
    refused: dict[str, Any]
    rows: Callable[[str], list[Any]]
    given: list[dict[str, Any]]  # the datasets, with the database's real name
    elsewhere: dict[str, Any]  # asked with another database's name


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, make_postgres_of_module: Callable[[], str]) -> Iterator[Ran]:
    url = make_postgres_of_module()
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)

    def rows(text: str) -> list[Any]:
        with psycopg.connect(url) as connection:
            return connection.execute(text).fetchall()

    given = copy.deepcopy(DOCUMENTS)
    given[0]["fides_meta"]["namespace"]["database_name"] = url.rpartition("/")[2]
    with flowbook.flowing(tmp_path_factory.mktemp("keys") / "data") as flow:
        api = flow.api
        api.connect("shop", "postgres", {"url": url})
        api.describe("shop", *given)
        api.access_policy("look", ["user"])
        constant = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "forgotten"}}
        api.erasure_policy("wipe", ["user"], constant)
        api.erasure_policy("locked", ["system.authentication"])
        looked = api.run("look", ADA)
        told = api.call("POST", "/privacy-request/plan", {"policy_key": "wipe", "identity": ADA}, counts="estimate")
        stored = {each: api.call("GET", f"/connection/shop/dataset/{each}") for each in ("sales", "care", "tapes")}
        wiped, refused = api.run("wipe", ADA), api.run("locked", ADA)
        api.describe("shop", *DOCUMENTS)
        elsewhere = api.run("look", ADA)
        order = [each["address"] for each in told["collections"]]
        yield Ran(flow.package(looked["id"]), looked, wiped, stored, order, refused, rows, given, elsewhere)


def test_all_loads_and_the_check_names_what_is_not_used() -> None:
    datasets = load_datasets(TEXT, name="keys.yml")
    problems = check_datasets(datasets)
    assert [problem.message.partition(":")[0] for problem in problems] == ["partitioning is kept and not used"]
    assert problems[0].severity == "warning"


def test_both_requests_complete(ran: Ran) -> None:
    assert (ran.looked["status"], ran.looked["outcome"]) == ("complete", "delivered"), ran.looked
    assert (ran.wiped["status"], ran.wiped["outcome"]) == ("complete", "erased_with_kept"), ran.wiped
    assert ran.wiped["kept"] == {"context": 1, "excluded": 3, "key_kept": 3}


def test_what_is_not_used_is_kept_and_shown(ran: Ran) -> None:
    assert ran.stored == {document["fides_key"]: document for document in ran.given}
    assert ran.stored["sales"]["fides_meta"]["resource_id"] == "shop.sales"


def test_namespace(ran: Ran) -> None:
    assert {"sales:customer", "care:ticket"} <= set(ran.shown)
    assert (ran.elsewhere["status"], ran.elsewhere["reason"]) == ("error", "refused")
    detail = ran.elsewhere["reason_detail"]
    assert (detail["code"], detail["address"].partition(":")[0]) == ("other_database", "sales")


def test_identity(ran: Ran) -> None:
    assert len(ran.shown["sales:customer"]) == 3
    assert ran.rows("SELECT email FROM sales.customer ORDER BY id") == [
        ("forgotten",),
        ("bea@example.com",),
        (None,),
        (None,),
    ]


def test_region(ran: Ran) -> None:
    assert ran.rows("SELECT phone FROM sales.customer WHERE id IN (2, 3) ORDER BY id") == [
        ("030 23125 002",),
        ("forgotten",),
    ]


def test_identity_match(ran: Ran) -> None:
    assert ran.rows("SELECT member_no FROM sales.customer WHERE id IN (2, 4) ORDER BY id") == [("m-1",), ("forgotten",)]


def test_references(ran: Ran) -> None:
    assert ran.shown["sales:address"] == [{"street": "Ada Street"}]
    assert ran.rows("SELECT street FROM sales.address ORDER BY id") == [("forgotten",), ("Bea Street",)]


def test_key(ran: Ran) -> None:
    assert ran.shown["sales:booking"] == [{"text": "Ada pays"}]
    assert ran.rows("SELECT text FROM sales.booking ORDER BY id") == [
        ("forgotten",),
        ("Bea pays",),
        ("Bea pays again",),
    ]


def test_ownership(ran: Ran) -> None:
    assert ran.shown["sales:product"] == [{"title": "pen"}]
    assert ran.rows("SELECT title FROM sales.product") == [("pen",)]


def test_primary_key(ran: Ran) -> None:
    assert ran.rows("SELECT page FROM sales.visit ORDER BY no") == [("forgotten",), ("forgotten",), ("Bea's",)]


def test_partitioning(ran: Ran) -> None:
    assert sorted(row["page"] for row in ran.shown["sales:visit"]) == ["new", "old"]


def test_length(ran: Ran) -> None:
    assert ran.rows("SELECT nick FROM sales.customer WHERE id < 3 ORDER BY id") == [("forg",), ("bea",)]


def test_data_type(ran: Ran) -> None:
    (profile,) = (row["profile"] for row in ran.shown["sales:customer"] if row.get("profile"))
    assert profile == {"motto": "carpe"}
    assert ran.rows("SELECT profile FROM sales.customer WHERE id = 1") == [({"motto": "forgotten", "theme": "dark"},)]


def test_return_all_elements(ran: Ran) -> None:
    posts = sorted(ran.shown["care:post"], key=lambda row: len(row["authors"] or ()), reverse=True)
    assert posts[0]["authors"] == ["ada@example.com"]
    assert posts[0]["readers"] == ["bea@example.com", "cy@example.com"]
    assert posts[1]["readers"] == ["ada@example.com", "bea@example.com"]
    assert ran.rows("SELECT authors FROM care.post ORDER BY id") == [
        (["forgotten", "bea@example.com"],),
        (["cy@example.com"],),
    ]


def test_masking_strategy_override(ran: Ran) -> None:
    assert ran.rows("SELECT name FROM sales.customer ORDER BY id") == [("N. N.",), ("Bea",), ("N. N.",), ("N. N.",)]
    assert ran.rows("SELECT id FROM sales.orders") == [(20,)]


def test_read_only(ran: Ran) -> None:
    assert (ran.refused["status"], ran.refused["reason"]) == ("error", "refused")
    assert ran.refused["reason_detail"]["code"] == "read_only_field"
    assert ran.refused["reason_detail"]["address"] == "sales:customer:login"
    assert ran.rows("SELECT login FROM sales.customer WHERE id < 3 ORDER BY id") == [("ada",), ("bea",)]


def test_data_categories(ran: Ran) -> None:
    assert ran.shown["care:ticket"] == [{"body": "Ada asks"}]
    assert ran.shown["care:parcel"] == [{"notify": "ada@example.com"}]
    assert ran.rows("SELECT body FROM care.ticket ORDER BY id") == [("forgotten",), ("Bea asks",)]


def test_person(ran: Ran) -> None:
    assert ran.rows("SELECT notify FROM care.parcel ORDER BY id") == [("forgotten",), ("bea@example.com",)]


def test_after(ran: Ran) -> None:
    last = max(place for place, address in enumerate(ran.order) if address.startswith("sales:"))
    assert all(place > last for place, address in enumerate(ran.order) if address.startswith("care:"))
    assert ran.order.index("care:ticket") < ran.order.index("care:parcel")


def test_erase_after(ran: Ran) -> None:
    ((ticket,),) = ran.rows("SELECT xmin::text::bigint FROM care.ticket WHERE id = 1")
    ((parcel,),) = ran.rows("SELECT xmin::text::bigint FROM care.parcel WHERE id = 1")
    assert ticket < parcel


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        ("sales:contract", "commercial law"),
        ("tapes:copy", "expire by themselves"),
        ("sales:cache", "skip_processing"),
    ],
)
def test_excluded_and_skip_processing(ran: Ran, address: str, detail: str) -> None:
    for item in (ran.looked, ran.wiped):
        told = {each["address"]: each for each in item["not_searched"]}
        assert (told[address]["reason"], told[address]["detail"]) == ("excluded", detail)
    assert ran.rows("SELECT text FROM sales.contract") == [("Ada signs",)]
    assert ran.rows("SELECT email FROM tapes.copy") == [("ada@example.com",)]
