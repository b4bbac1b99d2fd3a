"""Who may call what: every route, made from the OpenAPI document, against every kind of wrong caller."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from habeas.requests.scopes import SCOPES

from .conftest import ROOT_ID, ROOT_SECRET, Api, open_api

OPEN = {
    ("POST", "/api/v1/privacy-request/unknown/resume"),  # its own token authorises it, as do the next
    ("POST", "/api/v1/privacy-request/unknown/pre-approve/eligible"),
    ("POST", "/api/v1/privacy-request/unknown/pre-approve/not-eligible"),
    ("GET", "/privacy/confirm/unknown"),
    ("POST", "/privacy/confirm/unknown"),
    ("GET", "/health"),
    ("GET", "/.well-known/habeas-receipt-keys.json"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("POST", "/api/v1/oauth/token"),
    ("POST", "/api/v1/oauth/revoke"),
    ("POST", "/api/v1/oauth/introspect"),
    ("POST", "/api/v1/login"),
    ("POST", "/api/v1/logout"),
    ("POST", "/api/v1/user/accept-invite"),
    ("GET", "/api/v1/oauth/callback"),
    ("GET", "/api/v1/id-verification/config"),
    ("POST", "/api/v1/privacy-request/unknown/verify"),
    ("POST", "/api/v1/privacy-request/unknown/verify/resend"),
    ("POST", "/api/v1/consent-request"),
    ("POST", "/api/v1/consent-request/unknown/verify"),
    ("PATCH", "/api/v1/consent-request/unknown/preferences"),
}


@pytest.fixture(scope="module")
def document(shared_api: Api) -> dict[str, Any]:
    return dict(shared_api.ok("GET", "/openapi.json", token=None))


def routes(document: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Method, path with its parameters filled in, and scope."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scopes = [scope for each in operation.get("security", ()) for names in each.values() for scope in names]
            filled = re.sub(r"{\w+}", "unknown", path)
            if "text/event-stream" in str(operation["responses"]):
                filled += "?follow=false"  # a stream that ends
            yield method.upper(), filled, scopes[0] if scopes else None


def session_of(api: Api, username: str) -> tuple[str, str]:
    """A new owner's id and session."""
    made = api.ok("POST", "/user", json={"username": username, "password": "Correct-horse-7"})
    api.ok("PUT", f"/user/{made['id']}/permission", json={"roles": ["owner"]})
    told = api.ok("POST", "/login", token=None, json={"username": username, "password": "Correct-horse-7"})
    return made["id"], told["token_data"]["access_token"]


def test_only_the_listed_routes_are_open(document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, scope in routes(document) if scope is None} == OPEN


def test_every_scope_of_a_route_exists(document: dict[str, Any]) -> None:
    assert {scope for _, _, scope in routes(document) if scope is not None} <= set(SCOPES)


def test_every_route_refuses_every_wrong_caller_before_it_reads_the_body(
    shared_api: Api, document: dict[str, Any]
) -> None:
    api = shared_api
    revoked, gone = api.token_with("scope:read"), api.client_with("scope:read")
    api.call("POST", "/oauth/revoke", data={"token": revoked})
    of_gone = api.token_of(*gone)
    api.call("DELETE", f"/oauth/client/{gone[0]}")
    expired = api.token_with(*SCOPES)
    api.clock.advance(61 * 60)
    api.token = api.token_of(ROOT_ID, ROOT_SECRET)
    left, demoted = session_of(api, "left"), session_of(api, "demoted")
    api.call("DELETE", f"/user/{left[0]}")
    api.call("PUT", f"/user/{demoted[0]}/permission", json={"roles": ["viewer"]})
    header, payload, signature = api.token.split(".")
    tokens = {
        None: 401,
        "garbage": 401,
        f"{header}.{payload}.{signature[::-1]}": 401,
        revoked: 401,
        of_gone: 401,
        expired: 401,
        left[1]: 401,
        demoted[1]: 401,
        api.token_with(): 403,
    }
    for method, path, scope in routes(document):
        if scope is None:
            continue
        for token, expected in tokens.items():
            answer = api.call(method, path, token=token, content=b"{not json", headers={"Content-Type": "image/png"})
            assert answer.status_code == expected, (method, path, token, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith('Bearer realm="habeas"')
            assert answer.json()["status"] == expected


def test_every_route_lets_its_own_scope_in(shared_api: Api, document: dict[str, Any]) -> None:
    tokens: dict[str, str] = {}
    for method, path, scope in routes(document):
        if scope is None:
            continue
        token = tokens.setdefault(scope, shared_api.token_with(scope))
        answer = shared_api.call(method, path, token=token, content=b"{not json")
        assert answer.status_code not in (401, 403, 500), (method, path, answer.text)
        if (method, path) == ("DELETE", "/api/v1/oauth/token"):  # it did what it says, to all that were issued
            tokens.clear()
            shared_api.token = shared_api.token_of(ROOT_ID, ROOT_SECRET)
        lacking = shared_api.token_with(*(set(SCOPES) - {scope}))
        assert shared_api.call(method, path, token=lacking).status_code == 403


def test_another_scheme_is_no_token(api: Api) -> None:
    answer = api.call("GET", "/policy", token=None, headers={"Authorization": "Basic cm9vdDpyb290"})
    assert answer.status_code == 401


def test_an_expired_token_is_refused(api: Api) -> None:
    api.clock.advance(61 * 60)
    answer = api.call("GET", "/policy")
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


def test_authorising_costs_one_statement(api: Api) -> None:
    from sqlalchemy import event

    seen: list[str] = []
    engine = api.installation.database._engine  # no public way to count statements

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    api.ok("GET", "/oauth/scope")
    event.remove(engine, "before_cursor_execute", count)
    assert len([each for each in seen if not each.startswith("BEGIN")]) == 1


def test_public_intake_exists_with_verification_on_only(tmp_path: Any) -> None:
    item = [{"policy_key": "download", "identity": {"email": "someone@example.com"}}]
    for api in open_api(tmp_path / "off"):
        assert api.call("POST", "/privacy-request", token=None, json=item).status_code == 401
    for api in open_api(tmp_path / "on", subject_identity_verification_required=True):
        told = api.ok("POST", "/privacy-request", token=None, json=item)
        assert told["failed"][0]["message"] == "Verification email could not be sent."  # no e-mail is configured
        assert api.ok("GET", "/privacy-request")["total"] == 0
        assert api.ok("POST", "/privacy-request", json=item)["succeeded"][0]["status"] == "pending"
