"""`habeas serve`: ready soon, one worker beside it that lives and dies with it, clean ends."""

from __future__ import annotations

import os
import signal
import stat
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.conftest import ENVIRONMENT, Habeas
from cli.serving import Server, is_alive, wait_for

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
