"""What the benchmarks share: facts of the machine, a PostgreSQL database of their own, figures and their goals.

The server under test is driven over HTTP as its users do (`tests/serving.py`); the references run beside it in
the same run, in turns. `HABEAS_TEST_POSTGRES` names the database server.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
SERVER = os.environ.get("HABEAS_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


def print_machine() -> None:
    """Facts without which no figure means anything."""
    with psycopg.connect(SERVER) as connection:
        version = connection.info.parameter_status("server_version")
        ((fsync,),) = connection.execute("SHOW fsync").fetchall()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(
        f"Python {platform.python_version()}, PostgreSQL {version} (fsync {fsync}), {platform.machine()}, "
        f"{os.cpu_count()} cores, {memory:.0f} GB, load {os.getloadavg()[0]:.1f}, fsync {fsync_seconds() * 1e3:.2f} ms"
    )


def fsync_seconds() -> float:
    """What one durable write of a page costs here, the median of some."""
    with tempfile.NamedTemporaryFile() as file:
        times = []
        for _ in range(20):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database, dropped at the end."""
    name = f"habeas_bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(SERVER, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield f"{SERVER.rsplit('/', 1)[0]}/{name}"
    finally:
        with psycopg.connect(SERVER, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def run_statements(url: str, *statements: str) -> None:
    """Each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def interleaved(rounds: int, *runs: Callable[[], float]) -> list[list[float]]:
    """Run all in turns, so that a busy machine is busy for each; their seconds, by run."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, taken in zip(runs, seconds, strict=True):
            taken.append(run())
    return seconds


def median_ratio(ours: Sequence[float], reference: Sequence[float]) -> float:
    """The median of the rounds' ratios: both of a round ran under the same load."""
    return statistics.median(mine / theirs for mine, theirs in zip(ours, reference, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def spread(values: Sequence[float], scale: float = 1.0) -> str:
    """Median and range."""
    return f"{statistics.median(values) * scale:.3g} ({min(values) * scale:.3g}–{max(values) * scale:.3g})"


def print_figure(what: str, value: float, unit: str, goal: float | None = None, *, least: bool = False) -> None:
    """One line: the figure, its goal, and whether it is met (`least`: the figure is to be no less)."""
    verdict = ""
    if goal is not None:
        met = value >= goal if least else value <= goal
        verdict = f"goal {'≥' if least else '≤'} {goal:g} {unit}  {'pass' if met else 'MISS'}"
    print(f"{what:<58}{value:10.2f} {unit:<6} {verdict}", flush=True)


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    children = [int(each) for file in Path(f"/proc/{pid}/task").glob("*/children") for each in file.read_text().split()]
    return [pid, *(each for child in children for each in processes(child))]


def worker_of(pid: int) -> int:
    """The worker process that `habeas serve` started."""
    for each in processes(pid):
        if "worker" in Path(f"/proc/{each}/cmdline").read_text().split("\0"):
            return each
    raise RuntimeError("the server has no worker process")


def peak_megabytes(pid: int) -> float:
    """The most resident memory since `reset_peak`."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def reset_peak(pid: int) -> None:
    """Let the peak begin anew at what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def wait_for(path: Path, seconds: float = 600) -> float:
    """Wait until a file is there; the moment (perf_counter) when it was seen."""
    deadline = time.perf_counter() + seconds
    while not path.exists():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"no {path.name} after {seconds} s")
        time.sleep(0.0005)
    return time.perf_counter()


def dataset(key: str, **collections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A dataset document of collections of fields."""
    listed = [
        {"name": name, "fields": [{"name": field, **about} for field, about in fields.items()]}
        for name, fields in collections.items()
    ]
    return {"fides_key": key, "collections": listed}


def key_field() -> dict[str, Any]:
    """A primary key."""
    return {"fides_meta": {"primary_key": True}}


def email_field() -> dict[str, Any]:
    """The identity."""
    return {"data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}}


def reference_field(key: str, field: str) -> dict[str, Any]:
    """A reference that data flows along to this field."""
    return {"fides_meta": {"references": [{"dataset": key, "field": field, "direction": "from"}]}}


def content_field() -> dict[str, Any]:
    """What the policies of the benchmarks take."""
    return {"data_categories": ["user.content"]}
