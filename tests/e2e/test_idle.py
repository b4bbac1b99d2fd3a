"""What an idle server asks of its database: counted on the wire, so that it can't grow unseen."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from serving import serving

MOST_A_SECOND = 10
WINDOW = 6.0
LONGEST = 90.0  # until it has started and its engine polls slowly


class Counting:
    """A TCP proxy in front of a database that counts how often its clients send something."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._target = (where.hostname or "127.0.0.1", where.port or 5432)
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.url = urlunsplit(where._replace(netloc=f"{where.username}@127.0.0.1:{port}"))
        self.sent = 0
        self._guard = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            while True:
                for each in select.select([client, server], [], [])[0]:
                    try:
                        data = each.recv(1 << 16)
                        (server if each is client else client).sendall(data)
                    except OSError:
                        return
                    if not data:
                        return
                    if each is client:
                        with self._guard:
                            self.sent += 1

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Counting]:
    made = Counting(postgres_url)
    yield made
    made.close()


def test_an_idle_server_hardly_speaks_to_its_database(proxy: Counting, tmp_path: Path) -> None:
    with serving(tmp_path / "data", {"HABEAS_DATABASE_URL": proxy.url}) as server:
        server.api.access_policy("access", ["user"])
        deadline, rate = time.monotonic() + LONGEST, float("inf")
        while rate >= MOST_A_SECOND and time.monotonic() < deadline:
            before, began = proxy.sent, time.monotonic()
            time.sleep(WINDOW)
            rate = (proxy.sent - before) / (time.monotonic() - began)
    assert rate < MOST_A_SECOND
