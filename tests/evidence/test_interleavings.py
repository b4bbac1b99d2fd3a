"""Two executors and one cohort, over all orders of their steps, with and without a death: what is done, is done once.

The transitions are habeas' own (`store.cohorts`, `durable.leases`), driven without processes and without time. Mutants,
named after bugs that other systems had, show that the exploration would find them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from habeas.durable.leases import Lease, LeaseTimes, is_dead
from habeas.store import cohorts
from habeas.store.tables import cohort, metadata

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGINAL = "ada@example.com"


def mask(value: str) -> str:
    """A mask whose second application shows."""
    return f"<{value}>"


@dataclass
class World:
    """The cohort's row in a real table, the store's one value, and what was frozen by epoch."""

    connection: sa.Connection
    steps: Any
    value: str = ORIGINAL
    frozen: dict[int, str] = field(default_factory=dict)
    ends: int = 0

    def progress(self) -> Any:
        return (cohorts.find(self.connection, "coh") or {})["progress"] or {}


def attempt(world: World, name: str) -> Iterator[None]:
    """One executor's way through a cohort; each `yield` is where another may come between."""
    act = world.steps
    row = act.take_epoch(world.connection, "coh", name, NOW)
    if row is None:
        return
    epoch: int = row["epoch"]
    yield
    progress = world.progress()
    if "freeze_epoch" not in progress or act.freezes_again:
        world.frozen[epoch] = world.value
        yield
        done = act.advance(world.connection, "coh", epoch, {"progress": {"freeze_epoch": epoch}}, NOW)
        if not done and not act.goes_on:
            return
        progress = world.progress() or {"freeze_epoch": epoch}
    yield
    if act.present_epoch(world.connection, "coh") != epoch and not act.goes_on:
        return
    yield  # the fence was asked, the write is still to come
    world.value = mask(world.value if act.masks_present else world.frozen[progress["freeze_epoch"]])
    yield
    if act.advance(world.connection, "coh", epoch, {"finished_at": NOW, "stage": "done"}, NOW):
        world.ends += 1


def real_steps(**changed: Any) -> SimpleNamespace:
    """habeas' own transitions, or a mutant."""
    steps = {
        "take_epoch": cohorts.take_epoch,
        "advance": cohorts.advance,
        "present_epoch": cohorts.present_epoch,
        "goes_on": False,
        "masks_present": False,
        "freezes_again": False,
    }
    return SimpleNamespace(**(steps | changed))


@pytest.fixture(scope="module")
def connection() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    with engine.connect() as made:
        yield made
    engine.dispose()


def explore(connection: sa.Connection, steps: SimpleNamespace, *, until_found: bool = False) -> tuple[int, set[str]]:
    """All orders of two attempts, the first of which may die after any step; how many, and what went wrong."""
    tried, wrong = 0, set()
    most = 6
    for lives in range(1, most + 1):  # so many steps of the first, then it is dead
        for places in itertools.combinations(range(lives + most), lives):
            order = ["one" if place in places else "two" for place in range(lives + most)]
            wrong |= run(connection, steps, order)
            tried += 1
            if wrong and until_found:
                return tried, wrong
    return tried, wrong


def run(connection: sa.Connection, steps: SimpleNamespace, order: list[str]) -> set[str]:
    transaction = connection.begin()
    try:
        row = {"id": "coh", "created_at": NOW, "updated_at": NOW, "plan_digest": "", "size": 1, "stage": "access"}
        cohorts.insert(connection, row | {"epoch": 0})
        world = World(connection, steps)
        running = {name: attempt(world, name) for name in ("one", "two")}
        for name in order:
            if name in running and next(running[name], StopIteration) is StopIteration:
                del running[name]
        last = attempt(world, "three")  # whoever comes later, when both are gone
        for _ in last:
            continue
        problems = set()
        if world.value != mask(ORIGINAL):
            problems.add("masked twice" if mask(mask(ORIGINAL)) in world.value else "not masked")
        if world.ends != 1:
            problems.add(f"ended {world.ends} times")
        return problems
    finally:
        transaction.rollback()


def test_whatever_the_order_it_is_done_once(connection: sa.Connection) -> None:
    tried, wrong = explore(connection, real_steps())
    assert tried > 1_700
    assert not wrong


def unguarded(connection: sa.Connection, cohort_id: str, epoch: int, values: Any, now: datetime) -> bool:
    """Any epoch may write: a worker that lost its lease goes on (a watchdog requeues what still runs)."""
    connection.execute(sa.update(cohort).where(cohort.c.id == cohort_id).values(updated_at=now, **values))
    return True


def uncounted(connection: sa.Connection, cohort_id: str, executor_id: str, now: datetime) -> Any:
    """Two attempts hold one epoch: "queued twice"."""
    row = cohorts.find(connection, cohort_id)
    return None if row is None or row["finished_at"] else row | {"epoch": row["epoch"]}


def taken_though_ended(connection: sa.Connection, cohort_id: str, executor_id: str, now: datetime) -> Any:
    """What has ended is run again: "requeue indefinitely"."""
    connection.execute(sa.update(cohort).where(cohort.c.id == cohort_id).values(finished_at=None))
    return cohorts.take_epoch(connection, cohort_id, executor_id, now)


MUTANTS: dict[str, dict[str, Any]] = {
    "wrong epoch accepted": {"advance": unguarded},
    "epoch not counted": {"take_epoch": uncounted, "freezes_again": True},
    "ended cohorts are taken again": {"take_epoch": taken_though_ended},
    "a lost attempt goes on": {"goes_on": True, "freezes_again": True},
    "the mask reads the present value": {"masks_present": True},
    "frozen again after masking began": {"freezes_again": True},
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(connection: sa.Connection, name: str) -> None:
    _, wrong = explore(connection, real_steps(**MUTANTS[name]), until_found=True)
    assert wrong, name


# Leases: nobody acts once a peer may think it dead, however beats are late, lost, or the process is stopped.

TICK = 0.5
HORIZON = 20.0


@dataclass
class Trouble:
    """From when to when the executor can't reach the database, or is stopped; and how long an answer takes."""

    cut: tuple[float, float] = (99, 99)
    stopped: tuple[float, float] = (99, 99)
    delay: float = 0.0


def both_act(times: LeaseTimes, trouble: Trouble, own: LeaseTimes, counts_arrival: bool) -> bool:
    """Whether at some moment the executor still acts although its peer has taken its work over."""
    lease, beat_at, taken = Lease(own, 0.0), 0.0, False
    under_way: list[tuple[float, float]] = []  # beats: when the answer arrives, when it was sent
    for number in range(int(HORIZON / TICK)):
        now = number * TICK
        stopped = trouble.stopped[0] <= now < trouble.stopped[1]
        if not stopped:
            for arrives, sent in [each for each in under_way if each[0] <= now]:
                lease.beaten(now if counts_arrival else sent)
                under_way.remove((arrives, sent))
            if lease.beat_due(now) <= 0 and not under_way and not trouble.cut[0] <= now < trouble.cut[1]:
                beat_at = now if not taken else beat_at
                under_way.append((now + trouble.delay, now))
        taken = taken or is_dead(now - beat_at, lock_taken=False, times=times)
        if not stopped and taken and lease.lost(now) is None:
            return True
    return False


def troubles() -> Iterator[Trouble]:
    moments = [each * TICK for each in range(0, 24, 2)]
    for begin, end, delay in itertools.product(moments, [*moments, 99.0], (0.0, 0.5, 1.5)):
        if end > begin:
            yield Trouble(cut=(begin, end), delay=delay)
            yield Trouble(stopped=(begin, end), delay=delay)


TIMES = LeaseTimes()


def first_problem(find: Callable[[Trouble], bool]) -> Trouble | None:
    return next((each for each in troubles() if find(each)), None)


def test_nobody_acts_once_a_peer_took_over() -> None:
    assert len(list(troubles())) > 400
    assert first_problem(lambda each: both_act(TIMES, each, TIMES, False)) is None


@pytest.mark.parametrize(
    ("own", "counts_arrival"),
    [
        pytest.param(TIMES._replace(margin=-1.0), False, id="gives up after its peers may think it dead"),
        pytest.param(TIMES._replace(expiry=60.0), False, id="never gives up by itself"),
        pytest.param(TIMES._replace(margin=0.5), True, id="a beat counts from its answer, with hardly a margin"),
    ],
)
def test_a_mutant_lease_is_found(own: LeaseTimes, counts_arrival: bool) -> None:
    assert first_problem(lambda each: both_act(TIMES, each, own, counts_arrival)) is not None


def test_a_taken_lock_is_a_death_at_once() -> None:
    assert is_dead(0.0, lock_taken=True, times=TIMES)
    assert not is_dead(TIMES.expiry, lock_taken=False, times=TIMES)
