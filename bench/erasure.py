"""Erasure of many rows of one person, beside one hand-written UPDATE of the same rows in a twin table.

Goals: the masking alone at least 85 % of the UPDATE's throughput; the whole, with freeze, digests,
verification and receipt, at most 1.8 times its time. Both tables carry the same statement triggers, which
note when an UPDATE began and ended: so the time of the masking alone is the database's word. `--strategy
hmac` takes a mask that depends on the value, and the UPDATE computes it by pgcrypto, where the server has it.
"""

from __future__ import annotations

import argparse
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
    print_figure,
    print_machine,
    reference_field,
    run_statements,
    spread,
)

from serving import Server, serving

TEXTS = ("first", "second", "third", "fourth")
TABLES = ("event", "twin")
BY_HAND = {
    "null_rewrite": "NULL",
    "hmac": "encode(hmac({0}, 'a secret of this benchmark, as long as ours', 'sha256'), 'hex')",
}


def build(url: str, rows: int) -> None:
    """Two equal tables, made anew each round so that none has an advantage; the clock of the triggers."""
    run_statements(
        url,
        "DROP TABLE IF EXISTS event, twin, customer, moment",
        "CREATE EXTENSION IF NOT EXISTS pgcrypto",
        "CREATE UNLOGGED TABLE moment (name text, at timestamptz)",
        "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
        "'BEGIN INSERT INTO public.moment VALUES (TG_TABLE_NAME, clock_timestamp()); RETURN NULL; END'",
        "CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE)",
        "INSERT INTO customer SELECT i, 'person' || i || '@example.com' FROM generate_series(1, 1000) AS i",
        *(statement for table in TABLES for statement in _table(table, rows)),
        "VACUUM ANALYZE",
        "CHECKPOINT",
    )


def _table(name: str, rows: int) -> list[str]:
    texts = ", ".join(f"{text} text" for text in TEXTS)
    values = ", ".join(f"'{text} text of event ' || i" for text in TEXTS)
    return [
        f"CREATE TABLE {name} (id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, {texts})",
        f"INSERT INTO {name} SELECT i, CASE WHEN i % 11 = 0 THEN 2 + i % 999 ELSE 1 END, {values} "
        f"FROM generate_series(1, {rows * 11 // 10}) AS i",
        f"CREATE INDEX ON {name} (customer_id)",
        f"CREATE TRIGGER note_before BEFORE UPDATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION note()",
        f"CREATE TRIGGER note_after AFTER UPDATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION note()",
    ]


def prepare(server: Server, url: str, strategy: str) -> None:
    """The connection, dataset and policy."""
    server.api.connect("shop", "postgres", {"url": url})
    fields = {"id": key_field(), "customer_id": reference_field("shop", "customer.id")}
    fields |= {name: content_field() for name in TEXTS}
    server.api.describe("shop", dataset("shop", customer={"id": key_field(), "email": email_field()}, event=fields))
    server.api.erasure_policy("rows", ["user.content"], {"strategy": strategy, "configuration": {}})


def by_habeas(server: Server) -> float:
    """One request, from the answer to its end."""
    (request_id,) = server.api.submit("rows", {"email": "person1@example.com"})
    began = time.perf_counter()
    item = server.api.wait(request_id, 600)
    assert item["status"] == "complete", item
    return time.perf_counter() - began


def by_hand(url: str, strategy: str) -> float:
    """The one UPDATE."""
    values = ", ".join(f"{name} = {BY_HAND[strategy].format(name)}" for name in TEXTS)
    began = time.perf_counter()
    run_statements(url, f"UPDATE twin SET {values} WHERE customer_id = 1")
    return time.perf_counter() - began


def noted(url: str, table: str) -> float:
    """Seconds from the first UPDATE's begin to the last one's end, as the triggers saw it."""
    with psycopg.connect(url) as connection:
        query = "SELECT extract(epoch FROM max(at) - min(at)) FROM moment WHERE name = %s"
        ((seconds,),) = connection.execute(query, (table,)).fetchall()
        checked = connection.execute("SELECT count(*) FROM event WHERE customer_id = 1 AND first LIKE 'first text%'")
        assert checked.fetchall() == [(0,)]
    return float(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strategy", choices=sorted(BY_HAND), default="null_rewrite")
    given = parser.parse_args()
    print_machine()
    whole, hand, masks, updates = [], [], [], []
    with database() as url, tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        build(url, given.rows)
        prepare(server, url, given.strategy)
        server.api.run("rows", {"email": "person2@example.com"})
        for number in range(given.rounds):
            build(url, given.rows)
            turns = [lambda: whole.append(by_habeas(server)), lambda: hand.append(by_hand(url, given.strategy))]
            for turn in turns if number % 2 else reversed(turns):
                turn()
            masks.append(noted(url, "event"))
            updates.append(noted(url, "twin"))
    share = statistics.median(update / mask for update, mask in zip(updates, masks, strict=True))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(whole, hand, strict=True))
    constant = given.strategy == "null_rewrite"
    title = f"erasure, {given.rows:,} rows × {len(TEXTS)} texts, {given.strategy}"
    print_figure(f"{title}: whole × UPDATE", ratio, "x", 1.8 if constant else 2.0)
    print_figure(
        "  masking alone, share of the UPDATE's throughput", share * 100, "%", 85 if constant else None, least=True
    )
    print(f"  s: whole {spread(whole)}, masking {spread(masks)}, UPDATE {spread(hand)}, of it {spread(updates)}")


if __name__ == "__main__":
    main()
