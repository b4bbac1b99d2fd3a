"""Tokens and secrets over their lives: introspection (RFC 7662), metadata (RFC 8414), revoking, changing secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apibook import ROOT_ID, ROOT_SECRET, Api, open_api
from habeas.requests.scopes import SCOPES


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    yield from open_api(tmp_path / "data")


def asked(api: Api, token: str, client: tuple[str, str] = (ROOT_ID, ROOT_SECRET)) -> dict[str, Any]:
    form = {"token": token, "client_id": client[0], "client_secret": client[1]}
    return dict(api.ok("POST", "/oauth/introspect", token=None, data=form))


def test_a_live_token_is_told_of(api: Api) -> None:
    client = api.client_with("policy:read", "rule:read")
    told = asked(api, api.token_of(*client, scope="policy:read"), client)
    assert told["active"] is True
    assert (told["scope"], told["client_id"], told["token_type"]) == ("policy:read", client[0], "Bearer")
    assert told["exp"] - told["iat"] == 3600
    assert {each["id"] for each in api.ok("GET", "/oauth/token")["items"]} >= {told["jti"]}


def test_scopes_are_those_that_hold_now(api: Api) -> None:
    client = api.client_with("policy:read", "rule:read")
    token = api.token_of(*client)
    api.call("PUT", f"/oauth/client/{client[0]}/scope", json=["rule:read"])
    assert asked(api, token)["scope"] == "rule:read"


def test_a_token_that_isnt_good_is_inactive_and_nothing_else_is_said(api: Api) -> None:
    client = api.client_with("policy:read")
    revoked, of_gone = api.token_of(*client), api.token_with("rule:read")
    api.call("POST", "/oauth/revoke", data={"token": revoked})
    api.call("DELETE", f"/oauth/client/{asked(api, of_gone)['client_id']}")
    for token in (revoked, of_gone, "garbage", api.token[:-2]):
        assert asked(api, token) == {"active": False}
    live = api.token_of(*client)
    api.clock.advance(3600)
    assert asked(api, live) == {"active": False}


def test_another_clients_token_needs_client_read(api: Api) -> None:
    mine, other = api.client_with("policy:read"), api.client_with("client:read")
    token = api.token_of(*mine)
    assert asked(api, token, api.client_with("policy:read")) == {"active": False}
    assert asked(api, token, other)["active"] is True
    form = {"token": token}
    assert api.ok("POST", "/oauth/introspect", token=token, data=form)["active"] is True


@pytest.mark.parametrize("form", [{"token": "x"}, {"token": "x", "client_id": ROOT_ID, "client_secret": "wrong"}])
def test_introspection_is_for_who_proves_himself(api: Api, form: dict[str, str]) -> None:
    answer = api.call("POST", "/oauth/introspect", token=None, data=form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert api.call("POST", "/oauth/introspect", data={}).status_code == 400


def test_the_metadata_lead_to_a_token(api: Api) -> None:
    told = api.ok("GET", "/.well-known/oauth-authorization-server", token=None)
    assert told["issuer"] == "http://habeas.test"
    assert told["grant_types_supported"] == ["client_credentials"]
    assert told["scopes_supported"] == list(SCOPES)
    form = {"client_id": ROOT_ID, "client_secret": ROOT_SECRET}
    path = told["token_endpoint"].removeprefix(told["issuer"])
    token = api.ok("POST", path, token=None, data=form)["access_token"]
    path = told["introspection_endpoint"].removeprefix(told["issuer"])
    assert api.ok("POST", path, token=None, data=form | {"token": token})["active"]
    path = told["revocation_endpoint"].removeprefix(told["issuer"])
    assert api.call("POST", path, token=None, data=form | {"token": token}).status_code == 200
    assert asked(api, token) == {"active": False}


def test_all_tokens_of_one_client_are_revoked(api: Api) -> None:
    client = api.client_with("scope:read")
    tokens = [api.token_of(*client) for _ in range(3)]
    assert api.ok("GET", "/oauth/token", params={"client_id": client[0]})["total"] == 3
    assert api.ok("DELETE", f"/oauth/client/{client[0]}/token") == {"revoked": 3}
    assert api.ok("DELETE", f"/oauth/client/{client[0]}/token") == {"revoked": 0}
    assert [api.call("GET", "/oauth/scope", token=each).status_code for each in tokens] == [401] * 3
    assert api.call("GET", "/oauth/scope", token=api.token_of(*client)).status_code == 200
    assert api.call("DELETE", "/oauth/client/unknown/token").status_code == 404
    clerk, lacking = api.token_with("client:delete"), api.token_with("client:read")
    assert api.call("DELETE", f"/oauth/client/{ROOT_ID}/token", token=lacking).status_code == 403
    assert api.call("DELETE", f"/oauth/client/{ROOT_ID}/token", token=clerk).status_code == 200
    assert api.call("GET", "/oauth/scope").status_code == 401


def test_all_tokens_are_revoked_at_once(api: Api) -> None:
    token = api.token_with("scope:read")
    assert api.call("DELETE", "/oauth/token", token=token).status_code == 403
    assert api.ok("DELETE", "/oauth/token") == {"revoked": 2}
    for each in (token, api.token):
        assert api.call("GET", "/oauth/scope", token=each).status_code == 401
    api.token = api.token_of(ROOT_ID, ROOT_SECRET)
    (entry,) = api.ok("GET", "/audit-trail", params={"action": "token.all_revoked"})["items"]
    assert (entry["actor"], entry["detail"]) == (ROOT_ID, {"tokens": 2})


def works(api: Api, client_id: str, secret: str) -> bool:
    form = {"client_id": client_id, "client_secret": secret}
    return api.call("POST", "/oauth/token", token=None, data=form).status_code == 200


def test_a_secret_is_changed_with_an_overlap(api: Api) -> None:
    client_id, first = api.client_with("scope:read")
    token = api.token_of(client_id, first)
    told = api.ok("POST", f"/oauth/client/{client_id}/secret", json={"overlap_minutes": 30})
    second = told["client_secret"]
    assert told["former_valid_until"].startswith("2026-01-02T03:34:05")
    assert works(api, client_id, first)
    assert works(api, client_id, second)
    assert api.call("GET", "/oauth/scope", token=token).status_code == 200
    third = api.ok("POST", f"/oauth/client/{client_id}/secret")["client_secret"]  # a day, where nothing is said
    assert [works(api, client_id, each) for each in (first, second, third)] == [False, True, True]
    api.clock.advance(24 * 3600)
    assert [works(api, client_id, each) for each in (second, third)] == [False, True]
    assert not works(api, client_id, "")


def test_a_secret_is_changed_at_once(api: Api) -> None:
    client_id, first = api.client_with("scope:read")
    told = api.ok("POST", f"/oauth/client/{client_id}/secret", json={"overlap_minutes": 0})
    assert told["former_valid_until"] is None
    assert [works(api, client_id, each) for each in (first, told["client_secret"])] == [False, True]


def test_whose_secret_may_be_changed(api: Api) -> None:
    clerk = api.token_with("client:update")
    client_id, secret = api.client_with("policy:delete")
    assert api.call("POST", f"/oauth/client/{client_id}/secret", token=clerk).status_code == 403
    assert api.call("POST", f"/oauth/client/{ROOT_ID}/secret").status_code == 403
    assert api.call("POST", "/oauth/client/unknown/secret").status_code == 404
    for minutes in (-1, 10**6, "soon"):
        answer = api.call("POST", f"/oauth/client/{client_id}/secret", json={"overlap_minutes": minutes})
        assert answer.status_code == 422
    assert works(api, client_id, secret)


def test_a_refused_token_is_told_what_is_wrong_with_it(api: Api) -> None:
    """RFC 6750 §3: no error code where no token was given, invalid_token, insufficient_scope with the scope."""
    bare = api.call("GET", "/oauth/scope", token=None)
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, 'Bearer realm="habeas"')
    wrong = api.call("GET", "/oauth/scope", token="garbage")
    assert (wrong.status_code, wrong.headers["WWW-Authenticate"]) == (
        401,
        'Bearer realm="habeas", error="invalid_token"',
    )
    narrow = api.call("GET", "/oauth/scope", token=api.token_with("policy:read"))
    assert (narrow.status_code, narrow.headers["WWW-Authenticate"]) == (
        403,
        'Bearer realm="habeas", error="insufficient_scope", scope="scope:read"',
    )


def test_a_token_is_answered_as_rfc_6749_says(api: Api) -> None:
    """§5.1: not stored by any cache; §2.3.1: the client proves itself by Basic or in the body; §5.2: named errors."""
    client_id, secret = api.client_with("scope:read")
    form = {"grant_type": "client_credentials"}
    by_basic = api.call("POST", "/oauth/token", token=None, data=form, auth=(client_id, secret))
    by_body = api.call(
        "POST", "/oauth/token", token=None, data=form | {"client_id": client_id, "client_secret": secret}
    )
    for answer in (by_basic, by_body):
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json()["token_type"].lower() == "bearer"
    for change, status, error in (
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "policy:read"}, 400, "invalid_scope"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
    ):
        given = form | {"client_id": client_id, "client_secret": secret} | change
        answer = api.call("POST", "/oauth/token", token=None, data=given)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert answer.headers["Cache-Control"] == "no-store"
