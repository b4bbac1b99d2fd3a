"""Claims that contradict what is stored, on each kind of store: who waits, and what comes of a reviewer's decision.

The example is that of docs/identities.md, "A reassigned phone number": Ada has the number today, Bob had it before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from constraintbook import Store

from .conftest import Office

DOMAINS = itertools.count()
SERVERS = {"postgres": "postgres_url_of_session", "mariadb": "mariadb_url"}
CLAIMS = {"email": "ada@example.com", "phone_number": "202-555-0101"}

TABLE = """
CREATE TABLE person (id integer PRIMARY KEY, email varchar(40), phone varchar(40));
INSERT INTO person VALUES
  (1, 'ada@example.com', '+1 202 555 0101'), (2, 'bob@example.com', '(202) 555-0101'),
  (3, 'cyd@example.com', '+1 202 555 0103'), (4, 'dan@example.com', '+1 202 555 0104'), (5, 'eve@example.com', NULL),
  (6, 'fay@example.com', '')
"""
DESCRIBED = """
- name: person
  fields:
    - {name: id, data_categories: [user.unique_id], fides_meta: {primary_key: true}}
    - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
    - {name: phone, data_categories: [user.contact.phone_number], fides_meta: {identity: phone_number}}
"""
ROWS = "SELECT id, email, phone FROM person WHERE id < 5 ORDER BY id"


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def bare_store(request: pytest.FixtureRequest, office: Office, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind, the only one that is known."""
    server = request.getfixturevalue(SERVERS[request.param]) if request.param in SERVERS else ""
    office.api.http.request("DELETE", "/api/v1/connection/shop")
    made = Store(request.param, office.flow.installation, tmp_path, server)
    office.domain = f"s{next(DOMAINS)}.example.com"
    yield made
    made.close()


@pytest.fixture
def store(bare_store: Store, office: Office) -> Store:
    """The example's table."""
    bare_store.run(TABLE.replace("example.com", office.domain))
    bare_store.describe(DESCRIBED)
    return bare_store


def ask(office: Office, policy: str, identity: dict[str, Any]) -> dict[str, Any]:
    """A verified public request, at rest."""
    return office.api.wait(proven(office, policy, identity))


def proven(office: Office, policy: str, identity: dict[str, Any]) -> str:
    """A public request whose code was answered; its id. Its address is in this test's own domain, since an address
    gets few codes an hour.
    """
    address = identity["email"].replace("example.com", office.domain)
    request_id = office.ask(policy, identity | {"email": address})
    answer = office.prove(request_id, office.box.code_for(address))
    assert answer.status_code == 200, answer.text
    return request_id


def resume(office: Office, request_id: str, decision: str) -> dict[str, Any]:
    path = f"/privacy-request/{request_id}/resume_from_requires_input"
    office.api.call("POST", path, {"claimed_identities": decision})
    return office.api.wait(request_id)


def ids(office: Office, request_id: str) -> list[int]:
    return [row["id"] for row in office.flow.package(request_id).get("db:person", [])]


def test_a_number_that_is_somebody_elses_too_waits_and_can_be_dropped(office: Office, store: Store) -> None:
    waiting = ask(office, "copy", CLAIMS)
    assert (waiting["status"], waiting["reason"]) == ("requires_input", "identities_disagree")
    assert waiting["reason_detail"]["address"] == "db:person"
    assert waiting["action_required_details"] == {
        "step": "verify_identity",
        "collection": "db:person",
        "action_needed": [{"claimed_identities": ["drop", "vouch"]}],
    }
    assert waiting["resume_endpoint"].endswith("/resume_from_requires_input")
    assert "0101" not in str(waiting["reason_detail"])
    assert not waiting["package"]
    undecided = office.api.http.request("POST", f"/api/v1{waiting['resume_endpoint']}")
    assert undecided.status_code == 422
    assert "claimed_identities" in undecided.text
    done = resume(office, waiting["id"], "drop")
    assert (done["status"], done["identity_kinds"], done["claimed_kinds"]) == ("complete", ["email"], [])
    assert ids(office, waiting["id"]) == [1]


def test_a_reviewer_may_vouch_for_all(office: Office, store: Store) -> None:
    waiting = ask(office, "copy", CLAIMS)
    done = resume(office, waiting["id"], "vouch")
    assert (done["status"], done["identity_kinds"]) == ("complete", ["email", "phone_number"])
    assert ids(office, waiting["id"]) == [1, 2]
    results = office.api.call("GET", "/privacy-request", id=waiting["id"], verbose=True)["items"][0]["results"]
    assert {"Request verified", "Request resumed"} <= set(results)


def test_an_erasure_writes_nothing_before_the_decision(office: Office, store: Store) -> None:
    before = store.rows(ROWS)
    waiting = ask(office, "erase", CLAIMS)
    assert (waiting["status"], waiting["reason"]) == ("requires_input", "identities_disagree")
    assert store.rows(ROWS) == before
    done = resume(office, waiting["id"], "drop")
    assert done["status"] == "complete", done["reason_detail"]
    assert store.rows(ROWS) == [(1, "X", "X"), *before[1:]]


@pytest.mark.parametrize(
    "identity",
    [
        {"email": "cyd@example.com", "phone_number": "(202) 555 0103"},  # hers
        {"email": "cyd@example.com", "phone_number": "+1 202 555 0199"},  # nobody's, and not the one stored
        {"email": "eve@example.com", "phone_number": "+1 202 555 0199"},  # none is stored
        {"email": "fay@example.com", "phone_number": "+1 202 555 0199"},  # a blank one is stored
        {"email": "gil@example.com", "phone_number": "+1 202 555 0199"},  # nobody
        {"email": "gil@example.com", "phone_number": "+1 202 555 0104"},  # somebody else's number
    ],
)
def test_who_waits(office: Office, store: Store, identity: dict[str, str]) -> None:
    if store.kind != "sqlite":
        pytest.skip("n/a: what counts as another value is decided in Python, alike for each store")
    item = ask(office, "copy", identity)
    disagrees = identity["phone_number"].endswith("0104") or identity == {
        "email": "cyd@example.com",
        "phone_number": "+1 202 555 0199",
    }
    assert (item["status"], item["reason"]) == (
        ("requires_input", "identities_disagree") if disagrees else ("complete", None)
    )


def test_claims_find_nothing_by_themselves(office: Office, store: Store) -> None:
    item = ask(office, "copy", {"email": "eve@example.com", "phone_number": "+1 202 555 0199"})
    assert ids(office, item["id"]) == [5]
    assert item["identity_kinds"] == ["email"]
    assert item["claimed_kinds"] == ["phone_number"]


def test_others_of_the_cohort_go_on(office: Office, store: Store) -> None:
    office.api.call("PUT", "/execution", {"paused": True})
    try:
        hers = proven(office, "copy", CLAIMS)
        his = proven(office, "copy", {"email": "dan@example.com", "phone_number": "+1 202 555 0104"})
    finally:
        office.api.call("PUT", "/execution", {"paused": False})
    assert office.api.wait(hers)["status"] == "requires_input"
    assert office.api.wait(his)["status"] == "complete"
    assert ids(office, his) == [4]
    receipt = office.api.call("GET", f"/privacy-request/{his}/receipt")
    assert "phone_number" in str(receipt)
    assert "claimed" in str(receipt)


def test_the_decision_needs_a_reviewers_scope_and_a_request_that_waits(office: Office, store: Store) -> None:
    waiting = ask(office, "copy", CLAIMS)
    made = office.api.call("POST", "/oauth/client", ["privacy-request:resume", "privacy-request:read"])
    form = {"grant_type": "client_credentials", "client_id": made["client_id"], "client_secret": made["client_secret"]}
    token = office.api.http.request("POST", "/api/v1/oauth/token", data=form).json()["access_token"]
    path = f"/api/v1{waiting['resume_endpoint']}"
    given = {"claimed_identities": "vouch"}
    refused = office.api.http.request("POST", path, json=given, headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 403
    assert office.api.http.request("POST", path, json={"claimed_identities": "maybe"}).status_code == 422
    office.api.call(
        "PATCH", "/privacy-request/administrate/deny", {"request_ids": [waiting["id"]], "reason": "not hers"}
    )
    assert office.api.show(waiting["id"])["status"] == "denied"
    assert office.api.http.request("POST", path, json=given).status_code == 400


DOCUMENTS = """
CREATE TABLE account (id integer PRIMARY KEY, profile %s);
INSERT INTO account VALUES
  (1, '{"contacts": [{"email": "ada@example.com", "phone": "+1 202 555 0101"}, {"email": "bob@example.com"}]}'),
  (2, '{"contacts": [{"email": "bob@example.com", "phone": "(202) 555-0102"}]}'),
  (3, '{"contacts": [{"email": "ada@example.com"}]}')
"""
DESCRIBED_DOCUMENTS = """
- name: account
  fields:
    - {name: id, data_categories: [user.unique_id], fides_meta: {primary_key: true}}
    - name: profile
      fields:
        - name: contacts
          fides_meta: {data_type: "object[]"}
          fields:
            - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
            - {name: phone, data_categories: [user.contact.phone_number], fides_meta: {identity: phone_number}}
"""


@pytest.mark.parametrize(
    ("phone", "status"),
    [("2025550101", "complete"), ("2025550102", "requires_input"), ("2025550103", "requires_input")],
)
def test_values_inside_documents_disagree_too(office: Office, bare_store: Store, phone: str, status: str) -> None:
    bare_store.run(DOCUMENTS.replace("example.com", office.domain) % {"postgres": "jsonb"}.get(bare_store.kind, "json"))
    bare_store.describe(DESCRIBED_DOCUMENTS)
    item = ask(office, "copy", {"email": "ada@example.com", "phone_number": phone})
    assert item["status"] == status, item["reason_detail"]
    if status == "complete":  # another contact in her row, who has none of the given kinds' values, contradicts nothing
        assert [row["id"] for row in office.flow.package(item["id"])["db:account"]] == [1, 3]
    else:
        assert (item["reason"], item["reason_detail"]["address"]) == ("identities_disagree", "db:account")
