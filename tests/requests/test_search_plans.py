"""No list of requests looks at all of them: the databases' own plans, with 200,000 requests stored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.settings import Settings
from habeas.requests.installation import Installation, open_installation
from habeas.requests.model import Status
from habeas.requests.search import RequestFilter, find
from habeas.requests.service import submit
from habeas.store.request_search import SORTABLE
from requestbook import CLIENT, START, item

STORED = 200_000
COLUMNS = (
    "id, created_at, updated_at, requested_at, policy_id, policy_key, client_id, status, stage, kinds,"
    " sealed_identities, sealed_seed, attempt, external_id, outcome, reason, started_processing_at,"
    " finished_processing_at, due_date, reviewed_at"
)
# Of a hundred, one waits, two failed and the rest are complete, a minute apart.
ROWS = (
    "SELECT 'pri_' || {hex} || '-0000-4000-8000-000000000000', {at}, {at}, {at}, 'pol', 'download', 'client',"
    " CASE WHEN i % 100 = 0 THEN 'pending' WHEN i % 100 < 3 THEN 'error' ELSE 'complete' END,"
    " CASE WHEN i % 100 = 0 THEN 'queued' ELSE 'done' END, '[\"email\"]', {blob}, {blob}, 0,"
    " CASE WHEN i % 2 = 0 THEN 'Case ' || i END, CASE WHEN i % 100 >= 3 THEN 'delivered' END,"
    " CASE WHEN i % 100 IN (1, 2) THEN 'refused' END, CASE WHEN i % 100 > 0 THEN {at} END,"
    " CASE WHEN i % 100 > 0 THEN {at} END, CASE WHEN i % 3 = 0 THEN {at} END, CASE WHEN i % 50 = 0 THEN {at} END"
)


def fill(installation: Installation) -> None:
    """By one statement of the database itself."""
    if installation.database.dialect == "sqlite":
        rows = ROWS.format(
            hex="printf('%08x', i * 2654435761 % 4294967296)",
            at="datetime('2026-01-01', i || ' minutes')",
            blob="zeroblob(150)",
        )
        source = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {STORED}) {rows} FROM n"
        index = "x'00'"
    else:
        rows = ROWS.format(
            hex="lpad(to_hex(i::bigint * 2654435761 % 4294967296), 8, '0')",
            at="timestamp '2026-01-01' + i * interval '1 minute'",
            blob="decode(repeat('00', 150), 'hex')",
        ).replace("'[\"email\"]'", "'[\"email\"]'::json")
        source = f"{rows} FROM generate_series(1, {STORED}) AS i"
        index = "'\\x00'::bytea"
    with installation.database.begin() as connection:
        text = f"INSERT INTO privacy_request ({COLUMNS}) {source}"
        connection.exec_driver_sql(text if installation.database.dialect == "sqlite" else text.replace("%", "%%"))
        connection.exec_driver_sql(
            "INSERT INTO provided_identity (privacy_request_id, kind, blind_index)"
            f" SELECT id, 'email', {index} FROM privacy_request"
        )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Installation, str]]:
    """An installation with all those requests, and one of a known person."""
    url = request.getfixturevalue("make_postgres_of_module")() if request.param == "postgresql" else None
    settings = Settings(data_dir=tmp_path_factory.mktemp("full") / "data", database_url=url)
    with open_installation(settings) as installation:
        fill(installation)
        (taken,) = submit(installation, [item(external_id="Ada's own")], actor=CLIENT).succeeded
        if url is not None:
            engine = installation.database._engine.execution_options(isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
                name = engine.url.database
                connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET random_page_cost = 1.1')  # as for any SSD
            installation.database.close()
        yield installation, taken["id"]


@contextmanager
def explained(installation: Installation) -> Iterator[list[str]]:
    """The plans of what runs in the block."""
    plans: list[str] = []

    def note(connection: sa.Connection, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "privacy_request" not in statement or statement.startswith("EXPLAIN"):
            return
        word = "EXPLAIN QUERY PLAN" if installation.database.dialect == "sqlite" else "EXPLAIN"
        beside = cursor.connection.cursor()
        beside.execute(f"{word} {statement}", parameters)
        plans.append(statement + "\n\n" + "\n".join(str(row[-1]) for row in beside.fetchall()))

    engine = installation.database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def looks_at_all(plan: str, *, bounded: bool = False) -> bool:
    """Whether the plan reads the table from end to end, or orders more than few (`bounded`: than a range of) rows."""
    steps = plan.partition("\n\n")[2]
    if re.search(r"Seq Scan on (privacy_request|provided_identity)", steps):
        return True
    if re.search(r"^SCAN (privacy_request|provided_identity)(?! USING)", steps, re.M):
        return True
    ordered = "USE TEMP B-TREE FOR ORDER BY" in steps or re.search(r"^\s*(->  )?Sort ", steps, re.M)
    return bool(ordered) and not bounded and "picked" not in plan and "UNION" not in plan


FILTERS = {
    "all": RequestFilter(),
    "id": RequestFilter(id="pri_unknown"),
    "id prefix": RequestFilter(request_id="pri_0a1b2"),
    "external id": RequestFilter(external_id="ADA'S"),
    "external id of many": RequestFilter(external_id="case 19999"),
    "identity": RequestFilter(identity="ada@example.com"),
    "identity and status": RequestFilter(identity="ada@example.com", status=(Status.PENDING, Status.ERROR)),
    "a rare status": RequestFilter(status=(Status.ERROR,)),
    "a frequent status": RequestFilter(status=(Status.COMPLETE,)),
    "several statuses": RequestFilter(status=(Status.ERROR, Status.PENDING, Status.COMPLETE)),
    "policy": RequestFilter(policy_key="download"),
    "another policy": RequestFilter(policy_key="unknown"),
    "created": RequestFilter(created_gt=START - timedelta(days=3), created_lt=START),
    "started": RequestFilter(started_gt=START - timedelta(days=300), started_lt=START - timedelta(days=299)),
    "completed": RequestFilter(completed_gt=START - timedelta(days=300), completed_lt=START - timedelta(days=299)),
    "errored": RequestFilter(errored_gt=START - timedelta(days=300), errored_lt=START - timedelta(days=299)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_looks_at_all_requests(full: tuple[Installation, str], name: str) -> None:
    with explained(full[0]) as plans:
        find(full[0], FILTERS[name], size=50)
    assert plans
    bounded = name in ("started", "completed", "errored")
    assert [plan for plan in plans if looks_at_all(plan, bounded=bounded)] == []


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("column", sorted(SORTABLE))
def test_no_order_looks_at_all_requests(full: tuple[Installation, str], column: str, direction: str) -> None:
    with explained(full[0]) as plans:
        page = find(full[0], size=20, sort_field=column, sort_direction=direction)
    assert (page.total, len(page.items)) == (STORED + 1, 20)
    assert [plan for plan in plans if looks_at_all(plan)] == []


def test_what_is_found_is_right(full: tuple[Installation, str]) -> None:
    installation, known = full

    def found(**narrowed: Any) -> tuple[int, list[str]]:
        page = find(installation, RequestFilter(**narrowed), size=3)
        return page.total, [each["external_id"] or "" for each in page.items]

    assert found(id=known) == found(external_id="ada's") == found(identity="ada@example.com") == (1, ["Ada's own"])
    assert found(request_id=known[:20].upper()) == (1, ["Ada's own"])
    assert found(external_id="case 19999") == (5, ["Case 199998", "Case 199996", "Case 199994"])
    assert found(status=(Status.ERROR,))[0] == STORED // 50
    several = found(status=(Status.PENDING, Status.ERROR))
    assert several == (STORED * 3 // 100 + 1, several[1])
    assert find(installation, RequestFilter(status=(Status.PENDING, Status.ERROR)), page=2002, size=3).items == []


def test_rows_without_a_value_follow_those_with_one(full: tuple[Installation, str]) -> None:
    installation, _ = full
    reviewed = STORED // 50
    pages = [
        find(installation, page=number, size=100, sort_field="reviewed_at", sort_direction=direction).items
        for direction in ("asc", "desc")
        for number in (reviewed // 100, reviewed // 100 + 1, reviewed // 100 + 2)
    ]
    assert [{each["reviewed_at"] is None for each in page} for page in pages] == [{False}, {True}, {True}] * 2
    for first, second in ((pages[1], pages[2]), (pages[4], pages[5])):
        assert not {each["id"] for each in first} & {each["id"] for each in second}
