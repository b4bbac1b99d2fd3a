"""Access of many rows of one person to a JSON package, beside what the database's own client needs for them.

From PostgreSQL, beside `COPY … TO STDOUT (FORMAT csv)`: at most 2.5 times the copy at every size. From MariaDB,
with asyncmy and without it (two servers), beside `mariadb --quick`: at most 3 times that. For both, 100 MB of
growth of the worker's memory at its peak. The clock runs from the answer of the call until the package has its
name; what the client reads is written to a file and synced. `--rows` may be given several times.
`HABEAS_TEST_MARIADB` names MariaDB's server.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pymysql
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
MARIADB = os.environ.get("HABEAS_TEST_MARIADB", "mariadb://root@127.0.0.1:3306")
WITHOUT_ASYNCMY = "raise ImportError('kept out of this measurement')\n"


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


@contextmanager
def mariadb_database() -> Iterator[str]:
    """The URL of an empty database of MariaDB, dropped at the end."""
    name = f"habeas_bench_{uuid.uuid4().hex[:10]}"
    run_in_mariadb(MARIADB, f"CREATE DATABASE {name}")
    try:
        yield f"{MARIADB}/{name}"
    finally:
        run_in_mariadb(MARIADB, f"DROP DATABASE IF EXISTS {name}")


def run_in_mariadb(url: str, *statements: str) -> None:
    """Each in a transaction of its own."""
    where = urlsplit(url)
    options = {"host": where.hostname, "port": where.port or 3306, "user": where.username or "root"}
    with pymysql.connect(
        **options, password=where.password or "", database=where.path[1:] or None, autocommit=True
    ) as connection:
        for statement in statements:
            connection.query(statement)


def build_in_mariadb(url: str, rows: int) -> None:
    """As in PostgreSQL."""
    texts = ", ".join(f"{name} VARCHAR(90)" for name in TEXTS)
    values = ", ".join(f"CONCAT('{name} of event ', seq)" for name in TEXTS)
    run_in_mariadb(
        url,
        "CREATE TABLE customer (id INT PRIMARY KEY, email VARCHAR(90) UNIQUE)",
        "INSERT INTO customer SELECT seq, CONCAT('person', seq, '@example.com') FROM seq_1_to_1000",
        "CREATE TABLE event (id BIGINT PRIMARY KEY, customer_id INT NOT NULL REFERENCES customer (id), "
        f"{texts}, KEY (customer_id))",
        f"INSERT INTO event SELECT seq, IF(seq % 11 = 0, 2 + seq % 999, 1), {values} FROM seq_1_to_{rows * 11 // 10}",
        "ANALYZE TABLE customer, event",
    )


def prepare(server: Server, url: str, kind: str = "postgres") -> None:
    """The connection, dataset and policy."""
    server.api.connect("shop", kind, {"url": url})
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


def by_client(url: str, folder: Path) -> float:
    """`mariadb --quick`, to a synced file."""
    where = urlsplit(url)
    reach = [f"--host={where.hostname}", f"--port={where.port or 3306}", f"--user={where.username or 'root'}"]
    statement = f"SELECT {', '.join(TEXTS)} FROM event WHERE customer_id = 1"
    began = time.perf_counter()
    with (folder / "quick.tsv").open("wb") as file:
        subprocess.run(
            ["mariadb", "--no-defaults", *reach, "--quick", "--batch", "--execute", statement, where.path[1:]],
            check=True,
            stdout=file,
            env={**os.environ, "MYSQL_PWD": where.password or ""},
        )
        os.fsync(file.fileno())
    return time.perf_counter() - began


def hide_asyncmy(folder: Path) -> dict[str, str]:
    """Settings of a server whose Python finds no asyncmy."""
    (folder / "asyncmy.py").write_text(WITHOUT_ASYNCMY)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def measure_mariadb(rows: int, rounds: int) -> None:
    """All figures of one size from MariaDB."""
    with (
        mariadb_database() as url,
        tempfile.TemporaryDirectory() as name,
        serving(Path(name) / "with") as server,
        serving(Path(name) / "without", hide_asyncmy(Path(name))) as bare,
    ):
        build_in_mariadb(url, rows)
        workers = []
        for each in (server, bare):
            prepare(each, url, "mariadb")
            assert each.process is not None
            each.api.run("rows", {"email": "person2@example.com"})
            workers.append(worker_of(each.process.pid))
            reset_peak(workers[-1])
        before = [peak_megabytes(each) for each in workers]
        ours, plain, client = interleaved(
            rounds, lambda: by_habeas(server), lambda: by_habeas(bare), lambda: by_client(url, Path(name))
        )
        grown = [peak_megabytes(each) - least for each, least in zip(workers, before, strict=True)]
        what = f"access, MariaDB, {rows:,} rows × {len(TEXTS)} texts: × mariadb --quick"
        print_figure(f"{what}, asyncmy", median_ratio(ours, client), "x", 3)
        print_figure("  the same, PyMySQL alone", median_ratio(plain, client), "x", 3)
        print_figure("  growth of the worker's memory, peak, asyncmy", grown[0], "MB", 100)
        print_figure("  the same, PyMySQL alone", grown[1], "MB", 100)
        print(f"  s: asyncmy {spread(ours)}, PyMySQL {spread(plain)}, mariadb --quick {spread(client)}")


def measure(rows: int, rounds: int) -> None:
    """All figures of one size from PostgreSQL."""
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
    parser.add_argument("--store", choices=["postgres", "mariadb"], help="only this one")
    given = parser.parse_args()
    print_machine()
    for rows in given.rows or [100_000]:
        if given.store != "mariadb":
            measure(rows, given.rounds)
        if given.store != "postgres":
            measure_mariadb(rows, given.rounds)


if __name__ == "__main__":
    main()
