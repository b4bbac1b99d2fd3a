"""Access of many rows of one person to a JSON package, beside `COPY … TO STDOUT (FORMAT csv)` of the same rows.

Goals: at most 2.5 times the copy at every size, and 100 MB of growth of the worker's memory at its peak. The
clock runs from the answer of the call until the package has its name; the copy is written to a file and
synced. `--rows` may be given several times.
"""

from __future__ import annotations

import argparse
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
    interleaved,
    key_field,
    median_ratio,
    peak_megabytes,
    print_figure,
    print_machine,
    reference_field,
    reset_peak,
    run_statements,
    spread,
    wait_for,
    worker_of,
)

from serving import Server, serving

TEXTS = [f"c{number}" for number in range(8)]


def build(url: str, rows: int) -> None:
    """One person owns `rows` events of eight texts; others own a tenth as many."""
    texts = ", ".join(f"{name} text" for name in TEXTS)
    values = ", ".join(f"'{name} of event ' || i" for name in TEXTS)
    run_statements(
        url,
        "CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE)",
        "INSERT INTO customer SELECT i, 'person' || i || '@example.com' FROM generate_series(1, 1000) AS i",
        f"CREATE TABLE event (id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, {texts})",
        f"INSERT INTO event SELECT i, CASE WHEN i % 11 = 0 THEN 2 + i % 999 ELSE 1 END, {values} "
        f"FROM generate_series(1, {rows * 11 // 10}) AS i",
        "CREATE INDEX ON event (customer_id)",
        "VACUUM ANALYZE customer",
        "VACUUM ANALYZE event",
        "CHECKPOINT",
    )


def prepare(server: Server, url: str) -> None:
    """The connection, dataset and policy."""
    server.api.connect("shop", "postgres", {"url": url})
    fields = {"id": key_field(), "customer_id": reference_field("shop", "customer.id")}
    fields |= {name: content_field() for name in TEXTS}
    server.api.describe("shop", dataset("shop", customer={"id": key_field(), "email": email_field()}, event=fields))
    server.api.access_policy("rows", ["user.content"])


def by_habeas(server: Server) -> float:
    """One request, from the answer to the package."""
    (request_id,) = server.api.submit("rows", {"email": "person1@example.com"})
    began = time.perf_counter()
    package = server.data_dir / "packages" / f"{request_id}.json"
    seconds = wait_for(package) - began
    server.api.wait(request_id)
    package.unlink()
    return seconds


def by_copy(url: str, folder: Path) -> float:
    """The copy, to a synced file."""
    began = time.perf_counter()
    statement = f"COPY (SELECT {', '.join(TEXTS)} FROM event WHERE customer_id = 1) TO STDOUT (FORMAT csv)"
    with psycopg.connect(url) as connection, (folder / "copy.csv").open("wb") as file:
        with connection.cursor().copy(statement) as copy:
            for block in copy:
                file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


def measure(rows: int, rounds: int) -> None:
    """All figures of one size."""
    with database() as url, tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        build(url, rows)
        prepare(server, url)
        assert server.process is not None
        server.api.run("rows", {"email": "person2@example.com"})
        worker = worker_of(server.process.pid)
        reset_peak(worker)
        before = peak_megabytes(worker)
        ours, copy = interleaved(rounds, lambda: by_habeas(server), lambda: by_copy(url, Path(folder)))
        print_figure(f"access, {rows:,} rows × {len(TEXTS)} texts: × COPY csv", median_ratio(ours, copy), "x", 2.5)
        print_figure("  rows a second", rows / statistics.median(ours), "/s")
        print_figure("  growth of the worker's memory, peak", peak_megabytes(worker) - before, "MB", 100)
        print(f"  s: ours {spread(ours)}, copy {spread(copy)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print_machine()
    for rows in given.rows or [100_000]:
        measure(rows, given.rounds)


if __name__ == "__main__":
    main()
