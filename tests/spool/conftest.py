"""A real S3 server on loopback, and media of both kinds that hold the same contract."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from habeas.spool.medium import Medium
from habeas.spool.place import open_medium

BUCKET = "frames"


class Bucket(NamedTuple):
    """A place of its own in the server's bucket, and the environment that leads there."""

    url: str
    environment: dict[str, str]


def environment_of(endpoint: str) -> dict[str, str]:
    """The usual variables of an S3-compatible server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "example",
        "AWS_SECRET_ACCESS_KEY": "example-secret",
        "AWS_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }


@contextmanager
def s3_at(port: int) -> Iterator[str]:
    """A running S3 server with a bucket on this loopback port, 0 for any; its address."""
    from moto.server import ThreadedMotoServer  # late: it takes seconds

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        host, taken = server.get_host_and_port()
        endpoint = f"http://{host}:{taken}"
        make_bucket(endpoint)
        yield endpoint
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a running S3 server."""
    with s3_at(0) as endpoint:
        yield endpoint


def make_bucket(endpoint: str) -> None:
    """Make the bucket; the server asks for no credentials."""
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT"), timeout=10):
        pass


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty prefix on the server; this process's environment leads there."""
    environment = environment_of(s3_server)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Bucket(f"s3://{BUCKET}/spool-{uuid4().hex}", environment)


@pytest.fixture(params=["default", "file", "s3"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    """An empty medium of each kind."""
    if request.param == "s3":
        return open_medium(request.getfixturevalue("bucket").url, tmp_path / "unused")
    url = (tmp_path / "a b").as_uri() if request.param == "file" else None
    return open_medium(url, tmp_path / "spool")
