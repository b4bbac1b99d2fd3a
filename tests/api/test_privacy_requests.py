"""Privacy requests over HTTP: both documented forms, bulk faults, lists, reviews; nothing is executed here."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from habeas.requests import export

from .conftest import Api, open_api
from .test_body import DOCUMENTED

ITEM = {"policy_key": "download", "identity": {"email": "jane@example.com"}}


def submit(api: Api, *items: Any, **arguments: Any) -> Any:
    return api.ok("POST", "/privacy-request", json=list(items), **arguments)


def test_the_documented_example(shared_api: Api) -> None:
    shared_api.saved("/policy", {"name": "A demo policy", "key": "a-demo-policy"})
    rule = {"name": "Demo", "key": "demo_rule", "action_type": "access", "storage_destination_key": "local_packages"}
    shared_api.saved("/policy/a-demo-policy/rule", rule)
    shared_api.saved("/policy/a-demo-policy/rule/demo_rule/target", {"data_category": "user"})
    as_json = {"Content-Type": "application/json"}
    printed = shared_api.call("POST", "/privacy-request", content=DOCUMENTED.encode(), headers=as_json)
    assert printed.status_code == 400
    assert "line 4 column 21" in printed.json()["detail"]
    quoted = DOCUMENTED.replace("requested_at:", 'requested_at":')
    printed = shared_api.call("POST", "/privacy-request", content=quoted.encode(), headers=as_json)
    assert printed.status_code == 400
    assert "line 9" in printed.json()["detail"]
    mended = json.loads(quoted.replace('0114",', '0114"'))
    [made] = submit(shared_api, *mended)["succeeded"]
    assert made["external_id"] == "a-user-defined-id"
    assert made["requested_at"] == "2021-10-31T16:00:00Z"
    assert made["policy"]["key"] == "a-demo-policy"
    assert made["identity_kinds"] == ["email", "phone_number"]
    newer = {name: value for name, value in mended[0].items() if name != "identities"}
    [again] = submit(shared_api, newer | {"identity": mended[0]["identities"][0]})["succeeded"]
    assert again["identity_kinds"] == made["identity_kinds"]
    assert again["id"] != made["id"]


def test_one_bad_item_does_not_stop_the_others(shared_api: Api) -> None:
    bad = [
        {"policy_key": "nobody", "identity": {"email": "jane@example.com"}},
        {"policy_key": "download", "identity": {}},
        {"policy_key": "download"},
        {"identity": {"email": "jane@example.com"}},
        ITEM | {"encryption_key": "short"},
        ITEM | {"identity": {"email": "no-at-sign"}},
        ITEM | {"identity": {"email": "x\u0000@example.com"}},
        ITEM | {"identity": {"email": f"{'x' * 400}@example.com"}},
        ITEM | {"external_id": "a\u0000b"},
    ]
    told = submit(shared_api, ITEM, *bad, ITEM)
    assert len(told["succeeded"]) == 2
    assert [each["data"] for each in told["failed"]] == bad
    messages = [each["message"] for each in told["failed"]]
    assert messages[0] == "Policy with key nobody does not exist"
    assert messages[1] == messages[2] == "You must provide at least one identity to process"
    assert "Encryption key must be 16 bytes long" in messages[4]
    assert not any("jane" in message or "no-at-sign" in message for message in messages)


@pytest.mark.parametrize("body", [{}, "x", 1, None, [ITEM] * 51])
def test_bodies_of_another_shape(shared_api: Api, body: object) -> None:
    answer = shared_api.call("POST", "/privacy-request", json=body)
    assert answer.status_code == 422
    assert {*answer.json()["detail"][0]} == {"loc", "msg", "type"}
    assert "jane" not in answer.text


def test_an_empty_list(shared_api: Api) -> None:
    assert submit(shared_api) == {"succeeded": [], "failed": []}


def test_an_idempotency_key(shared_api: Api) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = submit(shared_api, ITEM, headers=key)
    assert submit(shared_api, ITEM, headers=key) == first
    other = shared_api.call("POST", "/privacy-request", json=[ITEM, ITEM], headers=key)
    assert other.status_code in (409, 422)
    assert submit(shared_api, ITEM, headers={"Idempotency-Key": "order-2"}) != first


def test_forged_fields_are_ignored_with_a_warning(shared_api: Api) -> None:
    forged = {"status": "complete", "finished_processing_at": "2020-01-01T00:00:00Z", "reviewed_by": "me"}
    [made] = submit(shared_api, ITEM | forged)["succeeded"]
    assert made["status"] == "pending"
    assert made["finished_processing_at"] is None
    assert len(made["warnings"]) == 3


def test_lists(api: Api) -> None:
    ids = [each["id"] for each in submit(api, *({**ITEM, "external_id": f"ext%{n}"} for n in range(3)))["succeeded"]]

    def found(**params: Any) -> list[str]:
        return [each["id"] for each in api.ok("GET", "/privacy-request", params=params)["items"]]

    assert sorted(found()) == sorted(ids)
    assert found(id=ids[0]) == [ids[0]]
    assert found(id=ids[0][:-1]) == []
    assert found(request_id=ids[0][:20]) == [ids[0]]
    assert found(external_id="ext%1") == [ids[1]]
    assert sorted(found(external_id="EXT")) == sorted(ids)
    assert found(external_id="%") == []
    assert sorted(found(status=["pending", "error"])) == sorted(ids)
    assert found(status="error") == []
    assert sorted(found(identity="JANE@example.com")) == sorted(ids)
    page = api.ok("GET", "/privacy-request", params={"page": 2, "size": 2})
    assert (page["total"], page["page"], page["size"], len(page["items"])) == (3, 2, 2, 1)
    [shown] = api.ok("GET", "/privacy-request", params={"id": ids[0], "include_identities": True})["items"]
    assert shown["identity"] == {"email": "jane@example.com"}
    assert "results" not in shown
    [plain] = api.ok("GET", "/privacy-request", params={"id": ids[0], "verbose": True})["items"]
    assert plain["identity"] is None
    assert "results" in plain
    for wrong in ({"status": "lost"}, {"sort_field": "sealed_seed"}, {"sort_direction": "up"}, {"created_lt": "x"}):
        assert api.call("GET", "/privacy-request", params=wrong).status_code == 422
    clash = {"completed_lt": "2026-01-01T00:00:00Z", "errored_lt": "2026-01-01T00:00:00Z"}
    assert api.call("GET", "/privacy-request", params=clash).status_code == 400


def test_one_request(shared_api: Api) -> None:
    [made] = submit(shared_api, ITEM)["succeeded"]
    path = f"/privacy-request/{made['id']}"
    assert shared_api.ok("GET", path)["id"] == made["id"]
    assert shared_api.ok("GET", f"{path}/log") == {"items": [], "total": 0, "page": 1, "size": 50}
    assert shared_api.call("GET", f"{path}/receipt").status_code == 404
    assert shared_api.call("GET", f"{path}/plan").status_code == 404
    for tail in ("", "/log", "/receipt", "/plan"):
        assert shared_api.call("GET", f"/privacy-request/pri_nobody{tail}").status_code == 404
    assert shared_api.call("GET", "/receipt/head").status_code == 404


def test_retry_and_cancel(shared_api: Api) -> None:
    [made] = submit(shared_api, ITEM)["succeeded"]
    path = f"/privacy-request/{made['id']}"
    assert shared_api.call("POST", f"{path}/retry").status_code == 400
    assert shared_api.call("POST", f"{path}/resume_from_requires_input").status_code == 400
    assert shared_api.ok("POST", f"{path}/cancel", json={"reason": "asked twice"})["status"] == "canceled"
    assert shared_api.ok("POST", f"{path}/cancel")["status"] == "canceled"
    assert shared_api.call("POST", "/privacy-request/pri_nobody/retry").status_code == 404
    assert shared_api.call("POST", "/privacy-request/pri_nobody/cancel").status_code == 404


def test_reviews(tmp_path: Any) -> None:
    for api in open_api(tmp_path, require_manual_request_approval=True):
        first, second = (each["id"] for each in submit(api, ITEM, ITEM)["succeeded"])
        approve, deny = "/privacy-request/administrate/approve", "/privacy-request/administrate/deny"
        told = api.ok("PATCH", approve, json={"request_ids": [first, "pri_nobody"]})
        assert [each["status"] for each in told["succeeded"]] == ["approved"]
        assert "No privacy request found with id 'pri_nobody'" in told["failed"][0]["message"]
        told = api.ok("PATCH", deny, json={"request_ids": [second], "reason": "not ours"})
        assert [each["status"] for each in told["succeeded"]] == ["denied"]
        told = api.ok("PATCH", approve, json={"request_ids": [second]})
        assert "Cannot transition status" in told["failed"][0]["message"]
        assert api.call("PATCH", approve, json={"request_ids": ["x"] * 51}).status_code == 422


def test_previews_refuse_what_they_do_not_know(shared_api: Api) -> None:
    assert shared_api.call("PUT", "/privacy-request/preview", json=["nobody"]).status_code == 404
    unknown = {"policy_key": "nobody", "identity": {"email": "jane@example.com"}}
    assert shared_api.call("POST", "/privacy-request/plan", json=unknown).status_code == 404
    assert shared_api.call("POST", "/privacy-request/plan", json={"policy_key": "download"}).status_code == 422
    answer = shared_api.call("POST", "/privacy-request/plan?counts=guess", json=unknown)
    assert answer.status_code == 422


def test_a_fault_is_placed_in_the_part_of_the_call_where_it_is(shared_api: Api) -> None:
    item = [{"policy_key": "download", "identity": {"email": "someone@example.com"}}]
    sorted_by = shared_api.call("GET", "/privacy-request", params={"sort_field": "nope"})
    keyed = shared_api.call("POST", "/privacy-request", json=item, headers={"Idempotency-Key": "two words"})
    assert (sorted_by.status_code, sorted_by.json()["detail"][0]["loc"]) == (422, ["query", "sort_field"])
    assert (keyed.status_code, keyed.json()["detail"][0]["loc"]) == (422, ["header", "Idempotency-Key"])


def test_an_item_that_is_no_object_fails_alone(shared_api: Api) -> None:
    good = {"policy_key": "download", "identity": {"email": "someone@example.com"}}
    told = shared_api.ok("POST", "/privacy-request", json=["text", good, 7, None, [good]])
    assert len(told["succeeded"]) == 1
    assert [each["data"] for each in told["failed"]] == [{}] * 4
    assert all("object" in each["message"] for each in told["failed"])


def test_all_that_match_are_downloaded_as_csv(shared_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "AT_ONCE", 2)
    items = [
        {"policy_key": "download", "identity": {"email": f"csv{number}@example.com"}, "external_id": "csv case"}
        for number in range(4)
    ]
    items.append(items[0] | {"identity": {"note": "=1+1", "email": "csv4@example.com"}})
    made = shared_api.ok("POST", "/privacy-request", json=items)["succeeded"]
    wanted = {"download_csv": "true", "external_id": "csv c", "size": "1"}
    for direction, order in (("desc", -1), ("asc", 1)):
        answer = shared_api.call("GET", "/privacy-request", params=wanted | {"sort_direction": direction})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        assert re.fullmatch(
            r'attachment; filename="privacy_requests_download_\d{4}-\d\d-\d\d\.csv"',
            answer.headers["content-disposition"],
        )
        header, *lines = csv.reader(io.StringIO(answer.text))
        assert tuple(header) == export.HEADER
        expected = [str(each["identity"]) for each in items]
        told = [line[1] for line in lines]
        assert sorted(told) == sorted([*expected[:4], "{'email': 'csv4@example.com', 'note': '=1+1'}"])
        order_of = {each["id"]: each["created_at"] for each in made}
        assert len(order_of) == len(lines)
        assert [line[0] for line in lines] == sorted((line[0] for line in lines), reverse=order < 0)
        assert {(line[2], line[3]) for line in lines} <= {("download", "pending"), ("download", "complete")}
    answer = shared_api.call("GET", "/privacy-request", params=wanted | {"sort_field": "status"})
    assert answer.status_code == 422
    assert shared_api.call("GET", "/privacy-request", params={"download_csv": "false"}).status_code == 200
