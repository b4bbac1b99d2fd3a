"""The port's adapter to DBOS Transact (MIT core): a library, on a SQLite file of its own or in our PostgreSQL.

Workflows are started directly, so that no poll stands in the path; a queue serves recovery only. Of a step
only its plain result is recorded, of an error its class and code. DBOS's own log lines can hold values and
are reduced to where they come from. No enterprise part is ever switched on. One engine a process, as DBOS
keeps its state per process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID, _dbos, _scheduler, _workflow_commands
from dbos import error as dbos_errors
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url

from habeas.core.errors import Conflict, HabeasError, Unavailable
from habeas.durable.port import Workflow
from habeas.durable.record import decode_record, encode_record, value_free

if TYPE_CHECKING:
    from dbos import WorkflowStatus

T = TypeVar("T")

APPLICATION = "habeas"
VERSION = "1"
"""Which workflows may go on where others began: counted up only when recorded steps no longer fit the code."""

SCHEMA = "dbos"
RECOVERY_QUEUE = "recovery"

_QUICK_SECONDS, _SLOW_SECONDS = 0.2, 3.0  # between polls of the recovery queue: seven messages to PostgreSQL each
_SETTLED_SECONDS = 10.0  # after a start, or after something was resumed, until polls are slow
_NEVER_SECONDS = 3600.0  # between the library's own looks for what habeas never uses
_NOTICE_SECONDS = 1.0  # between looks for notices, which nobody sends; a shutdown waits for one
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)  # while something of our own is out of reach; the last one repeats
_PRUNED_AT_ONCE = 500
_NOT_ENDED = ["PENDING", "ENQUEUED", "DELAYED"]

_log = logging.getLogger("habeas.durable")


class OwnDatabase(Protocol):
    """What is asked of our own database here."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    @property
    def url(self) -> str:
        """With its password."""
        ...


def engine_url(database: OwnDatabase, data_dir: Path) -> str:
    """Where the engine keeps its tables: `DATA_DIR/engine.sqlite`, or our own PostgreSQL database."""
    return f"sqlite:///{data_dir / 'engine.sqlite'}" if database.dialect == "sqlite" else database.url


class DbosEngine:
    """Implements `port.DurableEngine`. Safe to share between threads.

    `executor_id` is new at every boot. A step that raises `Unavailable` (something of our own is out of
    reach) is tried again for `patience_seconds` before its error is recorded: steps repeat safely. `watch` is
    handed the engine on PostgreSQL, to see to it that no dead connection of its pool is used.
    """

    _only_one: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        url: str,
        executor_id: str,
        *,
        recovery_concurrency: int = 4,
        patience_seconds: float = 300.0,
        watch: Callable[[Engine], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._watch = watch
        self.executor_id = executor_id
        self._recovery_concurrency = recovery_concurrency
        self._patience = patience_seconds
        self._workflows: dict[str, Callable[[str], None]] = {}
        self._engine: Engine | None = None
        self._stopping = threading.Event()
        self._settling: threading.Timer | None = None
        self._changed = threading.Condition()
        self._running: Counter[str] = Counter()
        self._turns: dict[str, threading.Lock] = {}
        if not self._only_one.acquire(blocking=False):
            raise Conflict("one durable engine already runs in this process", where="durable engine")
        self._holds = True

    def register(self, name: str, workflow: Workflow) -> None:
        """Make a workflow known; before `launch`."""

        def body(subject: str) -> None:
            self._run(workflow, subject)

        # No limit to recoveries: whether to give up is ours to say.
        self._workflows[name] = DBOS.workflow(name=name, max_recovery_attempts=None)(body)

    def launch(self) -> None:
        """Begin, making or migrating the engine's tables; resumes nothing by itself.

        Raises Unavailable where its database can't be had.
        """
        _quieten()
        _leave_out_looks()
        try:
            self._engine = _engine_of(self._url, self._watch)
            DBOS(config=self._config(self._engine))
            DBOS.launch()
            DBOS.register_queue(
                RECOVERY_QUEUE,
                worker_concurrency=self._recovery_concurrency,
                polling_interval_sec=_QUICK_SECONDS,
                on_conflict="always_update",
            )
            self._settle_later()
        except (sa.exc.SQLAlchemyError, dbos_errors.DBOSException, OSError) as error:
            self._discard()
            raise Unavailable(f"can't be started: {type(error).__name__}", where="durable engine") from None

    def start(self, name: str, workflow_id: str, subject: str) -> None:
        """Start a workflow now, in a thread of this process; nothing happens if the id was started before.

        On return the engine has it on record. Raises Unavailable while shutting down.
        """
        if self._stopping.is_set():
            raise Unavailable("is shutting down", where="durable engine", fix="it goes on at the next start")
        self._count(workflow_id, +1)
        future: Future[None] | None = None
        try:
            with SetWorkflowID(workflow_id):
                # A handle without a future only follows a workflow that was started before.
                future = getattr(DBOS.start_workflow(self._workflows[name], subject), "future", None)
        finally:
            if future is None:
                self._count(workflow_id, -1)
        if future is not None:
            future.add_done_callback(lambda _: self._count(workflow_id, -1))

    def pending(self, executor_id: str | None = None) -> Sequence[str]:
        """Ids of workflows not ended, oldest first. Of one executor: those it has begun and not given up."""
        wanted = _NOT_ENDED if executor_id is None else ["PENDING"]
        return [each.workflow_id for each in self._list(status=wanted, executor_id=executor_id)]

    def resume(self, workflow_ids: Sequence[str]) -> None:
        """Run these again from their last recorded step, through the recovery queue; safe to call again.

        Left out: what this process runs already, what waits in the queue, what has ended. The caller makes
        sure that nobody else runs them (a lease); on PostgreSQL any executor may be the one to go on.
        """
        if not workflow_ids:
            return
        known = self._list(workflow_ids=list(workflow_ids), status=["PENDING", "CANCELLED"])
        fit = [each.workflow_id for each in known if each.status == "CANCELLED" or each.executor_id != self.executor_id]
        if fit:
            DBOS.resume_workflows(fit, queue_name=RECOVERY_QUEUE)
            self._pace(_QUICK_SECONDS)
            self._settle_later()

    def cancel(self, workflow_id: str) -> None:
        """Stop a workflow at its next step."""
        DBOS.cancel_workflow(workflow_id)

    def forget(self, workflow_ids: Sequence[str]) -> None:
        """Delete the engine's rows of ended workflows; others stay."""
        if not workflow_ids:
            return
        ended = self._list(workflow_ids=list(workflow_ids), status=["SUCCESS", "ERROR", "CANCELLED"])
        if ended:
            DBOS.delete_workflows([each.workflow_id for each in ended])

    def prune(self, before: float) -> int:
        """Delete the engine's records of workflows that ended before a moment (of `time.time`); how many.

        None before it was launched. Those that may still go on are never among them.
        """
        moment = datetime.fromtimestamp(before, UTC).isoformat()
        deleted = 0
        while self._engine is not None and not self._stopping.is_set():
            ended = self._list(status=["SUCCESS", "ERROR"], completed_before=moment, limit=_PRUNED_AT_ONCE)
            DBOS.delete_workflows([each.workflow_id for each in ended])
            deleted += len(ended)
            if len(ended) < _PRUNED_AT_ONCE:
                break
        return deleted

    def running(self) -> int:
        """Workflows now running in this process."""
        with self._changed:
            return len(self._running)

    def running_ids(self) -> frozenset[str]:
        """Their ids."""
        with self._changed:
            return frozenset(self._running)

    def shutdown(self, grace_seconds: float) -> None:
        """Stop taking work; running workflows leave at their next step, to be resumed, within the grace.

        A step that outlasts the grace is left running: end the process by `os._exit` then. Safe to call again.
        """
        self._stopping.set()
        deadline = time.monotonic() + grace_seconds
        with self._changed:
            while self._running and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        self._discard()

    def _settle_later(self) -> None:
        """Poll slowly once nothing was resumed for a while."""
        if self._settling is not None:
            self._settling.cancel()
        self._settling = threading.Timer(_SETTLED_SECONDS, self._pace, [_SLOW_SECONDS])
        self._settling.daemon = True
        self._settling.start()

    def _pace(self, seconds: float) -> None:
        """Have the recovery queue polled so often, by all that share it, from their next poll on."""
        try:
            queue = DBOS.retrieve_queue(RECOVERY_QUEUE)
            if queue is not None:
                queue.set_polling_interval_sec(seconds)
        except (sa.exc.SQLAlchemyError, dbos_errors.DBOSException) as error:
            _log.warning("polls keep their pace", extra={"error": type(error).__name__})  # it only costs messages

    def _discard(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
        DBOS.destroy(destroy_registry=True)
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._holds:
            self._holds = False
            self._only_one.release()

    def _config(self, engine: Engine) -> DBOSConfig:
        return {
            "name": APPLICATION,
            "system_database_url": self._url,
            "system_database_engine": engine,
            "dbos_system_schema": SCHEMA,
            "application_version": VERSION,
            "executor_id": self.executor_id,
            "serializer": _JsonSerializer(),
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": _NOTICE_SECONDS,
            "scheduler_polling_interval_sec": _NEVER_SECONDS,
            "enable_otlp": False,
            "auto_upgrade": False,
            "sharding": False,
        }

    def _list(self, **wanted: Any) -> list[WorkflowStatus]:
        return DBOS.list_workflows(load_input=False, load_output=False, **wanted)

    def _run(self, workflow: Workflow, subject: str) -> None:
        workflow_id = DBOS.workflow_id or ""
        turn = self._count(workflow_id, +1)
        try:
            # Were a workflow ever resumed while it runs here, the second run waits and then finds all recorded.
            with turn:
                workflow(_Steps(self._attempt, self._stopping), subject)
        except HabeasError as error:
            _log.error("workflow ended by an error", extra={"workflow": workflow_id, "code": error.code})
            raise
        except Exception as error:  # noqa: BLE001 – the engine's edge: no text of others may be recorded
            problem = value_free(error)
            _log.error("workflow failed", extra={"workflow": workflow_id, "error": str(problem)})
            raise problem from None
        finally:
            self._count(workflow_id, -1)

    def _count(self, workflow_id: str, by: int) -> threading.Lock:
        """One more or less reason to call a workflow running here; gives the lock of those that run it."""
        with self._changed:
            turn = self._turns.setdefault(workflow_id, threading.Lock())
            self._running[workflow_id] += by
            if not self._running[workflow_id]:
                del self._running[workflow_id], self._turns[workflow_id]
            self._changed.notify_all()
            return turn

    def _attempt(self, name: str, function: Callable[[], T]) -> T:
        """Run a step's function, waiting while something of our own is out of reach."""
        deadline = time.monotonic() + self._patience
        attempt = 0
        while True:
            try:
                return function()
            except Unavailable as error:
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                if time.monotonic() + pause > deadline:
                    raise
                _log.warning("step waits", extra={"step": name, "code": error.code, "problem": str(error)})
            except HabeasError:
                raise
            except Exception as error:  # noqa: BLE001 – the engine's edge: no text of others may be recorded
                raise value_free(error) from None
            attempt += 1
            if self._stopping.wait(pause):
                raise _Left


class _Steps:
    """Implements `port.Steps` for one run of a workflow."""

    def __init__(self, attempt: Callable[[str, Callable[[], Any]], Any], stopping: threading.Event) -> None:
        self._attempt = attempt
        self._stopping = stopping

    def run(self, name: str, function: Callable[[], T]) -> T:
        """Run a step, or give its recorded result. A shutdown leaves here, before the step begins."""
        if self._stopping.is_set():
            raise _Left
        result: T = DBOS.run_step({"name": name}, self._attempt, name, function)
        return result


class _Left(BaseException):
    """Leaves a running workflow without an outcome: not an Exception, so nothing records it and the workflow
    stays as it is, to be resumed.
    """


class _JsonSerializer(Serializer):
    def serialize(self, data: Any) -> str:
        return encode_record(data)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 – the base class names it so
        return decode_record(serialized_data)

    def name(self) -> str:
        return "habeas_json"


class _Discreet(logging.Handler):
    """Hands on where DBOS had something to say, not what: its lines hold texts of errors."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        place = f"{record.module}:{record.lineno}"
        _log.log(record.levelno, "engine reports", extra={"place": place, "error": kind and kind.__name__})


def _quieten() -> None:
    logger = logging.getLogger("dbos")
    logger.handlers = [_Discreet(logging.WARNING)]
    logger.propagate = False


def _leave_out_looks() -> None:
    """Keep the library from looking once a second for schedules, delayed and timed out workflows, and into its internal
    queue: habeas uses none of them. It has no setting for that; where it names them otherwise, tests/e2e/test_idle.py
    shows what it costs, and nothing else changes.
    """
    vars(_scheduler)["_STARTUP_FAST_POLL_DURATION_SEC"] = 0.0
    vars(_workflow_commands)["_BACKGROUND_JOBS_INTERVAL_SEC"] = _NEVER_SECONDS
    _dbos._get_or_create_dbos_registry().get_internal_queue()._polling_interval_sec = _NEVER_SECONDS


def _engine_of(url: str, watch: Callable[[Engine], None]) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(Path(parsed.database or ""))
    engine = sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=5,
        max_overflow=15,
        hide_parameters=True,
        connect_args={"application_name": "habeas engine", "connect_timeout": 10},
    )
    watch(engine)
    return engine


def _sqlite_engine(path: Path) -> Engine:
    try:
        from pysqlite3 import dbapi2 as driver  # type: ignore[import-untyped] # the wheel has no types
    except ImportError:
        import sqlite3 as driver
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = sa.create_engine(f"sqlite+pysqlite:///{path}", module=driver, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _entry: object) -> None:
        connection.isolation_level = "IMMEDIATE"  # DBOS says BEGIN itself where it must
        # Losing the last commits to a power cut repeats steps, nothing more: NORMAL is enough here.
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
