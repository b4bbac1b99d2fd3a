"""`habeas serve` and `habeas worker`: the processes that run. Knows signals and children, and no business.

`serve` answers HTTP in this process and keeps one worker process beside it, so that intake and execution
don't share an interpreter. The worker dies with its parent: the kernel kills it (Linux), and everywhere its
end of a pipe closes. A worker that ends by itself is started again, later each time.
"""

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
from typing import TYPE_CHECKING, Annotated

import typer

from habeas.cli.options import ConfigFile, DataDir, Place
from habeas.cli.output import Exit, say, stop

if TYPE_CHECKING:
    import socket
    from types import FrameType

    import uvicorn

    from habeas.core.settings import Settings

GRACE_SECONDS = 7  # for the worker's end; with the server's own it stays below the ten that are promised
WEB_GRACE_SECONDS = 2
LONGEST_PAUSE_SECONDS = 30.0
SAY_WAITING_SECONDS = 0.5  # a database that answers is quicker; longer silence looks like hanging
_PR_SET_PDEATHSIG = 1


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(serve)
    app.command()(worker)


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on (HABEAS_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (HABEAS_PORT); 0 takes a free one.")] = None,
    with_worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Run a worker beside the web server.")
    ] = True,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Answer the API, and execute requests in a worker beside it. SIGTERM ends both within ten seconds."""
    settings = _begin(Place(data_dir=data_dir, config=config))
    settings = settings.model_copy(
        update={name: value for name, value in (("host", host), ("port", port)) if value is not None}
    )
    from habeas.api.app import build_app
    from habeas.cli.root_client import say_root_client
    from habeas.requests.installation import open_installation

    _await_database(settings)
    installation = open_installation(settings)
    supervisor = Supervisor(settings, config) if with_worker else None
    try:
        say_root_client(installation)
        if supervisor is not None:
            supervisor.start()
        app = build_app(installation)
        with _metrics(settings.metrics_bind, app.state.metrics.scrape):
            _listen(_server(app, settings, app.state.events.close), settings)
    finally:
        if supervisor is not None:
            supervisor.stop()
        installation.close()


@contextmanager
def _metrics(bind: str | None, scrape: Callable[[], bytes]) -> Iterator[None]:
    """Metrics on their own address while the block runs, where a setting names one."""
    if bind is None:
        yield
        return
    from habeas.api.metrics_listener import listening

    with listening(bind, scrape):
        yield


def worker(
    *,
    parent: Annotated[int | None, typer.Option(hidden=True, help="Die with this process; stdin is its pipe.")] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Execute requests. Ends cleanly on SIGTERM; what it leaves is taken up at the next start."""
    ended = threading.Event()
    if parent is not None:
        _die_with(parent, ended)
    settings = _begin(Place(data_dir=data_dir, config=config))
    _on_signals(lambda: ended.set())
    from habeas.requests.worker import run_worker

    _await_database(settings)
    run_worker(settings, ended)


class Supervisor:
    """Keeps one worker process running until it is stopped. One thread starts and awaits the children, since the
    kernel's death signal follows the thread that made them.
    """

    def __init__(self, settings: Settings, config: Path | None) -> None:
        self._command = [sys.executable, "-m", "habeas", "worker", "--parent", str(os.getpid())]
        self._command += ["--data-dir", str(settings.data_dir)]
        if config is not None:
            self._command += ["--config", str(config)]
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="worker-supervisor", daemon=True)

    def start(self) -> None:
        """Start the worker; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker: SIGTERM, and after the grace SIGKILL. Safe to call again."""
        self._stopping.set()
        with self._starting:
            child = self._child
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
        if self._thread.is_alive():
            self._thread.join(GRACE_SECONDS)

    def _run(self) -> None:
        from habeas.core.log import get_logger

        log = get_logger(__name__)
        pause = 0.5
        while not self._stopping.is_set():
            with self._starting:
                if self._stopping.is_set():
                    return
                self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE)  # noqa: S603 – our own program
            began = time.monotonic()
            code = self._child.wait()
            lived = time.monotonic() - began
            if self._stopping.is_set():
                return
            pause = 0.5 if lived > LONGEST_PAUSE_SECONDS else min(pause * 2, LONGEST_PAUSE_SECONDS)
            log.error("the worker ended; starting it again", code=code, seconds=pause)
            self._stopping.wait(pause)


def _begin(place: Place) -> Settings:
    """Settings, logging, and the warnings of a start."""
    from habeas.cli.client import settings_of
    from habeas.core.former_settings import read_former
    from habeas.core.log import configure_logging, get_logger
    from habeas.core.settings import unknown_variables

    settings = settings_of(place)
    configure_logging(settings.log_level)
    for warning in unknown_variables(os.environ):
        get_logger("habeas.settings").warning(warning)
    former = read_former(os.environ).told()
    if former is not None:
        get_logger("habeas.settings").info(former)
    return settings


def _await_database(settings: Settings, wait_seconds: float | None = None) -> None:
    """Wait until the server of our database answers, saying so when that isn't at once.

    Raises Unavailable after the wait, BadInput where the server refuses us.
    """
    from habeas.core.errors import Unavailable
    from habeas.store.session import WAIT_SECONDS, Database

    if settings.database_url is None:
        return
    wait = WAIT_SECONDS if wait_seconds is None else wait_seconds
    database = Database.open(settings.database_url, wait_seconds=wait)
    told = f"habeas: waiting up to {wait:g} s for the database at {database.place}"
    late = threading.Timer(SAY_WAITING_SECONDS, say, [told])
    late.daemon = True
    late.start()
    try:
        with database.read():
            pass
    except Unavailable:
        fix = "see that it runs and can be reached, and that HABEAS_DATABASE_URL is right"
        raise Unavailable(f"did not answer in {wait:g} s", where=f"database at {database.place}", fix=fix) from None
    finally:
        late.cancel()
        database.close()


def _server(app: Callable[..., object], settings: Settings, end_streams: Callable[[], None]) -> uvicorn.Server:
    import uvicorn

    from habeas.api.patience import PatientProtocol

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            end_streams()  # they would else last until the grace is over
            await super().shutdown(sockets)

    return Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            http=PatientProtocol,
            proxy_headers=False,
            timeout_graceful_shutdown=WEB_GRACE_SECONDS,
        )
    )


def _listen(server: uvicorn.Server, settings: Settings) -> None:
    """Serve until a signal. Says the address once connections are taken."""
    import socket

    try:
        listener = server.config.bind_socket()
    except SystemExit:
        say(f"habeas: {settings.host}:{settings.port} can't be listened on – is another server running there?")
        stop(Exit.UNREACHABLE)
    address: tuple[str, int] = listener.getsockname()[:2]
    name = f"[{address[0]}]" if listener.family == socket.AF_INET6 else address[0]
    _on_signals(lambda: None)  # uvicorn raises the signal again when it has ended; the end is ours
    threading.Thread(target=_say_ready, args=(server, f"http://{name}:{address[1]}"), daemon=True).start()
    server.run(sockets=[listener])


def _say_ready(server: uvicorn.Server, url: str) -> None:
    while not server.started and not server.should_exit:
        time.sleep(0.01)
    if server.started:
        say(f"habeas listens on {url} – API reference at {url}/docs")


def _on_signals(act: Callable[[], None]) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        act()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handle)


def _die_with(parent: int, ended: threading.Event) -> None:
    """Ask the kernel to kill this process with its parent, and watch the pipe where the kernel can't."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(0)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        ended.set()

    threading.Thread(target=watch, name="parent-pipe", daemon=True).start()
