"""Policies, rules and targets: saved, read, deleted, and refused when they would contradict themselves."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Api

MASK = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "MASKED"}}


def make_policy(api: Api, key: str, *rules: dict[str, Any]) -> None:
    api.saved("/policy", {"name": f"Policy {key}", "key": key})
    if rules:
        api.saved(f"/policy/{key}/rule", *rules)


def erasure(key: str) -> dict[str, Any]:
    return {"name": f"Rule {key}", "key": key, "action_type": "erasure", "masking_strategy": MASK}


def access(key: str) -> dict[str, Any]:
    place = {"storage_destination_key": "local_packages"}
    return {"name": f"Rule {key}", "key": key, "action_type": "access"} | place


def test_the_default_objects(shared_api: Api) -> None:
    download = shared_api.ok("GET", "/policy/download")
    assert download["drp_action"] == "access"
    assert [rule["action_type"] for rule in download["rules"]] == ["access"]
    assert download["rules"][0]["storage_destination"]["type"] == "local"
    delete = shared_api.ok("GET", "/policy/delete")
    assert delete["rules"][0]["masking_strategy"] == {"strategy": "string_rewrite"}
    assert [target["data_category"] for target in delete["rules"][0]["targets"]] == ["user"]


def test_a_policy_of_rules_and_targets(shared_api: Api) -> None:
    make_policy(shared_api, "whole", access("whole_access"), erasure("whole_erasure"))
    targets = shared_api.saved("/policy/whole/rule/whole_access/target", {"data_category": "user.contact"})
    assert targets == [
        {
            "key": "whole_access-user_contact".replace("-", "_"),
            "name": "whole_access-user.contact",
            "data_category": "user.contact",
        }
    ]
    read = shared_api.ok("GET", "/policy/whole")
    assert [rule["key"] for rule in read["rules"]] == ["whole_access", "whole_erasure"]
    assert "configuration" not in str(read)
    assert "MASKED" not in str(read)
    assert shared_api.ok("GET", "/policy/whole/rule")["total"] == 2
    assert shared_api.ok("GET", "/policy/whole/rule/whole_erasure")["masking_strategy"] == {
        "strategy": "string_rewrite"
    }
    path = "/policy/whole/rule/whole_access/target"
    assert shared_api.ok("GET", path)["items"] == targets
    assert shared_api.ok("GET", f"{path}/{targets[0]['key']}") == targets[0]
    assert shared_api.call("DELETE", f"{path}/{targets[0]['key']}").status_code == 204
    assert shared_api.call("GET", f"{path}/{targets[0]['key']}").status_code == 404
    assert shared_api.call("DELETE", "/policy/whole/rule/whole_access").status_code == 204
    assert shared_api.call("DELETE", "/policy/whole").status_code == 204
    assert shared_api.call("GET", "/policy/whole").status_code == 404


def test_what_was_read_can_be_sent_back_and_keeps_what_it_leaves_out(shared_api: Api) -> None:
    make_policy(shared_api, "again", access("again_access"))
    shared_api.saved("/policy", {"name": "Policy again", "key": "again", "execution_timeframe": 30})
    read = shared_api.ok("GET", "/policy/again")
    assert shared_api.saved("/policy", read)[0]["rules"] == read["rules"]
    assert shared_api.saved("/policy", {"name": "Policy again", "key": "again"})[0]["execution_timeframe"] == 30
    shared_api.saved("/policy/again/rule", {"name": "New name", "key": "again_access", "action_type": "access"})
    rule = shared_api.ok("GET", "/policy/again/rule/again_access")
    assert (rule["name"], rule["storage_destination"]["key"]) == ("New name", "local_packages")


def test_a_key_comes_from_the_name(shared_api: Api) -> None:
    [made] = shared_api.saved("/policy", {"name": "  Ma Première-Politique! (2) "})
    assert made["key"] == "ma_premiere_politique_2"
    assert "no key can be made" in shared_api.failure("/policy", {"name": "個人情報"})


def test_policies_that_are_refused(shared_api: Api) -> None:
    make_policy(shared_api, "first")
    assert shared_api.failure("/policy", {"name": "Policy first", "key": "second"}).startswith(
        "Name Policy first already"
    )
    message = shared_api.failure("/policy", {"name": "Third", "key": "third", "drp_action": "access:specific"})
    assert message == "access:specific action is not supported at this time."
    assert "already answered" in shared_api.failure("/policy", {"name": "Fourth", "drp_action": "access"})
    for body in (
        [{"name": "x", "key": "no spaces"}],
        [{"key": "nameless"}],
        [{"name": "x", "excution_timeframe": 1}],
        [{"name": "x\u0000y"}],
        [{"name": "x", "drp_action": "nonsense"}],
        [{"name": str(number)} for number in range(51)],
        {"name": "not a list"},
        None,
    ):
        answer = shared_api.call("PATCH", "/policy", json=body)
        assert answer.status_code == 422
        assert {*answer.json()["detail"][0]} == {"loc", "msg", "type"}


def test_one_bad_item_does_not_stop_the_others(shared_api: Api) -> None:
    items = [{"name": "Good 1"}, {"name": "Bad", "drp_action": "access"}, {"name": "Good 2"}]
    told = shared_api.ok("PATCH", "/policy", json=items)
    assert [each["key"] for each in told["succeeded"]] == ["good_1", "good_2"]
    assert [each["data"] for each in told["failed"]] == [items[1]]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"action_type": "consent"}, "consent Rules are not supported at this time."),
        ({"action_type": "access"}, "Access Rules must have a storage destination."),
        (
            {"action_type": "access", "storage_destination_key": "nowhere"},
            "A StorageConfig with key nowhere does not exist",
        ),
        ({"action_type": "erasure"}, "Erasure Rules must have masking strategies."),
        ({"action_type": "erasure", "masking_strategy": {"strategy": "magic"}}, "Strategy 'magic' does not exist"),
        (
            {"action_type": "erasure", "masking_strategy": {"strategy": "hash", "configuration": {"algorithm": "MD5"}}},
            "bad configuration",
        ),
    ],
)
def test_rules_that_are_refused(shared_api: Api, rule: dict[str, Any], said: str) -> None:
    shared_api.ok("PATCH", "/policy", json=[{"name": "Policy refused", "key": "refused"}])
    assert said in shared_api.failure("/policy/refused/rule", {"name": "Rule refused", **rule})


def test_an_unknown_category_is_refused_with_the_nearest(shared_api: Api) -> None:
    answer = shared_api.call(
        "PATCH", "/policy/download/rule/download_rule/target", json=[{"data_category": "user.contact.emial"}]
    )
    assert answer.status_code == 422
    assert "user.contact.email" in answer.json()["detail"][0]["msg"]


def test_a_former_category_is_taken_with_a_warning(shared_api: Api) -> None:
    make_policy(shared_api, "former", access("former_access"))
    told = shared_api.ok(
        "PATCH",
        "/policy/former/rule/former_access/target",
        json=[{"data_category": "user.provided.identifiable.contact"}],
    )
    assert told["succeeded"][0]["data_category"] == "user.contact"
    assert "user.contact" in told["warnings"][0]


def test_erasure_targets_that_overlap_are_refused(shared_api: Api) -> None:
    make_policy(shared_api, "overlap", erasure("overlap_one"), erasure("overlap_two"), access("overlap_access"))
    one, two = "/policy/overlap/rule/overlap_one/target", "/policy/overlap/rule/overlap_two/target"
    shared_api.saved(one, {"data_category": "user.contact", "key": "overlap_target"})
    for category in ("user.contact.email", "user.contact", "user"):
        assert "action conflict in erasure rules" in shared_api.failure(
            two, {"data_category": category, "name": f"t {category}"}
        )
    shared_api.saved(two, {"data_category": "user.financial", "key": "overlap_other"})
    moved = {"data_category": "user.contact.phone_number", "key": "overlap_other", "name": "moved"}
    assert "action conflict" in shared_api.failure(two, moved)
    assert shared_api.ok("GET", two)["items"][0]["data_category"] == "user.financial"
    shared_api.saved(
        "/policy/overlap/rule/overlap_access/target", {"data_category": "user"}, {"data_category": "user.contact"}
    )
    again = {"data_category": "user.contact", "name": "twice"}
    assert "already specified" in shared_api.failure(one, again)


def test_a_rule_is_reached_through_its_own_policy_only(shared_api: Api) -> None:
    make_policy(shared_api, "mine", erasure("my_rule"))
    make_policy(shared_api, "other", erasure("other_rule"))
    shared_api.saved("/policy/mine/rule/my_rule/target", {"data_category": "user.name", "key": "my_target"})
    wrong = "/policy/other/rule/my_rule"
    assert shared_api.call("GET", wrong).status_code == 404
    assert shared_api.call("DELETE", wrong).status_code == 404
    assert shared_api.call("PATCH", f"{wrong}/target", json=[{"data_category": "user.name"}]).status_code == 404
    assert shared_api.call("DELETE", "/policy/other/rule/other_rule/target/my_target").status_code == 404
    assert (
        shared_api.failure("/policy/other/rule", erasure("my_rule"))
        == "Rule with identifier my_rule belongs to another policy."
    )
    stolen = {"data_category": "user.name", "key": "my_target", "name": "stolen"}
    message = shared_api.failure("/policy/other/rule/other_rule/target", stolen)
    assert message == "RuleTarget with identifier my_target belongs to another rule."
    assert shared_api.ok("GET", "/policy/mine/rule/my_rule")["targets"][0]["key"] == "my_target"


def test_unknown_policies_and_rules(shared_api: Api) -> None:
    assert shared_api.call("GET", "/policy/nobody").json()["detail"] == "No Policy found for key nobody."
    for method, path in (
        ("PATCH", "/policy/nobody/rule"),
        ("PATCH", "/policy/download/rule/nobody/target"),
        ("DELETE", "/policy/nobody"),
        ("DELETE", "/policy/download/rule/nobody"),
        ("DELETE", "/policy/download/rule/download_rule/target/nobody"),
    ):
        answer = shared_api.call(method, path, **({"json": []} if method == "PATCH" else {}))
        assert answer.status_code == 404


def test_a_policy_with_waiting_requests_stays(shared_api: Api) -> None:
    make_policy(shared_api, "needed", access("needed_access"))
    shared_api.saved("/policy/needed/rule/needed_access/target", {"data_category": "user"})
    item = {"policy_key": "needed", "identity": {"email": "someone@example.com"}}
    [made] = shared_api.ok("POST", "/privacy-request", json=[item])["succeeded"]
    answer = shared_api.call("DELETE", "/policy/needed")
    assert answer.status_code == 409
    shared_api.ok("POST", f"/privacy-request/{made['id']}/cancel")
    assert shared_api.call("DELETE", "/policy/needed").status_code == 204


def test_pages(api: Api) -> None:
    api.saved("/policy", *({"name": f"Policy {number:02}"} for number in range(5)))
    page = api.ok("GET", "/policy", params={"page": 2, "size": 3})
    assert (page["total"], page["page"], page["size"], len(page["items"])) == (7, 2, 3, 3)
    assert api.ok("GET", "/policy", params={"page": 9})["items"] == []
    for wrong in ({"page": 0}, {"size": 0}, {"size": 101}, {"page": "x"}):
        assert api.call("GET", "/policy", params=wrong).status_code == 422


def test_changes_are_in_the_audit_trail(api: Api) -> None:
    from sqlalchemy import select

    from habeas.store.tables import audit_trail

    make_policy(api, "watched", erasure("watched_rule"))
    api.call("DELETE", "/policy/watched")
    with api.installation.database.read() as connection:
        rows = connection.execute(select(audit_trail.c.actor, audit_trail.c.action, audit_trail.c.subject)).all()
    assert [tuple(row) for row in rows][-3:] == [
        ("root", "policy.saved", "watched"),
        ("root", "rule.saved", "watched_rule"),
        ("root", "policy.deleted", "watched"),
    ]
