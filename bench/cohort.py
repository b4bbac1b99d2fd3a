"""Many waiting requests of small people: taken in by calls of 50, then run as cohorts, beside a set-based script.

Goals: 10,000 accesses of three collections at 2,000 a second from the switch to the last `complete`; erasures
at 1,000; calls of 50 taken in at 5,000 requests a second while nothing runs. The script reads the same rows in
three queries over all people and writes the same files, synced together.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psycopg
from common import (
    content_field,
    database,
    dataset,
    email_field,
    key_field,
    peak_megabytes,
    print_figure,
    print_machine,
    reference_field,
    reset_peak,
    run_statements,
    worker_of,
)

from serving import Server, serving

CALL = 50


def build(url: str, people: int) -> None:
    """Each person has one row, two orders and two messages; as many others have theirs."""
    run_statements(
        url,
        "CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE, name text)",
        "CREATE TABLE purchase (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, note text)",
        "CREATE TABLE message (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, body text)",
        "INSERT INTO customer SELECT i, 'person' || i || '@example.com', 'Name ' || i "
        f"FROM generate_series(1, {2 * people}) AS i",
        *(
            f"INSERT INTO {table} SELECT i, 1 + i / 2, 'text ' || i FROM generate_series(0, {4 * people - 1}) AS i"
            for table in ("purchase", "message")
        ),
        "CREATE INDEX ON purchase (customer_id)",
        "CREATE INDEX ON message (customer_id)",
        "VACUUM ANALYZE",
        "CHECKPOINT",
    )


def prepare(server: Server, url: str) -> None:
    """The connection, dataset and policies."""
    server.api.connect("shop", "postgres", {"url": url})
    customer = {"id": key_field(), "email": email_field(), "name": content_field()}
    owned = {"id": key_field(), "customer_id": reference_field("shop", "customer.id")}
    collections = {
        "customer": customer,
        "purchase": owned | {"note": content_field()},
        "message": owned | {"body": content_field()},
    }
    server.api.describe("shop", dataset("shop", **collections))
    server.api.access_policy("access", ["user.content"])
    server.api.erasure_policy("erasure", ["user.content"])


def take_in(server: Server, policy: str, people: int) -> float:
    """Seconds to take all in while execution is paused."""
    server.api.call("PUT", "/execution", {"paused": True})
    began = time.perf_counter()
    for first in range(1, people + 1, CALL):
        server.api.submit(policy, *({"email": f"person{first + each}@example.com"} for each in range(CALL)))
    return time.perf_counter() - began


def run(server: Server, policy: str, people: int) -> tuple[float, float]:
    """Seconds from the switch until the last is complete, and by how many MB the worker's memory grew."""
    assert server.process is not None
    worker = worker_of(server.process.pid)
    reset_peak(worker)
    before = peak_megabytes(worker)
    server.api.call("PUT", "/execution", {"paused": False})
    began = time.perf_counter()
    done = _completed(server)
    wanted = done - done % people + people if policy == "access" else 2 * people
    while _completed(server) < wanted:
        assert time.perf_counter() - began < 600, "they don't end"
        time.sleep(0.05)
    return time.perf_counter() - began, peak_megabytes(worker) - before


def _completed(server: Server) -> int:
    return int(server.api.call("GET", "/privacy-request", status="complete", size=1)["total"])


def by_script(url: str, people: int, folder: Path) -> float:
    """The same rows, in three queries over all people, to the same files."""
    began = time.perf_counter()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TEMP TABLE person (number int, email text)")
        with connection.cursor().copy("COPY person FROM STDIN") as copy:
            for number in range(people):
                copy.write_row((number, f"person{number + 1}@example.com"))
        connection.execute("ANALYZE person")
        packages: list[dict[str, list[Any]]] = [defaultdict(list) for _ in range(people)]
        start = "FROM person AS p JOIN customer AS c USING (email)"
        for name, query in (
            ("customer", f"SELECT p.number, c.name {start}"),
            ("purchase", f"SELECT p.number, t.note {start} JOIN purchase AS t ON t.customer_id = c.id"),
            ("message", f"SELECT p.number, t.body {start} JOIN message AS t ON t.customer_id = c.id"),
        ):
            for number, value in connection.execute(query):
                packages[number][f"shop:{name}"].append({"value": value})
    for number, package in enumerate(packages):
        (folder / f"{number}.json").write_text(json.dumps(package))
    os.sync()
    return time.perf_counter() - began


def check(server: Server, people: int) -> None:
    """Some packages hold exactly their person's rows."""
    items = server.api.call("GET", "/privacy-request", status="complete", size=50)["items"]
    for item in items[:5]:
        package = server.package(item["id"])
        (person,) = (int(row["name"].removeprefix("Name ")) for row in package["shop:customer"])
        assert [row["note"] for row in package["shop:purchase"]] == [f"text {2 * person - 2}", f"text {2 * person - 1}"]


def measure(name: str, own: str | None, people: int) -> None:
    """All figures on one app database."""
    settings = {"HABEAS_DATABASE_URL": own} if own else {}
    with (
        database() as url,
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as files,
        serving(Path(folder) / "data", settings) as server,
    ):
        build(url, people)
        prepare(server, url)
        taken = take_in(server, "access", people)
        ran, grown = run(server, "access", people)
        script = by_script(url, people, Path(files))
        check(server, people)
        print_figure(f"{people:,} accesses, {name}: calls of {CALL} taken in", people / taken, "/s", 5000, least=True)
        print_figure("  run, from the switch to the last complete", people / ran, "/s", 2000, least=True)
        print_figure("  first call to last package, one after the other", people / (taken + ran), "/s")
        print_figure("  × script", ran / script, "x")
        print_figure("  growth of the worker's memory", grown, "MB")
        take_in(server, "erasure", people)
        ran, grown = run(server, "erasure", people)
        print_figure(f"{people:,} erasures, {name}: run, receipts included", people / ran, "/s", 1000, least=True)
        print_figure("  growth of the worker's memory", grown, "MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--own", choices=("sqlite", "postgresql"), help="only on this database of habeas' own")
    given = parser.parse_args()
    print_machine()
    if given.own != "postgresql":
        measure("SQLite", None, given.people)
    if given.own != "sqlite":
        with database() as own:
            measure("PostgreSQL", own, given.people)


if __name__ == "__main__":
    main()
