"""The outermost layer: slashes, headers, framing, documentation, health; on a real socket where it matters."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from habeas.api.app import build_app
from habeas.api.edge import Edge
from habeas.core.errors import Unavailable
from habeas.store.receipt_format import key_id_of
from habeas.store.session import insert_new
from habeas.store.tables import setting

from .conftest import Api


@pytest.fixture(scope="module")
def address(shared_api: Api) -> Iterator[tuple[str, int]]:
    """The application behind uvicorn on a loopback socket."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(build_app(shared_api.installation), log_level="critical"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(10)
    listener.close()


def raw_call(address: tuple[str, int], *lines: str, body: str = "") -> str:
    text = "\r\n".join([*lines, "Host: habeas.test", "Connection: close", "", body])
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(text.encode())
        chunks = []
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks).decode()


def test_both_forms_of_a_path_answer_directly(shared_api: Api) -> None:
    for path in ("/policy/", "/policy", "/policy/download/", "/connection/", "/privacy-request/"):
        assert shared_api.call("GET", path).status_code == 200
    assert shared_api.call("GET", "/health/").status_code == 200


def test_every_answer_has_security_headers(shared_api: Api) -> None:
    for path, token in (("/policy", shared_api.token), ("/policy", None), ("/nowhere", None), ("/docs", None)):
        headers = shared_api.call("GET", path, token=token).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")


def test_unknown_paths_and_methods_are_problems(shared_api: Api) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("PUT", "/policy", 405), ("GET", "/api/v2/policy", 404)):
        answer = shared_api.call(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json().keys() >= {"type", "title", "status", "detail"}


def test_health(shared_api: Api) -> None:
    told = shared_api.ok("GET", "/health", token=None)
    assert told["status"] == "healthy"


def test_health_says_when_the_database_is_gone(api: Api) -> None:
    file = api.installation.settings.data_dir / "habeas.sqlite"
    file.rename(file.with_suffix(".away"))
    api.installation.database._wait = 0.1  # what is tested is the answer, not the patience
    answer = api.call("GET", "/health", token=None)
    assert answer.status_code == 503
    assert answer.json()["database"] == "unhealthy"
    assert api.call("GET", "/policy").status_code == 503
    file.with_suffix(".away").rename(file)
    assert api.call("GET", "/health", token=None).status_code == 200


def test_the_openapi_document(shared_api: Api) -> None:
    document = shared_api.ok("GET", "/openapi.json", token=None)
    assert shared_api.ok("GET", "/api/v1/openapi.json", token=None) == document
    intake = document["paths"]["/api/v1/privacy-request"]["post"]
    assert intake["operationId"] == "create_privacy_request_api_v1_privacy_request_post"
    assert intake["tags"] == ["Privacy Requests"]
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names <= set(document["components"]["schemas"])


def test_the_documentation_needs_no_other_host(shared_api: Api) -> None:
    answer = shared_api.call("GET", "/docs", token=None)
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(r"(src|href)=.?https?:", answer.text)
    assert "<script" not in answer.text
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert "create_privacy_request_api_v1_privacy_request_post" in answer.text


def test_the_receipt_keys(shared_api: Api) -> None:
    [key] = shared_api.ok("GET", "/.well-known/habeas-receipt-keys.json", token=None)["keys"]
    assert key["algorithm"] == "Ed25519"
    assert len(bytes.fromhex(key["public_key"])) == 32


def test_the_receipt_keys_of_all_machines(api: Api) -> None:
    [own] = api.ok("GET", "/.well-known/habeas-receipt-keys.json", token=None)["keys"]
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    row = {"name": f"receipt_key:{key_id_of(other)}", "value": {"public_key": other.hex()}}
    with api.installation.database.begin() as connection:
        insert_new(connection, setting, [row | {"updated_at": api.clock.now()}])
    keys = api.ok("GET", "/.well-known/habeas-receipt-keys.json", token=None)["keys"]
    assert {each["public_key"] for each in keys} == {own["public_key"], other.hex()}


INTAKE = ("POST /api/v1/privacy-request HTTP/1.1", "Content-Type: application/json", "Content-Length: 9000000")


def test_no_token_is_401_before_the_body_is_sent(address: tuple[str, int]) -> None:
    assert raw_call(address, *INTAKE).startswith("HTTP/1.1 401 ")


def test_a_body_that_is_too_large(address: tuple[str, int], shared_api: Api) -> None:
    assert raw_call(address, *INTAKE, f"Authorization: Bearer {shared_api.token}").startswith("HTTP/1.1 413 ")
    answer = shared_api.call("PATCH", "/policy", content=b"[" + b" " * (8 * 1024 * 1024) + b"]")
    assert answer.status_code == 413


def test_content_length_with_transfer_encoding(address: tuple[str, int]) -> None:
    lines = ("POST /api/v1/oauth/token HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked")
    assert raw_call(address, *lines, body="0\r\n\r\n").startswith("HTTP/1.1 400 ")


def test_many_calls_at_once(address: tuple[str, int], shared_api: Api) -> None:
    async def run() -> list[int]:
        headers = {"Authorization": f"Bearer {shared_api.token}"}
        async with httpx2.AsyncClient(base_url=f"http://{address[0]}:{address[1]}", headers=headers) as client:
            answers = await asyncio.gather(*(client.get("/api/v1/policy") for _ in range(60)))
            return [each.status_code for each in answers]

    assert shared_api.runner.run(run()) == [200] * 60


def test_an_unforeseen_error_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("jane@example.com")

    async def run() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=Edge(broken)), base_url="http://h") as client:
            return await client.get("/x?email=jane@example.com")

    answer = asyncio.run(run())
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "jane" not in answer.text


def test_our_errors_keep_their_status(api: Api, tmp_path: Path) -> None:
    assert Unavailable.status == 503
    (tmp_path / "data" / "habeas.sqlite").rename(tmp_path / "away")
    api.installation.database._wait = 0.1  # as above
    answer = api.call("GET", "/policy")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
