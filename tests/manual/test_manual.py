"""Rows that only people can see: asked for, taken in, led on by, and erased by people who confirm it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from flowbook import Flow
from manualbook import answer, confirm, paused

ADA = {"id": 7, "customer": 0, "holder": "Ada"}
BOX = {"number": 71, "cabinet": 7, "label": "Ada's box"}


def rows(shop: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(shop)) as connection:
        return connection.execute(sql).fetchall()


def test_an_access_waits_for_each_collection_and_goes_on_from_there(flow: Flow) -> None:
    (request_id,) = flow.api.submit("see", {"email": "ada@example.com"})
    item = paused(flow, request_id)
    assert item["stage"] == "access"
    assert item["resume_endpoint"] == f"/privacy-request/{request_id}/manual_input"
    assert item["paused_at"] is not None
    assert item["action_required_details"] == {
        "step": "access",
        "collection": "papers:cabinet",
        "action_needed": [{"locators": {"customer": [0]}, "get": ["id", "customer", "holder"], "update": None}],
    }
    without = flow.api.show(request_id)["action_required_details"]["action_needed"]
    assert without == [{"locators": {"customer": None}, "get": ["id", "customer", "holder"], "update": None}]
    assert answer(flow, request_id, ADA)["status"] in ("pending", "in_processing")
    item = paused(flow, request_id)
    assert item["action_required_details"]["collection"] == "papers:box"
    assert item["action_required_details"]["action_needed"][0]["locators"] == {"cabinet": [7]}
    answer(flow, request_id, BOX)
    item = flow.api.wait(request_id)
    assert (item["status"], item["outcome"], item["action_required_details"]) == ("complete", "delivered", None)
    package = flow.package(request_id)
    assert package["papers:cabinet"] == [{"holder": "Ada"}]
    assert package["papers:box"] == [{"label": "Ada's box"}]
    assert package["shop:stay"] == [{"guest": "ada"}]  # a box that only a person could name led here


def test_an_erasure_is_confirmed_and_the_receipt_says_whose_word_it_is(flow: Flow, shop: Path) -> None:
    (request_id,) = flow.api.submit("both", {"email": "bob@example.com"})
    paused(flow, request_id)
    answer(flow, request_id, {"id": 8, "customer": 1, "holder": "Bob"})
    paused(flow, request_id)
    answer(flow, request_id, {"number": 72, "cabinet": 8, "label": "Bob's"})
    asked = []
    for _ in range(2):
        item = paused(flow, request_id)
        assert item["stage"] == "mask"
        assert item["resume_endpoint"] == f"/privacy-request/{request_id}/erasure_confirm"
        assert item["action_required_details"]["step"] == "erasure"
        asked += [(item["action_required_details"]["collection"], *item["action_required_details"]["action_needed"])]
        confirm(flow, request_id, 1)
    assert sorted(asked, key=lambda each: each[0]) == [
        ("papers:box", {"locators": {"number": 72}, "get": None, "update": {"label": None}, "delete": False}),
        ("papers:cabinet", {"locators": {"id": 8}, "get": None, "update": {"holder": None}, "delete": False}),
    ]
    item = flow.api.wait(request_id)
    assert (item["status"], item["outcome"]) == ("complete", "erased")
    assert rows(shop, "SELECT name FROM customer WHERE id = 1") == [(None,)]
    assert rows(shop, "SELECT guest FROM stay WHERE id = 2") == [(None,)]
    assert rows(shop, "SELECT count(*) FROM customer WHERE name IS NULL") == [(1,)]
    told = {each["address"]: each for each in item["confirmed"]}
    assert {address: each["rows"] for address, each in told.items()} == {"papers:box": 1, "papers:cabinet": 1}
    by = told["papers:box"]["by"]
    assert {each["actor"] for each in flow.api.call("GET", "/audit-trail", subject=request_id)["items"]} >= {by}
    receipt = flow.api.call("GET", f"/privacy-request/{request_id}/receipt")["receipt"]["erasure"]
    for address, each in told.items():
        assert receipt[address]["verified"] == 0
        assert receipt[address]["confirmed"] == [[each["by"], each["at"], 1]]
    assert receipt["shop:customer"]["verified"] == 1
    assert "confirmed" not in receipt["shop:customer"]
    logs = flow.api.call("GET", f"/privacy-request/{request_id}/log", size=100)["items"]
    said = [each["message"] for each in logs if each["collection_name"] == "box" and each["status"] == "complete"]
    assert any(each.startswith(f"confirmed, not verified by habeas: 1 by {by} at ") for each in said)
    assert [each["collection_name"] for each in logs if each["status"] == "paused"].count("box") == 2


def test_nothing_there_asks_for_no_erasure(flow: Flow, shop: Path) -> None:
    (request_id,) = flow.api.submit("forget", {"email": "cyd@example.com"})
    assert paused(flow, request_id)["stage"] == "freeze"
    answer(flow, request_id)
    item = flow.api.wait(request_id)
    assert (item["status"], item["outcome"], item["confirmed"]) == ("complete", "erased", None)
    assert rows(shop, "SELECT name FROM customer WHERE id = 2") == [(None,)]
    assert rows(shop, "SELECT guest FROM stay WHERE id = 3") == [("cyd",)]
