"""Plans from what is stored: previews, counts, refusals and questions, drift; and a worker that answers in earnest."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from habeas.core.errors import BadInput, NotFound, Refused
from habeas.requests.connections import ConnectionInput, delete_connection, save_connections, set_secrets
from habeas.requests.datasets import save_text
from habeas.requests.installation import Installation
from habeas.requests.preview import NoTraversal
from habeas.requests.service import explain, find, logs, plan, preview, read_request, receipt, retry, submit
from habeas.requests.sources import FRESH_SECONDS
from habeas.requests.worker import run_worker
from requestbook import CLIENT, item, wait_until

SHOP = """
dataset:
  - fides_key: shop
    collections:
      - name: customers
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: name, data_categories: [user.name]}
      - name: orders
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - name: customer_id
            fides_meta: {references: [{dataset: shop, field: customers.id, direction: from}]}
          - {name: note, data_categories: [user.content]}
      - name: calls
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: phone, data_categories: [user.contact.phone_number], fides_meta: {identity: phone_number}}
"""

TABLES = """
create table customers (id integer primary key, email text, name text);
create table orders (id integer primary key, customer_id integer references customers (id), note text);
create table calls (id integer primary key, phone text);
insert into customers values (1, 'Ada@example.com', 'Ada'), (2, 'bob@example.com', 'Bob');
insert into orders values (10, 1, 'first'), (11, 1, 'second'), (12, 2, 'other');
insert into calls values (1, '+1 202 555 0143');
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A company's database."""
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path)
    connection.executescript(TABLES)
    connection.close()
    return path


@pytest.fixture
def connected(installation: Installation, shop: Path) -> Installation:
    """The installation with the shop's connection and dataset."""
    given = ConnectionInput(name="shop", key="shop", connection_type="sqlite", access="write")
    assert not save_connections(installation, CLIENT, [given]).failed
    set_secrets(installation, CLIENT, "shop", {"path": str(shop)}, verify=True)
    assert not save_text(installation, CLIENT, "shop", SHOP).failed
    return installation


def run_sql(shop: Path, statements: str) -> None:
    connection = sqlite3.connect(shop)
    connection.executescript(statements)
    connection.close()


ADA = {"email": "ada@example.com"}


def test_an_explanation_counts_rows_and_names_what_is_not_searched(connected: Installation, shop: Path) -> None:
    before = shop.read_bytes()
    made = explain(connected, "download", ADA)
    rows = {part.address: part.rows for part in made.explanation.collections}
    assert rows == {"shop:customers": {"own": 1}, "shop:orders": {"own": 2}}
    assert all(part.queries for part in made.explanation.collections)
    assert [(each.address, each.reason) for each in made.explanation.not_searched] == [
        ("shop:calls", "identity_absent")
    ]
    assert "ada" not in repr(made.document()).lower()
    assert shop.read_bytes() == before
    spool = connected.settings.data_dir / "spool"
    assert not spool.exists() or not any(spool.iterdir())


def test_estimates_need_no_values(connected: Installation) -> None:
    made = explain(connected, "download", [ADA, {"phone_number": "+12025550143"}], "estimate")
    assert {part.rows for part in made.explanation.collections} == {None}
    assert set(made.estimates) == {"shop:customers", "shop:orders", "shop:calls"}


def test_an_explanation_refuses_what_intake_would(connected: Installation) -> None:
    with pytest.raises(NotFound, match="Policy with key nowhere"):
        explain(connected, "nowhere", ADA)
    with pytest.raises(BadInput, match="at least one identity"):
        explain(connected, "download", [])


def test_the_preview_lists_all_collections_with_their_queries(connected: Installation) -> None:
    shown = preview(connected)
    assert [each["collectionAddress"]["collection"] for each in shown] == ["calls", "customers", "orders"]
    assert all("SELECT" in each["query"].upper() for each in shown)
    assert preview(connected, ["shop"]) == shown


def test_the_preview_names_what_is_missing(installation: Installation) -> None:
    with pytest.raises(NotFound):
        preview(installation)
    with pytest.raises(NotFound, match="No dataset with id 'nowhere'"):
        preview(installation, ["nowhere"])


def test_a_preview_of_half_a_graph_is_refused(connected: Installation) -> None:
    other = SHOP.replace("shop", "desk").replace("dataset: desk", "dataset: shop")
    assert not save_text(connected, CLIENT, "shop", other).failed
    with pytest.raises(NoTraversal, match="refers to dataset shop"):
        preview(connected, ["desk"])


def test_a_mended_store_is_seen_without_waiting(connected: Installation, shop: Path) -> None:
    run_sql(shop, "alter table orders rename to orders_old")
    with pytest.raises(Refused) as refused:
        connected.planner.plan("download", ["email"])
    assert (refused.value.cause, refused.value.where) == ("missing_table", "shop:orders")
    run_sql(shop, "alter table orders_old rename to orders")
    assert connected.planner.plan("download", ["email"])[1].steps


def test_a_plan_is_cached_until_something_changes(connected: Installation) -> None:
    stamp = connected.planner.describe().stamp
    digest, made = connected.planner.plan("download", ["email"])
    assert connected.planner.cached("download", ["email"], stamp) == (digest, made)
    assert connected.planner.cached("download", ["email", "phone_number"], stamp) is None
    with pytest.MonkeyPatch.context() as later:
        moment = time.monotonic() + FRESH_SECONDS + 1
        later.setattr(time, "monotonic", lambda: moment)
        assert connected.planner.cached("download", ["email"], stamp) is None
    connected.sources.forget_schemas()
    assert connected.planner.cached("download", ["email"], stamp) is None
    connected.clock.advance(1)  # type: ignore[attr-defined]
    save_text(connected, CLIENT, "shop", SHOP.replace("user.content", "user.financial"))
    assert connected.planner.describe().stamp != stamp


@pytest.fixture
def worker(connected: Installation) -> Iterator[Installation]:
    """The connected installation while a worker runs in a thread of this process."""
    stop, began = threading.Event(), threading.Event()
    problems: list[BaseException] = []

    def work() -> None:
        try:
            run_worker(connected.settings, stop, began=began.set)
        except BaseException as problem:
            problems.append(problem)
            began.set()
            raise

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(30)
    assert not problems
    yield connected
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def take(installation: Installation, **given: Any) -> str:
    bulk = submit(installation, [item(**given)], actor=CLIENT)
    assert not bulk.failed
    return str(bulk.succeeded[0]["id"])


def ended(installation: Installation, request_id: str) -> dict[str, Any]:
    final = ("complete", "error", "requires_input")
    wait_until(lambda: read_request(installation, request_id)["status"] in final, 30.0)
    return read_request(installation, request_id)


def test_a_worker_answers_access_and_erasure(worker: Installation, shop: Path) -> None:
    answer = ended(worker, take(worker))
    assert (answer["status"], answer["outcome"], answer["reason_detail"]) == ("complete", "delivered", None)
    assert [(each["address"], each["reason"]) for each in answer["not_searched"]] == [("shop:calls", "identity_absent")]
    assert [each["storage"] for each in answer["package"]] == ["local_packages"]
    assert logs(worker, answer["id"]).total > 0
    assert plan(worker, answer["id"])["digest"] == answer["plan_digest"]
    both = ADA | {"phone_number": "(202) 555-0143"}
    erased = ended(worker, take(worker, policy_key="delete", identity=both))
    assert (erased["status"], erased["reason_detail"]) == ("complete", None)
    assert receipt(worker, erased["id"])
    left = sqlite3.connect(shop).execute("select email, name from customers order by id").fetchall()
    assert left == [("MASKED", "MASKED"), ("bob@example.com", "Bob")]


def test_an_erasure_with_a_kind_absent_asks_before_it_writes(worker: Installation, shop: Path) -> None:
    before = sqlite3.connect(shop).execute("select * from customers").fetchall()
    answer = ended(worker, take(worker, policy_key="delete"))
    assert (answer["status"], answer["reason"]) == ("requires_input", "not_searched")
    assert answer["reason_detail"]["address"] == "shop:calls"
    assert [each["address"] for each in answer["not_searched"]] == ["shop:calls"]
    assert sqlite3.connect(shop).execute("select * from customers").fetchall() == before


def test_what_cant_be_done_is_refused_and_retried_after_the_fix(worker: Installation, shop: Path) -> None:
    run_sql(shop, "alter table orders rename to orders_old")
    request_id = take(worker)
    answer = ended(worker, request_id)
    assert (answer["status"], answer["reason"]) == ("error", "refused")
    assert (answer["reason_detail"]["address"], answer["reason_detail"]["code"]) == ("shop:orders", "missing_table")
    run_sql(shop, "alter table orders_old rename to orders")
    assert not retry(worker, [request_id], actor=CLIENT).failed
    again = ended(worker, request_id)
    assert (again["status"], again["outcome"], again["attempt"]) == ("complete", "delivered", 1)


def test_a_schema_that_drifts_under_a_cached_plan_is_planned_anew(worker: Installation, shop: Path) -> None:
    assert ended(worker, take(worker))["status"] == "complete"
    run_sql(shop, "alter table customers add column nickname text")
    answer = ended(worker, take(worker))
    assert (answer["status"], answer["attempt"]) == ("complete", 1)


def test_requests_of_many_people_are_answered_each_with_their_own(worker: Installation) -> None:
    people = ["ada@example.com", "bob@example.com", "nobody@example.com"]
    items = [item(identity={"email": people[number % 3]}, external_id=people[number % 3]) for number in range(30)]
    submit(worker, items, actor=CLIENT)

    def all_done() -> bool:
        return all(each["status"] == "complete" for each in find(worker).items)

    wait_until(all_done, 30.0)
    outcomes = {(each["external_id"], each["outcome"]) for each in find(worker).items}
    assert {outcome for person, outcome in outcomes if person != "nobody@example.com"} == {"delivered"}


def test_a_second_worker_is_kept_off_the_data_directory(worker: Installation, opened: Callable[..., Any]) -> None:
    if worker.database.dialect == "postgresql":
        pytest.skip("n/a: on PostgreSQL many workers may run")
    with pytest.raises(Exception, match="is used by the worker with process id"):
        run_worker(worker.settings, threading.Event())


def test_a_new_connection_of_a_known_key_is_another_system(worker: Installation, shop: Path, tmp_path: Path) -> None:
    ended(worker, take(worker))
    delete_connection(worker, CLIENT, "shop")
    moved = tmp_path / "moved.db"
    moved.write_bytes(shop.read_bytes())
    shop.unlink()
    given = ConnectionInput(name="shop", key="shop", connection_type="sqlite", access="write")
    assert not save_connections(worker, CLIENT, [given]).failed
    set_secrets(worker, CLIENT, "shop", {"path": str(moved)}, verify=True)
    assert not save_text(worker, CLIENT, "shop", SHOP).failed
    again = ended(worker, take(worker))
    assert (again["status"], again["outcome"]) == ("complete", "delivered"), again["reason_detail"]


def test_a_connection_that_was_replaced_keeps_no_session(opened: Callable[..., Any], postgres_url: str) -> None:
    installation = opened()
    for _ in range(3):
        given = ConnectionInput(name="pg", key="pg", connection_type="postgres", access="write")
        assert not save_connections(installation, CLIENT, [given]).failed
        set_secrets(installation, CLIENT, "pg", {"url": postgres_url}, verify=False)
        assert installation.sources.schema("pg", None).tables == ()
        delete_connection(installation, CLIENT, "pg")
    with psycopg.connect(postgres_url) as connection:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        wait_until(lambda: connection.execute(others).fetchone() == (0,))
