"""Public intake and verification over the API, as documented: the way through, and each named error."""

from __future__ import annotations

import time

import pytest

from habeas.requests.codes import MOST_WRONG

from .conftest import Office


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


def test_a_public_request_runs_once_its_code_was_answered(office: Office) -> None:
    request_id = office.ask("copy", {"email": "ada@example.com"})
    shown = office.api.show(request_id)
    assert (shown["status"], shown["stage"]) == ("identity_unverified", "verify_identity")
    assert (shown["identity_kinds"], shown["claimed_kinds"]) == ([], ["email"])
    code = office.box.code_for("ada@example.com")
    answer = office.prove(request_id, code)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "pending"
    assert answer.json()["identity_verified_at"] is not None
    done = office.api.wait(request_id)
    assert (done["status"], done["outcome"]) == ("complete", "delivered")
    assert [row["email"] for row in office.flow.package(request_id)["shop:person"]] == ["ada@example.com"]
    (letter,) = office.box.to("ada@example.com")
    assert letter["Subject"] == "Your one-time code"
    assert request_id not in letter.get_content()
    again = office.prove(request_id, code)
    assert again.status_code == 400
    assert again.json()["code"] == "not_waiting_for_code"


def test_a_wrong_code_is_refused_and_five_end_it(office: Office) -> None:
    request_id = office.ask("copy", {"email": "eve@example.com"})
    code = office.box.code_for("eve@example.com")
    for _ in range(MOST_WRONG):
        answer = office.prove(request_id, wrong(code))
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_code")
        assert answer.json()["detail"].startswith(f"Incorrect identification code for '{request_id}'")
    late = office.prove(request_id, code)
    assert (late.status_code, late.json()["code"]) == (400, "code_expired")
    assert office.api.show(request_id)["status"] == "identity_unverified"


def test_a_code_works_for_no_other_request(office: Office) -> None:
    first = office.ask("copy", {"email": "fay@example.com"})
    code = office.box.code_for("fay@example.com")
    second = office.ask("copy", {"email": "fay@example.com"})
    assert office.prove(second, code).status_code == 403
    assert office.prove(first, code).status_code == 200


def test_another_code_can_be_asked_for_but_not_at_once(office: Office) -> None:
    request_id = office.ask("copy", {"email": "gil@example.com"})
    answer = office.public("POST", f"/privacy-request/{request_id}/verify/resend")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_codes")
    assert 0 < int(answer.headers["retry-after"]) <= 60


def test_what_is_unknown_is_404(office: Office) -> None:
    for path in ("verify", "verify/resend"):
        answer = office.public("POST", f"/privacy-request/pri_unknown/{path}", {"code": "123456"})
        assert answer.status_code == 404, answer.text


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": None}, {"code": "1" * 33}, [], "123456", None])
def test_a_body_without_a_code_is_422(office: Office, body: object) -> None:
    request_id = office.ask("copy", {"email": "hal@example.com"})
    answer = office.public("POST", f"/privacy-request/{request_id}/verify", body)
    assert answer.status_code == 422, answer.text


def test_a_code_of_other_characters_is_merely_wrong(office: Office) -> None:
    request_id = office.ask("copy", {"email": "ida@example.com"})
    assert office.prove(request_id, "１２３４５６").status_code == 403  # full-width digits
    assert office.prove(request_id, "👋'; --").status_code == 403


def test_a_public_request_needs_one_address_that_a_code_can_be_sent_to(office: Office) -> None:
    assert "e-mail address is needed" in office.refuse("copy", {"phone_number": "+12025550101"})
    two = [{"email": "ada@example.com"}, {"email": "bob@example.com"}]
    assert "more than one e-mail address" in office.refuse("copy", None, identities=two)
    assert "no e-mail address that" in office.refuse("copy", {"email": "ada@example.com, bob@example.com"})
    assert "does not exist" in office.refuse("nowhere", {"email": "ada@example.com"})


def test_the_public_learns_nothing_of_policies_and_sets_no_times(office: Office) -> None:
    item = {"policy_key": "copy", "identity": {"email": "joy@example.com"}, "requested_at": "2001-01-01T00:00:00Z"}
    (shown,) = office.public("POST", "/privacy-request", [item]).json()["succeeded"]
    assert shown["policy"] == {
        "key": "copy",
        "name": None,
        "drp_action": None,
        "execution_timeframe": None,
        "regime": None,
        "rules": [],
    }
    assert not shown["requested_at"].startswith("2001")
    assert shown["identity"] is None


def test_public_intake_takes_five_items_and_no_idempotency_key(office: Office) -> None:
    items = [{"policy_key": "copy", "identity": {"email": f"many{n}@example.com"}} for n in range(6)]
    assert office.public("POST", "/privacy-request", items).status_code == 422
    headers = {"Authorization": "", "Idempotency-Key": "mine", "X-Forwarded-For": "2001:db8:ffff::1"}
    answer = office.api.http.request("POST", "/api/v1/privacy-request", json=items[:1], headers=headers)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.text


def test_a_client_with_a_token_vouches(office: Office) -> None:
    done = office.api.run("copy", {"email": "ada@example.com", "phone_number": "+1 202 555 0101"})
    assert (done["status"], done["identity_verified_at"]) == ("complete", None)
    assert done["claimed_kinds"] == []


def test_a_bad_token_is_not_public_intake(office: Office) -> None:
    item = [{"policy_key": "copy", "identity": {"email": "ada@example.com"}}]
    answer = office.api.http.request(
        "POST", "/api/v1/privacy-request", json=item, headers={"Authorization": "Bearer garbage"}
    )
    assert answer.status_code == 401


def test_a_policy_can_ask_for_a_code_whoever_hands_it_in(office: Office) -> None:
    office.api.access_policy("careful", ["user"])
    office.api.patch_all("/policy", [{"name": "careful", "key": "careful", "verify": "always"}])
    assert office.api.call("GET", "/policy/careful")["verify"] == "always"
    (request_id,) = office.api.submit("careful", {"email": "cyd@example.com", "phone_number": "+12025550103"})
    shown = office.api.show(request_id)
    assert (shown["status"], shown["identity_kinds"]) == ("identity_unverified", ["email", "phone_number"])
    time.sleep(0.3)  # the dispatcher would have taken it
    assert office.api.show(request_id)["status"] == "identity_unverified"
    assert office.prove(request_id, office.box.code_for("cyd@example.com")).status_code == 200
    assert office.api.wait(request_id)["status"] == "complete"
    told = office.api.call("POST", "/privacy-request", [{"policy_key": "careful", "identity": {"badge": "7"}}])
    assert "e-mail address is needed" in told["failed"][0]["message"]


def test_the_configuration_is_told_to_anybody(office: Office) -> None:
    told = office.public("GET", "/id-verification/config").json()
    assert told == {"identity_verification_required": True, "valid_email_config_exists": True}


def test_an_unverified_request_can_be_denied_and_its_code_is_void(office: Office) -> None:
    request_id = office.ask("copy", {"email": "kay@example.com"})
    code = office.box.code_for("kay@example.com")
    office.api.call("PATCH", "/privacy-request/administrate/deny", {"request_ids": [request_id], "reason": "no"})
    assert office.prove(request_id, code).status_code == 400
    assert office.api.show(request_id)["status"] == "denied"


def test_an_unverified_request_cannot_be_approved(office: Office) -> None:
    request_id = office.ask("copy", {"email": "liv@example.com"})
    told = office.api.call("PATCH", "/privacy-request/administrate/approve", {"request_ids": [request_id]})
    assert told["succeeded"] == []
    assert "Cannot transition status" in told["failed"][0]["message"]


def test_calls_of_one_address_are_limited_whatever_stands_further_left(office: Office) -> None:
    told: list[int] = []
    while 429 not in told and len(told) < 500:  # the limit refills while this counts, more slowly than it is used up
        # The proxy appends the caller it saw; what the caller wrote stands before it.
        written = f"203.0.113.{len(told) % 250}, 198.51.100.7"
        answer = office.public("POST", "/privacy-request/pri_unknown/verify", {"code": "1"}, address=written)
        told.append(answer.status_code)
    assert set(told) == {404, 429}
    assert len(told) > 20
    assert office.public("POST", "/privacy-request/pri_unknown/verify", {"code": "1"}).status_code == 404
