"""Bodies made to cost more than they weigh, clients that trickle, and pages of other origins."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apibook import Api, open_api
from habeas.api import patience
from habeas.api.app import build_app
from habeas.cli.serve import _server
from habeas.core.errors import BadInput
from habeas.core.settings import load_settings

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    for each in open_api(tmp_path_factory.mktemp("limits")):
        each.saved("/connection", {"name": "shop", "key": "shop", "connection_type": "sqlite", "access": "read"})
        yield each


@pytest.mark.parametrize(
    "text",
    [
        f"dataset:\n- fides_key: bomb\n  collections: []\n{BOMB}",
        "dataset: " + "[" * 50_000,
        "dataset: " + "{a: " * 50_000,
        "dataset: !!python/object/apply:os.system ['true']",
        "dataset: &a [*a]",
    ],
    ids=["billion laughs", "deep lists", "deep maps", "an object of Python's", "a list that holds itself"],
)
def test_yaml_that_costs_more_than_it_weighs_is_refused(api: Api, text: str) -> None:
    headers = {"Content-Type": "application/x-yaml"}
    answer = api.call("PATCH", "/yml/connection/shop/dataset", content=text.encode(), headers=headers)
    assert answer.status_code in (400, 422), answer.text[:500]
    assert api.ok("GET", "/connection/shop/dataset")["total"] == 0


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 5000 + "]" * 5000])
def test_json_that_is_deep_is_refused(api: Api, text: str) -> None:
    answer = api.call("PATCH", "/policy", content=text.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text[:500]


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://habeas.test.example.com"])
def test_pages_of_other_origins_may_read_nothing(api: Api, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    for method, headers in (("OPTIONS", asked), ("GET", {"Origin": origin})):
        answer = api.call(method, "/policy", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


MINE = "https://privacy.example.com"
ASKED = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}


def allowed(headers: object) -> dict[str, str]:
    return {name: value for name, value in dict(headers).items() if name.startswith("access-control-")}  # type: ignore[call-overload]


def test_pages_of_named_origins_may_call_and_no_others(tmp_path: Path) -> None:
    for api in open_api(tmp_path / "data", cors_origins=f"{MINE}, http://localhost:3000"):
        told = api.call("OPTIONS", "/policy", token=None, headers={"Origin": MINE, **ASKED})
        assert told.status_code == 200
        assert told.headers["access-control-allow-origin"] == MINE
        assert told.headers["x-content-type-options"] == "nosniff"
        for token in (api.token, None):  # errors, too: a page should see why
            told = api.call("GET", "/policy", token=token, headers={"Origin": MINE})
            assert told.headers["access-control-allow-origin"] == MINE
            assert "origin" in told.headers["vary"].lower()
            assert "access-control-allow-credentials" not in told.headers
        for other in ("https://evil.example.com", f"{MINE}.evil.example.com", "http://privacy.example.com", "null"):
            told = api.call("OPTIONS", "/policy", token=None, headers={"Origin": other, **ASKED})
            assert told.status_code == 400
            assert "access-control-allow-origin" not in told.headers
            assert "access-control-allow-origin" not in api.call("GET", "/policy", headers={"Origin": other}).headers


@pytest.mark.parametrize(
    "given", ["*", "https://*.example.com", "null", "privacy.example.com", f"{MINE}/path", "ftp://x"]
)
def test_no_wildcard_is_an_origin(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABEAS_CORS_ORIGINS", given)
    with pytest.raises(BadInput, match="HABEAS_CORS_ORIGINS"):
        load_settings()


def test_the_origins_of_fidesops_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIDESOPS__SECURITY__CORS_ORIGINS", f'["{MINE}/", "http://localhost:3000"]')
    assert load_settings().cors_origins == (MINE, "http://localhost:3000")


@pytest.fixture
def address(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """The server as `habeas serve` sets it up, with less patience."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(patience, "BODY_SECONDS", 1.0)
    listener = socket.create_server(("127.0.0.1", 0))
    server = _server(build_app(api.installation), api.installation.settings, lambda: None)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(10)
    listener.close()


def trickle(address: tuple[str, int], whole: bytes, slow: bytes, *, pause: float = 0.2) -> tuple[bytes, float]:
    """Send some at once and the rest a byte at a time, until the server ends it; its answer, and how long it took."""
    with socket.create_connection(address, timeout=20) as link:
        began = time.monotonic()
        link.sendall(whole)
        link.settimeout(pause)
        told = b""
        for byte in [*slow, *b"x" * 100]:
            try:
                link.sendall(bytes([byte]))
                chunk = link.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if not chunk:
                break
            told += chunk
        return told, time.monotonic() - began


CALL = "POST /api/v1/oauth/token HTTP/1.1\r\nHost: habeas.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"


def test_a_head_that_trickles_is_cut_off(address: tuple[str, int]) -> None:
    for whole in (b"", b"GET /health HTTP/1.1\r\nX-Long: "):
        told, seconds = trickle(address, whole, b"")
        assert told == b""
        assert seconds < 10
    told, seconds = trickle(
        address, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP"
    )  # the second call's head
    assert told.startswith(b"HTTP/1.1 200 ")
    assert told.count(b"HTTP/1.1 ") == 1
    assert seconds < 10


def test_a_body_that_trickles_is_408_and_the_end(address: tuple[str, int]) -> None:
    told, seconds = trickle(address, f"{CALL}Content-Length: 1000\r\n\r\n".encode(), b"")
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in told
    assert b"connection: close" in told.lower()
    assert b"x-content-type-options: nosniff" in told.lower()
    assert seconds < 10
    chunked = f"{CALL}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert trickle(address, chunked, b"1\r\nx\r\n" * 20)[0].startswith(b"HTTP/1.1 408 ")


def test_a_body_that_came_in_parts_at_a_fair_pace_is_read(address: tuple[str, int]) -> None:
    """Longer in all than the patience for one that stands still."""
    with socket.create_connection(address, timeout=20) as link:
        link.sendall(f"{CALL}Content-Length: {10 * 20_000}\r\n\r\n".encode())
        for _ in range(10):
            link.sendall(b"x" * 20_000)
            time.sleep(0.2)
        assert link.recv(65536).startswith(b"HTTP/1.1 4")
