"""Two workers on two hosts, which are network namespaces, with PostgreSQL between them: one dies, or is cut off, and
the other takes its work over; the one that was cut off harms nothing when its link is back.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

import shopbook
from companybook import STRATEGY, erased, masker
from flowbook import Flow, opened
from serverbook import OwnPostgres
from serving import Server

TAKEN_OVER_SECONDS = 10.0
LOST = 70  # the exit code of a worker that lost its lease
WAIT_SECONDS = 90.0
MARK = os.getpid() % 200


def ip(*command: str) -> None:
    subprocess.run(["ip", *command], check=True, capture_output=True, timeout=30)


class Host:
    """A network namespace with one link to ours, over which it reaches everything else, and which can be cut."""

    def __init__(self, number: int) -> None:
        self.name, self._ours, theirs = (f"{kind}{MARK}x{number}" for kind in ("hab", "hbo", "hbt"))
        network = f"10.{90 + number}.{MARK}"
        ip("netns", "add", self.name)
        ip("link", "add", self._ours, "type", "veth", "peer", "name", theirs, "netns", self.name)
        ip("addr", "add", f"{network}.1/24", "dev", self._ours)
        ip("link", "set", self._ours, "up")
        for command in (
            ("addr", "add", f"{network}.2/24", "dev", theirs),
            ("link", "set", theirs, "up"),
            ("link", "set", "lo", "up"),
            ("route", "add", "default", "via", f"{network}.1"),
        ):
            ip("-n", self.name, *command)

    def run(self, command: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program there."""
        with log.open("ab") as file:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command], env=env, stdout=file, stderr=file, start_new_session=True
            )

    def cut(self) -> None:
        """No packet passes any more; nobody is told."""
        ip("link", "set", self._ours, "down")

    def mend(self) -> None:
        """Packets pass again."""
        ip("link", "set", self._ours, "up")

    def remove(self) -> None:
        """Delete it with its link."""
        for command in (("link", "del", self._ours), ("netns", "del", self.name)):
            with suppress(subprocess.CalledProcessError):
                ip(*command)


class Site:
    """One installation whose workers are on hosts of their own, and whose database server all of them reach."""

    def __init__(self, held: ExitStack, folder: Path) -> None:
        self._held, self._folder = held, folder
        address = f"10.90.{MARK}.1"
        ip("addr", "add", f"{address}/32", "dev", "lo")
        held.callback(ip, "addr", "del", f"{address}/32", "dev", "lo")
        self.hosts = []
        for number in (1, 2):
            self.hosts.append(Host(number))
            held.callback(self.hosts[-1].remove)
        postgres = OwnPostgres()
        held.callback(postgres.remove)
        postgres.open_to("10.0.0.0/8")
        postgres.start()
        self.own, self.shop = (postgres.url(each).replace("127.0.0.1", address) for each in ("habeas", "shop"))
        shopbook.build_shop(self.shop)
        self.settings = {"data_dir": folder / "data", "database_url": self.own, "spool_url": f"file://{folder}/spool"}
        self.flow: Flow = held.enter_context(opened(**self.settings))
        api = self.flow.api
        api.connect("shop", "postgres", {"url": self.shop})
        api.describe("shop", shopbook.datasets()[0])
        api.erasure_policy("erasure", shopbook.TARGETS, STRATEGY)

    def work_on(self, host: Host) -> subprocess.Popen[bytes]:
        """Start a worker there, and wait until it has begun."""
        log = self._folder / f"{host.name}.log"
        more = {"HABEAS_DATABASE_URL": self.own, "HABEAS_SPOOL_URL": str(self.settings["spool_url"])}
        environment = Server(self._folder / "data", more).environment()
        worker = host.run([sys.executable, "-m", "habeas", "worker"], environment, log)
        self._held.callback(end, worker)
        wait_until(lambda: "worker.began" in log.read_text(), lambda: log.read_text()[-2000:])
        return worker

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.own) as connection:
            return connection.execute(statement, values or None).fetchall()


def end(worker: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(30)


def wait_until(holds: Callable[[], Any], told: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if os.getuid() != 0 or shutil.which("ip") is None or not Path("/usr/lib/postgresql").exists():
        pytest.skip("n/a: network namespaces need root and iproute2, and a server of its own PostgreSQL's programs")
    with ExitStack() as held:
        try:
            made = Site(held, tmp_path)
        except subprocess.CalledProcessError as problem:
            if problem.cmd[0] == "ip":
                pytest.skip("n/a: network namespaces can't be made here")
            raise
        yield made


@pytest.mark.parametrize("how", ["dies", "cut off"])
def test_the_other_host_takes_over_and_nothing_is_done_twice(site: Site, how: str) -> None:
    first, second = site.hosts
    worker = site.work_on(first)
    holder = psycopg.connect(site.shop)
    holder.execute("SELECT * FROM purchase WHERE id = 12 FOR UPDATE")  # so that the erasure stands in the middle
    (request_id,) = site.flow.api.submit("erasure", shopbook.SUBJECT)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'habeas/coh%' AND wait_event_type = 'Lock'"
    wait_until(lambda: site.ask(waiting))
    site.work_on(second)
    ((before,),) = site.ask("SELECT executor_id FROM cohort")
    began = time.monotonic()
    if how == "dies":
        end(worker)
    else:
        first.cut()
    wait_until(lambda: site.ask("SELECT executor_id FROM cohort") != [(before,)])
    taken_over = time.monotonic() - began
    holder.rollback()
    holder.close()
    item = site.flow.api.wait(request_id, WAIT_SECONDS)
    assert (item["status"], item["outcome"]) == ("complete", "erased"), item
    check(site, request_id)
    if how == "cut off":
        first.mend()
        assert worker.wait(WAIT_SECONDS) == LOST  # it ended by itself, before it could think that it still holds work
        check(site, request_id)
    # On a machine with nothing else to do; a busy one is late for reasons of its own.
    assert taken_over < TAKEN_OVER_SECONDS or os.getloadavg()[0] > os.cpu_count(), taken_over


def check(site: Site, request_id: str) -> None:
    """Every row as one erasure leaves it, and one receipt."""
    tables = shopbook.TABLES["shop"]
    expected = erased(masker(site.settings["data_dir"], site.own, request_id))
    assert shopbook.dump(site.shop, tables) == {table: sorted(expected[table], key=repr) for table in tables}
    assert site.ask("SELECT count(*) FROM receipt") == [(1,)]
