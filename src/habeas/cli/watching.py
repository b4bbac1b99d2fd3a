"""Following a request: its steps as they happen, to its end. Locally with a worker, unless one runs already."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from habeas.cli.client import Client
    from habeas.core.settings import Settings

# Where a request stands still until somebody acts.
RESTING = frozenset({"complete", "error", "denied", "canceled", "requires_input", "paused", "identity_unverified"})
_FIRST_LOOK_SECONDS = 0.02
_LAST_LOOK_SECONDS = 0.5


def follow(
    client: Client, request_id: str, check: Callable[[], None], *, quiet: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Wait until the request rests; gives it and its log. Says each new log entry on stderr unless `quiet`.

    `check` is called all the time and may raise, as that of `working` does.
    """
    from habeas.cli.output import say

    shown: list[dict[str, Any]] = []
    pause = _FIRST_LOOK_SECONDS
    stage: object = None
    while True:
        check()
        item = find_one(client, request_id)
        logs = list(client.pages(f"/privacy-request/{request_id}/log"))
        if not quiet:
            stage = _say_stage(item, stage)
            for entry in logs[len(shown) :]:
                say("  " + "  ".join(str(cell) for cell in log_row(entry) if cell not in (None, "")))
        if item["status"] in RESTING or _waits_for_approval(item):
            return item, logs
        pause = _FIRST_LOOK_SECONDS if len(logs) > len(shown) else min(pause * 1.5, _LAST_LOOK_SECONDS)
        shown = logs
        time.sleep(pause)


@contextmanager
def working(client: Client) -> Iterator[Callable[[], None]]:
    """A worker in this process while the block runs, if the client is local and no other has the directory.

    Gives a check that raises what ended the worker, if something did.
    """
    if client.installation is None:
        yield lambda: None
        return
    # Here and not in the thread: the engine's import of sqlalchemy.orm registers itself while the API already asks.
    from habeas.requests.worker import run_worker

    ended = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="worker") as threads:
        work = threads.submit(_work, run_worker, client.installation.settings, ended)
        try:
            yield lambda: work.result() if work.done() else None
        finally:
            ended.set()


def _work(run_worker: Callable[[Settings, threading.Event], None], settings: Settings, ended: threading.Event) -> None:
    from habeas.core.errors import Conflict

    # Conflict: another worker has the directory, and does the work.
    with suppress(Conflict):
        run_worker(settings, ended)


def find_one(client: Client, request_id: str) -> dict[str, Any]:
    """The request with exactly this id; raises NotFound."""
    from habeas.core.errors import NotFound

    items = client.get("/privacy-request", id=request_id)["items"]
    if not items:
        raise NotFound("there is no such request", where=request_id, fix="habeas request list")
    item: dict[str, Any] = items[0]
    return item


def log_row(entry: dict[str, Any]) -> list[object]:
    """The cells of one log entry: time, collection, action, status, rows, message."""
    dataset = entry.get("dataset_name")
    collection = f"{dataset}:{entry.get('collection_name')}" if dataset else entry.get("collection_name")
    moment = str(entry.get("updated_at") or entry.get("created_at") or "")[11:19]
    return [moment, collection, entry.get("action_type"), entry.get("status"), entry.get("rows"), entry.get("message")]


def _say_stage(item: dict[str, Any], before: object) -> object:
    from habeas.cli.output import say

    now = (item["status"], item.get("stage"))
    if now != before:
        say(f"{item['id']} {item['status']}" + (f", {item['stage']}" if item.get("stage") else ""))
    return now


def _waits_for_approval(item: dict[str, Any]) -> bool:
    return item["status"] == "pending" and item.get("stage") in ("approve", "verify_identity")
