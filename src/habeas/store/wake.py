"""Waking the dispatcher: a word across processes that there is something to do. Holds no data.

A worker on the same machine listens on a Unix datagram socket in the data directory; workers elsewhere, on
PostgreSQL, listen to a notification channel. A lost wake costs at most one sweep, so sending never fails
and never waits for anybody.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from habeas.core.errors import HabeasError
from habeas.store.session import Database

if TYPE_CHECKING:
    import psycopg

CHANNEL = "habeas_wake"
SOCKET = "wake.sock"
_LONGEST_PATH = 100  # sun_path holds 108 bytes on Linux, 104 elsewhere


class Waker:
    """Sends wakes. Safe to share between threads."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._directory = data_dir
        self._guard = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self) -> None:
        """Wake a worker here; where none listens, on PostgreSQL, wake those elsewhere."""
        if not self._send_here() and self._database.dialect == "postgresql":
            self._send_everywhere()

    def is_heard_here(self) -> bool:
        """Whether a worker of this data directory listens. Sends nothing."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
            try:
                with _Address(self._directory) as address:
                    asking.connect(address)
            except OSError:
                return False
        return True

    def _send_here(self) -> bool:
        try:
            with self._guard, _Address(self._directory) as address:
                self._socket.sendto(b"w", address)
        except BlockingIOError:
            return True  # its queue is full of wakes
        except OSError:
            return False
        return True

    def _send_everywhere(self) -> None:
        try:
            with self._database.begin() as connection:
                connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))
        except HabeasError:
            return  # what is to be done is committed; the sweep finds it

    def close(self) -> None:
        """Close the socket; safe to call twice."""
        self._socket.close()


class Listener:
    """Waits for wakes; one a worker. Use as a context manager."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._directory = data_dir
        self._socket: socket.socket | None = None
        self._notified: psycopg.Connection[Any] | None = None
        # A pipe, so that threads of this process can wake it without a socket.
        self._inner_read, self._inner_write = os.pipe()
        os.set_blocking(self._inner_read, False)
        os.set_blocking(self._inner_write, False)

    def __enter__(self) -> Listener:
        self._socket = _bind(self._directory)
        self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()
            (self._directory / SOCKET).unlink(missing_ok=True)
        self._disconnect()
        os.close(self._inner_read)
        os.close(self._inner_write)

    def nudge(self) -> None:
        """Wake this listener from another thread of its process."""
        try:
            os.write(self._inner_write, b"w")
        except BlockingIOError:
            return  # full of wakes already

    def wait(self, seconds: float) -> bool:
        """Wait for a wake, at most so long; whether there was one. All that are queued count as one."""
        if self._notified is None:
            self._connect()
        waiting: list[int] = [self._inner_read]
        if self._socket is not None:
            waiting.append(self._socket.fileno())
        if self._notified is not None:
            waiting.append(self._notified.fileno())
        ready = select.select(waiting, [], [], seconds)[0]
        self._drain()
        return bool(ready)

    def _drain(self) -> None:
        try:
            while os.read(self._inner_read, 4096):
                pass
        except BlockingIOError:
            pass
        while self._socket is not None:
            try:
                self._socket.recv(16)
            except BlockingIOError:
                break
        self._drain_notified()

    def _drain_notified(self) -> None:
        import psycopg

        if self._notified is None:
            return
        try:
            for _ in self._notified.notifies(timeout=0):
                pass
        except psycopg.Error:
            self._disconnect()  # the sweep goes on; the next wait connects again

    def _connect(self) -> None:
        if self._database.dialect != "postgresql":
            return
        import psycopg

        try:
            self._notified = psycopg.connect(self._database.url, autocommit=True, connect_timeout=2)
            self._notified.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._notified is not None:
            self._notified.close()
        self._notified = None


class _Address:
    """The socket's address, also where the directory's path is longer than an address may be."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def __enter__(self) -> str:
        path = str(self._directory / SOCKET)
        if len(os.fsencode(path)) <= _LONGEST_PATH:
            return path
        self._descriptor = os.open(self._directory, os.O_RDONLY)
        return f"/proc/self/fd/{self._descriptor}/{SOCKET}"

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def _bind(directory: Path) -> socket.socket | None:
    """The listening socket, None where the system can't bind one there: the sweep then finds the work."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.setblocking(False)
    try:
        (directory / SOCKET).unlink(missing_ok=True)
        with _Address(directory) as address:
            listening.bind(address)
        (directory / SOCKET).chmod(0o600)
    except OSError:
        listening.close()
        return None
    return listening
