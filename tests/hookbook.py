"""A receiver of webhooks for tests: real HTTP on loopback, in threads. It keeps what it took, tells a repeated call by
its `webhook-id`, and fails as it is told to. Nothing of habeas is imported.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("reset_before", "reset_after", "hang", "garbage", "no_json", "redirect", "too_large", "drip")


@dataclass(frozen=True)
class Received:
    """One call as it came."""

    path: str
    headers: dict[str, str]  # names in lower case
    raw: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found


class Receiver:
    """What came, and how the next calls are answered: `answers` in turn, then `answer`. An answer is a status, a JSON
    body with 200, a pair of both, or one of FAULTS.
    """

    def __init__(self) -> None:
        self.port = 0
        self.calls: list[Received] = []
        self.answer: Any = {}
        self.answers: list[Any] = []
        self.by_path: dict[str, Any] = {}
        self.released = threading.Event()  # lets go what hangs
        self.came = threading.Condition()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def reset(self) -> None:
        """As new, on the same port."""
        self.calls.clear()
        self.answers.clear()
        self.by_path.clear()
        self.answer = {}

    def effects(self, path: str | None = None) -> list[str]:
        """The ids of calls that took effect, each once, in order: what a careful receiver did."""
        return list(dict.fromkeys(each.id for each in self.calls if path in (None, each.path)))

    def take(self, call: Received) -> Any:
        """Keep a call unless its fault is to come before; how it is answered."""
        with self.came:
            answer = self.answers.pop(0) if self.answers else self.by_path.get(call.path, self.answer)
            if answer != "reset_before":
                self.calls.append(call)
            self.came.notify_all()
        return answer

    def await_calls(self, count: int, seconds: float = 30) -> list[Received]:
        """The calls, once there are that many."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.calls) >= count, seconds), f"{len(self.calls)} of {count} calls"
            return list(self.calls)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free loopback port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            call = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, raw)
            _answer(self, receiver, receiver.take(call))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, receiver: Receiver, answer: Any) -> None:
    handler.close_connection = True
    if answer in ("reset_before", "reset_after"):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
    elif answer == "hang":
        receiver.released.wait(60)
    elif answer == "garbage":
        handler.wfile.write(b"\x00\xff this is no HTTP\r\n\r\n")
    elif answer == "redirect":
        _send(handler, 307, b"", {"Location": receiver.url("/elsewhere")})
    elif answer == "too_large":
        _send(handler, 200, b"[" + b"0," * 64 * 1024 + b"0]")
    elif answer == "drip":
        handler.send_response(200)
        handler.end_headers()
        while not receiver.released.is_set():
            handler.wfile.write(b" ")
            time.sleep(0.02)
    elif answer == "no_json":
        _send(handler, 200, b"<p>thank you</p>")
    else:
        status, body = (
            answer if isinstance(answer, tuple) else (answer, {}) if isinstance(answer, int) else (200, answer)
        )
        _send(handler, status, json.dumps(body).encode())


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
