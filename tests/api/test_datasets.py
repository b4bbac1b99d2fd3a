"""Datasets from JSON and YAML: kept as given, checked together, never stored with a fault of form."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from .conftest import Api


def dataset(key: str, **customer: Any) -> dict[str, Any]:
    """A dataset of one collection that an e-mail finds."""
    email = {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}}
    number = {"name": "id", "data_categories": ["user.unique_id"], "fides_meta": {"primary_key": True}}
    return {
        "fides_key": key,
        "name": f"Dataset {key}",
        "collections": [{"name": "customer", "fields": [number, email], **customer}],
    }


def referring(key: str, other: str, field: str = "customer.id") -> dict[str, Any]:
    """A dataset whose one collection is found from another dataset."""
    reference = {"dataset": other, "field": field, "direction": "from"}
    fields = [{"name": "customer_id", "data_categories": ["user.unique_id"], "fides_meta": {"references": [reference]}}]
    return {"fides_key": key, "collections": [{"name": "orders", "fields": fields}]}


@pytest.fixture
def place(shared_api: Api, request: pytest.FixtureRequest) -> str:
    """The path of a connection of this test's own."""
    key = request.node.name.partition("[")[0]
    shared_api.saved("/connection", {"name": key, "key": key, "connection_type": "sqlite", "access": "write"})
    return f"/connection/{key}"


def test_a_dataset_is_kept_as_given(shared_api: Api, place: str) -> None:
    given = dataset("kept") | {"organization_fides_key": "acme", "x_unknown": {"kept": True}}
    assert shared_api.saved(f"{place}/dataset", given) == [given]
    assert shared_api.ok("GET", f"{place}/dataset/kept") == given
    assert shared_api.ok("GET", f"{place}/dataset")["items"] == [given]
    changed = given | {"description": "new"}
    assert shared_api.saved(f"{place}/dataset", changed) == [changed]
    assert shared_api.ok("GET", f"{place}/dataset")["total"] == 1
    assert shared_api.call("DELETE", f"{place}/dataset/kept").status_code == 204
    assert shared_api.call("GET", f"{place}/dataset/kept").status_code == 404


def test_a_dataset_belongs_to_its_connection(shared_api: Api, place: str) -> None:
    shared_api.saved("/connection", {"name": "Elsewhere", "connection_type": "sqlite", "access": "read"})
    shared_api.saved(f"{place}/dataset", dataset("owned"))
    message = shared_api.failure("/connection/elsewhere/dataset", dataset("owned"))
    assert message.startswith("Dataset with key 'owned' already exists.")
    for method in ("GET", "DELETE"):
        assert shared_api.call(method, "/connection/elsewhere/dataset/owned").status_code == 404
    assert shared_api.call("DELETE", "/connection/elsewhere").status_code == 204
    assert shared_api.call("DELETE", place).status_code == 204
    shared_api.saved("/connection", {"name": "Elsewhere", "connection_type": "sqlite", "access": "read"})
    shared_api.saved("/connection/elsewhere/dataset", dataset("owned"))
    shared_api.call("DELETE", "/connection/elsewhere")


def test_faults_of_form_name_every_place(shared_api: Api, place: str) -> None:
    bad = dataset("bad")
    bad["collections"][0]["fields"][1]["data_categories"] = ["user.contact.emial"]
    bad["collections"][0]["fields"][0]["fides_meta"]["data_type"] = "strnig"
    answer = shared_api.call("PATCH", f"{place}/dataset", json=[dataset("good"), bad])
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert len(detail) == 2
    assert all(each["loc"][:4] == ["body", 1, "collections", 0] for each in detail)
    assert "user.contact.email" in answer.text
    assert shared_api.call("GET", f"{place}/dataset/good").status_code == 404


def test_what_only_the_whole_can_mend_warns_and_fails_validation(shared_api: Api, place: str) -> None:
    later = referring("early_orders", "late_customers")
    told = shared_api.ok("PATCH", f"{place}/dataset", json=[later])
    assert told["succeeded"] == [later]
    assert any("late_customers" in warning for warning in told["warnings"])
    verdict = shared_api.ok("PUT", f"{place}/validate_dataset", json=later)
    assert verdict["dataset"] == later
    assert verdict["traversal_details"]["is_traversable"] is False
    assert "late_customers" in verdict["traversal_details"]["msg"]
    told = shared_api.ok("PATCH", f"{place}/dataset", json=[dataset("late_customers")])
    assert "warnings" not in told
    verdict = shared_api.ok("PUT", f"{place}/validate_dataset", json=later)
    assert verdict["traversal_details"] == {"is_traversable": True, "msg": None}
    assert shared_api.call("PUT", f"{place}/validate_dataset", json={"fides_key": "x"}).status_code == 422


def test_a_reference_to_a_field_that_does_not_exist_is_refused(shared_api: Api, place: str) -> None:
    shared_api.saved(f"{place}/dataset", dataset("present"))
    told = shared_api.ok(
        "PATCH", f"{place}/dataset", json=[referring("lost", "present", "customer.idd"), dataset("fine")]
    )
    assert [each["fides_key"] for each in told["succeeded"]] == ["fine"]
    assert "customer" in told["failed"][0]["message"]
    assert told["failed"][0]["data"]["fides_key"] == "lost"


def test_a_change_that_breaks_a_stored_dataset_warns(shared_api: Api, place: str) -> None:
    shared_api.saved(f"{place}/dataset", dataset("base"), referring("leaning", "base"))
    without_id = dataset("base")
    del without_id["collections"][0]["fields"][0]
    told = shared_api.ok("PATCH", f"{place}/dataset", json=[without_id])
    assert any("leaning" in warning for warning in told["warnings"])
    assert len(told["warnings"]) == len(set(told["warnings"]))


def test_yaml_is_checked_like_json(shared_api: Api, place: str) -> None:
    path = f"/yml{place}/dataset"
    yaml_type = {"Content-Type": "application/x-yaml"}
    text = """
dataset:
  - fides_key: from_yaml
    collections:
      - name: customer
        fields:
          - name: email
            data_categories: [user.contact.email]
            fides_meta: {identity: email}
"""
    told = shared_api.ok("PATCH", path, content=text.encode(), headers=yaml_type)
    assert told["succeeded"][0]["fides_key"] == "from_yaml"
    assert shared_api.ok("GET", f"{place}/dataset/from_yaml") == told["succeeded"][0]
    assert shared_api.call("PATCH", path, content=text.encode()).status_code == 415
    for kind in ("application/json", "text/yaml", "text/plain", "application/yml"):
        answer = shared_api.call("PATCH", path, content=text.encode(), headers={"Content-Type": kind})
        assert answer.status_code == 415
    faults = {
        text.replace("user.contact.email", "user.contact.emial"): 422,
        text.replace("[user", "[[user"): 400,
        text.replace("fides_key: from_yaml", "fides_key: a\n    fides_key: b"): 400,
        "dataset: !!python/object:os.system {}": 400,
        "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n"
        + "".join(f"{chr(100 + n)}: &{chr(100 + n)} [{', '.join([f'*{chr(99 + n)}'] * 9)}]\n" for n in range(8)): 400,
    }
    for faulty, status in faults.items():
        answer = shared_api.call("PATCH", path, content=faulty.encode(), headers=yaml_type)
        assert answer.status_code in (400, 422), faulty
        assert answer.status_code == status or status == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    answer = shared_api.call("PATCH", path, content=b"dataset: \xff", headers=yaml_type)
    assert answer.status_code == 400


def test_unknown_connections(shared_api: Api) -> None:
    for method, path in (
        ("PATCH", "/connection/no/dataset"),
        ("GET", "/connection/no/dataset"),
        ("GET", "/connection/no/dataset/x"),
        ("DELETE", "/connection/no/dataset/x"),
        ("GET", "/connection/no/draft_dataset"),
    ):
        assert shared_api.call(method, path, **({"json": []} if method == "PATCH" else {})).status_code == 404
    assert shared_api.call("PUT", "/connection/no/validate_dataset", json=dataset("x")).status_code == 404
    answer = shared_api.call("PATCH", "/connection/no/dataset", json=[dataset(str(n)) for n in range(51)])
    assert answer.status_code == 422


def test_a_draft_from_the_live_schema(shared_api: Api, place: str, tmp_path: Path) -> None:
    file = tmp_path / "live.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT)")
    connection.close()
    shared_api.ok("PUT", f"{place}/secret", json={"path": str(file)})
    text = shared_api.ok("GET", f"{place}/draft_dataset", params={"fides_key": "drafted"})["yaml"]
    told = shared_api.ok(
        "PATCH", f"/yml{place}/dataset", content=text.encode(), headers={"Content-Type": "application/x-yaml"}
    )
    assert told["succeeded"][0]["fides_key"] == "drafted"
