"""The engine on SQLite and PostgreSQL: started once, survives kill -9, records no values."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from pysqlite3 import dbapi2

from habeas.core.errors import Conflict, Fenced, HabeasError, Refused, Unavailable
from habeas.durable.dbos_engine import DbosEngine
from habeas.durable.port import DurableEngine, Steps, Workflow

SECRET = "jane@example.com"
CHILD = Path(__file__).with_name("engine_child.py")


@contextmanager
def launched(url: str, workflow: Workflow, executor: str = "exe_1", patience: float = 300) -> Iterator[DbosEngine]:
    engine = DbosEngine(url, executor, patience_seconds=patience)
    try:
        engine.register("test", workflow)
        engine.launch()
        yield engine
    finally:
        engine.shutdown(5)


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        threading.Event().wait(0.01)


def everything(url: str) -> str:
    """All that the engine's tables hold, as text."""
    if url.startswith("sqlite"):
        with dbapi2.connect(url.removeprefix("sqlite:///")) as file:
            tables = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return "\n".join(str(file.execute(f'SELECT * FROM "{name}"').fetchall()) for (name,) in tables)
    with psycopg.connect(url) as server:
        tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'dbos'").fetchall()
        return "\n".join(str(server.execute(f'SELECT * FROM dbos."{name}"').fetchall()) for (name,) in tables)


def test_it_implements_the_port(tmp_path: Path) -> None:
    engine = DbosEngine(f"sqlite:///{tmp_path / 'e.sqlite'}", "exe_1")
    port: DurableEngine = engine
    port.shutdown(0)


def test_a_workflow_runs_once_and_its_steps_give_their_results(engine_at: str) -> None:
    runs: list[object] = []

    def workflow(steps: Steps, subject: str) -> None:
        runs.append([subject, steps.run("one", lambda: {"n": [1, None]}), steps.run("two", lambda: None)])

    with launched(engine_at, workflow) as engine:
        for _ in range(3):
            engine.start("test", "w1", "coh_1")
            wait_until(lambda: not engine.running())
        assert runs == [["coh_1", {"n": [1, None]}, None]]
        assert engine.pending() == []
        engine.forget(["w1", "unknown"])
        engine.start("test", "w1", "coh_2")
        wait_until(lambda: len(runs) == 2)


def killed(url: str, file: Path, after: str) -> None:
    file.write_text("")
    arguments = [sys.executable, str(CHILD), url, "exe_dead", str(file), "start", "w1"]
    with subprocess.Popen(arguments) as child:
        wait_until(lambda: after in file.read_text() or child.poll() is not None)
        child.send_signal(signal.SIGKILL)
    assert "ended" not in file.read_text()


@pytest.mark.parametrize("number", [0, 2, 4])
def test_kill_9_in_a_step_then_another_process_goes_on_there(engine_at: str, tmp_path: Path, number: int) -> None:
    file = tmp_path / "lines"
    killed(engine_at, file, f"begin {number}")
    arguments = [sys.executable, str(CHILD), engine_at, "exe_next", str(file), "resume"]
    subprocess.run(arguments, check=True, timeout=60)
    lines = file.read_text().splitlines()
    assert lines[-1] == "ended subject-1 [0, 1, 4, 9, 16]"
    assert lines[:-1] == [f"begin {n}" for n in [*range(number + 1), *range(number, 5)]]


def test_pending_names_the_executor_and_launch_resumes_nothing(engine_at: str, tmp_path: Path) -> None:
    killed(engine_at, tmp_path / "lines", "begin 1")

    def never(steps: Steps, subject: str) -> None:
        raise AssertionError

    with launched(engine_at, never, "exe_2") as engine:
        assert engine.pending() == engine.pending("exe_dead") == ["w1"]
        assert engine.pending("exe_2") == []
        assert engine.running() == 0
        engine.cancel("w1")
        assert engine.pending() == []
        engine.forget(["w1"])
        engine.resume(["w1"])


def test_what_runs_here_is_never_run_twice_at_once(engine_at: str) -> None:
    inside, go_on = threading.Event(), threading.Event()
    begun: list[str] = []

    def step() -> None:
        begun.append("step")
        inside.set()
        assert go_on.wait(20)

    with launched(engine_at, lambda steps, subject: steps.run("one", step)) as engine:
        engine.start("test", "w1", "coh_1")
        assert inside.wait(20)
        engine.resume(engine.pending())
        assert engine.running_ids() == {"w1"}
        assert engine.running() == 1
        engine.forget(["w1"])
        assert engine.pending("exe_1") == ["w1"]
        go_on.set()
        wait_until(lambda: not engine.running())
        assert begun == ["step"]
        assert engine.pending() == []


def test_a_cancelled_workflow_stops_at_its_next_step(engine_at: str) -> None:
    inside, go_on = threading.Event(), threading.Event()
    second: list[int] = []

    def workflow(steps: Steps, subject: str) -> None:
        steps.run("one", lambda: inside.set() or go_on.wait(20))
        steps.run("two", lambda: second.append(1))

    with launched(engine_at, workflow) as engine:
        engine.start("test", "w1", "coh_1")
        assert inside.wait(20)
        engine.cancel("w1")
        go_on.set()
        wait_until(lambda: not engine.running())
        assert second == []
        assert engine.pending() == []


def test_shutdown_leaves_at_the_next_step_and_another_boot_goes_on(engine_at: str) -> None:
    inside, done = threading.Event(), []

    def workflow(steps: Steps, subject: str) -> None:
        steps.run("one", lambda: inside.set() or threading.Event().wait(0.3))
        done.append(steps.run("two", lambda: 2))

    with launched(engine_at, workflow) as engine:
        engine.start("test", "w1", "coh_1")
        assert inside.wait(20)
        engine.shutdown(10)
        assert engine.running() == 0
        with pytest.raises(Unavailable):
            engine.start("test", "w2", "coh_1")
    assert done == []
    with launched(engine_at, workflow, "exe_2") as engine:
        engine.resume(engine.pending())
        wait_until(lambda: done)
        wait_until(lambda: not engine.pending())


class DriverError(Exception):
    """Like a driver's: its text repeats a value."""


def leaking() -> None:
    raise DriverError(f"Key (email)=({SECRET}) already exists")


def refused() -> None:
    raise Refused(f"no key for {SECRET}", cause="no_key", where="shop:people", fix=SECRET)


@pytest.mark.parametrize(("step", "kind", "code"), [(leaking, HabeasError, "internal"), (refused, Refused, "refused")])
def test_errors_keep_their_class_and_nothing_records_their_text(
    engine_at: str,
    step: Callable[[], None],
    kind: type[HabeasError],
    code: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[HabeasError] = []

    def workflow(steps: Steps, subject: str) -> None:
        try:
            steps.run("one", step)
        except HabeasError as error:
            seen.append(error)
            raise

    with caplog.at_level(logging.DEBUG), launched(engine_at, workflow) as engine:
        engine.start("test", "w1", "coh_1")
        wait_until(lambda: not engine.running())
        assert engine.pending() == []
    (error,) = seen
    assert type(error) is kind
    assert error.code == code
    recorded = everything(engine_at)
    assert kind.__name__ in recorded
    out, err = capfd.readouterr()
    assert SECRET not in recorded + out + err + caplog.text


def test_a_recorded_error_comes_back_as_its_class(engine_at: str) -> None:
    attempts: list[HabeasError] = []
    leave = threading.Event()

    def workflow(steps: Steps, subject: str) -> None:
        try:
            steps.run("one", refused)
        except HabeasError as error:
            attempts.append(error)
        steps.run("two", lambda: leave.wait(0.5))
        steps.run("three", lambda: None)

    with launched(engine_at, workflow) as engine:
        engine.start("test", "w1", "coh_1")
        wait_until(lambda: attempts)
        engine.shutdown(10)
    with launched(engine_at, workflow, "exe_2") as engine:
        engine.resume(engine.pending())
        wait_until(lambda: not engine.pending())
    first, again = attempts
    assert isinstance(again, Refused)
    assert (again.cause, again.code) == ("no_key", "refused")
    assert SECRET in str(first)
    assert SECRET not in str(again)


def test_a_step_waits_while_something_of_our_own_is_out_of_reach(engine_at: str) -> None:
    tries: list[int] = []

    def step() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise Unavailable("gone")
        return len(tries)

    got: list[int] = []
    with launched(engine_at, lambda steps, subject: got.append(steps.run("one", step))) as engine:
        engine.start("test", "w1", "coh_1")
        wait_until(lambda: got)
        assert got == [3]


def test_patience_ends_and_other_errors_have_none(tmp_path: Path) -> None:
    seen: list[HabeasError] = []

    def gone() -> None:
        raise Unavailable("gone")

    def fenced() -> None:
        raise Fenced("not ours any more")

    def workflow(steps: Steps, subject: str) -> None:
        for name, step in (("gone", gone), ("fenced", fenced)):
            try:
                steps.run(name, step)
            except HabeasError as error:
                seen.append(error)

    with launched(f"sqlite:///{tmp_path / 'e.sqlite'}", workflow, patience=0.5) as engine:
        engine.start("test", "w1", "coh_1")
        wait_until(lambda: len(seen) == 2)
    assert [type(each) for each in seen] == [Unavailable, Fenced]


def test_one_engine_a_process(tmp_path: Path) -> None:
    with launched(f"sqlite:///{tmp_path / 'e.sqlite'}", lambda steps, subject: None), pytest.raises(Conflict):
        DbosEngine("sqlite:///other", "exe_2")


def test_a_database_out_of_reach_is_named(tmp_path: Path, postgres_server: str) -> None:
    (tmp_path / "file").write_text("")
    beyond = f"sqlite:///{tmp_path}/file/e.sqlite"
    for url in (beyond, "postgresql://postgres@127.0.0.1:1/x"):
        engine = DbosEngine(url, "exe_1")
        with pytest.raises(Unavailable):
            engine.launch()
