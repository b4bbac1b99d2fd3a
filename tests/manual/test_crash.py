"""kill -9 while a request begins to wait, and after it was answered: no answer is lost, nothing is asked twice."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from flowbook import Flow, opened
from habeas.durable.boundary import OF_PAUSES
from manualbook import answer, confirm, describe
from serving import FINAL
from workerbook import SECONDS, WorkerProcess

PLACES = [*OF_PAUSES, f"{OF_PAUSES[0]}:3", "end.before"]


@pytest.mark.parametrize("crash_at", PLACES)
def test_killed_it_asks_once_and_ends_as_if_never_killed(crash_at: str, tmp_path: Path) -> None:
    settings = {"data_dir": tmp_path / "data"}
    with opened(**settings) as flow, ExitStack() as held:
        describe(flow, tmp_path / "shop.db")
        workers = [WorkerProcess(settings, crash_at)]
        held.callback(lambda: [each.kill() for each in workers])
        (request_id,) = flow.api.submit("both", {"email": "ada@example.com"})
        asked = []
        while (item := at_rest(flow, request_id, workers, settings))["status"] == "paused":
            asked.append((item["action_required_details"]["step"], item["action_required_details"]["collection"]))
            give(flow, request_id, *asked[-1])
        if len(workers) == 1:
            workers[0].wait_for_death()  # after the end
        assert (item["status"], item["outcome"]) == ("complete", "erased"), item
        assert asked[:2] == [("access", "papers:cabinet"), ("access", "papers:box")]
        assert sorted(asked[2:]) == [("erasure", "papers:box"), ("erasure", "papers:cabinet")]
        assert sorted(each["address"] for each in item["confirmed"]) == ["papers:box", "papers:cabinet"]
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        assert shop.execute("SELECT id FROM customer WHERE name IS NULL").fetchall() == [(0,)]
        assert shop.execute("SELECT id FROM stay WHERE guest IS NULL").fetchall() == [(1,)]


def at_rest(flow: Flow, request_id: str, workers: list[WorkerProcess], settings: dict[str, Any]) -> dict[str, Any]:
    """The request once it waits or has ended; the worker that killed itself is followed by another."""
    deadline = time.monotonic() + SECONDS
    while (item := flow.api.show(request_id))["status"] not in FINAL:
        if not workers[-1].alive:
            workers.append(WorkerProcess(settings))
        assert time.monotonic() < deadline, item
        time.sleep(0.05)
    return item


def give(flow: Flow, request_id: str, step: str, collection: str) -> None:
    if step == "erasure":
        confirm(flow, request_id, 1)
    elif collection == "papers:cabinet":
        answer(flow, request_id, {"id": 7, "customer": 0, "holder": "Ada"})
    else:
        answer(flow, request_id, {"number": 71, "cabinet": 7, "label": "Ada's"})
