"""A TCP proxy of our own between a connector and its server, whose links a test can cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType


class Proxy:
    """Passes bytes on, both ways, until it is cut. A context manager; `port` is where it listens."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._links: list[socket.socket] = []
        self._refuses = False

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cut(refuse=True)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            if self._refuses:
                near.close()
                continue
            far = socket.create_connection(self._server)
            self._links += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()

    def cut(self, *, refuse: bool = False) -> None:
        """Break all links; with `refuse` new ones too, until `mend`."""
        self._refuses = refuse
        links, self._links = self._links, []
        for link in links:
            with suppress(OSError):  # the other side was quicker
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def mend(self) -> None:
        """Let new links through again."""
        self._refuses = False


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:  # cut
        return
