"""Consent over the API, as documented: asking, proving, changing, and what a client may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from flowbook import opened
from habeas.requests.codes import MOST_WRONG

from .conftest import Office
from .test_verification import wrong

MAIL = {"data_use": "advertising", "data_use_description": "We e-mail you", "opt_in": False}
SHARE = {"data_use": "third_party_sharing", "data_use_description": None, "opt_in": True}


def begin(office: Office, email: str) -> tuple[str, str]:
    """A consent request and its code."""
    before = len(office.box.to(email))
    answer = office.public("POST", "/consent-request", {"email": email})
    assert answer.status_code == 200, answer.text
    return answer.json()["consent_request_id"], office.box.code_for(email, before + 1)


def change(office: Office, request_id: str, code: str, *wishes: dict[str, Any]) -> httpx2.Response:
    body = {"code": code, "consent": list(wishes)}
    return office.public("PATCH", f"/consent-request/{request_id}/preferences", body)


def look(office: Office, request_id: str, code: str) -> httpx2.Response:
    return office.public("POST", f"/consent-request/{request_id}/verify", {"code": code})


def test_preferences_are_seen_changed_and_remembered(office: Office) -> None:
    request_id, code = begin(office, "ada@example.com")
    assert look(office, request_id, code).json() == {"consent": None}
    assert change(office, request_id, code, MAIL, SHARE).json() == {"consent": [MAIL, SHARE]}  # the code still works
    assert look(office, request_id, code).json() == {"consent": [MAIL, SHARE]}
    later, code = begin(office, "ADA@example.com")
    changed = MAIL | {"opt_in": True}
    assert change(office, later, code, changed, SHARE).json() == {"consent": [changed, SHARE]}
    told = office.api.call("POST", "/consent-request/preferences", {"email": "ada@example.com"})
    assert told == {"consent": [changed, SHARE]}
    history = office.api.call("POST", "/consent-request/preferences/history", {"email": "ada@example.com"})
    assert [(each["data_use"], each["opt_in"], each["consent_request_id"]) for each in history["items"]] == [
        ("advertising", True, later),
        ("third_party_sharing", True, request_id),
        ("advertising", False, request_id),
    ]


def test_one_person_never_sees_or_changes_anothers(office: Office) -> None:
    hers, her_code = begin(office, "bea@example.com")
    assert change(office, hers, her_code, MAIL).status_code == 200
    his, his_code = begin(office, "bob@example.com")
    assert look(office, his, his_code).json() == {"consent": None}
    if her_code != his_code:  # one in a million
        assert look(office, hers, his_code).status_code == 403
        assert change(office, hers, his_code, SHARE).status_code == 403
    assert look(office, hers, her_code).json() == {"consent": [MAIL]}


def test_a_request_for_ones_data_is_not_opened_by_a_consent_code(office: Office) -> None:
    _, consent_code = begin(office, "cat@example.com")
    request_id = office.ask("copy", {"email": "cat@example.com"})
    code = office.box.code_for("cat@example.com", 2)
    if code != consent_code:  # one in a million
        assert office.prove(request_id, consent_code).status_code == 403
    consent_id, _ = begin(office, "cat@example.com")
    assert office.prove(consent_id, code).status_code == 404
    assert look(office, request_id, code).status_code == 404


def test_a_wrong_code_five_times_ends_it(office: Office) -> None:
    request_id, code = begin(office, "eve@example.com")
    for number in range(MOST_WRONG):
        answer = look(office, request_id, wrong(code)) if number % 2 else change(office, request_id, wrong(code), MAIL)
        assert answer.status_code == 403
    assert look(office, request_id, code).status_code == 400
    assert change(office, request_id, code, MAIL).json()["code"] == "code_expired"
    answer = office.api.http.request("POST", "/api/v1/consent-request/preferences", json={"email": "eve@example.com"})
    assert answer.status_code == 404
    assert "Identity not found" in answer.text


@pytest.mark.parametrize("given", [{}, {"email": ""}, {"email": None}, {"phone_number": "+12025550101"}])
def test_an_address_is_needed(office: Office, given: dict[str, Any]) -> None:
    answer = office.public("POST", "/consent-request", given)
    assert (answer.status_code, answer.json()["code"]) == (400, "no_address")


@pytest.mark.parametrize(
    "given", [{"email": "ada"}, {"email": "a@example.com, b@example.com"}, {"email": 7}, {"name": "Ada"}, []]
)
def test_what_is_no_address_is_422(office: Office, given: Any) -> None:
    assert office.public("POST", "/consent-request", given).status_code == 422


@pytest.mark.parametrize(
    "wish",
    [
        {"data_use": "advertising"},
        {"data_use": "advertising", "opt_in": "yes"},
        {"data_use": "", "opt_in": True},
        {"data_use": "a use", "opt_in": True},
        MAIL | {"more": 1},
        MAIL | {"data_use_description": "x" * 10_001},
    ],
)
def test_a_wish_that_is_none_changes_nothing(office: Office, wish: dict[str, Any]) -> None:
    request_id, code = begin(office, "fay@example.com")
    assert change(office, request_id, code, SHARE, wish).status_code == 422
    assert look(office, request_id, code).json() == {"consent": None}


def test_the_edges_of_bulk(office: Office) -> None:
    request_id, code = begin(office, "gil@example.com")
    many = [{"data_use": f"use_{number:02}", "opt_in": True} for number in range(51)]
    assert change(office, request_id, code, *many).status_code == 422
    assert change(office, request_id, code, MAIL, MAIL).status_code == 422
    assert len(change(office, request_id, code, *many[:50]).json()["consent"]) == 50
    assert change(office, request_id, code).status_code == 200


def test_unknown_requests_are_404_and_clients_need_the_scope(office: Office) -> None:
    assert look(office, "con_unknown", "123456").status_code == 404
    assert change(office, "con_unknown", "123456", MAIL).status_code == 404
    for path in ("/consent-request/preferences", "/consent-request/preferences/history"):
        assert office.public("POST", path, {"email": "ada@example.com"}).status_code == 401
        assert office.api.http.request("POST", f"/api/v1{path}", json={}).status_code == 400


def test_a_number_given_besides_proves_nothing(office: Office) -> None:
    given = {"email": "hal@example.com", "phone_number": "+12025550101"}
    request_id = office.public("POST", "/consent-request", given).json()["consent_request_id"]
    assert change(office, request_id, office.box.code_for("hal@example.com"), MAIL).status_code == 200
    path = "/api/v1/consent-request/preferences"
    assert office.api.http.request("POST", path, json={"phone_number": "+12025550101"}).status_code == 404


def test_without_verification_there_is_no_consent_request(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as flow:
        answer = flow.api.http.request("POST", "/api/v1/consent-request", json={"email": "ada@example.com"})
        assert (answer.status_code, answer.json()["code"]) == (400, "verification_off")
    with opened(tmp_path / "data", subject_identity_verification_required=True) as flow:
        answer = flow.api.http.request("POST", "/api/v1/consent-request", json={"email": "ada@example.com"})
        assert (answer.status_code, answer.json()["code"]) == (422, "no_email_config")
