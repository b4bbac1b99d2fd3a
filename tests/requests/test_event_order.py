"""Events have one order without gaps, however their transactions end; and whatever moves a request makes one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.core.clock import FixedClock
from habeas.core.settings import Settings
from habeas.requests.events import page, settle
from habeas.requests.installation import Installation, open_installation
from habeas.requests.model import Outcome, Reason, Stage, Status
from habeas.requests.service import submit
from habeas.store import cohorts, events, migrate, outbox
from habeas.store import requests as store
from habeas.store.events import REAPPEARED, Sought
from habeas.store.tables import execution_log
from requestbook import CLIENT, START, item

SEED = 7


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation of each kind, in which each test makes requests of its own."""
    url = request.getfixturevalue("make_postgres_of_module")() if request.param == "postgresql" else None
    settings = Settings(data_dir=tmp_path_factory.mktemp("shared"), database_url=url)
    with open_installation(settings, clock=FixedClock(START)) as opened:
        yield opened


def append(connection: Connection, installation: Installation, number: int) -> None:
    events.append(connection, installation.clock.now(), [{"type": REAPPEARED, "detail": {"rows": number}}])


def read_beyond(installation: Installation, seen: int) -> tuple[list[int], int]:
    """What a stream that has seen a position is told next, and what it has seen then."""
    until = settle(installation).position
    told, seen = page(installation, Sought(), seen, until)
    return [each["rows"] for each in told], seen


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)  # SQLite has one writer: nobody can be late
def test_who_commits_late_is_told_behind(installation: Installation) -> None:
    with installation.database.begin() as first:
        append(first, installation, 1)
        with installation.database.begin() as second:
            append(second, installation, 2)
        assert read_beyond(installation, 0) == ([2], 1)
    assert read_beyond(installation, 1) == ([1], 2)


def test_a_reader_misses_nothing_and_is_told_nothing_twice(installation: Installation) -> None:
    """Writers whose transactions overlap and end anyhow, some never; two that place; one that only goes on behind what
    it saw.
    """
    writers, each_writes, stop = 4, 25, threading.Event()
    committed: list[int] = []

    def write(writer: int) -> None:
        chance = random.Random(SEED + writer)
        for number in range(writer * each_writes, (writer + 1) * each_writes):
            try:
                with installation.database.begin() as connection:
                    append(connection, installation, number)
                    time.sleep(chance.random() / 200)
                    if chance.random() < 0.1:
                        raise KeyError(number)
            except KeyError:
                continue
            committed.append(number)

    def place() -> None:
        while not stop.is_set():
            settle(installation)

    read: list[int] = []
    seen = 0
    with ThreadPoolExecutor(writers + 1) as threads:
        placing = threads.submit(place)
        writing = [threads.submit(write, writer) for writer in range(writers)]
        while not all(each.done() for each in writing):
            told, seen = read_beyond(installation, seen)
            read += told
        stop.set()
        for each in (placing, *writing):
            each.result()
    told, seen = read_beyond(installation, seen)
    read += told
    assert len(committed) > writers * each_writes / 2
    assert sorted(read) == sorted(committed)
    assert seen == len(read)


def test_what_is_rolled_back_is_never_told(installation: Installation) -> None:
    def fail() -> None:
        with installation.database.begin() as connection:
            append(connection, installation, 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert read_beyond(installation, 0) == ([], 0)


@pytest.mark.parametrize(
    ("status", "more", "type_", "word"),
    [
        (Status.APPROVED, {}, "approved", None),
        (Status.DENIED, {}, "denied", None),
        (Status.CANCELED, {}, "canceled", None),
        (Status.PAUSED, {}, "needs_person", "paused"),
        (Status.REQUIRES_INPUT, {"reason": Reason.MANUAL}, "needs_person", "manual"),
        (Status.ERROR, {"reason": Reason.REFUSED}, "error", "refused"),
        (Status.COMPLETE, {"outcome": Outcome.ERASED}, "complete", "erased"),
        (Status.IN_PROCESSING, {}, None, None),
    ],
)
def test_whatever_moves_a_status_makes_its_event(
    shared: Installation, status: Status, more: dict[str, Any], type_: str | None, word: str | None
) -> None:
    installation, now = shared, shared.clock.now()
    (taken,) = submit(installation, [item()], actor=CLIENT).succeeded
    seen = settle(installation).position
    with installation.database.begin() as connection:
        moved = {"status": status, "stage": Stage.DONE, "updated_at": now, **more}
        assert store.move_request(connection, taken["id"], {}, moved)
        assert store.move_request(connection, taken["id"], {}, moved)  # it moves nowhere: no second event
    told, _ = page(installation, Sought(), seen, settle(installation).position)
    found = [(each["type"], each.get("reason") or each.get("outcome")) for each in told]
    assert found == ([] if type_ is None else [(f"privacy_request.{type_}", word)])


def test_verified_and_waiting_for_approval(shared: Installation) -> None:
    installation, now = shared, shared.clock.now()
    (taken,) = submit(installation, [item()], actor=CLIENT).succeeded
    seen = settle(installation).position
    with installation.database.begin() as connection:
        moved = {"identity_verified_at": now, "stage": Stage.APPROVE, "updated_at": now}
        store.move_request(connection, taken["id"], {}, moved)
    told, _ = page(installation, Sought(), seen, settle(installation).position)
    assert [each["type"] for each in told] == ["privacy_request.verified", "privacy_request.needs_person"]


def test_a_step_is_told_once_for_all_its_requests(shared: Installation) -> None:
    installation, now = shared, shared.clock.now()
    taken = [each["id"] for each in submit(installation, [item(), item()], actor=CLIENT).succeeded]
    seen = settle(installation).position
    log = {"created_at": now, "updated_at": now, "dataset_name": "shop", "collection_name": "person"}
    log |= {"action_type": "access", "fields_affected": [], "message": None}
    row = {"id": "coh_1", "created_at": now, "updated_at": now, "plan_digest": "0", "size": 2, "epoch": 1}
    with installation.database.begin() as connection:
        cohorts.insert(connection, row | {"stage": "access"})
        for member, request_id in enumerate(taken):
            moved = {"status": Status.IN_PROCESSING, "cohort_id": "coh_1", "member": member}
            store.move_request(connection, request_id, {}, moved)
        counts = {"rows": 3}
        for member, status in ((None, "in_processing"), (None, "complete"), (1, "complete")):
            entry = {"cohort_id": "coh_1", "member": member, "status": status, "counts": counts}
            connection.execute(sa.insert(execution_log), log | entry)
    until = settle(installation).position
    told, _ = page(installation, Sought(), seen, until)
    assert [(each["privacy_request_id"], each["requests"], each["counts"]) for each in told] == [
        (None, 2, counts),
        (taken[1], 1, counts),
    ]
    mine, _ = page(installation, Sought(request_id=taken[0]), seen, until)
    assert [(each["privacy_request_id"], each["collection"], each["action"]) for each in mine] == [
        (taken[0], "person", "access")
    ]


def test_what_waited_for_a_listener_before_there_were_events(installation: Installation) -> None:
    with installation.database.begin() as connection:
        migrate.downgrade(connection, "0008")
        outbox.put(connection, installation.clock, "event.privacy_request.reappeared", "pri_1")
        outbox.put(connection, installation.clock, "message.test", "pri_1")
        migrate.upgrade(connection)
    told, _ = page(installation, Sought(), 0, settle(installation).position)
    assert [(each["type"], each["privacy_request_id"]) for each in told] == [(REAPPEARED, "pri_1")]
    with installation.database.begin() as connection:
        left = outbox.claim(connection, installation.clock, "x", limit=9, stale_after_seconds=0)
    assert [each.kind for each in left] == ["message.test"]
