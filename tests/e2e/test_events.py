"""A reader of events over kills of the server: it goes on behind what it saw, misses nothing, is told nothing twice."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx2

from requestbook import wait_until
from serving import Server
from streambook import Sent, read_events

ROUNDS, EACH = 1, 5


class Reader:
    """A client as browsers have it: connects again and again, with the id of the last event it read whole."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self.seen: list[Sent] = []
        self.connected = threading.Event()
        self.connections = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            headers = {"Authorization": self._server.api.http.headers["Authorization"]}
            if self.seen:
                headers["Last-Event-ID"] = str(self.seen[-1].id)
            url = f"http://127.0.0.1:{self._server.port}/api/v1/events?after=0"
            try:
                with (
                    httpx2.Client(timeout=5, trust_env=False) as client,
                    client.stream("GET", url, headers=headers) as answer,
                ):
                    if answer.status_code == 200:
                        self.connections += 1
                        self.connected.set()
                        for event in read_events(answer.iter_lines()):
                            self.seen.append(event)
            except httpx2.HTTPError:
                pass
            self._stop.wait(0.05)

    def close(self) -> None:
        self._stop.set()


def test_a_reader_goes_on_over_kills(tmp_path: Path, postgres_url: str) -> None:
    server = Server(tmp_path / "data", {"HABEAS_DATABASE_URL": postgres_url})
    reader = None
    try:
        server.start()
        reader = Reader(server)
        assert reader.connected.wait(30)
        taken: list[str] = []
        for _ in range(ROUNDS):
            taken += server.api.submit(
                "download", *[{"email": f"nobody{number}@example.com"} for number in range(EACH)]
            )
            server.kill()
            server.start(sign_in=False, seconds=90)
        for each in taken:
            server.api.wait(each)
        text = server.api.http.get("/api/v1/events", params={"follow": False, "after": 0}).text
        told = list(read_events(text.split("\n")))
        wait_until(lambda: len(reader.seen) >= len(told), 30)
        assert reader.seen == told
        assert [each.id for each in told] == list(range(1, len(told) + 1))
        created = [each.data["privacy_request_id"] for each in told if each.name == "privacy_request.created"]
        assert sorted(created) == sorted(taken)
        assert reader.connections > ROUNDS
        assert server.stop() == 0
    finally:
        if reader is not None:
            reader.close()
        server.kill()
