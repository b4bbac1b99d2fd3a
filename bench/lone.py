"""One request alone: POST answered → package written, on both app databases, beside a script that only reads
the row and writes a synced file.

Goals: median 20 ms, 95th percentile 40 ms. The package can be there before the answer has reached the caller, so
the time from the call is told beside it. Commits on our own database are counted by PostgreSQL itself,
those of the durable engine included; `tests/requests/test_statements.py` counts the statements.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import psycopg
from common import (
    content_field,
    database,
    dataset,
    email_field,
    key_field,
    percentile,
    print_figure,
    print_machine,
    run_statements,
    spread,
    wait_for,
)

from serving import Server, serving

TABLES = (
    "CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE, note text)",
    "INSERT INTO customer SELECT i, 'person' || i || '@example.com', 'note ' || i FROM generate_series(1, 10000) AS i",
    "ANALYZE customer",
)


def prepare(server: Server, url: str) -> None:
    """The connection, dataset and policy."""
    server.api.connect("shop", "postgres", {"url": url})
    fields = {"id": key_field(), "email": email_field(), "note": content_field()}
    server.api.describe("shop", dataset("shop", customer=fields))
    server.api.access_policy("lone", ["user.content"])


def lone_request(server: Server, number: int) -> tuple[float, float]:
    """Seconds from the answer, and from the call, to the package."""
    called = time.perf_counter()
    (request_id,) = server.api.submit("lone", {"email": f"person{number}@example.com"})
    answered = time.perf_counter()
    written = wait_for(server.data_dir / "packages" / f"{request_id}.json")
    server.api.wait(request_id)
    return written - answered, written - called


def by_script(url: str, folder: Path, number: int) -> float:
    """What the work itself needs: connect, read one row, write it, sync it."""
    began = time.perf_counter()
    with psycopg.connect(url) as connection:
        query = "SELECT note FROM customer WHERE email = %s"
        rows = connection.execute(query, (f"person{number}@example.com",)).fetchall()
    path = folder / f"{number}.json"
    with path.open("w") as file:
        json.dump({"shop:customer": [{"note": note} for (note,) in rows]}, file)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


def commits(url: str) -> int:
    """Transactions committed in a database so far, once its sessions have told of them."""
    time.sleep(1.5)
    with psycopg.connect(url) as connection:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ((count,),) = connection.execute(query).fetchall()
    return int(count)


def measure(name: str, target: str, own: str | None, rounds: int) -> None:
    """All figures on one app database; `own` is its URL, None for SQLite."""
    settings = {"HABEAS_DATABASE_URL": own} if own else {}
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data", settings) as server:
        prepare(server, target)
        for number in range(1, 6):
            lone_request(server, number)
        before, began = (commits(own), time.perf_counter()) if own else (0, 0.0)
        from_answer, from_call, reference = [], [], []
        for number in range(10, 10 + rounds):
            answered, called = lone_request(server, number)
            from_answer.append(answered)
            from_call.append(called)
            reference.append(by_script(target, Path(folder), number))
        print_figure(f"lone access, {name}: answered → package, median", statistics.median(from_answer) * 1e3, "ms", 20)
        print_figure("  95th percentile", percentile(from_answer, 0.95) * 1e3, "ms", 40)
        print_figure("  called → package, median", statistics.median(from_call) * 1e3, "ms")
        print_figure("  × script", statistics.median(from_answer) / statistics.median(reference), "x")
        print(f"  ms: ours {spread(from_answer, 1e3)}, script {spread(reference, 1e3)}")
        if own:
            seconds = time.perf_counter() - began
            print_figure("  commits a request, polls and watching included", (commits(own) - before) / rounds, "")
            print(f"  over {seconds:.1f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    print_machine()
    with database() as target, database() as own:
        run_statements(target, *TABLES)
        measure("SQLite", target, None, rounds)
        measure("PostgreSQL", target, own, rounds)


if __name__ == "__main__":
    main()
