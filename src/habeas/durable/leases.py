"""Who may work: leases of executors on PostgreSQL, a lock on the data directory on SQLite.

On PostgreSQL an executor holds an advisory lock on a connection of its own and beats a row over it. It is
dead when its lock can be taken (it crashed) or its beat is too old (it was stopped or cut off); peers look
all the time and hand its work to a callback. An executor that lost its lock or its beat ends its process
at once, before a peer may think it dead. `Lease` and `is_dead` decide; they know no clock and no database.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from habeas.core.errors import Conflict, Unavailable
from habeas.durable.lease_session import LeaseSession, Peer

LOST_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h

_log = logging.getLogger("habeas.leases")


class LeaseTimes(NamedTuple):
    """Seconds. An executor gives up `margin` before its peers may think it dead."""

    beat: float = 2.0
    expiry: float = 8.0
    margin: float = 2.0
    look: float = 1.0


class Lease:
    """What an executor knows of its own lease. Moments are of one clock that never goes back."""

    def __init__(self, times: LeaseTimes, beaten_at: float) -> None:
        self._times = times
        self._beaten_at = beaten_at
        self._lost: str | None = None

    def beaten(self, sent_at: float) -> None:
        """A beat arrived; it counts from when it was sent, which is never later than what peers read."""
        self._beaten_at = max(self._beaten_at, sent_at)

    def lose(self, reason: str) -> None:
        """The lock, its connection or the row is gone; there is no way back."""
        self._lost = self._lost or reason

    def beat_due(self, now: float) -> float:
        """Seconds until the next beat; zero or less when it is due."""
        return self._beaten_at + self._times.beat - now

    def lost(self, now: float) -> str | None:
        """Why the lease is lost, None while it is held."""
        if self._lost is None and now - self._beaten_at >= self._times.expiry - self._times.margin:
            self._lost = "no beat arrived in time"
        return self._lost


def is_dead(beat_age: float, lock_taken: bool, times: LeaseTimes) -> bool:
    """Whether a peer is to be treated as dead."""
    return lock_taken or beat_age > times.expiry


def lock_key(executor_id: str, purpose: str = "life") -> int:
    """The advisory lock of an executor: signed 64 bit of a SHA-256."""
    digest = hashlib.sha256(f"habeas executor {purpose}\0{executor_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def exit_at_once(reason: str) -> None:
    """End the process without any cleaning up: another executor owns its work."""
    _log.critical("lease lost, the process ends", extra={"reason": reason})
    os._exit(LOST_EXIT_CODE)


class LeaseKeeper:
    """Keeps one executor's lease and looks after its peers. Start it once.

    `on_dead` is called with the id of a dead executor, on the thread of the keeper, by one peer at a time;
    when it returns the executor is forgotten, when it raises it is called again later, so it repeats safely.
    `on_lost` is called once, with a reason.
    """

    def __init__(
        self,
        url: str,
        executor_id: str,
        version: str,
        *,
        on_dead: Callable[[str], None],
        on_lost: Callable[[str], None] = exit_at_once,
        times: LeaseTimes = LeaseTimes(),  # noqa: B008 – immutable
    ) -> None:
        self._url = url
        self._id = executor_id
        self._version = version
        self._on_dead = on_dead
        self._on_lost = on_lost
        self._times = times
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._said = threading.Lock()
        self._own: LeaseSession | None = None
        self._lease = Lease(times, 0.0)

    def start(self) -> None:
        """Take the lock, show up among the executors, begin to beat and to look.

        Raises Unavailable where the database can't be had, Conflict where the id is taken.
        """
        self._own = LeaseSession(self._url)
        now = _moment()
        # The lock first: who is listed without one is dead.
        if not self._own.try_lock(lock_key(self._id)):
            raise Conflict(
                "is held by a living process", where=f"executor {self._id}", fix="take a new id at each boot"
            )
        self._own.register(self._id, lock_key(self._id), self._version)
        self._lease = Lease(self._times, now)
        for task in (self._keep, self._watch, self._look_after):
            thread = threading.Thread(target=task, args=(self._own,), name=f"lease-{task.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Let the lease go. Work that is left is found by a peer, or by the next start here. Safe to call again."""
        self._stopped.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)
        if self._own is not None:
            self._own.close()

    def _keep(self, own: LeaseSession) -> None:
        """Beat in time; notice at once when the server closes the connection, and with it drops the lock."""
        while not self._stopped.is_set():
            try:
                own.wait(min(self._times.look, self._lease.beat_due(_moment())))
                if self._lease.beat_due(_moment()) <= 0:
                    self._beat(own)
            except Unavailable:
                self._lease.lose("the connection that holds the lock was lost")
            if self._gone():
                return

    def _beat(self, own: LeaseSession) -> None:
        sent = _moment()
        if own.beat(self._id):
            self._lease.beaten(sent)
        else:
            self._lease.lose("a peer took over the work")

    def _watch(self, own: LeaseSession) -> None:
        """The beat itself may hang; this one only looks at the clock."""
        while not self._stopped.wait(self._times.look):
            if self._gone():
                return

    def _gone(self) -> bool:
        reason = self._lease.lost(_moment())
        if reason is None or self._stopped.is_set():
            return self._stopped.is_set()
        if self._said.acquire(blocking=False):
            self._on_lost(reason)
        return True

    def _look_after(self, own: LeaseSession) -> None:
        session: LeaseSession | None = None
        while not self._stopped.wait(self._times.look):
            try:
                session = session or LeaseSession(self._url)
                for peer in session.look_at_peers(self._id):
                    self._attend(session, peer)
            except Unavailable as error:
                _log.warning("peers can't be looked at", extra={"problem": str(error)})
                session = _closed(session)
        _closed(session)

    def _attend(self, session: LeaseSession, peer: Peer) -> None:
        try:
            if is_dead(peer.beat_age, peer.lock_taken, self._times):
                self._take_over(session, peer.id)
        finally:
            if peer.lock_taken:
                session.unlock(peer.lock_key)

    def _take_over(self, session: LeaseSession, executor_id: str) -> None:
        # A stopped process still holds its own lock, so the take-over needs one too: one peer at a time.
        key = lock_key(executor_id, "take over")
        if not session.try_lock(key):
            return
        try:
            if session.is_listed(executor_id):
                _log.warning("taking over", extra={"executor": executor_id})
                self._on_dead(executor_id)
                session.remove(executor_id)
        except Exception as error:  # noqa: BLE001 – a worker loop: tried again at the next look
            _log.error("take-over failed", extra={"executor": executor_id, "error": type(error).__name__})
        finally:
            session.unlock(key)


class DataDirLock:
    """Keeps a second group of workers off a data directory. The kernel frees it when the process ends."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "worker.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take it. Raises Conflict naming the process that holds it, Unavailable where the file can't be made."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(f"can't be opened: {error.strerror}", where=str(self._file)) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise Conflict(
                f"is used by the worker with process id {holder}",
                where=str(self._file.parent),
                fix="stop that one, use another HABEAS_DATA_DIR, or a PostgreSQL database for many workers",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; safe to call again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _moment() -> float:
    # Goes on while the machine sleeps, as the database's clock does.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _closed(session: LeaseSession | None) -> LeaseSession | None:
    if session is not None:
        session.close()
    return None
