"""What one client may see of another's: decided by scope, as in fidesops. Secrets and tokens show to nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from apibook import Api, open_api

PERSON = "someone.else@example.com"
HIDDEN = "marker-of-a-secret-5c1d"


@dataclass
class Office:
    """One client's request and things, and the client's own token."""

    api: Api
    owner_id: str
    owner_token: str
    request_id: str

    def token(self, *scopes: str) -> str:
        return self.api.token_with(*scopes)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    for api in open_api(tmp_path_factory.mktemp("reads"), require_manual_request_approval=True):
        client_id, secret = api.client_with("privacy-request:create", "policy:read")
        token = api.token_of(client_id, secret)
        item = {
            "policy_key": "download",
            "identity": {"email": PERSON},
            "external_id": "case-7",
            "encryption_key": None,
        }
        item = {name: value for name, value in item.items() if value is not None}
        made = api.ok("POST", "/privacy-request", token=token, json=[item])["succeeded"][0]
        api.saved("/connection", {"name": "shop", "key": "shop", "connection_type": "postgres", "access": "read"})
        secrets = {"host": "127.0.0.1", "port": 9, "username": "someone", "password": HIDDEN, "dbname": "nothing"}
        api.ok("PUT", "/connection/shop/secret", params={"verify": "false"}, json=secrets)
        yield Office(api, client_id, token, made["id"])


def test_requests_show_by_scope_whoever_handed_them_in(office: Office) -> None:
    reading = office.token("privacy-request:read")
    assert office.api.ok("GET", "/privacy-request", token=reading)["items"][0]["id"] == office.request_id
    for path in ("/privacy-request", f"/privacy-request/{office.request_id}/log"):
        assert office.api.call("GET", path, token=office.owner_token).status_code == 403


def test_a_persons_identities_show_to_who_asks_for_them_and_that_is_kept(office: Office) -> None:
    reading = office.token("privacy-request:read")
    assert PERSON not in office.api.call("GET", "/privacy-request", token=reading).text
    asked = {"include_identities": "true"}
    assert PERSON in office.api.call("GET", "/privacy-request", token=reading, params=asked).text
    [seen, *_] = office.api.ok("GET", "/audit-trail")["items"]
    assert "reveal" in seen["action"] or "identit" in seen["action"], seen
    assert PERSON not in json.dumps(office.api.ok("GET", "/audit-trail", params={"size": 100}))


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/privacy-request/{id}/download", "privacy-request:download"),
        ("GET", "/receipt/{id}", "receipt:read"),
        ("GET", "/audit-trail", "audit:read"),
        ("GET", "/oauth/token", "client:read"),
        ("GET", "/connection/shop", "connection:read"),
        ("GET", "/user", "user:read"),
        ("GET", "/config", "config:read"),
    ],
)
def test_having_handed_in_a_request_opens_nothing_else(office: Office, method: str, path: str, scope: str) -> None:
    full = path.replace("{id}", office.request_id)
    reading = office.token("privacy-request:read", "privacy-request:review", "policy:read")
    assert office.api.call(method, full, token=office.owner_token).status_code in (403, 404)
    assert office.api.call(method, full, token=reading).status_code in (403, 404)
    assert office.api.call(method, full, token=office.token(scope)).status_code != 403


def test_lists_of_tokens_and_clients_hold_no_token_and_no_secret(office: Office) -> None:
    listing = office.token("client:read")
    told = office.api.call("GET", "/oauth/token", token=listing, params={"size": 100}).text
    assert office.owner_id in told
    for token in (office.owner_token, listing, office.api.token):
        assert token not in told
        assert token.rpartition(".")[2] not in told
    assert "secret" not in told


def test_no_client_ends_or_changes_another_without_the_scope(office: Office) -> None:
    other = office.token("privacy-request:read", "client:read")
    for method, path in (
        ("DELETE", f"/oauth/client/{office.owner_id}"),
        ("DELETE", f"/oauth/client/{office.owner_id}/token"),
        ("DELETE", "/oauth/token"),
        ("PUT", f"/oauth/client/{office.owner_id}/scope"),
    ):
        assert office.api.call(method, path, token=other, json=[]).status_code == 403
    office.api.call("POST", "/oauth/revoke", token=other, data={"token": office.owner_token})
    assert office.api.call("GET", "/policy", token=office.owner_token).status_code == 200


def test_a_secret_of_a_connection_shows_to_no_scope_at_all(office: Office) -> None:
    for path in ("/connection", "/connection/shop", "/connection_type/postgres/secret", "/audit-trail"):
        told = office.api.call("GET", path)
        assert told.status_code == 200
        assert HIDDEN not in told.text
