"""Crashes: a worker kills itself at a named boundary, another is started, and it must end as if never killed.

`run_case` is one such story, over real servers. `python crashbook.py` runs the whole product: every boundary of every
action, on both of our databases, against each engine.
"""

from __future__ import annotations

import argparse
import itertools
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple

import shopbook
from companybook import ROWS, STRATEGY, Company, erased, masker
from conftest import MARIADB, SERVER, fresh_database, fresh_mariadb
from evidencebook import restore
from flowbook import opened
from habeas.durable.boundary import BOUNDARIES
from workerbook import SECONDS, WorkerProcess

APPS = ("sqlite", "postgresql")
ENGINES = ("sqlite", "postgresql", "mariadb")
ACTIONS = ("access", "erasure", "failing", "replay")
_ACCESS = ("access.", "package.")
_ERASURE = ("freeze.", "mask.", "verify.", "ledger.")


class Case(NamedTuple):
    """One story: which boundary, in which action, on which of our databases, against which engine."""

    boundary: str
    action: str
    app: str
    engine: str

    def __str__(self) -> str:
        return "-".join(self)


def passes(action: str, boundary: str) -> bool:
    """Whether a request of this kind comes by the boundary."""
    if action in ("failing", "replay"):
        return boundary.startswith("fail." if action == "failing" else "replay.")
    if boundary.startswith(("fail.", "replay.")):
        return False
    if action == "access":
        return not boundary.startswith((*_ERASURE, "stage."))
    return not boundary.startswith(_ACCESS)


def product() -> list[Case]:
    """Every case."""
    made = itertools.product(BOUNDARIES, ACTIONS, APPS, ENGINES)
    return [Case(*each) for each in made if passes(each[1], each[0])]


def one_each() -> list[Case]:
    """Every boundary and action once, databases and engines in turn."""
    pairs = [(boundary, action) for boundary in BOUNDARIES for action in ACTIONS if passes(action, boundary)]
    return [Case(*pair, APPS[n % 2], ENGINES[(n // 2 + n) % 3]) for n, pair in enumerate(pairs)]


class Story:
    """A company and an installation that takes its requests in; workers are processes, to be killed. `url` makes empty
    databases.
    """

    def __init__(self, held: ExitStack, folder: Path, app: str, engine: str, url: Callable[[str], str]) -> None:
        shop = f"sqlite:///{folder / 'shop.db'}" if engine == "sqlite" else url(engine)
        self.company = Company(folder, shop)
        self.app = url(app) if app == "postgresql" else ""
        self.settings = {"data_dir": folder / "data"} | ({"database_url": self.app} if self.app else {})
        self.flow = held.enter_context(opened(**self.settings))
        self.api = self.flow.api
        self._held = held
        self.company.declare(self.flow)
        self.api.access_policy("access", shopbook.TARGETS)
        self.api.erasure_policy("erasure", shopbook.TARGETS, STRATEGY)

    def work(self) -> WorkerProcess:
        """Start a worker, which is killed at the end of the story."""
        worker = WorkerProcess(self.settings)
        self._held.callback(worker.kill)
        return worker

    def crash(self, boundary: str) -> None:
        """Let a worker work until it kills itself at a boundary; then start another."""
        worker = WorkerProcess(self.settings, boundary)
        worker.wait_for_death()
        self.work()

    def check_erased(self, request_id: str) -> None:
        """The subject's values are masked, once, and nobody else's."""
        expected = erased(masker(self.settings["data_dir"], self.app, request_id))
        assert self.company.dump() == {table: sorted(rows, key=repr) for table, rows in expected.items()}

    def check_untouched(self) -> None:
        """Nothing is masked."""
        fresh = {table: sorted(rows, key=repr) for table, rows in (shopbook.SHOP_ROWS | shopbook.DESK_ROWS).items()}
        assert self.company.dump() == fresh

    def check_package(self, request_id: str) -> None:
        """All rows of the subject, once, and nothing unfinished beside."""
        package = self.flow.package(request_id)
        assert sorted(row["email"] for row in package["shop:customer"] if row["email"]) == ["ada.one@example.com"]
        assert {address: len(rows) for address, rows in package.items()} == ROWS
        assert not list((self.settings["data_dir"] / "packages").glob("*.part"))

    def check_once(self, request_id: str) -> None:
        """One request, one receipt, one head each, and a chain that holds."""
        assert self.api.call("GET", "/privacy-request")["total"] == 1
        receipt = self.api.call("GET", f"/privacy-request/{request_id}/receipt")
        heads = self.api.call("GET", "/receipt/chain")["heads"]
        numbers = [each["head"]["number"] for each in heads]
        assert numbers == list(range(1, len(heads) + 1))
        assert heads[receipt["head"]["number"] - 1]["head"] == receipt["head"]


def run_case(case: Case, folder: Path, url: Callable[[str], str]) -> None:
    """Run one story; raises AssertionError where it ends otherwise than without the crash."""
    with ExitStack() as held:
        story = Story(held, folder, case.app, case.engine, url)
        {"failing": _fail, "replay": _replay}.get(case.action, _answer)(story, case)


def _answer(story: Story, case: Case) -> None:
    (request_id,) = story.api.submit(case.action, shopbook.SUBJECT, external_id="crash")
    story.crash(case.boundary)
    item = story.api.wait(request_id)
    outcome = "delivered" if case.action == "access" else "erased"
    assert (item["status"], item["outcome"]) == ("complete", outcome), dict(item)
    if case.action == "access":
        story.check_package(request_id)
        story.check_untouched()
    else:
        story.check_erased(request_id)
    story.check_once(request_id)


def _fail(story: Story, case: Case) -> None:
    with closing(sqlite3.connect(story.company.desk.removeprefix("sqlite:///"))) as desk:
        desk.execute("CREATE TRIGGER hold BEFORE UPDATE ON ticket BEGIN SELECT RAISE(ABORT, 'held'); END")
        desk.commit()
        (request_id,) = story.api.submit("erasure", shopbook.SUBJECT)
        story.crash(case.boundary)
        item = story.api.wait(request_id)
        assert (item["status"], item["reason"]) == ("error", "incomplete"), dict(item)
        desk.execute("DROP TRIGGER hold")
        desk.commit()
    story.api.call("POST", f"/privacy-request/{request_id}/retry")
    item = story.api.wait(request_id)
    assert (item["status"], item["outcome"]) == ("complete", "erased"), dict(item)
    story.check_erased(request_id)
    story.check_once(request_id)


def _replay(story: Story, case: Case) -> None:
    worker = story.work()
    item = story.api.run("erasure", shopbook.SUBJECT)
    worker.kill()
    restore(story.company)
    run = story.api.call("POST", "/replay", {"since": item["created_at"]})
    story.crash(case.boundary)
    deadline = time.monotonic() + SECONDS
    while run["finished_at"] is None:
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
        run = story.api.call("GET", f"/replay/{run['id']}")
    assert (run["status"], run["problems"]) == ("complete", None), run
    assert {address: each["erased"] for address, each in run["counts"].items()} == ROWS | {"shop:purchase_line": 2}
    story.check_erased(item["id"])
    story.check_once(item["id"])
    assert story.api.call("GET", f"/replay/{run['id']}/receipt")["receipt"]["collections"] == run["counts"]


class Databases:
    """Empty databases for one story, dropped at its end."""

    def __init__(self) -> None:
        self._held = ExitStack()

    def __enter__(self) -> Callable[[str], str]:
        return self._make

    def _make(self, engine: str) -> str:
        made = fresh_database(SERVER, "crash") if engine == "postgresql" else fresh_mariadb(MARIADB, "crash")
        return self._held.enter_context(made)  # type: ignore[arg-type] # both are context managers

    def __exit__(self, *problem: object) -> None:
        with suppress(Exception):  # what a killed server holds on to is dropped by the next run's cleaning
            self._held.close()


def run_all(cases: Sequence[Case]) -> Iterator[tuple[Case, str | None, float]]:
    """Run cases one after the other: each with what went wrong, None if nothing, and its seconds."""
    for case in cases:
        began, problem = time.monotonic(), None
        with tempfile.TemporaryDirectory(prefix="habeas-crash-") as folder, Databases() as url:
            try:
                run_case(case, Path(folder), url)
            except Exception as error:  # noqa: BLE001 - the others go on; this one is told
                problem = f"{type(error).__name__}: {str(error)[:2000]}"
        yield case, problem, time.monotonic() - began


def main() -> int:
    """Run the product, or every `step`th of it, and print a summary; 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every so manyth case")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case after this time")
    given = parser.parse_args()
    cases, began = product()[:: given.every], time.monotonic()
    done: Counter[str] = Counter()
    failed: list[str] = []
    for case, problem, seconds in run_all(cases):
        done.update([case.action, case.app + " (own database)", case.engine, "kills"])
        if problem:
            failed.append(f"{case}: {problem}")
            sys.stdout.write(f"FAILED {case} after {seconds:.0f} s: {problem}\n")
        if time.monotonic() - began > given.seconds:
            break
    told = [f"{number:6,}  {name}" for name, number in sorted(done.items())]
    told.append(
        f"{done['kills']:,} of {len(product()):,} cases, {time.monotonic() - began:.0f} s, failed: {len(failed)}"
    )
    sys.stdout.write("\n".join(told) + "\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
