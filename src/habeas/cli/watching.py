"""Following a request: its steps as they happen, to its end. Locally with a worker, unless one runs already."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from habeas.cli.client import Client

# Where a request stands still until somebody acts.
RESTING = frozenset({"complete", "error", "denied", "canceled", "requires_input", "paused", "identity_unverified"})
_FIRST_LOOK_SECONDS = 0.02
_LAST_LOOK_SECONDS = 0.5


def follow(client: Client, request_id: str, *, quiet: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Wait until the request rests; gives it and its log. Says each new log entry on stderr unless `quiet`."""
    from habeas.cli.output import say
    from habeas.cli.request import find_one

    shown: list[dict[str, Any]] = []
    pause = _FIRST_LOOK_SECONDS
    stage = None
    with working(client):
        while True:
            item = find_one(client, request_id)
            logs = list(client.pages(f"/privacy-request/{request_id}/log"))
            if not quiet:
                stage = _say_stage(item, stage)
                for entry in logs[len(shown) :]:
                    say("  " + "  ".join(str(cell) for cell in log_row(entry) if cell not in (None, "")))
            pause = _FIRST_LOOK_SECONDS if len(logs) > len(shown) else min(pause * 1.5, _LAST_LOOK_SECONDS)
            shown = logs
            if item["status"] in RESTING or _waits_for_approval(item):
                return item, logs
            time.sleep(pause)


@contextmanager
def working(client: Client) -> Iterator[None]:
    """A worker in this process while the block runs, if the client is local and no other has the directory."""
    if client.installation is None:
        yield
        return
    settings = client.installation.settings
    ended = threading.Event()
    problems: list[BaseException] = []

    def work() -> None:
        from habeas.core.errors import Conflict, Unavailable
        from habeas.requests.worker import run_worker

        try:
            run_worker(settings, ended)
        except (Conflict, Unavailable) as problem:  # another worker has the directory and does the work
            problems.append(problem)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
