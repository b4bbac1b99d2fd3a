"""Random kills while many requests run: workers, the web server, database servers of its own, links, a stopped worker,
a full disk. At the end every request must have ended well, once, and every row be as one erasure left it.

`python killbook.py --kills 100` runs rounds over both of our databases and all engines, and prints a summary.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from companybook import STRATEGY, masker
from evidencebook import execute
from flowbook import Flow, opened
from serverbook import Link, OwnMariadb, OwnPostgres, OwnServer
from serving import ROOT, Server
from shopbook import dump
from workerbook import WorkerProcess

PEOPLE = 400
NOTES = 3
STOPPED_SECONDS = 10.0  # longer than a lease lasts
REST_SECONDS = 400.0
TARGETS = ("user.contact", "user.content")
WEIGHTS = {"worker": 60, "link": 12, "target server": 4, "own server": 4, "stopped": 1, "web": 2, "disk": 3}


class Round(NamedTuple):
    """What one round came to."""

    kills: Counter[str]
    requests: int
    problems: list[str]


def dataset() -> dict[str, Any]:
    """People found by e-mail, and their notes."""
    person = [
        {"name": "id", "fides_meta": {"primary_key": True}},
        {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}},
        {"name": "bio", "data_categories": ["user.content"]},
    ]
    reference = {"references": [{"dataset": "own", "field": "person.id", "direction": "from"}]}
    note = [
        {"name": "id", "fides_meta": {"primary_key": True}},
        {"name": "person_id", "fides_meta": reference},
        {"name": "body", "data_categories": ["user.content"]},
    ]
    return {
        "fides_key": "own",
        "collections": [{"name": "person", "fields": person}, {"name": "note", "fields": note}],
    }


class Battle:
    """One installation, one store, and what is done to them. `dice` decides."""

    def __init__(self, held: ExitStack, folder: Path, app: str, engine: str, dice: random.Random) -> None:
        self.dice, self.folder, self.app, self.engine = dice, folder, app, engine
        self.kills: Counter[str] = Counter()
        self.erased: dict[str, int] = {}  # person by request
        self.shown: dict[str, int] = {}
        self._held = held
        self.target = self._server(engine)
        self.own = self._server(app) if app == "postgresql" else None
        self.link = Link(self.target.port) if self.target else None
        self.store = f"sqlite:///{folder / 'own.db'}" if self.target is None else self.target.url("company")
        self._fill()
        root = {name.removeprefix("HABEAS_").lower(): value for name, value in ROOT.items()}
        self.settings: dict[str, Any] = {"data_dir": folder / "data"} | root  # as web servers of their own are given
        if self.own is not None:
            self.settings["database_url"] = self.own.url("habeas")
        self.flow: Flow = held.enter_context(opened(**self.settings))
        self._declare()
        self.workers: list[WorkerProcess] = []
        self._seen = 0
        held.callback(lambda: [each.kill() for each in self.workers])

    def _server(self, engine: str) -> OwnServer | None:
        made: OwnServer | None = {"postgresql": OwnPostgres, "mariadb": OwnMariadb}.get(engine, lambda: None)()
        if made is not None:
            self._held.callback(made.remove)
            made.start()
        return made

    def _fill(self) -> None:
        rows = range(PEOPLE)
        people = ", ".join(f"({n}, 'p{n}@example.com', 'bio of {n}')" for n in rows)
        notes = ", ".join(f"({n * 10 + k}, {n}, 'note {n} {k}')" for n in rows for k in range(NOTES))
        execute(
            self.store,
            "CREATE TABLE person (id integer PRIMARY KEY, email varchar(80), bio varchar(80))",
            "CREATE TABLE note (id integer PRIMARY KEY, person_id integer, body varchar(80))",
            f"INSERT INTO person VALUES {people}",
            f"INSERT INTO note VALUES {notes}",
        )

    def _declare(self) -> None:
        url = self.store
        if self.link is not None and self.target is not None:
            url = url.replace(f":{self.target.port}/", f":{self.link.port}/")
        api = self.flow.api
        api.connect("own", url.partition(":")[0].replace("postgresql", "postgres"), {"url": url})
        api.describe("own", dataset())
        api.access_policy("show", TARGETS)
        api.erasure_policy("wipe", TARGETS, STRATEGY)

    def submit(self) -> None:
        """A few more requests: erasures of people not asked for yet, and accesses of others that never are."""
        for _ in range(self.dice.randint(1, 4)):
            person = len(self.erased)
            wipes = self.dice.random() < 0.7 and person < PEOPLE - 50
            number = person if wipes else PEOPLE - 1 - self.dice.randrange(50)
            with suppress(AssertionError):  # our own database may be down: then it was not taken in
                identity = {"email": f"p{number}@example.com"}
                (request_id,) = self.flow.api.submit("wipe" if wipes else "show", identity)
                (self.erased if wipes else self.shown)[request_id] = number

    def keep_working(self) -> bool:
        """As many workers as our database allows; whether one was started."""
        self.workers = [each for each in self.workers if each.alive]
        missing = (2 if self.own is not None else 1) - len(self.workers)
        self.workers += [WorkerProcess(self.settings) for _ in range(missing)]
        return missing > 0

    def let_work(self) -> None:
        """Until a worker has begun since the last strike, and then a moment more."""
        deadline = time.monotonic() + 20
        while self._began() <= self._seen and time.monotonic() < deadline:
            time.sleep(0.02)
        self._seen = self._began()
        time.sleep(self.dice.random() * 0.8)

    def _began(self) -> int:
        log = self.folder / "worker.log"
        return log.read_text().count("worker.began") if log.exists() else 0

    def strike(self) -> None:
        """Do one of the things, and count it."""
        possible = {
            kind: weight
            for kind, weight in WEIGHTS.items()
            if not (kind in ("target server", "link") and self.target is None)
            and not (kind in ("own server", "stopped") and self.own is None)
        }
        (kind,) = self.dice.choices(list(possible), list(possible.values()))
        getattr(self, "_strike_" + kind.replace(" ", "_"))()
        self.kills[kind] += 1

    def _strike_worker(self) -> None:
        if self.workers:
            self.dice.choice(self.workers).kill()

    def _strike_link(self) -> None:
        assert self.link is not None
        self.link.drop()

    def _strike_target_server(self) -> None:
        assert self.target is not None
        self.target.kill()
        time.sleep(self.dice.random())
        self.target.start()

    def _strike_own_server(self) -> None:
        assert self.own is not None
        self.own.kill()
        time.sleep(self.dice.random())
        self.own.start()

    def _strike_stopped(self) -> None:
        """Stopped for longer than its lease, while the other goes on; what it does when it wakes must harm nothing."""
        if self.workers:
            worker = self.dice.choice(self.workers)
            worker.signal(signal.SIGSTOP)
            time.sleep(STOPPED_SECONDS)
            worker.signal(signal.SIGCONT)

    def _strike_web(self) -> None:
        """A web server takes a request in and is killed as soon as it has answered."""
        with self._web() as web:
            number = PEOPLE - 1 - self.dice.randrange(50)
            (request_id,) = web.api.submit("show", {"email": f"p{number}@example.com"})
            web.kill()
            self.shown[request_id] = number

    @contextmanager
    def _web(self) -> Iterator[Server]:
        more = {"HABEAS_DATABASE_URL": self.settings["database_url"]} if self.own is not None else {}
        web = Server(self.settings["data_dir"], more)
        try:
            web.start("--no-worker", seconds=120)
            yield web
        finally:
            web.kill()

    def _strike_disk(self) -> None:
        """A worker whose files can't grow."""
        for each in self.workers:
            each.kill()
        worker = WorkerProcess(self.settings, file_size=self.dice.choice([0, 4096, 65536]) or 1)
        self.workers = [worker]
        time.sleep(1)
        worker.kill()

    def rest(self) -> list[str]:
        """Let everything end; what failed on the way is retried. Requests that don't end well."""
        deadline = time.monotonic() + REST_SECONDS
        left = [*self.erased, *self.shown]
        while left:
            self.keep_working()
            items = {each: self._show(each) for each in left}
            left = [each for each, item in items.items() if item is None or item["status"] != "complete"]
            for each in left:
                item = items[each]
                if item is not None and item["status"] == "error":
                    self.flow.api.http.request("POST", f"/api/v1/privacy-request/{each}/retry")
            if time.monotonic() > deadline:
                states = {each: (items[each] or {}) for each in left}
                return [f"{each}: {state.get('status')} {state.get('reason_detail')}" for each, state in states.items()]
            time.sleep(0.3)
        return []

    def _show(self, request_id: str) -> dict[str, Any] | None:
        try:
            return self.flow.api.show(request_id)
        except (AssertionError, ValueError):
            return None

    def judge(self) -> list[str]:
        """Compare every row, package and receipt with what one undisturbed run leaves."""
        problems = []
        masks = {person: masker(self.folder / "data", self._app_url(), each) for each, person in self.erased.items()}
        kept: Any = lambda value: value  # noqa: E731 – the mask of those who weren't erased
        expected = {
            "person": [(n, *map(masks.get(n, kept), (f"p{n}@example.com", f"bio of {n}"))) for n in range(PEOPLE)],
            "note": [(n * 10 + k, n, masks.get(n, kept)(f"note {n} {k}")) for n in range(PEOPLE) for k in range(NOTES)],
        }
        found = dump(self.store, ("person", "note"))
        for table, rows in expected.items():
            wrong = set(found[table]) ^ set(rows)
            problems += [f"{table}: {row}" for row in sorted(wrong, key=repr)[:5]]
        for each, person in self.shown.items():
            package = self.flow.package(each)
            rows = (len(package["own:person"]), len(package["own:note"]))
            if rows != (1, NOTES) or package["own:person"][0]["email"] != f"p{person}@example.com":
                problems.append(f"package {each}: {rows}")
        total = self.flow.api.call("GET", "/privacy-request")["total"]
        if total != len(self.erased) + len(self.shown):
            problems.append(f"{total} requests, {len(self.erased) + len(self.shown)} were answered")
        return problems + self._chain()

    def _chain(self) -> list[str]:
        receipts = Counter(
            self.flow.api.call("GET", f"/privacy-request/{each}/receipt")["receipt"]["request"]
            for each in (*self.erased, *self.shown)
        )
        numbers: list[int] = []
        while more := self.flow.api.call("GET", "/receipt/chain", after=len(numbers))["heads"]:
            numbers += [each["head"]["number"] for each in more]
        broken = [] if numbers == list(range(1, len(numbers) + 1)) else ["the chain has a gap"]
        return broken + [f"{each} has {count} receipts" for each, count in receipts.items() if count != 1]

    def _app_url(self) -> str:
        return str(self.settings.get("database_url", ""))


def run_round(app: str, engine: str, kills: int, seed: int, seconds: float) -> Round:
    """One battle of so many kills, or as many as the time allows."""
    dice = random.Random(f"{app} {engine} {seed}")
    with tempfile.TemporaryDirectory(prefix="habeas-kill-") as folder, ExitStack() as held:
        battle = Battle(held, Path(folder), app, engine, dice)
        deadline = time.monotonic() + seconds
        while battle.kills.total() < kills and time.monotonic() < deadline:
            battle.submit()
            if battle.keep_working():
                battle.let_work()
            time.sleep(dice.random() * 0.4)
            with suppress(httpx2.TransportError):
                battle.strike()
        problems = battle.rest() or battle.judge()
        return Round(battle.kills, len(battle.erased) + len(battle.shown), problems)


def main() -> int:
    """Rounds over both of our databases and all engines; 1 if something was lost, doubled or didn't converge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=1e9)
    given = parser.parse_args()
    places = [(app, engine) for app in ("sqlite", "postgresql") for engine in ("sqlite", "postgresql", "mariadb")]
    total: Counter[str] = Counter()
    requests, failed, began, number = 0, 0, time.monotonic(), 0
    while total.total() < given.kills and time.monotonic() - began < given.seconds:
        app, engine = places[number % len(places)]
        wanted = min(60, given.kills - total.total())
        left = given.seconds - (time.monotonic() - began)
        done = run_round(app, engine, wanted, given.seed + number // len(places), left)
        total += done.kills
        requests += done.requests
        failed += bool(done.problems)
        told = f"{app:10} {engine:10} {done.kills.total():4} kills, {done.requests:4} requests"
        sys.stdout.write(f"{told}, {'FAILED ' + repr(done.problems[:5]) if done.problems else 'all converged'}\n")
        sys.stdout.flush()
        number += 1
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(total.items()))
    seconds = time.monotonic() - began
    sys.stdout.write(f"{total.total():,} kills ({kinds}), {requests:,} requests, {number} rounds, seed {given.seed}, ")
    sys.stdout.write(f"{seconds:.0f} s; rounds that failed: {failed}\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
