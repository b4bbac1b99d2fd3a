"""kill -9 at every durable boundary, then a restart: the end is as if nothing had happened.

One request with an access and an erasure rule, its rows in PostgreSQL and SQLite, on both app databases. The
mask is value-dependent, so that a mask applied twice would show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import shopbook
from companybook import ROWS, Company, erased, masker
from habeas.durable.boundary import BOUNDARIES
from serving import Server


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
