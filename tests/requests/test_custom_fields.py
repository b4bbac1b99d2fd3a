"""Custom fields: as the policy declares them, sealed, shown under a scope, found by index, no way around proof."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.errors import Forbidden
from habeas.core.identity import Assurance
from habeas.requests.clients import PUBLIC, Actor
from habeas.requests.installation import Installation
from habeas.requests.policies import PolicyInput, read_policy, save_policies
from habeas.requests.sealing import open_identities
from habeas.requests.service import RequestFilter, find, submit
from habeas.store import requests as store
from habeas.store.tables import audit_trail
from requestbook import CLIENT, MAIL, item

FIELDS: dict[str, Any] = {
    "branch": {"type": "choice", "choices": ["north", "south"], "required": True, "search": True},
    "member_no": {"type": "integer", "identity": "member_no"},
    "since": {"type": "date"},
    "note": {"type": "string", "max_length": 10, "search": True, "label": "A note"},
    "adult": {"type": "boolean"},
    "weight": {"type": "number"},
}
SEER = Actor("seer", frozenset({"privacy-request:read", "privacy-request:view_data"}))


@pytest.fixture
def declared(opened: Any) -> Installation:
    made: Installation = opened(subject_identity_verification_required=True, **MAIL)
    given = PolicyInput.model_validate({"key": "download", "name": "Download my data", "custom_fields": FIELDS})
    assert not save_policies(made, CLIENT, [given]).failed
    return made


def take(installation: Installation, fields: Any, actor: Actor = CLIENT, **more: Any) -> str:
    told = submit(installation, [item(custom_privacy_request_fields=fields, **more)], actor=actor)
    assert not told.failed, told.failed[0].message
    return str(told.succeeded[0]["id"])


def refusal(installation: Installation, fields: Any, **more: Any) -> str:
    (failure,) = submit(installation, [item(custom_privacy_request_fields=fields, **more)], actor=CLIENT).failed
    return failure.message


def test_fields_are_sealed_and_shown_where_they_are_asked_for(declared: Installation) -> None:
    given = {"branch": {"label": "Branch", "value": "north"}, "note": "Canary-7", "adult": True, "weight": 1.5}
    request_id = take(declared, given | {"since": "2020-02-29"})
    (plain,) = find(declared, RequestFilter(id=request_id)).items
    assert "custom_privacy_request_fields" not in plain
    (shown,) = find(declared, RequestFilter(id=request_id), fields_to=SEER).items
    assert shown["custom_privacy_request_fields"] == {
        "branch": {"label": "Branch", "value": "north"},
        "note": {"label": "A note", "value": "Canary-7"},
        "adult": {"label": None, "value": True},
        "weight": {"label": None, "value": 1.5},
        "since": {"label": None, "value": "2020-02-29"},
    }
    with pytest.raises(Forbidden, match="Not Authorized"):
        find(declared, RequestFilter(id=request_id), fields_to=CLIENT)
    with declared.database.read() as connection:
        row = store.find_by_ids(connection, [request_id])[request_id]
        seen = connection.execute(sa.select(audit_trail).where(audit_trail.c.subject == request_id)).mappings().all()
    assert b"Canary-7" not in row["sealed_custom_fields"]
    assert "Canary-7" not in repr(seen)
    assert seen[-1]["detail"] == {"custom_fields": ["adult", "branch", "note", "since", "weight"]}


def test_what_the_policy_does_not_allow_is_refused_by_name(declared: Installation) -> None:
    right = {"branch": "north"}
    for fields, said in [
        ({}, "custom_privacy_request_fields.branch: is required"),
        ({"branch": " "}, "branch: is required"),
        ({"branch": "Canary"}, "is none of the choices"),
        (right | {"unknown": "Canary"}, "unknown: the policy declares no such field"),
        (right | {"note": "Canary-Canary"}, "note: is longer than 10"),
        (right | {"note": 5}, "note: must be a string"),
        (right | {"note": "Cana\nry"}, "control characters"),
        (right | {"member_no": "Canary"}, "must be an integer"),
        (right | {"member_no": 1.5}, "must be an integer"),
        (right | {"member_no": 2**60}, "out of range"),
        (right | {"adult": "Canary"}, "must be true or false"),
        (right | {"since": "2021-02-29"}, "must be a date"),
        (right | {"weight": True}, "must be a number"),
        (right | {"note": ["Canary"]}, "must be a string, a number, true or false"),
        (right | {"note": {"value": "x", "Canary": 1}}, "must be {label, value}"),
        (["Canary"], "must be an object"),
        ({"Can ary": 1}, "a field's name"),
    ]:
        message = refusal(declared, fields)
        assert said in message
        assert "Canary" not in message


def test_a_policy_without_fields_ignores_them_with_a_warning(declared: Installation) -> None:
    told = submit(declared, [item(policy_key="delete", custom_privacy_request_fields={"a": "b"})], actor=CLIENT)
    assert "declares no custom fields" in told.succeeded[0]["warnings"][0]
    assert "at least one identity" in refusal(declared, {"a": "b"}, policy_key="delete", identity={})


def test_requests_are_found_by_the_fields_that_say_so(declared: Installation) -> None:
    north, south = take(declared, {"branch": "north", "note": "Blue"}), take(declared, {"branch": "south"})
    for wanted, ids in [("branch:north", {north}), ("branch:SOUTH ", {south}), ("note:blue", {north})]:
        assert {each["id"] for each in find(declared, RequestFilter(custom_field=wanted)).items} == ids
    found = find(declared, RequestFilter(custom_field="branch:north", identity="ada@example.com"))
    assert [each["id"] for each in found.items] == [north]
    assert find(declared, RequestFilter(identity="north")).items == []


def test_a_field_that_is_an_identity_is_one_with_its_senders_assurance(declared: Installation) -> None:
    fields = {"branch": "north", "member_no": 4711}
    alone = take(declared, fields, identity=None)
    assert find(declared, RequestFilter(id=alone)).items[0]["identity_kinds"] == ["member_no"]
    assert [each["id"] for each in find(declared, RequestFilter(identity="4711")).items] == [alone]
    claim = take(declared, fields, actor=PUBLIC)
    with declared.database.read() as connection:
        row = store.find_by_ids(connection, [claim])[claim]
    found = open_identities(declared.vault, claim, row["sealed_identities"])
    assert {each.kind: each.assurance for each in found} == dict.fromkeys(("email", "member_no"), Assurance.CLAIMED)
    assert row["kinds"] == []
    assert "given twice" in refusal(declared, fields, identity={"member_no": 1})


def test_declarations_are_checked_when_they_are_saved(declared: Installation) -> None:
    assert read_policy(declared, "download")["custom_fields"] == FIELDS
    for wrong in ({"type": "choice"}, {"choices": ["a"]}, {"type": "date", "identity": "x"}, {"max_length": 5000}):
        with pytest.raises(ValueError, match="custom_fields"):
            PolicyInput.model_validate({"key": "p", "name": "P", "custom_fields": {"f": wrong}})
