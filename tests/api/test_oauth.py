"""Tokens, revoking, clients and scopes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from habeas.core.clock import SystemClock
from habeas.core.errors import BadInput
from habeas.core.settings import Settings
from habeas.requests.clients import issue_local_token, open_root_client, resolve_token
from habeas.requests.installation import open_installation
from habeas.requests.scopes import SCOPES

from .conftest import ROOT_ID, ROOT_SECRET, Api

FIDESOPS_SCOPES = """
client:create client:update client:read client:delete config:read connection:create_or_update connection:read
connection:delete connection:authorize connection:instantiate connection_type:read consent:read
dataset:create_or_update dataset:read dataset:delete email:create_or_update email:read email:delete encryption:exec
policy:create_or_update policy:read policy:delete privacy-request:read privacy-request:delete privacy-request:resume
privacy-request:review privacy-request:upload_data privacy-request:view_data rule:create_or_update rule:read
rule:delete saas_config:create_or_update saas_config:read saas_config:delete scope:read storage:create_or_update
storage:read storage:delete user:create user:update user:read user:delete user:reset-password user-permission:create
user-permission:update user-permission:read webhook:create_or_update webhook:read webhook:delete
""".split()  # noqa: SIM905 – a list of quoted words is no easier to compare with


def test_all_of_fidesops_scopes_exist(shared_api: Api) -> None:
    assert len(FIDESOPS_SCOPES) == 49
    listed = shared_api.ok("GET", "/oauth/scope")
    assert set(FIDESOPS_SCOPES) <= set(listed)
    assert {"privacy-request:create", "masking:exec", "privacy-request:download", "receipt:read"} <= set(listed)


def test_a_token_by_form_or_basic(shared_api: Api) -> None:
    form = {"grant_type": "client_credentials", "client_id": ROOT_ID, "client_secret": ROOT_SECRET}
    told = shared_api.ok("POST", "/oauth/token", token=None, data=form)
    assert told["token_type"] == "bearer"
    assert told["expires_in"] == 3600
    assert set(told["scope"].split()) == set(SCOPES)
    basic = base64.b64encode(f"{ROOT_ID}:{ROOT_SECRET}".encode()).decode()
    answer = shared_api.call("POST", "/oauth/token", token=None, headers={"Authorization": f"Basic {basic}"}, data={})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_id": ROOT_ID, "client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody", "client_secret": ROOT_SECRET}, 401, "invalid_client"),
        ({"client_id": ROOT_ID}, 401, "invalid_client"),
        ({}, 401, "invalid_client"),
        ({"grant_type": "password", "client_id": ROOT_ID, "client_secret": ROOT_SECRET}, 400, "unsupported_grant_type"),
        ({"client_id": ROOT_ID, "client_secret": ROOT_SECRET, "scope": "no:such"}, 400, "invalid_scope"),
    ],
)
def test_a_token_is_refused(shared_api: Api, form: dict[str, str], status: int, error: str) -> None:
    answer = shared_api.call("POST", "/oauth/token", token=None, data=form)
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert ROOT_SECRET not in answer.text
    if status == 401:
        assert answer.json()["detail"].startswith("Authentication Failure")
        assert answer.headers["www-authenticate"].startswith("Basic")


def test_a_field_given_twice_is_refused(shared_api: Api) -> None:
    answer = shared_api.call(
        "POST",
        "/oauth/token",
        token=None,
        content=b"client_id=a&client_id=b",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 422
    answer = shared_api.call("POST", "/oauth/token", token=None, json={"client_id": ROOT_ID})
    assert answer.status_code == 415


def test_a_token_may_ask_for_less(shared_api: Api) -> None:
    client = shared_api.client_with("policy:read", "rule:read")
    token = shared_api.token_of(*client, scope="policy:read")
    assert shared_api.call("GET", "/policy", token=token).status_code == 200
    assert shared_api.call("GET", "/policy/download/rule", token=token).status_code == 403


def test_a_revoked_token_is_refused_at_once(shared_api: Api) -> None:
    client_id, secret = shared_api.client_with("scope:read")
    token = shared_api.token_of(client_id, secret)
    assert shared_api.call("GET", "/oauth/scope", token=token).status_code == 200
    form = {"token": token, "client_id": client_id, "client_secret": secret}
    assert shared_api.call("POST", "/oauth/revoke", token=None, data=form).status_code == 200
    assert shared_api.call("GET", "/oauth/scope", token=token).status_code == 401
    assert shared_api.call("POST", "/oauth/revoke", token=None, data=form).status_code == 200
    unknown = form | {"token": "no-token-at-all"}
    assert shared_api.call("POST", "/oauth/revoke", token=None, data=unknown).status_code == 200


def test_revoking_needs_the_owner(shared_api: Api) -> None:
    other = shared_api.client_with("scope:read")
    form = {"token": shared_api.token, "client_id": other[0], "client_secret": other[1]}
    assert shared_api.call("POST", "/oauth/revoke", token=None, data=form).status_code == 403
    wrong = form | {"client_secret": "wrong"}
    assert shared_api.call("POST", "/oauth/revoke", token=None, data=wrong).status_code == 401
    assert shared_api.call("POST", "/oauth/revoke", data={}).status_code == 400
    assert shared_api.call("GET", "/oauth/scope").status_code == 200


def test_tokens_are_listed_and_revoked_by_id(shared_api: Api) -> None:
    client_id, secret = shared_api.client_with("scope:read")
    token = shared_api.token_of(client_id, secret)
    page = shared_api.ok("GET", "/oauth/token", params={"size": 100})
    [listed] = [each for each in page["items"] if each["client_id"] == client_id]
    assert listed["scopes"] == ["scope:read"]
    assert token not in str(page)
    assert shared_api.call("DELETE", f"/oauth/token/{listed['id']}").status_code == 204
    assert shared_api.call("GET", "/oauth/scope", token=token).status_code == 401
    assert shared_api.call("DELETE", f"/oauth/token/{listed['id']}").status_code == 404


def test_scopes_only_narrow(shared_api: Api) -> None:
    maker = shared_api.token_with("client:create", "client:update", "client:read", "scope:read")
    assert shared_api.call("POST", "/oauth/client", token=maker, json=["policy:read"]).status_code == 403
    made = shared_api.ok("POST", "/oauth/client", token=maker, json={"scopes": ["scope:read"]})
    scopes = f"/oauth/client/{made['client_id']}/scope"
    assert shared_api.call("PUT", scopes, token=maker, json=["policy:read"]).status_code == 403
    root = f"/oauth/client/{ROOT_ID}/scope"
    assert shared_api.call("PUT", root, json=["policy:read"]).status_code == 403
    broader = shared_api.client_with("policy:read")
    assert shared_api.call("PUT", f"/oauth/client/{broader[0]}/scope", token=maker, json=[]).status_code == 403


def test_changed_scopes_hold_for_live_tokens(shared_api: Api) -> None:
    client_id, secret = shared_api.client_with("scope:read", "policy:read")
    token = shared_api.token_of(client_id, secret)
    shared_api.ok("PUT", f"/oauth/client/{client_id}/scope", json={"scopes": ["policy:read"]})
    assert shared_api.ok("GET", f"/oauth/client/{client_id}/scope") == ["policy:read"]
    assert shared_api.call("GET", "/oauth/scope", token=token).status_code == 403
    assert shared_api.call("GET", "/policy", token=token).status_code == 200


def test_unknown_clients_and_scopes(shared_api: Api) -> None:
    assert shared_api.ok("GET", "/oauth/client/nobody/scope") == []
    assert shared_api.ok("PUT", "/oauth/client/nobody/scope", json=[]) is None
    assert shared_api.ok("DELETE", "/oauth/client/nobody") is None
    answer = shared_api.call("POST", "/oauth/client", json=["policy:raed"])
    assert answer.status_code == 422
    assert "policy:raed" in answer.json()["detail"][0]["msg"]
    assert shared_api.call("DELETE", f"/oauth/client/{ROOT_ID}").status_code == 403


def test_failed_calls_are_limited(api: Api) -> None:
    wrong = {"client_id": "guess", "client_secret": "wrong"}
    answers = [api.call("POST", "/oauth/token", token=None, data=wrong) for _ in range(11)]
    assert [each.status_code for each in answers] == [401] * 10 + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert api.token_of(ROOT_ID, ROOT_SECRET)


def test_the_root_client_is_made_once_and_follows_the_settings(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with open_installation(settings) as installation:
        made = open_root_client(installation.database, SystemClock(), settings)
        assert made.secret is not None
        again = open_root_client(installation.database, SystemClock(), settings)
        assert again.client_id == made.client_id
        assert again.secret is None
        token = issue_local_token(installation).access_token
        assert resolve_token(installation, token).scopes == frozenset(SCOPES)
        half = settings.model_copy(update={"oauth_root_client_id": "mine"})
        with pytest.raises(BadInput, match="set both"):
            open_root_client(installation.database, SystemClock(), half)
        both = half.model_copy(update={"oauth_root_client_secret": "secret-of-mine"})
        named = open_root_client(installation.database, SystemClock(), both)
        assert named.client_id == "mine"
        assert resolve_token(installation, issue_local_token(installation).access_token).client_id == "mine"
