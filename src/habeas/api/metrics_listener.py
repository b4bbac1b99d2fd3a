"""Metrics on an address of their own, for a scraper that can't renew tokens: `GET /metrics` and nothing else.

Whoever reaches the address reads the counts, without a token; so it is only there where HABEAS_METRICS_BIND names one,
and belongs on an address that only the scraper reaches. Counts, statuses and keys of
configuration, nothing of a person.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from habeas.core.errors import HabeasError, Unavailable
from habeas.core.log import get_logger
from habeas.core.settings import split_bind
from habeas.report.exposition import MEDIA_TYPE

SLOW_SECONDS = 10.0  # for a call to come, and for its answer to be taken
MOST_AT_ONCE = 8


@contextmanager
def listening(bind: str, scrape: Callable[[], bytes]) -> Iterator[int]:
    """Answer on `host:port` while the block runs; gives the port. Raises Unavailable where it can't be listened on."""
    host, port = split_bind(bind)
    free = threading.BoundedSemaphore(MOST_AT_ONCE)

    class Handler(BaseHTTPRequestHandler):
        timeout = SLOW_SECONDS
        server_version, sys_version = "habeas", ""

        def do_GET(self) -> None:
            status, text, kind = 404, b"not found\n", "text/plain"
            if self.path == "/metrics":
                try:
                    status, text, kind = 200, scrape(), MEDIA_TYPE
                except HabeasError as problem:
                    get_logger(__name__).warning("metrics.failed", code=problem.code)
                    status, text = problem.status, b"not now\n"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nothing: a path is the caller's text."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
            if free.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(
            self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
        ) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                free.release()

        def handle_error(self, *_: object) -> None:
            """A scraper that goes away is no fault of ours; anything else is logged, by its kind alone."""
            _log_unless_gone(sys.exception())

    try:
        server = Server((host, port), Handler)
    except OSError as problem:
        reason = f"can't be listened on: {problem.strerror}"
        raise Unavailable(reason, where=f"HABEAS_METRICS_BIND {bind}", fix="name a free address and port") from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _log_unless_gone(problem: BaseException | None) -> None:
    if not isinstance(problem, OSError):
        get_logger(__name__).error("metrics.broke", code=type(problem).__name__)
