"""A schema that changes under an erasure: between planning and execution, and between freeze and mask. Never green with
values left, never refused with values changed, and the place is named.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

import shopbook
from companybook import STRATEGY
from flowbook import opened
from workerbook import WorkerProcess

CHANGES = {
    "column dropped": "ALTER TABLE purchase DROP COLUMN note",
    "key column dropped": "ALTER TABLE purchase_line DROP COLUMN line",
    "column renamed": "ALTER TABLE purchase RENAME COLUMN note TO remark",
    "column retyped": "ALTER TABLE customer ALTER COLUMN name TYPE char(5) USING 'short'",
    "new NOT NULL": "UPDATE purchase SET note = coalesce(note, '');"
    " ALTER TABLE purchase ALTER COLUMN note SET NOT NULL",
    "new unique": "ALTER TABLE customer ADD CONSTRAINT one_phone UNIQUE (phone)",
    "new check": "ALTER TABLE message ADD CONSTRAINT short CHECK (length(body) < 20)",
    "new foreign key": "CREATE TABLE present (id integer PRIMARY KEY, purchase_id integer NOT NULL"
    " REFERENCES purchase(id) ON DELETE CASCADE); INSERT INTO present VALUES (1, 11)",
    "table gone": "DROP TABLE message",
    "table renamed": "ALTER TABLE message RENAME TO letter",
    "privilege revoked": "REVOKE UPDATE, DELETE ON purchase FROM {user}",
}
MOMENTS = {"planned": "attempt.taken", "frozen": "mask.before"}
VALUES = ("ada.one@example.com", "202-555-0101", "leave at door", "gift", "for Ada", "me again")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_never_green_with_values_left(
    change: str, moment: str, tmp_path: Path, make_postgres: Callable[[], str]
) -> None:
    shop = make_postgres()
    shopbook.build_shop(shop)
    user = make_user(shop)
    with ExitStack() as held:
        flow = held.enter_context(opened(tmp_path / "data"))
        held.callback(drop_user, shop, user)
        flow.api.connect("shop", "postgres", {"url": shop.replace("postgres@", f"{user}@")})
        flow.api.describe("shop", shopbook.datasets()[0])
        flow.api.erasure_policy("wipe", shopbook.TARGETS, STRATEGY)
        (request_id,) = flow.api.submit("wipe", shopbook.SUBJECT)
        WorkerProcess({"data_dir": tmp_path / "data"}, MOMENTS[moment]).wait_for_death()
        run(shop, CHANGES[change].format(user=user))
        changed = everything(shop)
        worker = WorkerProcess({"data_dir": tmp_path / "data"})
        held.callback(worker.kill)
        item = flow.api.wait(request_id, 120)
    left = [value for value in VALUES if value in str(everything(shop))]
    if item["status"] == "complete":
        assert not left, (item["outcome"], left)
        return
    assert item["status"] == "error", item
    assert item["reason"] in ("refused", "incomplete")
    assert item["reason_detail"]["address"].startswith("shop"), item["reason_detail"]
    assert item["reason_detail"]["fix"]
    if item["reason"] == "refused":
        assert everything(shop) == changed


def run(shop: str, statements: str) -> None:
    with psycopg.connect(shop) as connection:
        connection.execute(statements)


def everything(shop: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    with psycopg.connect(shop) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return shopbook.dump(shop, tuple(sorted(name for (name,) in tables)))


def make_user(shop: str) -> str:
    """An account of our own, from which something can be taken away."""
    user = "habeas_" + shop.rsplit("_", 1)[1]
    run(shop, f"CREATE USER {user}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}")
    return user


def drop_user(shop: str, user: str) -> None:
    run(shop, f"DROP OWNED BY {user}; DROP USER {user}")
