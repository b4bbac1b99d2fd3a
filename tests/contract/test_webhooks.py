"""Webhooks of policies as fidesops documents their routes: bodies, order, each named error, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apibook import Api, open_api

PRE, POST = "/policy/download/webhook/pre_execution", "/policy/download/webhook/post_execution"
APPROVAL = "/dsr/webhook/pre_approval"
SECRETS = {"url": "https://hooks.example.com/privacy", "authorization": "Bearer of-the-tests"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    for made in open_api(tmp_path_factory.mktemp("installation")):
        made.saved(
            "/connection",
            *({"name": key, "key": key, "connection_type": "https", "access": "read"} for key in ("crm", "mail")),
            {"name": "shop", "key": "shop", "connection_type": "sqlite", "access": "write"},
        )
        for key in ("crm", "mail"):
            told = made.ok("PUT", f"/connection/{key}/secret", json=SECRETS, params={"verify": False})
            assert "of-the-tests" not in str(told)
        yield made


@pytest.fixture(autouse=True)
def none(api: Api) -> Iterator[None]:
    yield
    for path in (PRE, POST, APPROVAL):
        api.ok("PUT", path, json=[])


def hook(key: str, connection: str = "crm", direction: str = "one_way", **more: Any) -> dict[str, Any]:
    return {"key": key, "name": key.title(), "connection_config_key": connection, "direction": direction} | more


def order(api: Api, path: str = PRE) -> list[tuple[str, int]]:
    return [(each["key"], each["order"]) for each in api.ok("GET", path)["items"]]


def test_a_list_is_put_read_and_sent_back(api: Api) -> None:
    made = api.ok("PUT", PRE, json=[hook("one"), hook("two", "mail", "two_way")])
    assert [(each["key"], each["name"], each["direction"], each["order"]) for each in made] == [
        ("one", "One", "one_way", 0),
        ("two", "Two", "two_way", 1),
    ]
    assert {each["policy_key"] for each in made} == {"download"}
    assert made[1]["connection_config"]["key"] == "mail"
    assert "secrets" not in str(made)
    page = api.ok("GET", PRE, params={"page": 2, "size": 1})
    assert (page["total"], page["items"]) == (2, [made[1]])
    assert api.ok("GET", f"{PRE}/two") == made[1]
    assert api.ok("PUT", PRE, json=made) == made
    assert api.ok("GET", POST)["items"] == []


def test_keys_and_names_are_derived(api: Api) -> None:
    named, bare = api.ok(
        "PUT",
        PRE,
        json=[
            {"connection_config_key": "crm", "direction": "one_way", "name": "Tell the CRM"},
            {"connection_config_key": "crm", "direction": "one_way"},
        ],
    )
    assert (named["key"], named["name"]) == ("tell_the_crm", "Tell the CRM")
    assert bare["key"]
    assert bare["name"]


def test_what_is_left_out_goes_and_names_may_be_exchanged(api: Api) -> None:
    api.ok("PUT", PRE, json=[hook("one"), hook("two"), hook("three")])
    api.ok("PUT", PRE, json=[hook("three", name="One"), hook("one", name="Three")])
    assert order(api) == [("three", 0), ("one", 1)]
    assert api.call("GET", f"{PRE}/two").status_code == 404


@pytest.mark.parametrize(
    ("items", "status", "told"),
    [
        ([hook("one"), hook("one", name="Other")], 400, "key"),
        ([hook("one"), hook("other", name="One")], 400, "name"),
        ([hook("new"), hook("gone", "nowhere")], 404, "nowhere"),
        ([hook("new", "shop")], 422, "takes no webhooks"),
        ([hook("new", direction="sideways")], 422, "direction"),
        ([hook("new", url="https://example.com")], 422, "url"),
        ([{"key": "new", "direction": "one_way"}], 422, "connection_config_key"),
        ([hook(f"k{number}") for number in range(51)], 422, "50"),
        ({"key": "new"}, 422, "list"),
    ],
)
def test_a_list_is_taken_whole_or_not_at_all(api: Api, items: Any, status: int, told: str) -> None:
    api.ok("PUT", PRE, json=[hook("kept")])
    answer = api.call("PUT", PRE, json=items)
    assert answer.status_code == status, answer.text
    assert told in answer.text
    assert order(api) == [("kept", 0)]


def test_another_policys_key_is_refused_and_another_phases_is_not(api: Api) -> None:
    api.ok("PUT", PRE, json=[hook("one")])
    api.ok("PUT", POST, json=[hook("one")])
    answer = api.call("PUT", "/policy/delete/webhook/pre_execution", json=[hook("one", name="Mine")])
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_not_possible")
    assert api.call("GET", "/policy/delete/webhook/pre_execution/one").status_code == 404


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_what_is_not_there(api: Api, method: str) -> None:
    sent = {"json": {"name": "New"}} if method == "PATCH" else {}
    for path in (f"{PRE}/none", "/policy/none/webhook/pre_execution/one", f"{APPROVAL}/none"):
        assert api.call(method, path, **sent).status_code == 404
    assert api.call("GET", "/policy/none/webhook/post_execution").status_code == 404
    assert api.call("PUT", "/policy/none/webhook/post_execution", json=[]).status_code == 404


def test_one_is_changed_and_moved(api: Api) -> None:
    api.ok("PUT", PRE, json=[hook("one"), hook("two"), hook("three")])
    told = api.ok(
        "PATCH", f"{PRE}/one", json={"direction": "two_way", "name": "First", "connection_config_key": "mail"}
    )
    assert told["new_order"] == []
    shown = told["resource"]
    assert (shown["direction"], shown["name"], shown["connection_config"]["key"]) == ("two_way", "First", "mail")
    told = api.ok("PATCH", f"{PRE}/three", json={"order": 0})
    assert told["new_order"] == [{"key": key, "order": at} for at, key in enumerate(("three", "one", "two"))]
    assert told["resource"]["order"] == 0
    assert api.ok("PATCH", f"{PRE}/three", json={"order": 2})["resource"]["order"] == 2
    assert order(api) == [("one", 0), ("two", 1), ("three", 2)]


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"order": 3}, 400, "Cannot set order to 3: there are only 2 webhook"),
        ({"order": -1}, 400, "Cannot set order to -1"),
        ({"name": "Two"}, 400, "Two"),
        ({"connection_config_key": "nowhere"}, 404, "nowhere"),
        ({"key": "other"}, 422, "key"),
        ({"policy_key": "delete"}, 422, "policy_key"),
    ],
)
def test_changes_that_are_refused(api: Api, change: dict[str, Any], status: int, told: str) -> None:
    api.ok("PUT", PRE, json=[hook("one"), hook("two")])
    answer = api.call("PATCH", f"{PRE}/one", json=change)
    assert answer.status_code == status, answer.text
    assert told in answer.text
    assert order(api) == [("one", 0), ("two", 1)]


def test_deleting_moves_the_others_up(api: Api) -> None:
    api.ok("PUT", POST, json=[hook("one"), hook("two"), hook("three")])
    assert api.ok("DELETE", f"{POST}/three") == {"new_order": []}
    assert api.ok("DELETE", f"{POST}/one") == {"new_order": [{"key": "two", "order": 0}]}
    assert order(api, POST) == [("two", 0)]


def test_those_before_approval_belong_to_no_policy(api: Api) -> None:
    made = api.ok("PUT", APPROVAL, json=[{"connection_config_key": "crm", "name": "Known to us"}])
    assert [(each["key"], each["name"]) for each in made] == [("known_to_us", "Known to us")]
    assert api.ok("PUT", APPROVAL, json=made) == made
    changed = api.ok("PATCH", f"{APPROVAL}/known_to_us", json={"name": "Known", "connection_config_key": "mail"})
    assert (changed["name"], changed["connection_config"]["key"]) == ("Known", "mail")
    assert api.ok("GET", APPROVAL)["items"] == [changed]
    assert api.call("DELETE", f"{APPROVAL}/known_to_us").status_code == 204
    assert api.ok("GET", APPROVAL)["items"] == []


def test_a_connection_that_webhooks_call_stays(api: Api) -> None:
    api.ok("PUT", PRE, json=[hook("one", "mail")])
    answer = api.call("DELETE", "/connection/mail")
    assert answer.status_code == 409
    assert "one" in answer.text


def test_a_signing_secret_that_could_be_guessed_is_refused(api: Api) -> None:
    answer = api.call("PUT", "/connection/crm/secret", json=SECRETS | {"signing_secret": "short"})
    assert answer.status_code == 422
    assert "short" not in answer.text.replace("too_short", "").replace("shorter", "")


def test_changes_are_in_the_audit_trail(api: Api) -> None:
    api.ok("PUT", PRE, json=[hook("one"), hook("two")])
    api.ok("PATCH", f"{PRE}/one", json={"order": 1})
    api.ok("DELETE", f"{PRE}/one")
    actions = [each["action"] for each in api.ok("GET", "/audit-trail", params={"action": "webhook"})["items"]]
    assert actions[:3] == ["webhook.deleted", "webhook.changed", "webhooks.saved"]
