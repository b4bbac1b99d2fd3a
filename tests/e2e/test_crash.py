"""kill -9 at every durable boundary, then a restart: the end is as if nothing had happened.

One request with an access and an erasure rule, its rows in PostgreSQL and SQLite, on both app databases. The
mask is value-dependent, so that a mask applied twice would show.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import shopbook
from habeas.core.settings import Settings
from habeas.durable.boundary import BOUNDARIES
from habeas.masking.secrets import derive_secret
from habeas.requests.sealing import open_seed
from habeas.store.secrets import open_vault
from serving import Server

ROWS = {"shop:customer": 2, "shop:purchase": 2, "shop:purchase_line": 3, "shop:message": 2} | {
    "desk:ticket": 3,
    "desk:note": 3,
}
STRATEGY = {"strategy": "hmac", "configuration": {"algorithm": "SHA-256"}}


class Company:
    """The two stores, and what they must hold once the subject is erased."""

    def __init__(self, folder: Path, postgres: str) -> None:
        self.shop, self.desk = postgres, f"sqlite:///{folder / 'desk.db'}"
        shopbook.build_shop(postgres)
        shopbook.build_desk(folder / "desk.db")

    def dump(self) -> dict[str, Any]:
        return shopbook.dump(self.shop, shopbook.TABLES["shop"]) | shopbook.dump(self.desk, shopbook.TABLES["desk"])

    def declare(self, server: Server) -> None:
        api = server.api
        api.connect("shop", "postgres", {"url": self.shop})
        api.connect("desk", "sqlite", {"url": self.desk})
        shop, desk = shopbook.datasets()
        api.describe("shop", shop)
        api.describe("desk", desk)
        api.access_policy("both", shopbook.TARGETS)
        api.erasure_policy("both", shopbook.TARGETS, STRATEGY)


def erased(masked: Callable[[str], str]) -> dict[str, list[tuple[Any, ...]]]:
    """The company's rows with the subject's targeted values masked once."""
    m = masked
    return {
        "customer": [
            (1, m("ada.one@example.com"), m("202-555-0101")[:40], m("Ada One"), 7),
            (2, "ada.two@example.com", "202-555-0102", "Ada One", 8),
            (3, None, m("(202) 555 0101")[:40], m("A. One"), None),
            (4, "bda.one@example.com", None, "Ada One", 0),
        ],
        "purchase": [
            (10, 1, m("ada.one@example.com"), m("leave at door")),
            (11, 2, "ada.two@example.com", "ring"),
            (12, 3, None, m("gift")),
        ],
        "purchase_line": [(10, 1, m("for Ada")), (10, 2, None), (11, 1, "for A2"), (12, 1, m("for A3"))],
        "message": [(100, 1, None, m("hello")), (101, 2, None, "other hello"), (102, 1, 100, m("me again"))],
        "ticket": [
            (1, 1, m("ada.one@example.com"), m("broken")),
            (2, 2, "ada.two@example.com", "late"),
            (3, 3, None, m("lost")),
            (4, None, m("ADA.ONE@example.com "), m("by mail")),
        ],
        "note": [(1, 1, m("called Ada")), (2, 2, "called A2"), (3, 3, m("called A3")), (4, 4, m("wrote Ada"))],
    }


def masker(server: Server, app: str, request_id: str) -> Callable[[str], str]:
    """The request's own mask, from its sealed seed."""
    query = "SELECT sealed_seed FROM privacy_request WHERE id = "
    if app.startswith("postgresql"):
        with psycopg.connect(app) as connection:
            (sealed,) = connection.execute(query + "%s", (request_id,)).fetchone() or ()
    else:
        with sqlite3.connect(server.data_dir / "habeas.sqlite") as connection:
            (sealed,) = connection.execute(query + "?", (request_id,)).fetchone()
    vault = open_vault(Settings(data_dir=server.data_dir))
    seed = open_seed(vault, request_id, bytes(sealed))
    key, salt = derive_secret(seed, "hmac", "key"), derive_secret(seed, "hmac", "salt")
    return lambda value: hmac.new(key.encode(), (value + salt).encode(), hashlib.sha256).hexdigest()


@pytest.fixture(params=["sqlite", "postgresql"])
def app_database(request: pytest.FixtureRequest, make_postgres: Callable[[], str]) -> str:
    """The URL of our own database, empty for the embedded one."""
    return make_postgres() if request.param == "postgresql" else ""


@pytest.fixture
def server(tmp_path: Path, app_database: str) -> Iterator[Server]:
    made = Server(tmp_path / "data", {"HABEAS_DATABASE_URL": app_database} if app_database else {})
    yield made
    made.kill()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_at_a_boundary_it_ends_as_if_never_killed(
    server: Server, app_database: str, boundary: str, tmp_path: Path, make_postgres: Callable[[], str]
) -> None:
    company = Company(tmp_path, make_postgres())
    server.start()
    company.declare(server)
    server.kill()
    server.start(crash_at=boundary)
    (request_id,) = server.api.submit("both", shopbook.SUBJECT, external_id="crash")
    server.wait_for_crash()
    server.kill()
    server.start()
    item = server.api.wait(request_id)
    assert (item["status"], item["outcome"]) == ("complete", "erased"), dict(item)
    expected = erased(masker(server, app_database, request_id))
    assert company.dump() == {table: sorted(rows, key=repr) for table, rows in expected.items()}
    package = server.package(request_id)
    assert sorted(row["email"] for row in package["shop:customer"] if row["email"]) == ["ada.one@example.com"]
    assert {address: len(rows) for address, rows in package.items()} == ROWS
    assert not list((server.data_dir / "packages").glob("*.part"))
