"""Users, permissions, passwords, signing in and out, as fidesops documents them, and what is safer than there."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from apibook import Api, open_api
from habeas.core.errors import HabeasError
from habeas.requests import sign_in as service
from habeas.requests.clients import SignedToken
from habeas.requests.scopes import ROLES, SCOPES

PASSWORD = "Correct-horse-7"
OTHER = "Battery-staple-8"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    yield from open_api(tmp_path_factory.mktemp("users"))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Api]:
    yield from open_api(tmp_path / "data")


def make(api: Api, username: str, *scopes: str, roles: tuple[str, ...] = (), **names: str) -> str:
    made = api.call("POST", "/user", json={"username": username, "password": PASSWORD, **names})
    assert made.status_code == 201, made.text
    user_id = str(made.json()["id"])
    if scopes or roles:
        body = {"id": user_id, "scopes": list(scopes), "roles": list(roles)}
        assert api.call("PUT", f"/user/{user_id}/permission", json=body).status_code == 201
    return user_id


def enter(api: Api, username: str, password: str = PASSWORD) -> str:
    told = api.ok("POST", "/login", token=None, json={"username": username, "password": password})
    return str(told["token_data"]["access_token"])


def status(api: Api, username: str, password: str) -> int:
    return api.call("POST", "/login", token=None, json={"username": username, "password": password}).status_code


def test_a_user_is_made_read_renamed_listed_and_deleted(api: Api) -> None:
    user_id = make(api, "ada_l", first_name="Ada")
    assert user_id.startswith("fid_")
    shown = api.ok("GET", f"/user/{user_id}")
    assert (shown["username"], shown["first_name"], shown["last_name"]) == ("ada_l", "Ada", None)
    assert "password" not in str(shown)
    renamed = api.ok("PUT", f"/user/{user_id}", json={"last_name": "Example"})
    assert (renamed["first_name"], renamed["last_name"]) == ("Ada", "Example")
    make(api, "adaXl")
    found = api.ok("GET", "/user", params={"username": "A_L"})
    assert [each["id"] for each in found["items"]] == [user_id]
    assert {"items", "total", "page", "size"} == set(found)
    assert api.call("DELETE", f"/user/{user_id}").status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/permission")):
        assert api.call(method, f"/user/{user_id}{path}").status_code == 404


@pytest.mark.parametrize("taken", ["grace", "GRACE"])
def test_a_name_is_taken_once(api: Api, taken: str) -> None:
    if not api.ok("GET", "/user", params={"username": "grace"})["total"]:
        make(api, "grace")
    answer = api.call("POST", "/user", json={"username": taken, "password": PASSWORD})
    assert answer.status_code == 400
    assert "Username already exists." in answer.json()["detail"]


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("Ab1-", "eight characters"),
        ("Abcdefg-", "one number"),
        ("abcdef1-", "one capital"),
        ("ABCDEF1-", "one lowercase"),
        ("Abcdefg1", "one symbol"),
        ("Weakling-1", "username"),
        ("Aa1-" + "x" * 300, "at most"),
    ],
)
def test_a_weak_password_is_refused_wherever_one_is_set(api: Api, password: str, said: str) -> None:
    answer = api.call("POST", "/user", json={"username": "weakling", "password": password})
    assert answer.status_code == 422
    assert said in answer.text
    assert password not in answer.text
    encoded = base64.b64encode(password.encode()).decode()
    assert api.call("POST", "/user", json={"username": "weakling", "password": encoded}).status_code == 422
    invited = api.call("POST", "/user", json={"username": "weakling"}).json()
    body = {"username": "weakling", "invite_code": invited["invite_code"], "new_password": password}
    assert api.call("POST", "/user/accept-invite", token=None, json=body).status_code == 422
    body |= {"new_password": PASSWORD}
    token = api.ok("POST", "/user/accept-invite", token=None, json=body)["token_data"]["access_token"]
    change = {"old_password": PASSWORD, "new_password": password}
    assert api.call("POST", f"/user/{invited['id']}/reset-password", token=token, json=change).status_code == 422
    api.call("DELETE", f"/user/{invited['id']}")


@pytest.mark.parametrize("username", ["", "two words", "tab\there", "x" * 151])
def test_a_username_has_no_spaces(api: Api, username: str) -> None:
    answer = api.call("POST", "/user", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 422
    assert PASSWORD not in answer.text


def test_passwords_come_plain_or_in_base64(api: Api) -> None:
    encoded = base64.b64encode(PASSWORD.encode()).decode()
    made = api.call("POST", "/user", json={"username": "encoded", "password": encoded})
    assert made.status_code == 201
    assert status(api, "encoded", PASSWORD) == 200
    assert status(api, "encoded", encoded) == 200


def test_a_login_shows_the_user_and_gives_a_token(api: Api) -> None:
    user_id = make(api, "lin", "policy:read")
    told = api.ok("POST", "/login", token=None, json={"username": "Lin", "password": PASSWORD})
    assert told["user_data"]["id"] == user_id
    assert set(told["user_data"]) >= {"id", "username", "created_at", "first_name", "last_name"}
    token = told["token_data"]["access_token"]
    assert told["token_data"]["expires_in"] == 3600
    assert api.call("GET", "/policy", token=token).status_code == 200
    assert api.call("GET", "/storage/config", token=token).status_code == 403
    assert api.ok("GET", f"/user/{user_id}")["last_login_at"] is not None


def test_a_new_user_may_read_requests_until_permissions_are_set(api: Api) -> None:
    user_id = make(api, "newcomer")
    assert api.ok("GET", f"/user/{user_id}/permission")["scopes"] == ["privacy-request:read", "user:reset-password"]
    body = {"scopes": ["policy:read"]}
    first = api.call("POST", f"/user/{user_id}/permission", json=body)
    assert (first.status_code, first.json()["scopes"]) == (201, ["policy:read"])
    assert api.call("POST", f"/user/{user_id}/permission", json=body).status_code == 400
    put = api.call("PUT", f"/user/{user_id}/permission", json={"id": user_id, "scopes": ["rule:read"]})
    assert (put.status_code, put.json()["scopes"]) == (201, ["rule:read"])
    for body in ({"scopes": ["no:such"]}, {"roles": ["king"]}):
        assert api.call("PUT", f"/user/{user_id}/permission", json=body).status_code == 422
    assert api.call("PUT", "/user/fid_unknown/permission", json={"scopes": []}).status_code == 404


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_gives_its_scopes_and_no_more(api: Api, role: str) -> None:
    user_id = make(api, f"role_{role}", roles=(role,))
    assert set(api.ok("GET", f"/user/{user_id}/permission")["scopes"]) == ROLES[role]
    token = enter(api, f"role_{role}")
    allowed = api.call("GET", "/policy", token=token).status_code == 200
    assert allowed == ("policy:read" in ROLES[role])
    assert (api.call("GET", "/config", token=token).status_code == 200) == (role == "owner")


def test_the_roles() -> None:
    assert set(ROLES) == {"owner", "contributor", "viewer", "approver", "viewer_and_approver", "respondent"}
    assert ROLES["owner"] == set(SCOPES)
    assert ROLES["viewer_and_approver"] == ROLES["viewer"] | ROLES["approver"]
    assert "privacy-request:review" in ROLES["approver"] - ROLES["viewer"] - ROLES["respondent"]
    assert all("user:reset-password" in each for each in ROLES.values())
    for role in set(ROLES) - {"owner"}:
        assert not {"client:create", "user:create", "user-permission:update", "config:read"} & ROLES[role]


def test_nobody_gives_a_user_what_he_lacks(api: Api) -> None:
    clerk = api.token_with("user:create", "user-permission:update", "user:delete", "user:update", "policy:read")
    made = api.call("POST", "/user", token=clerk, json={"username": "junior", "password": PASSWORD})
    user_id = made.json()["id"]
    assert api.ok("GET", f"/user/{user_id}/permission")["scopes"] == []  # the clerk can't read requests either
    for body in ({"scopes": ["policy:delete"]}, {"roles": ["owner"]}, {"roles": ["viewer"]}):
        answer = api.call("PUT", f"/user/{user_id}/permission", token=clerk, json=body)
        assert answer.status_code == 403
    api.call("PUT", f"/user/{user_id}/permission", token=clerk, json={"scopes": ["policy:read"]})
    owner = make(api, "boss", roles=("owner",))
    for method, path, body in (
        ("PUT", "/permission", {"scopes": []}),
        ("PUT", "", {"first_name": "Mallory"}),
        ("POST", "/invite", None),
        ("DELETE", "", None),
    ):
        assert api.call(method, f"/user/{owner}{path}", token=clerk, json=body).status_code == 403
    assert api.ok("GET", f"/user/{owner}/permission")["roles"] == ["owner"]


def test_a_session_never_holds_more_than_its_user(api: Api) -> None:
    user_id = make(api, "climber", "user-permission:update", "user:create", "client:create")
    token = enter(api, "climber")
    answer = api.call("PUT", f"/user/{user_id}/permission", token=token, json={"roles": ["owner"]})
    assert answer.status_code == 403
    assert api.call("POST", "/oauth/client", token=token, json=["policy:delete"]).status_code == 403


def test_a_changed_password_ends_all_sessions(api: Api) -> None:
    user_id = make(api, "changer", roles=("viewer",))
    first, second = enter(api, "changer"), enter(api, "changer")
    path, body = f"/user/{user_id}/reset-password", {"old_password": PASSWORD, "new_password": OTHER}
    assert api.call("POST", path, token=first, json=body | {"old_password": OTHER}).status_code == 401
    assert api.call("POST", path, json=body).status_code == 401  # the root client is somebody else
    assert api.call("POST", path, token=first, json=body).status_code == 200
    for token in (first, second):
        assert api.call("GET", "/policy", token=token).status_code == 401
    assert status(api, "changer", PASSWORD) == 403
    assert status(api, "changer", OTHER) == 200


def test_another_users_password_cant_be_changed(api: Api) -> None:
    make(api, "alice", roles=("owner",))
    other = make(api, "bert", roles=("viewer",))
    body = {"old_password": PASSWORD, "new_password": OTHER}
    answer = api.call("POST", f"/user/{other}/reset-password", token=enter(api, "alice"), json=body)
    assert answer.status_code == 401
    assert status(api, "bert", PASSWORD) == 200


def test_changed_permissions_end_all_sessions(api: Api) -> None:
    user_id = make(api, "demoted", roles=("owner",))
    token = enter(api, "demoted")
    api.call("PUT", f"/user/{user_id}/permission", json={"roles": ["viewer"]})
    assert api.call("GET", "/policy", token=token).status_code == 401
    assert api.call("GET", "/config", token=enter(api, "demoted")).status_code == 403


def test_a_deleted_users_session_ends(api: Api) -> None:
    user_id = make(api, "leaver", roles=("viewer",))
    token = enter(api, "leaver")
    api.call("DELETE", f"/user/{user_id}")
    assert api.call("GET", "/policy", token=token).status_code == 401
    assert status(api, "leaver", PASSWORD) == 403


def test_logging_out_ends_all_sessions_of_the_user_alone(api: Api) -> None:
    make(api, "outgoing", roles=("viewer",))
    make(api, "staying", roles=("viewer",))
    first, second, other = enter(api, "outgoing"), enter(api, "outgoing"), enter(api, "staying")
    assert api.call("POST", "/logout", token=first).status_code == 204
    for token in (first, second):
        assert api.call("GET", "/policy", token=token).status_code == 401
        assert api.call("POST", "/logout", token=token).status_code == 204
    assert api.call("GET", "/policy", token=other).status_code == 200
    assert api.call("POST", "/logout", token="garbage").status_code == 204
    assert api.call("POST", "/logout", token=None).status_code == 401
    assert api.call("POST", "/logout").status_code == 204
    assert api.call("GET", "/policy").status_code == 200  # a client's tokens stay


def test_an_invitation_works_once_and_for_a_week(fresh: Api) -> None:
    invited = fresh.call("POST", "/user", json={"username": "guest"}).json()
    assert fresh.ok("GET", f"/user/{invited['id']}")["status"] == "invited"
    assert status(fresh, "guest", PASSWORD) == 403
    body = {"username": "guest", "invite_code": invited["invite_code"], "new_password": PASSWORD}
    wrong = fresh.call("POST", "/user/accept-invite", token=None, json=body | {"invite_code": "wrong"})
    nobody = fresh.call("POST", "/user/accept-invite", token=None, json=body | {"username": "nobody"})
    assert (wrong.status_code, wrong.json()) == (403, nobody.json())
    again = fresh.ok("POST", f"/user/{invited['id']}/invite")
    assert fresh.call("POST", "/user/accept-invite", token=None, json=body).status_code == 403  # replaced
    body |= {"invite_code": again["invite_code"]}
    fresh.clock.advance(7 * 24 * 3600 + 1)
    assert fresh.call("POST", "/user/accept-invite", token=None, json=body).status_code == 403
    fresh.token = fresh.token_of("root", "root-secret-of-the-tests")
    body |= {"invite_code": fresh.ok("POST", f"/user/{invited['id']}/invite")["invite_code"]}
    told = fresh.ok("POST", "/user/accept-invite", token=None, json=body)
    assert told["user_data"]["status"] == "active"
    token = told["token_data"]["access_token"]
    assert fresh.call("GET", "/privacy-request", token=token).status_code == 200
    assert fresh.call("POST", "/user/accept-invite", token=None, json=body).status_code == 403
    assert fresh.call("GET", "/privacy-request", token=token).status_code == 200


def test_what_is_decided_about_users_is_in_the_audit_trail(fresh: Api) -> None:
    user_id = make(fresh, "audited", roles=("viewer",))
    enter(fresh, "audited")
    entries = fresh.ok("GET", "/audit-trail", params={"subject": user_id})["items"]
    assert [each["action"] for each in entries] == ["user.signed_in", "user.permitted", "user.created"]
    assert entries[0]["actor"] == user_id
    assert PASSWORD not in str(entries)


def test_many_wrong_passwords_at_once_all_count(fresh: Api) -> None:
    """Attempts in parallel can't get past the lock: each is counted before it is compared."""
    make(fresh, "target")

    def attempt(number: int) -> object:
        try:
            return service.sign_in(fresh.installation, "target", f"Wrong-guess-{number}")
        except HabeasError as problem:
            return type(problem)

    with ThreadPoolExecutor(8) as threads:
        ended = list(threads.map(attempt, range(24)))
    assert ended.count(service.SignInRefused) <= service.MOST_FAILURES
    assert ended.count(service.SignInLocked) >= 24 - service.MOST_FAILURES


def test_a_session_doesnt_outlive_a_password_changed_while_it_began(
    fresh: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = make(fresh, "racer", roles=("viewer",))
    signed = service.sign_token

    def change_first(means: Any, holder: str, scopes: tuple[str, ...]) -> SignedToken:
        monkeypatch.setattr(service, "sign_token", signed)
        token = enter(fresh, "racer")
        body = {"old_password": PASSWORD, "new_password": OTHER}
        fresh.ok("POST", f"/user/{user_id}/reset-password", token=token, json=body)
        return signed(means, holder, scopes)

    monkeypatch.setattr(service, "sign_token", change_first)
    with pytest.raises(service.SignInRefused):
        service.sign_in(fresh.installation, "racer", PASSWORD)
