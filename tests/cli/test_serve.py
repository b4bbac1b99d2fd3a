"""`habeas serve`: ready soon, one worker beside it that lives and dies with it, clean ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.conftest import ENVIRONMENT, Habeas
from cli.serving import Server, is_alive, wait_for
from habeas.cli.main import code_of
from habeas.cli.serve import _await_database
from habeas.core.errors import Unavailable
from habeas.core.settings import Settings

Serve = Callable[..., Server]


@pytest.fixture
def serve(data_dir: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(*options: str, **environment: str) -> Server:
        servers.append(Server(data_dir, ENVIRONMENT | environment, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.end(signal.SIGKILL)


def _health(server: Server) -> int:
    with urllib.request.urlopen(f"{server.url}/health", timeout=5) as answer:
        code: int = answer.status
    return code


def test_a_first_start_shows_the_root_client_once(serve: Serve, habeas: Habeas, data_dir: Path) -> None:
    server = serve("--no-worker")
    assert _health(server) == 200
    assert "Keep its secret now" in server.said
    said = habeas("request", "list", "--json", "--server", server.url, **server.credentials)
    assert (said.code, said.json["total"]) == (0, 0)
    wrong = server.credentials | {"HABEAS_CLIENT_SECRET": "wrong"}
    assert habeas("request", "list", "--server", server.url, **wrong).code == 4
    assert server.end() == 0
    again = serve("--no-worker")
    assert "secret" not in again.said
    modes = [stat.S_IMODE(path.stat().st_mode) for path in data_dir.rglob("*key*") if path.is_file()]
    assert modes
    assert all(mode & 0o077 == 0 for mode in modes)


def test_sigterm_ends_server_and_worker_within_ten_seconds(serve: Serve) -> None:
    server = serve()
    wait_for(lambda: server.children())
    (worker,) = server.children()
    began = time.monotonic()
    assert server.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
    assert not is_alive(worker)


def test_the_worker_dies_with_a_killed_server(serve: Serve) -> None:
    server = serve()
    wait_for(lambda: server.children())
    (worker,) = server.children()
    server.end(signal.SIGKILL)
    wait_for(lambda: not is_alive(worker), 5)


def test_a_worker_that_ends_is_started_again(serve: Serve) -> None:
    server = serve()
    wait_for(lambda: server.children())
    (worker,) = server.children()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: server.children() and server.children() != [worker])
    wait_for(lambda: "starting it again" in server.said)


def test_a_taken_port_is_said_plainly(serve: Serve, habeas: Habeas) -> None:
    port = serve("--no-worker").url.rpartition(":")[2]
    said = habeas("serve", "--no-worker", "--port", port)
    assert said.code == 3
    assert "can't be listened on" in said.err


def test_an_unknown_variable_is_warned_of_and_bad_settings_end_the_start(serve: Serve, habeas: Habeas) -> None:
    assert "did you mean HABEAS_PORT?" in serve("--no-worker", HABEAS_PROT="1").said
    said = habeas("serve", HABEAS_PHONE_REGION="nowhere")
    assert said.code == 1
    assert "HABEAS_PHONE_REGION" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("command", [("serve", "--no-worker"), ("worker",), ("request", "list"), ("doctor",)])
@pytest.mark.parametrize(("place", "said"), [("file", "is no directory"), ("file/below", "can't be made")])
def test_a_data_directory_that_cannot_be_is_said(
    quick: Habeas, tmp_path: Path, command: tuple[str, ...], place: str, said: str
) -> None:
    (tmp_path / "file").touch()
    told = quick(*command, HABEAS_DATA_DIR=str(tmp_path / place))
    assert told.code == 3
    assert said in told.err
    assert f"{tmp_path / place}" in told.err
    assert "Traceback" not in told.err


def test_an_absent_database_is_waited_for_aloud(data_dir: Path) -> None:
    environment = ENVIRONMENT | {
        "HABEAS_DATA_DIR": str(data_dir),
        "HABEAS_DATABASE_URL": "postgresql://ada:hush@127.0.0.1:1/records",
    }
    command = [sys.executable, "-m", "habeas", "serve", "--no-worker"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.kill()
    assert first == "habeas: waiting up to 10 s for the database at 127.0.0.1:1/records\n"


def test_a_database_that_stays_absent_ends_the_start() -> None:
    settings = Settings(database_url="postgresql://ada:hush@127.0.0.1:1/records")
    with pytest.raises(Unavailable) as caught:
        _await_database(settings, wait_seconds=0.2)
    assert code_of(caught.value) == 3
    assert str(caught.value).startswith("database at 127.0.0.1:1/records: did not answer in 0.2 s")
    assert "hush" not in str(caught.value)
