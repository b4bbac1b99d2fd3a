"""An installation that answers requests in this process: the application without a socket, the worker in a thread.

Everything is habeas' own: the API's routes, the dispatcher, the durable engine, the connectors.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from habeas.api.app import build_app
from habeas.core.settings import Settings
from habeas.requests.clients import issue_local_token, open_root_client
from habeas.requests.installation import Installation, open_installation
from habeas.requests.worker import run_worker
from serving import Api

START_SECONDS = 30


class _InProcess:
    """The calls that `Api` makes, answered by an application in this process."""

    def __init__(self, installation: Installation, runner: asyncio.Runner) -> None:
        transport = httpx2.ASGITransport(app=build_app(installation))
        self._http = httpx2.AsyncClient(transport=transport, base_url="http://habeas.test", timeout=60)
        self._runner = runner
        self.headers = self._http.headers

    def request(self, method: str, url: str, **arguments: Any) -> httpx2.Response:
        return self._runner.run(self._http.request(method, url, **arguments))


class _LocalApi(Api):
    """The API without a socket, with a token of the root client."""

    def __init__(self, installation: Installation, runner: asyncio.Runner) -> None:
        open_root_client(installation.database, installation.clock, installation.settings)
        self.http = _InProcess(installation, runner)  # type: ignore[assignment]
        self.http.headers["Authorization"] = f"Bearer {issue_local_token(installation).access_token}"


@dataclass
class Flow:
    """A running installation: `api` with the root's scopes, and its packages."""

    installation: Installation
    api: Api

    def package(self, request_id: str) -> dict[str, list[dict[str, Any]]]:
        """The JSON package of a request."""
        place = self.installation.settings.data_dir / "packages" / f"{request_id}.json"
        return json.loads(place.read_bytes())


@contextmanager
def opened(data_dir: Path, **settings: Any) -> Iterator[Flow]:
    """An installation over a data directory; nothing executes what it takes in."""
    with asyncio.Runner() as runner, open_installation(_settings(data_dir, settings)) as installation:
        yield Flow(installation, _LocalApi(installation, runner))


@contextmanager
def flowing(data_dir: Path, **settings: Any) -> Iterator[Flow]:
    """The same with a worker, which is stopped at the end. One a process, since the durable engine is."""
    chosen = _settings(data_dir, settings)
    stop, began = threading.Event(), threading.Event()
    with opened(data_dir, **settings) as flow:
        worker = threading.Thread(target=run_worker, args=(chosen, stop), kwargs={"began": began.set}, daemon=True)
        worker.start()
        try:
            assert began.wait(START_SECONDS), "the worker didn't begin"
            yield flow
        finally:
            stop.set()
            worker.join(START_SECONDS)
        assert not worker.is_alive()


def _settings(data_dir: Path, chosen: dict[str, Any]) -> Settings:
    """What was chosen, and short waits between attempts: what fails in these tests fails again until it is mended."""
    return Settings(data_dir=data_dir, **{"task_retry_delay": 0.01, **chosen})
