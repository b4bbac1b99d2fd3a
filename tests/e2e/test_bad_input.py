"""Bad input over the API: a clear error that says what, where and what would be right; nothing half done."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

import flowbook
import shopbook
from flowbook import Flow

ITEM = {"policy_key": "both", "identity": {"email": "ada.one@example.com"}}
NULL = {"strategy": "null_rewrite", "configuration": {}}
SECRET = "swordfish-77"


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowbook.flowing(tmp_path_factory.mktemp("bad") / "data") as running:
        yield running


@pytest.fixture
def shop(flow: Flow, tmp_path: Path) -> Path:
    """A fresh shop behind the connection `shop`, with a policy `both`."""
    path = tmp_path / "shop.db"
    shopbook.build_shop(f"sqlite:///{path}")
    flow.api.connect("shop", "sqlite", {"path": str(path)})
    flow.api.describe("shop", shopbook.datasets()[0])
    flow.api.access_policy("both", shopbook.TARGETS)
    flow.api.erasure_policy("both", shopbook.TARGETS)
    return path


def call(flow: Flow, method: str, path: str, **more: Any) -> httpx2.Response:
    return flow.api.http.request(method, f"/api/v1{path}", **more)


def problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], bool(told["detail"]), bool(told["code"])) == (status, True, True)
    return told


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for each in statements:
            connection.execute(each)
        connection.commit()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"policy_key": "both"', "line 1 column 23"),
        ('[\n{"policy_key": "both",}]', "line 2 column 22"),
        ('[{"policy_key": "both",\n "policy_key": "x"}]', "line 2 column 2"),
        ("[" * 5000, "deeper than 64"),
        ("[" * 100 + "]" * 100, "deeper than 64"),
        ('[{"a": NaN}]', "NaN"),
        (f'[{{"{SECRET}": }}]', "line 1"),
        ('[{"a": "\\ud800"}]', "surrogate"),
    ],
)
def test_malformed_json(flow: Flow, text: str, said: str) -> None:
    headers = {"Content-Type": "application/json"}
    told = problem(call(flow, "POST", "/privacy-request", content=text, headers=headers), 400)
    assert said in told["detail"], told
    assert SECRET not in json.dumps(told)


def test_a_body_that_is_not_utf_8(flow: Flow) -> None:
    answer = call(flow, "POST", "/privacy-request", content=b'["\xff"]', headers={"Content-Type": "application/json"})
    assert "UTF-8" in problem(answer, 400)["detail"]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "alias"),
        ("dataset: !!python/object/apply:os.system ['true']\n", "tag"),
        ("dataset:\n  - fides_key: one\n    fides_key: two\n    collections: []\n", "body:3:5"),
        ("dataset:\n\t- fides_key: one\n", "body:2:1"),
        ("dataset:\n  - fides_key: [unclosed\n", "body:3:1"),
        ("dataset: " + "[" * 2000, "nest"),
        ("a: 1\n---\nb: 2\n", "document"),
    ],
)
def test_malformed_yaml(flow: Flow, shop: Path, text: str, said: str) -> None:
    before = flow.api.call("GET", "/connection/shop/dataset")
    headers = {"Content-Type": "application/x-yaml"}
    answer = call(flow, "PATCH", "/yml/connection/shop/dataset", content=text, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert said in answer.text, answer.text
    assert flow.api.call("GET", "/connection/shop/dataset") == before


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (ITEM | {"policy_key": "no_such"}, "no_such does not exist"),
        (ITEM | {"policy_key": "../both"}, "key of a policy"),
        (ITEM | {"policy_key": "empty"}, "has no rules"),
        (ITEM | {"identity": {}}, "at least one identity"),
        (ITEM | {"identity": {"email": "  "}}, "at least one identity"),
        (ITEM | {"identity": {"email": SECRET}}, "email"),
        (ITEM | {"identity": {"email": f"{SECRET}\u0000@example.com"}}, "control"),
        (ITEM | {"identity": {"email": f"{SECRET}{'x' * 400}@example.com"}}, "320"),
        (ITEM | {"identity": {"phone_number": f"{SECRET}\n202"}}, "control"),
        (ITEM | {"identity": {"email": {"nested": SECRET}}}, "identity.email"),
        (ITEM | {"external_id": f"{SECRET}\u0007"}, "external_id"),
        (ITEM | {"external_id": SECRET * 200}, "external_id"),
        (ITEM | {"requested_at": SECRET}, "ISO 8601"),
        (ITEM | {"encryption_key": SECRET}, "16 bytes"),
        ("no object", "object"),
    ],
)
def test_a_faulty_item_is_told_and_stops_no_other(flow: Flow, shop: Path, item: Any, said: str) -> None:
    flow.api.patch_all("/policy", [{"name": "empty", "key": "empty"}])
    good = ITEM | {"identity": {"email": "nobody@example.org"}}
    answer = call(flow, "POST", "/privacy-request", json=[good, item, good])
    told = answer.json()
    assert answer.status_code == 200, told
    assert len(told["succeeded"]) == 2
    (failure,) = told["failed"]
    assert said in failure["message"], failure
    assert SECRET not in failure["message"]
    assert failure["data"] == (item if isinstance(item, dict) else {})


def test_an_unknown_category_names_the_nearest_one(flow: Flow, shop: Path) -> None:
    dataset = json.loads(json.dumps(shopbook.datasets()[0]).replace("user.contact.email", "user.contact.emial"))
    told = problem(call(flow, "PATCH", "/connection/shop/dataset", json=[dataset]), 422)
    assert "did you mean user.contact.email?" in told["detail"][0]["msg"]
    assert told["detail"][0]["loc"] == ["body", 0, "collections", 0, "fields", 1, "data_categories", 0]
    target = [{"name": "t", "key": "t", "data_category": "user.contcat"}]
    told = problem(call(flow, "PATCH", "/policy/both/rule/both_access/target", json=target), 422)
    assert "did you mean user.contact?" in told["detail"][0]["msg"]


def test_references_to_what_does_not_exist(flow: Flow, shop: Path) -> None:
    dataset = json.loads(json.dumps(shopbook.datasets()[0]))
    reference = dataset["collections"][1]["fields"][1]["fides_meta"]["references"][0]
    reference["field"] = "customer.idd"
    (told,) = flow.api.call("PATCH", "/connection/shop/dataset", [dataset])["failed"]
    assert "shop:purchase" in told["message"] or "customer.idd" in told["message"]
    reference.update(dataset="crm", field="customer.id")
    verdict = call(flow, "PUT", "/connection/shop/validate_dataset", json=dataset).json()
    assert verdict["traversal_details"]["is_traversable"] is False
    assert "crm" in json.dumps(verdict["traversal_details"])
    saved = flow.api.call("PATCH", "/connection/shop/dataset", [dataset])
    assert saved["failed"] == []
    assert any("crm" in json.dumps(each) for each in saved["warnings"])
    before = shopbook.dump(f"sqlite:///{shop}", shopbook.TABLES["shop"])
    item = flow.api.run("both", shopbook.SUBJECT)
    assert (item["status"], item["reason"]) == ("error", "refused")
    assert item["reason_detail"]["address"].startswith("shop:purchase")
    assert item["reason_detail"]["fix"]
    assert shopbook.dump(f"sqlite:///{shop}", shopbook.TABLES["shop"]) == before


def test_contradictory_rules(flow: Flow, shop: Path) -> None:
    rule = {"name": "again", "key": "again", "action_type": "erasure", "masking_strategy": NULL}
    flow.api.patch_all("/policy/both/rule", [rule])
    for category in ("user.contact.email", "user.contact", "user"):
        target = [{"name": "t", "key": f"t_{category}", "data_category": category}]
        (failure,) = flow.api.call("PATCH", "/policy/both/rule/again/target", target)["failed"]
        assert "target each category in one erasure rule only" in failure["message"]
    flow.api.call("DELETE", "/policy/both/rule/again")
    for strategy, said in (
        ({"strategy": "nul_rewrite", "configuration": {}}, "null_rewrite"),
        ({"strategy": "hash", "configuration": {"algorithm": "MD5"}}, "SHA-256"),
        ({"strategy": "string_rewrite", "configuration": {}}, "rewrite_value"),
    ):
        (failure,) = flow.api.call("PATCH", "/policy/both/rule", [rule | {"masking_strategy": strategy}])["failed"]
        assert said in failure["message"], failure


@pytest.mark.parametrize(
    ("harm", "mend", "address", "code"),
    [
        (
            "ALTER TABLE message RENAME TO letters",
            "ALTER TABLE letters RENAME TO message",
            "shop:message",
            "missing_table",
        ),
        (
            "ALTER TABLE purchase RENAME COLUMN note TO remark",
            "ALTER TABLE purchase RENAME COLUMN remark TO note",
            "shop:purchase:note",
            "missing_column",
        ),
    ],
)
def test_a_missing_table_or_column_is_refused_and_retried_after_the_fix(
    flow: Flow, shop: Path, harm: str, mend: str, address: str, code: str
) -> None:
    run_sql(shop, harm)
    before = shop.read_bytes()
    item = flow.api.run("both", shopbook.SUBJECT)
    assert (item["status"], item["reason"], item["outcome"]) == ("error", "refused", None)
    assert (item["reason_detail"]["address"], item["reason_detail"]["code"]) == (address, code)
    assert item["reason_detail"]["fix"]
    assert shop.read_bytes() == before
    assert not (flow.installation.settings.data_dir / "packages" / f"{item['id']}.json").exists()
    run_sql(shop, mend)
    flow.api.call("POST", f"/privacy-request/{item['id']}/retry")
    item = flow.api.wait(item["id"])
    assert (item["status"], item["outcome"]) == ("complete", "erased"), item


def test_a_read_only_connection_and_a_disabled_one(flow: Flow, shop: Path) -> None:
    before = shop.read_bytes()
    body = {"name": "shop", "key": "shop", "connection_type": "sqlite", "access": "read"}
    flow.api.access_policy("look", shopbook.TARGETS)
    for change, code in (({"access": "read"}, "read_only"), ({"disabled": True}, "disabled")):
        flow.api.patch_all("/connection", [body | {"access": "write"} | change])
        item = flow.api.run("both", shopbook.SUBJECT)
        assert (item["status"], item["reason"]) == ("error", "refused")
        assert (item["reason_detail"]["code"], bool(item["reason_detail"]["fix"])) == (code, True)
    item = flow.api.run("look", shopbook.SUBJECT)
    assert (item["status"], item["outcome"]) == ("complete", "delivered")
    assert {each["reason"] for each in item["not_searched"]} == {"disabled"}
    flow.api.patch_all("/connection", [body | {"disabled": False}])
    assert flow.api.run("look", shopbook.SUBJECT)["not_searched"] is None
    assert shop.read_bytes() == before


def test_a_destination_that_can_not_be_written(flow: Flow, shop: Path) -> None:
    packages = flow.installation.settings.data_dir / "packages"
    aside = packages.with_name("aside")
    packages.mkdir(exist_ok=True)
    packages.rename(aside)
    packages.write_text("in the way")
    before = shop.read_bytes()
    item = flow.api.run("both", shopbook.SUBJECT)
    assert (item["status"], item["reason"]) == ("error", "delivery"), item
    assert item["reason_detail"]["fix"]
    assert shop.read_bytes() == before
    packages.unlink()
    aside.rename(packages)
    flow.api.call("POST", f"/privacy-request/{item['id']}/retry")
    assert flow.api.wait(item["id"])["outcome"] == "erased"


def test_an_identity_that_is_absent_asks_before_it_erases(flow: Flow, shop: Path) -> None:
    run_sql(shop, "CREATE TABLE calls (id integer PRIMARY KEY, caller text)")
    dataset = json.loads(json.dumps(shopbook.datasets()[0]))
    calls = [{"name": "id", "fides_meta": {"primary_key": True}}]
    calls += [{"name": "caller", "data_categories": ["user.contact"], "fides_meta": {"identity": "phone_number"}}]
    dataset["collections"].append({"name": "calls", "fields": calls})
    flow.api.describe("shop", dataset)
    before = shop.read_bytes()
    item = flow.api.run("both", {"email": "ada.one@example.com"})
    assert (item["status"], item["reason"]) == ("requires_input", "not_searched")
    assert shop.read_bytes() == before
    answer = call(flow, "POST", "/privacy-request", json=[ITEM | {"identity": {"email": "nobody@example.org"}}])
    assert answer.status_code == 200
