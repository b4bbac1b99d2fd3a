"""Servers whose spool is in object storage: one that is away for a while, and a host that takes over another's work."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import obstore
import psycopg
import pytest
from obstore.store import from_url

import shopbook
from habeas.core.settings import Settings
from habeas.masking.secrets import derive_secret
from habeas.requests.sealing import open_seed
from habeas.store.secrets import open_vault
from serving import Server, free_port
from spool.conftest import BUCKET, Bucket, environment_of, s3_at

APP_KEY = "LfHJkTAVDKFPvZ_Ssdg9-RJGlkGRhBGMCmOPeHiSLEw"
STRATEGY = {"strategy": "hmac", "configuration": {"algorithm": "SHA-256"}}
Start = Callable[..., Server]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Start]:
    """Starts servers with data directories of their own, killed at the end."""
    with ExitStack() as stack:

        def start(name: str, settings: dict[str, str], *, crash_at: str | None = None) -> Server:
            server = Server(tmp_path / name, settings)
            stack.callback(server.kill)
            server.start(crash_at=crash_at)
            return server

        yield start


def declare(server: Server, shop: str) -> None:
    """The shop, and a policy that erases from it with a mask that would show if it were applied twice."""
    server.api.connect("shop", "postgres", {"url": shop})
    server.api.describe("shop", shopbook.datasets()[0])
    server.api.erasure_policy("erase", shopbook.TARGETS, STRATEGY)


def names_in(shop: str) -> list[str]:
    with psycopg.connect(shop) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM customer ORDER BY id").fetchall()]


def masked(app: str, data_dir: Path, request_id: str, value: str) -> str:
    """What the request's own mask makes of a value, once."""
    with psycopg.connect(app) as connection:
        query = "SELECT sealed_seed FROM privacy_request WHERE id = %s"
        (sealed,) = connection.execute(query, (request_id,)).fetchone() or ()
    vault = open_vault(Settings(data_dir=data_dir, app_encryption_key=APP_KEY))
    seed = open_seed(vault, request_id, bytes(sealed))
    key, salt = derive_secret(seed, "hmac", "key"), derive_secret(seed, "hmac", "salt")
    return hmac.new(key.encode(), (value + salt).encode(), hashlib.sha256).hexdigest()


def objects_at(url: str) -> list[str]:
    store = from_url(url, client_options={"allow_http": True})
    return [each["path"] for page in obstore.list(store) for each in page]


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


@pytest.mark.parametrize("boundary", ["freeze.recorded", "mask.chunk:2"])
def test_another_host_ends_what_a_dead_one_began(
    hosts: Start, bucket: Bucket, make_postgres: Callable[[], str], tmp_path: Path, boundary: str
) -> None:
    shop, app = make_postgres(), make_postgres()
    shopbook.build_shop(shop)
    settings = {"HABEAS_DATABASE_URL": app, "HABEAS_SPOOL_URL": bucket.url, "HABEAS_APP_ENCRYPTION_KEY": APP_KEY}
    settings |= bucket.environment
    first = hosts("first", settings, crash_at=boundary)
    declare(first, shop)
    (request_id,) = first.api.submit("erase", shopbook.SUBJECT)
    first.wait_for_crash()
    first.kill()
    assert objects_at(bucket.url)
    second = hosts("second", settings)
    item = second.api.wait(request_id)
    assert (item["status"], item["outcome"]) == ("complete", "erased"), item
    ada, a_one = (masked(app, tmp_path / "second", request_id, name) for name in ("Ada One", "A. One"))
    assert names_in(shop) == [ada, "Ada One", a_one, "Ada One"]
    wait_until(lambda: objects_at(bucket.url) == [])
    assert not (tmp_path / "second" / "spool").exists()


def test_a_store_that_is_away_is_told_and_waited_for(
    hosts: Start, make_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_postgres()
    shopbook.build_shop(shop)
    port = free_port()
    environment = environment_of(f"http://127.0.0.1:{port}")
    url = f"s3://{BUCKET}/spool-{uuid4().hex}"
    server = hosts("host", {"HABEAS_SPOOL_URL": url, **environment})
    declare(server, shop)
    (request_id,) = server.api.submit("erase", shopbook.SUBJECT)

    def told() -> list[str]:
        items = server.api.call("GET", f"/privacy-request/{request_id}/log")["items"]
        return [each["message"] for each in items if each["status"] == "retrying"]

    wait_until(lambda: bool(told()))
    assert "the spool can't be written (object store: no answer)" in told()[0]
    assert server.api.call("GET", "/privacy-request", id=request_id)["items"][0]["status"] == "in_processing"
    assert names_in(shop)[0] == "Ada One"
    with s3_at(port):
        item = server.api.wait(request_id)
        assert (item["status"], item["outcome"]) == ("complete", "erased"), item
        assert names_in(shop)[0] != "Ada One"
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        wait_until(lambda: objects_at(url) == [])
    assert server.process is not None
    assert server.process.poll() is None
