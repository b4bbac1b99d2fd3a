"""Execution logs: an attempt that lost its epoch says nothing more, and what ran twice is said once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from habeas.store import cohorts, logs
from habeas.store.session import Database
from habeas.store.tables import cohort, execution_log

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def entry(collection: str, status: str, rows: int | None = None) -> dict[str, Any]:
    return {
        "created_at": NOW,
        "updated_at": NOW,
        "cohort_id": "coh_1",
        "member": None,
        "dataset_name": "shop",
        "collection_name": collection,
        "action_type": "erasure",
        "status": status,
        "fields_affected": [{"path": "shop:customer:name"}],
        "message": None,
        "counts": None if rows is None else {"rows": rows},
    }


def put_cohort(database: Database) -> None:
    given = {"created_at": NOW, "updated_at": NOW, "sealed_data_key": b"", "progress": {}, "frames": []}
    row = {column.name: given[column.name] for column in cohort.c if column.name in given}
    with database.begin() as connection:
        cohorts.insert(connection, row | {"id": "coh_1", "stage": "mask", "plan_digest": "0", "epoch": 0, "size": 1})


def test_only_the_attempt_that_owns_the_cohort_logs(database: Database) -> None:
    put_cohort(database)
    with database.begin() as connection:
        assert cohorts.take_epoch(connection, "coh_1", "one", NOW)
        rows = [entry("customer", "in_processing"), entry("orders", "in_processing")]
        assert logs.append(connection, "coh_1", 1, rows)
        assert cohorts.take_epoch(connection, "coh_1", "two", NOW)
        assert not logs.append(connection, "coh_1", 1, [entry("customer", "complete", 3)])
        assert logs.append(connection, "coh_1", 2, [])
    with database.read() as connection:
        found = [row._asdict() for row in connection.execute(sa.select(execution_log).order_by(execution_log.c.id))]
    assert [(row["collection_name"], row["status"], row["counts"]) for row in found] == [
        ("customer", "in_processing", None),
        ("orders", "in_processing", None),
    ]
    assert found[0]["fields_affected"] == [{"path": "shop:customer:name"}]
    assert found[0]["created_at"] == NOW


def test_a_collection_done_again_is_said_to_be_done_once(database: Database) -> None:
    put_cohort(database)
    with database.begin() as connection:
        for _ in range(2):
            owned = cohorts.take_epoch(connection, "coh_1", "one", NOW)
            assert owned
            rows = [entry("customer", "in_processing"), entry("customer", "complete", 3)]
            logs.forget_complete(connection, "coh_1", rows)
            assert logs.append(connection, "coh_1", owned["epoch"], rows)
    with database.read() as connection:
        assert [
            row["counts"] for row in logs.page(connection, [("coh_1", 0)], 0, 10) if row["status"] == "complete"
        ] == [{"rows": 3}]
        assert logs.count(connection, [("coh_1", 0)]) == 3
