"""Targets whose backup is restored, and runs over the ledger, for tests. Nothing of habeas is imported."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

import shopbook
from companybook import Company
from conftest import mariadb_connection
from serving import Api, Server


def execute(url: str, *statements: str) -> None:
    """Run statements in a store."""
    if url.startswith("postgresql"):
        with psycopg.connect(url) as connection:
            for each in statements:
                connection.execute(each)
    elif url.startswith("mariadb"):
        with closing(mariadb_connection(url)) as connection, connection.cursor() as cursor:
            for each in statements:
                cursor.execute(each)
            connection.commit()
    else:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            for each in statements:
                connection.execute(each)
            connection.commit()


def restore(company: Company) -> None:
    """Put both stores back to what they were at first."""
    for url, schema, rows in (
        (company.shop, ("message", "purchase_line", "purchase", "customer"), shopbook.build_shop),
        (company.desk, ("note", "ticket"), None),
    ):
        execute(url, *(f"DROP TABLE {table}" for table in schema))
        if rows is not None:
            rows(url)
        else:
            shopbook.build_desk(Path(url.removeprefix("sqlite:///")))


def run_to_end(server: Server | Api, kind: str, body: Any = None) -> dict[str, Any]:
    """A replay or verification, ended."""
    api = server if isinstance(server, Api) else server.api
    run: dict[str, Any] = api.call("POST", f"/{kind}", body)
    deadline = time.monotonic() + 60
    while run["finished_at"] is None:
        assert time.monotonic() < deadline, run
        time.sleep(0.05)
        run = api.call("GET", f"/{kind}/{run['id']}")
    return run
