"""The worker: holds its lease, runs the durable engine, takes up what others left, dispatches until it is stopped.

One a data directory on SQLite, any number on PostgreSQL. A worker that loses its lease ends its process at
once, so that nothing runs twice. Never answers HTTP, and sets no signal handlers: stopping is the caller's word.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from uuid import uuid4

from habeas import __version__
from habeas.core.log import get_logger
from habeas.core.settings import Settings
from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.durable.leases import DataDirLock, LeaseKeeper
from habeas.requests import calling, event_delivery, sending
from habeas.requests.announcing import Announcer
from habeas.requests.calling import Caller
from habeas.requests.dispatch import COHORT_WORKFLOW, Dispatcher
from habeas.requests.event_delivery import EventSender
from habeas.requests.flow import cohort_workflow
from habeas.requests.installation import Installation, open_installation
from habeas.requests.recovery import Recovery
from habeas.requests.sending import Sender
from habeas.requests.watching import Watch
from habeas.requests.webhook_client import open_webhook_client
from habeas.store.session import ping_when_due

GRACE_SECONDS = 6.0  # a stopped worker is gone within ten


def run_worker(settings: Settings, stop: threading.Event, *, began: Callable[[], None] | None = None) -> None:
    """Execute requests until `stop` is set; `began` is called once it takes work.

    What runs then leaves at its next step and goes on at the next start. On the main thread, a step that
    outlasts the grace is cut off by ending the process. Raises Conflict where another worker has the data
    directory or this process has one already, Unavailable or BadInput where something can't be opened.
    """
    executor_id = f"exe_{uuid4()}"
    with open_installation(settings) as installation, ExitStack() as held:
        if installation.database.dialect == "sqlite":
            held.enter_context(DataDirLock(settings.data_dir))
        url = engine_url(installation.database, settings.data_dir)
        engine = DbosEngine(url, executor_id, watch=ping_when_due)
        dispatcher = Dispatcher(installation, engine, executor_id)
        recovery = Recovery(installation, engine, dispatcher, executor_id)
        try:
            workflow = cohort_workflow(installation, executor_id, dispatcher.take_claim)
            engine.register(COHORT_WORKFLOW, dispatcher.announcing(workflow))
            engine.launch()
            held.callback(_take_up(installation, recovery, executor_id))
            held.enter_context(_leaving(installation, executor_id))
            get_logger(__name__).info("worker.began", executor_id=executor_id, dialect=installation.database.dialect)
            if began is not None:
                began()
            dispatcher.serve(stop, recovery.sweep)
        finally:
            engine.shutdown(GRACE_SECONDS)  # before the lease goes, so that no peer takes over what still runs
        if engine.running() and threading.current_thread() is threading.main_thread():
            get_logger(__name__).warning("worker.cut_off", executor_id=executor_id, count=engine.running())
            os._exit(0)  # a thread of a step can't be ended otherwise; what it does is repeated or fenced


@contextmanager
def _beside(name: str, serve: Callable[[threading.Event], None]) -> Iterator[None]:
    """A thread that serves while the block runs."""
    ended = threading.Event()
    thread = threading.Thread(target=serve, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(GRACE_SECONDS)


@contextmanager
def _leaving(installation: Installation, executor_id: str) -> Iterator[None]:
    """Threads for what leaves, each woken by the watch, while the block runs."""
    watch = Watch(installation)
    wake = watch.wake
    with (
        open_webhook_client(installation.settings) as client,
        _beside("messages", partial(Sender(installation, executor_id).serve, wake.messages)),
        _beside("events", partial(Announcer(installation).serve, wake.events)),
        _beside("event webhooks", partial(EventSender(installation, executor_id).serve, wake.deliveries)),
        _beside("webhooks", partial(Caller(installation, executor_id, client).serve, wake.calls)),
        _beside("watch", watch.serve),
    ):
        yield


def _take_up(installation: Installation, recovery: Recovery, executor_id: str) -> Callable[[], None]:
    """Resume what was left: all of it where nobody else can run, else what dead peers held, as they are found.

    Gives what lets the lease go.
    """
    if installation.database.dialect == "sqlite":
        recovery.take_over(None)
        sending.take_over(installation, None)
        event_delivery.take_over(installation, None)
        calling.take_over(installation, None)
        return lambda: None
    keeper = LeaseKeeper(
        installation.database.url, executor_id, __version__, on_dead=lambda dead: _of_dead(installation, recovery, dead)
    )
    keeper.start()
    return keeper.stop


def _of_dead(installation: Installation, recovery: Recovery, executor_id: str) -> None:
    recovery.take_over([executor_id])
    sending.take_over(installation, executor_id)
    event_delivery.take_over(installation, executor_id)
    calling.take_over(installation, executor_id)
