"""Messages across kill -9, over HTTP with real processes: none is lost, and one at most is in doubt."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from mailbook import Mailbox, mail_server
from serving import Server


def settings(box: Mailbox, **more: str) -> dict[str, str]:
    return {
        "HABEAS_SUBJECT_IDENTITY_VERIFICATION_REQUIRED": "true",
        "HABEAS_SMTP_HOST": "127.0.0.1",
        "HABEAS_SMTP_PORT": str(box.port),
        "HABEAS_SMTP_FROM": "privacy@example.org",
        "HABEAS_SMTP_STARTTLS": "false",
        **more,
    }


def ask(server: Server, *addresses: str) -> list[str]:
    """Public requests, without a token; their ids."""
    items = [{"policy_key": "download", "identity": {"email": each}} for each in addresses]
    answer = server.api.http.post("/api/v1/privacy-request", json=items, headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text
    assert not answer.json()["failed"], answer.json()
    return [each["id"] for each in answer.json()["succeeded"]]


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


@pytest.mark.parametrize(
    ("app_database", "boundary", "doubted"),
    [("sqlite", "message.claimed", 0), ("sqlite", "message.sent", 1), ("postgresql", "message.sent", 1)],
)
def test_a_worker_that_dies_leaves_one_message_in_doubt_and_loses_none(
    tmp_path: Path, request: pytest.FixtureRequest, app_database: str, boundary: str, doubted: int
) -> None:
    chosen = {} if app_database == "sqlite" else {"HABEAS_DATABASE_URL": request.getfixturevalue("postgres_url")}
    addresses = [f"{name}@example.com" for name in ("ada", "bea", "cyd")]
    with mail_server() as box:
        server = Server(tmp_path / "data", settings(box, **chosen))
        try:
            server.start("--no-worker")
            ids = ask(server, *addresses)
            dying = server.run("worker", HABEAS_CRASH_AT=f"{boundary}:2")  # the first goes out, the second is doubted
            assert dying.wait(60) == -9
            assert len(box.letters) == 1 + doubted
            heir = server.run("worker")
            try:
                for address in addresses:
                    box.await_letters(address)
                code = box.code_for("cyd@example.com")
                path = f"/api/v1/privacy-request/{ids[2]}/verify"
                answer = server.api.http.post(path, json={"code": code}, headers={"Authorization": ""})
                assert answer.status_code == 200, answer.text
                assert server.api.wait(ids[2])["status"] == "complete"
                _await_all_sent(server)
            finally:
                end(heir)
        finally:
            server.kill()
    counts = {address: len(box.to(address)) for address in addresses}
    assert counts == {"ada@example.com": 1, "bea@example.com": 1 + doubted, "cyd@example.com": 1}
    assert len({letter["Message-ID"] for letter in box.letters}) == len(addresses)
    log = server.log.read_text()
    assert "example.com" not in log
    assert code not in log


def _await_all_sent(server: Server, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while server.api.call("GET", "/email/message", state="waiting")["total"]:
        assert time.monotonic() < deadline, server.api.call("GET", "/email/message")
        time.sleep(0.05)


def test_a_mail_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with mail_server() as box:
        port = box.port
    box.port = port
    server = Server(tmp_path / "data", settings(box))
    try:
        server.start()
        (request_id,) = ask(server, "ada@example.com")
        deadline = time.monotonic() + 30
        while not (found := server.api.call("GET", "/email/message", subject=request_id)["items"])[0]["error"]:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        assert (found[0]["state"], found[0]["error"]) == ("waiting", "unreachable")
        with mail_server(port=port) as back:
            assert back.code_for("ada@example.com", seconds=60)
    finally:
        server.kill()
