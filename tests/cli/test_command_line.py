"""The command line itself: start time, help, exit codes, where errors go. Nothing here needs an installation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Habeas
from habeas import __version__
from habeas.cli.identities import read_identities
from habeas.cli.main import code_of
from habeas.core import errors
from habeas.core.errors import BadInput


def test_version_starts_at_once_and_loads_nothing_heavy(habeas: Habeas) -> None:
    fastest = 9.0
    for _ in range(5):
        began = os.times()
        said = habeas("--version")
        ended = os.times()  # processor time of the child: the same on a busy machine
        spent = ended.children_user + ended.children_system - began.children_user - began.children_system
        fastest = min(fastest, spent)
    assert (said.code, said.out) == (0, f"habeas {__version__}\n")
    assert fastest <= 0.3


def test_importing_the_command_line_loads_no_framework_but_its_own() -> None:
    heavy = "pydantic sqlalchemy fastapi starlette dbos psycopg httpx2 structlog phonenumbers cryptography rich yaml"
    code = f"import habeas.cli.main, sys; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


COMMANDS = [
    "serve", "worker", "demo", "apply", "doctor", "dataset check", "dataset draft", "connection test",
    "connection list", "category list", "plan explain", "request submit", "request list", "request show",
    "request watch", "request approve", "request deny", "request retry", "receipt show", "receipt verify",
    "receipt head", "event list", "event-webhook add",
    "event-webhook replay", "execution pause", "execution resume", "execution status",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from habeas.cli.main import run

    assert run([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: habeas" in text
    if command.split()[0] not in ("serve", "worker", "demo") and command != "receipt verify":
        assert "--server" in text
        assert "--data-dir" in text
    if command not in ("serve", "worker", "demo"):
        assert "--json" in text


def test_wrong_usage_is_exit_code_2_and_says_why_on_stderr(quick: Habeas) -> None:
    for arguments in (["nosuch"], ["request", "submit"], ["request", "list", "--size", "1000"]):
        said = quick(*arguments)
        assert (said.code, said.out) == (2, "")
        assert "Error" in said.err


def test_a_server_that_does_not_answer_is_exit_code_3(quick: Habeas) -> None:
    said = quick("request", "list", "--server", "http://127.0.0.1:9", "--client-id", "a", HABEAS_CLIENT_SECRET="b")
    assert said.code == 3
    assert said.out == ""
    assert "no answer" in said.err


def test_a_server_needs_a_client(quick: Habeas) -> None:
    said = quick("request", "list", "--server", "http://127.0.0.1:9")
    assert said.code == 1
    assert "HABEAS_CLIENT_SECRET" in said.err


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.BadInput("x"), 1),
        (errors.NotFound("x"), 1),
        (errors.Refused("x", cause="no_key"), 1),
        (errors.Unavailable("x"), 3),
        (errors.SourceUnreachable("x"), 3),
        (errors.Unauthorised("x"), 4),
        (errors.Forbidden("x"), 4),
    ],
)
def test_exit_codes_follow_the_error(problem: errors.HabeasError, code: int) -> None:
    assert code_of(problem) == code


def test_identities_come_from_the_line_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    (tmp_path / "mail").write_text("ada@example.com\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("+12025550143\n"))
    found = read_identities([f"email=@{tmp_path / 'mail'}", "phone_number=-", "member=a=b"])
    assert found == {"email": "ada@example.com", "phone_number": "+12025550143", "member": "a=b"}


@pytest.mark.parametrize("given", [["bo@example.net"], ["=bo@example.net"], ["email=bo@example.net"] * 2])
def test_a_bad_identity_is_named_by_its_position_never_by_its_value(given: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        read_identities(given)
    assert "example.net" not in str(caught.value)
    assert "number" in str(caught.value)
