"""Manual webhooks over the API, as documented: what is asked, what is answered, and when a request goes on."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowbook import Flow, flowing

from .conftest import DATASET, make_people

FIELDS = [{"pii_field": "Last Name"}, {"pii_field": "Phone note", "dsr_package_label": "note"}]
ADA = {"email": "ada@example.com"}


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("desk")
    make_people(folder / "shop.db")
    with flowing(folder / "data") as flow:
        flow.api.connect("shop", "sqlite", {"url": f"sqlite:///{folder / 'shop.db'}"})
        flow.api.describe("shop", DATASET)
        flow.api.access_policy("copy", ["user"])
        flow.api.erasure_policy("erase", ["user.contact.phone_number"])
        flow.api.access_policy("both", ["user"])
        flow.api.erasure_policy("both", ["user.contact.phone_number"])
        yield flow


@pytest.fixture(autouse=True)
def _no_desk(flow: Flow) -> Iterator[None]:
    yield
    for key in ("desk", "cellar"):
        flow.api.http.request("DELETE", f"/api/v1/connection/{key}")


def connect(flow: Flow, key: str = "desk", fields: list[dict[str, str]] | None = None, **more: Any) -> None:
    flow.api.patch_all(
        "/connection", [{"name": key, "key": key, "connection_type": "manual_webhook", "access": "read", **more}]
    )
    if fields is not None:
        flow.api.call("POST", f"/connection/{key}/access_manual_webhook", {"fields": fields})


def status(flow: Flow, method: str, path: str, body: Any = None) -> int:
    return int(flow.api.http.request(method, f"/api/v1{path}", json=body).status_code)


def test_what_is_asked_is_saved_changed_read_and_removed(flow: Flow) -> None:
    path = "/connection/desk/access_manual_webhook"
    assert status(flow, "POST", path, {"fields": FIELDS}) == 404
    connect(flow)
    assert flow.api.call("GET", "/connection/desk/test")["test_status"] == "failed"
    for method in ("GET", "DELETE"):
        assert status(flow, method, path) == 404
    assert status(flow, "PATCH", path, {"fields": FIELDS}) == 404
    made = flow.api.call("POST", path, {"fields": FIELDS})
    assert made["fields"] == [
        {"pii_field": "Last Name", "dsr_package_label": "last_name"},
        {"pii_field": "Phone note", "dsr_package_label": "note"},
    ]
    assert made["connection_config"]["key"] == "desk"
    assert flow.api.call("GET", "/connection/desk/test")["test_status"] == "succeeded"
    assert status(flow, "POST", path, {"fields": FIELDS}) == 400
    changed = flow.api.call("PATCH", path, made | {"fields": FIELDS[:1]})
    assert flow.api.call("GET", path) == changed
    assert [each["dsr_package_label"] for each in changed["fields"]] == ["last_name"]
    assert changed["id"] == made["id"]
    assert [each["id"] for each in flow.api.call("GET", "/access_manual_webhook")] == [made["id"]]
    connect(flow, disabled=True)
    assert flow.api.call("GET", "/access_manual_webhook") == []
    assert status(flow, "DELETE", path) == 204
    assert status(flow, "GET", path) == 404


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [{"pii_field": " "}],
        [{"pii_field": "x" * 201}],
        [{"pii_field": "a", "dsr_package_label": "x" * 201}],
        [{"pii_field": "a"}, {"pii_field": "a", "dsr_package_label": "b"}],
        [{"pii_field": "Last Name"}, {"pii_field": "b", "dsr_package_label": "last_name"}],
        [{"pii_field": "a", "label": "b"}],
    ],
)
def test_what_can_not_be_asked(flow: Flow, fields: list[dict[str, str]]) -> None:
    connect(flow)
    assert status(flow, "POST", "/connection/desk/access_manual_webhook", {"fields": fields}) == 422


def test_other_kinds_of_connections_take_none_and_this_one_no_datasets(flow: Flow) -> None:
    assert status(flow, "POST", "/connection/shop/access_manual_webhook", {"fields": FIELDS}) == 400
    connect(flow)
    body = {"fides_key": "desk", "collections": [{"name": "a", "fields": [{"name": "b"}]}]}
    answer = flow.api.http.request("PATCH", "/api/v1/connection/desk/dataset", json=[body])
    assert answer.status_code == 409
    assert status(flow, "PUT", "/connection/desk/secret", {"password": "x"}) == 422


def test_a_word_of_the_package_is_no_key(flow: Flow) -> None:
    connect(flow, "withheld")
    assert status(flow, "POST", "/connection/withheld/access_manual_webhook", {"fields": FIELDS}) == 400
    flow.api.call("DELETE", "/connection/withheld")


def test_an_access_waits_for_answers_and_shows_them(flow: Flow) -> None:
    connect(flow, fields=FIELDS)
    connect(flow, "cellar", [{"pii_field": "Box"}])
    (request_id,) = flow.api.submit("copy", ADA)
    item = flow.api.wait(request_id)
    assert (item["status"], item["stage"], item["reason"]) == ("requires_input", "queued", "manual")
    assert item["resume_endpoint"] == f"/privacy-request/{request_id}/resume_from_requires_input"
    path = f"/privacy-request/{request_id}"
    assert flow.api.call("GET", f"{path}/access_manual_webhook/desk") == {
        "checked": False,
        "fields": {"last_name": None, "note": None},
    }
    for given in ({"last_name": 3}, {"shoe size": "9"}, {"last_name": ["x"]}):
        assert status(flow, "PATCH", f"{path}/access_manual_webhook/desk", given) == 422
    assert flow.api.call("PATCH", f"{path}/access_manual_webhook/desk", {"last_name": "Lovelace\nKing"}) is None
    assert status(flow, "POST", f"{path}/resume_from_requires_input") == 400
    assert status(flow, "POST", f"{path}/retry") == 200  # no way around: it is held again
    assert flow.api.wait(request_id)["reason"] == "manual"
    flow.api.call("PATCH", f"{path}/access_manual_webhook/cellar", {})
    told = flow.api.call("GET", f"{path}/access_manual_webhook/cellar")
    assert told == {"checked": True, "fields": {"box": None}}
    flow.api.call("POST", f"{path}/resume_from_requires_input")
    assert flow.api.wait(request_id)["outcome"] == "delivered"
    package = flow.package(request_id)
    assert package["desk"] == [{"last_name": "Lovelace\nKing", "note": None}]
    assert package["cellar"] == [{"box": None}]
    assert package["shop:person"][0]["email"] == "ada@example.com"
    assert status(flow, "PATCH", f"{path}/access_manual_webhook/desk", {}) == 400
    entries = flow.api.call("GET", "/audit-trail", subject=request_id, action="manual_webhook.")["items"]
    actions = [(each["action"].partition(".")[2], each["detail"]["connection"]) for each in entries]
    assert actions == [("viewed", "cellar"), ("answered", "cellar"), ("answered", "desk"), ("viewed", "desk")]
    assert "Lovelace" not in json.dumps(entries)


def test_what_people_found_is_delivered_where_the_systems_have_nothing(flow: Flow) -> None:
    connect(flow, fields=FIELDS[:1])
    outcomes = []
    for given in ({"last_name": "Lovelace"}, {}):
        (request_id,) = flow.api.submit("copy", {"email": "nobody@example.com"})
        flow.api.wait(request_id)
        flow.api.call("PATCH", f"/privacy-request/{request_id}/access_manual_webhook/desk", given)
        flow.api.call("POST", f"/privacy-request/{request_id}/resume_from_requires_input")
        outcomes.append(flow.api.wait(request_id)["outcome"])
    assert outcomes == ["delivered", "nothing_found"]


def test_unknown_things_are_not_found(flow: Flow) -> None:
    connect(flow, fields=FIELDS)
    (request_id,) = flow.api.submit("copy", ADA)
    flow.api.wait(request_id)
    for path in (
        "/privacy-request/pri_unknown/access_manual_webhook/desk",
        f"/privacy-request/{request_id}/access_manual_webhook/nowhere",
    ):
        assert status(flow, "GET", path) == 404
        assert status(flow, "PATCH", path, {}) == 404


def test_other_labels_than_were_answered_are_asked_again(flow: Flow) -> None:
    connect(flow, fields=FIELDS)
    (request_id,) = flow.api.submit("copy", ADA)
    flow.api.wait(request_id)
    path = f"/privacy-request/{request_id}"
    flow.api.call("PATCH", f"{path}/access_manual_webhook/desk", {"note": "calls on Mondays"})
    asked = [*FIELDS[1:], {"pii_field": "Nickname"}]
    flow.api.call("PATCH", "/connection/desk/access_manual_webhook", {"fields": asked})
    told = flow.api.call("GET", f"{path}/access_manual_webhook/desk")
    assert told == {"checked": False, "fields": {"note": "calls on Mondays", "nickname": None}}
    assert status(flow, "POST", f"{path}/resume_from_requires_input") == 400


def test_an_erasure_asks_nobody_and_both_actions_do(flow: Flow) -> None:
    connect(flow, fields=FIELDS[:1])
    assert flow.api.run("erase", {"email": "cyd@example.com"})["status"] == "complete"
    (request_id,) = flow.api.submit("both", {"email": "bob@example.com"})
    assert flow.api.wait(request_id)["reason"] == "manual"
    with closing(sqlite3.connect(Path(str(flow.installation.settings.data_dir)).parent / "shop.db")) as shop:
        assert shop.execute("SELECT phone FROM person WHERE id = 2").fetchone() == ("(202) 555-0101",)


@pytest.mark.parametrize("how", ["disabled", "no webhook", "no connection"])
def test_requests_go_on_once_nobody_is_asked_any_more(flow: Flow, how: str) -> None:
    connect(flow, fields=FIELDS)
    (request_id,) = flow.api.submit("copy", ADA)
    assert flow.api.wait(request_id)["status"] == "requires_input"
    if how == "disabled":
        connect(flow, disabled=True)
    else:
        flow.api.call("DELETE", "/connection/desk" + ("/access_manual_webhook" if how == "no webhook" else ""))
    while (item := flow.api.wait(request_id))["status"] == "requires_input":
        pass
    assert item["outcome"] == "delivered"
    assert "desk" not in flow.package(request_id)


def test_a_csv_package_has_the_answers_as_a_file(flow: Flow) -> None:
    connect(flow, fields=FIELDS)
    place = {"name": "sheets", "key": "sheets", "type": "local", "format": "csv", "details": {}}
    flow.api.access_policy("sheet", ["user"], place)
    (request_id,) = flow.api.submit("sheet", ADA)
    flow.api.wait(request_id)
    flow.api.call("PATCH", f"/privacy-request/{request_id}/access_manual_webhook/desk", {"note": "=1+1"})
    flow.api.call("POST", f"/privacy-request/{request_id}/resume_from_requires_input")
    assert flow.api.wait(request_id)["status"] == "complete"
    with zipfile.ZipFile(flow.installation.settings.data_dir / "packages" / f"{request_id}.zip") as archive:
        assert archive.read("desk.csv").decode().split() == ["last_name,note", ",'=1+1"]
