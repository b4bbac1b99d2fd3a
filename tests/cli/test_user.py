"""`habeas user`: a person from the invitation to the end, on a local data directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apibook import open_api
from habeas.cli.main import run


def test_a_user_from_invitation_to_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "data"))

    def told(*arguments: str) -> Any:
        assert run(["user", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    invited = told("invite", "ada", "--role", "viewer")
    again = told("invite", "Ada")
    assert again["id"] == invited["id"]
    assert again["invite_code"] != invited["invite_code"]
    (listed,) = told("list", "--username", "ad")["items"]
    assert (listed["id"], listed["status"], listed["roles"]) == (invited["id"], "invited", ["viewer"])
    assert told("permit", invited["id"], "--role", "approver", "--role", "viewer")["roles"] == ["approver", "viewer"]
    assert run(["user", "permit", invited["id"], "--role", "king"]) == 1
    assert "unknown role" in capsys.readouterr().err
    assert run(["user", "list"]) == 0
    assert "approver, viewer" in " ".join(capsys.readouterr().out.split())
    told("remove", invited["id"])
    assert run(["user", "remove", invited["id"]]) == 1
    assert run(["user", "list"]) == 0
    assert "There are no such users." in capsys.readouterr().out


def test_the_code_lets_somebody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "data"))
    assert run(["user", "invite", "ada", "--role", "viewer", "--json"]) == 0
    code = json.loads(capsys.readouterr().out)["invite_code"]
    body = {"username": "ada", "invite_code": code, "new_password": "Correct-horse-7"}
    for api in open_api(tmp_path / "data"):  # its clock is earlier: the invitation is still good
        token = api.ok("POST", "/user/accept-invite", token=None, json=body)["token_data"]["access_token"]
        assert api.call("GET", "/policy", token=token).status_code == 200
