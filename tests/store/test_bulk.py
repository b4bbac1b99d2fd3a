"""Many new rows at once: what is stored is what single inserts store, and errors are as value-free as theirs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.errors import Conflict, HabeasError
from habeas.store.bulk import COPY_FROM, insert_rows
from habeas.store.session import Database, new_id, new_ids
from habeas.store.tables import cohort, setting

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
SECRET = "jane\t\\N\n'%s?\"@example.com"


def row(number: int, **more: Any) -> dict[str, Any]:
    text = {"name": f"{SECRET} {number}", "value": {"list": [1, None, SECRET]}, "updated_at": NOW}
    return text | more


@pytest.mark.parametrize("count", [1, COPY_FROM - 1, COPY_FROM, 200])
def test_rows_are_as_if_put_in_one_by_one(database: Database, count: int) -> None:
    with database.begin() as connection:
        insert_rows(connection, setting, [row(number) for number in range(count)])
    with database.read() as connection:
        found = [each._asdict() for each in connection.execute(sa.select(setting))]
        stored = set(connection.execute(sa.select(sa.cast(setting.c.value, sa.Text))).scalars())
    assert sorted(found, key=lambda each: str(each["name"])) == sorted(map(row, range(count)), key=lambda r: r["name"])
    with database.begin() as connection:
        connection.execute(sa.delete(setting))
        connection.execute(sa.insert(setting), [row(0)])
    with database.read() as connection:
        assert set(connection.execute(sa.select(sa.cast(setting.c.value, sa.Text))).scalars()) == stored


def test_absent_and_empty_values_are_null_and_bytes_stay_bytes(database: Database) -> None:
    base = {"created_at": NOW, "updated_at": NOW, "plan_digest": "0", "size": 1, "stage": "access", "epoch": 1}
    keys = [bytes(range(256)), None, b"\\x00", b"", None, b"k"]
    rows = [base | {"id": f"coh_{at}", "sealed_data_key": key, "progress": None} for at, key in enumerate(keys)]
    with database.begin() as connection:
        insert_rows(connection, cohort, rows)
        insert_rows(connection, cohort, [])
    with database.read() as connection:
        columns = (cohort.c.sealed_data_key, cohort.c.progress, cohort.c.finished_at)
        found = connection.execute(sa.select(*columns).order_by(cohort.c.id)).all()
        nulls = connection.execute(sa.select(sa.func.count()).where(cohort.c.progress.is_(None))).scalar_one()
    assert [None if each[0] is None else bytes(each[0]) for each in found] == keys
    assert nulls == len(keys)


@pytest.mark.parametrize("count", [2, COPY_FROM])
def test_a_violated_key_is_a_conflict_without_its_values(database: Database, count: int) -> None:
    with pytest.raises(Conflict) as caught, database.begin() as connection:
        insert_rows(connection, setting, [row(1)] * count)
    assert "jane" not in str(caught.value)
    with database.begin() as connection:
        insert_rows(connection, setting, [row(1)])


@pytest.mark.parametrize("count", [1, COPY_FROM])
def test_a_value_too_long_is_told_without_it(database: Database, count: int) -> None:
    if database.dialect == "sqlite":
        pytest.skip("n/a: SQLite has no longest text")
    with pytest.raises(HabeasError) as caught, database.begin() as connection:
        insert_rows(connection, setting, [row(each, name=f"jane{each}" * 500) for each in range(count)])
    assert "jane" not in str(caught.value)


def test_ids_of_one_draw_differ_and_have_the_usual_form() -> None:
    made = new_ids("pri", 100)
    assert len(set(made)) == 100
    assert {(each[:4], len(each), each[18]) for each in made} == {("pri_", 40, new_id("pri")[18])}
