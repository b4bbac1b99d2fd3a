"""Leases: one rule for both sides, and take-over between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.errors import Conflict, Unavailable
from habeas.durable.lease_session import LeaseSession
from habeas.durable.leases import LOST_EXIT_CODE, DataDirLock, Lease, LeaseKeeper, LeaseTimes, is_dead, lock_key
from habeas.store.session import Database

CHILD = Path(__file__).with_name("lease_child.py")
TIMES = LeaseTimes()
QUICK = LeaseTimes(beat=0.2, expiry=3, margin=1, look=0.05)

delays = st.floats(0, 6)


@given(st.lists(st.tuples(delays, delays, delays), max_size=20), delays)
def test_nobody_is_thought_dead_while_it_thinks_itself_alive(
    beats: list[tuple[float, float, float]], later: float
) -> None:
    """A beat is sent, arrives at the database, is answered, each after any delay; the next is sent after that."""
    now = recorded = 0.0
    lease = Lease(TIMES, now)
    for until_sent, until_recorded, until_answered in beats:
        sent = now + until_sent
        recorded = sent + until_recorded
        now = recorded + until_answered
        assert lease.lost(sent) or not is_dead(sent - recorded, lock_taken=False, times=TIMES)
        lease.beaten(sent)
        if lease.lost(now):
            return
        assert not is_dead(now - recorded, lock_taken=False, times=TIMES)
    if not lease.lost(now + later):
        assert not is_dead(now + later - recorded, lock_taken=False, times=TIMES)


def test_a_lost_lease_never_comes_back() -> None:
    lease = Lease(TIMES, 100.0)
    assert lease.beat_due(101.5) == 0.5
    assert lease.lost(105.9) is None
    assert lease.lost(106.0) == "no beat arrived in time"
    lease.beaten(106.0)
    assert lease.lost(106.0)
    other = Lease(TIMES, 100.0)
    other.beaten(90.0)
    assert other.lost(105.9) is None
    other.lose("first")
    other.lose("second")
    assert other.lost(101.0) == "first"


def test_dead_is_who_has_no_lock_or_an_old_beat() -> None:
    assert is_dead(0, lock_taken=True, times=TIMES)
    assert is_dead(8.1, lock_taken=False, times=TIMES)
    assert not is_dead(8, lock_taken=False, times=TIMES)


def test_lock_keys_are_64_bit_and_differ() -> None:
    keys = {lock_key(f"exe_{number}") for number in range(100)} | {lock_key("exe_1", "take over")}
    assert len(keys) == 101
    assert all(-(2**63) <= key < 2**63 for key in keys)


@pytest.fixture
def server(postgres_url: str) -> str:
    database = Database.open(postgres_url)
    database.migrate()
    database.close()
    return postgres_url


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        threading.Event().wait(0.01)


@contextmanager
def keeper(url: str, name: str, **options: Any) -> Iterator[tuple[list[str], list[str]]]:
    """A keeper in this process, and the lists of whom it thought dead and why it was lost."""
    dead: list[str] = []
    lost: list[str] = []
    made = LeaseKeeper(url, name, "0.1", **{"on_dead": dead.append, "on_lost": lost.append, "times": QUICK} | options)
    made.start()
    try:
        yield dead, lost
    finally:
        made.stop()
        made.stop()


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, str(CHILD), *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def query(url: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(text).fetchall()


def test_a_killed_executor_is_taken_over_in_a_moment_and_once(server: str) -> None:
    with (
        keeper(server, "exe_1") as (one, _),
        keeper(server, "exe_2") as (two, _),
        child("lease", server, "exe_3", "8") as it,
    ):
        wait_until(lambda: len(query(server, "SELECT id FROM executor")) == 3)
        threading.Event().wait(0.3)
        assert one + two == []
        it.send_signal(signal.SIGKILL)
        began = time.monotonic()
        wait_until(lambda: one + two)
        assert time.monotonic() - began < 2
        wait_until(lambda: len(query(server, "SELECT id FROM executor")) == 2)
        threading.Event().wait(0.3)
        assert one + two == ["exe_3"]


def test_a_stopped_executor_is_taken_over_and_ends_when_it_wakes(server: str) -> None:
    with keeper(server, "exe_1") as (dead, lost), child("lease", server, "exe_2", "3") as it:
        it.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: dead == ["exe_2"])
        assert time.monotonic() - began > 2
        it.send_signal(signal.SIGCONT)
        assert it.wait(timeout=20) == LOST_EXIT_CODE
        assert lost == []


END_LOCK_SESSION = """
    SELECT pg_terminate_backend(l.pid) FROM pg_locks l
    WHERE l.locktype = 'advisory' AND (l.classid::bigint << 32) + l.objid::bigint = {key} AND l.granted
"""


def test_who_loses_the_lock_knows_at_once(server: str) -> None:
    with keeper(server, "exe_1") as (dead, _), child("lease", server, "exe_2", "60") as it:
        query(server, END_LOCK_SESSION.format(key=lock_key("exe_2")))
        began = time.monotonic()
        assert it.wait(timeout=20) == LOST_EXIT_CODE
        assert time.monotonic() - began < 2
        wait_until(lambda: dead == ["exe_2"])


def test_who_is_no_longer_listed_is_lost(server: str) -> None:
    with keeper(server, "exe_1") as (_, lost):
        query(server, "DELETE FROM executor RETURNING id")
        wait_until(lambda: lost == ["a peer took over the work"])


def test_all_connections_cut_is_lost_and_said_once(server: str) -> None:
    with keeper(server, "exe_1") as (_, lost):
        query(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'habeas lease'")
        wait_until(lambda: lost)
        threading.Event().wait(0.3)
        assert lost == ["the connection that holds the lock was lost"]


def test_a_failed_take_over_is_tried_again(server: str) -> None:
    tries: list[str] = []

    def take_over(executor: str) -> None:
        tries.append(executor)
        if len(tries) < 3:
            raise Unavailable("gone")

    with keeper(server, "exe_old"):
        pass
    with keeper(server, "exe_1", on_dead=take_over):
        wait_until(lambda: query(server, "SELECT id FROM executor") == [("exe_1",)])
    assert tries == ["exe_old"] * 3


def test_what_an_orderly_stop_leaves_is_found_too(server: str) -> None:
    with keeper(server, "exe_1") as (dead, _):
        with keeper(server, "exe_2"):
            pass
        wait_until(lambda: dead == ["exe_2"])


def test_beats_are_told_by_the_databases_clock(server: str) -> None:
    one, two = LeaseSession(server), LeaseSession(server)
    one.register("exe_1", 11, "0.1")
    two.register("exe_2", -12, "0.1")
    assert one.try_lock(11)
    assert two.beat("exe_2")
    query(server, "UPDATE executor SET beat_at = beat_at - interval '9 s' WHERE id = 'exe_1' RETURNING id")
    (seen,) = two.look_at_peers("exe_2")
    assert (seen.id, seen.lock_key, seen.lock_taken) == ("exe_1", 11, False)
    assert 9 <= seen.beat_age < 20
    one.remove("exe_1")
    one.remove("exe_1")
    assert not one.is_listed("exe_1")
    assert not one.beat("exe_1")
    one.close()
    one.close()
    with pytest.raises(Unavailable):
        one.beat("exe_1")
    two.close()


def test_an_id_is_held_by_one(server: str) -> None:
    with keeper(server, "exe_1"):
        again = LeaseKeeper(server, "exe_1", "0.1", on_dead=lambda _: None)
        with pytest.raises(Conflict):
            again.start()
        again.stop()


def test_a_database_out_of_reach_is_named(server: str) -> None:
    for url in ("postgresql://postgres@127.0.0.1:1/x", server + "_not"):
        with pytest.raises(Unavailable):
            LeaseKeeper(url, "exe_1", "0.1", on_dead=lambda _: None).start()


def test_a_data_directory_has_one_group_of_workers(tmp_path: Path) -> None:
    with child("directory", str(tmp_path)) as it:
        with pytest.raises(Conflict, match=str(it.pid)), DataDirLock(tmp_path):
            pass
        it.send_signal(signal.SIGKILL)
        it.wait(timeout=20)
        lock = DataDirLock(tmp_path)
        with lock:
            assert (tmp_path / "worker.lock").read_text() == f"{os.getpid()}\n"
            with pytest.raises(Conflict):
                DataDirLock(tmp_path).acquire()
        lock.release()
        with DataDirLock(tmp_path):
            pass
    with pytest.raises(Unavailable):
        DataDirLock(tmp_path / "missing").acquire()
