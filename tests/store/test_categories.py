"""A data category that a saving transaction holds can't be deleted under it, on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from habeas.store import categories
from habeas.store.session import Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_deletion_waits_for_who_holds_it(database: Database) -> None:
    with database.begin() as connection:
        categories.add(connection, {"id": "cat_1", "fides_key": "acme"}, NOW)
    begun, claimed = threading.Event(), threading.Event()

    def delete() -> None:
        begun.set()
        with database.begin() as connection:
            row = categories.claim(connection, "acme")
            claimed.set()
            assert row is not None
            categories.remove(connection, row.id)

    with database.begin() as connection:
        assert categories.hold(connection) == {"acme"}
        thread = threading.Thread(target=delete)
        thread.start()
        assert begun.wait(30)
        assert not claimed.wait(0.3)
    thread.join(30)
    assert claimed.is_set()
    with database.read() as connection:
        assert categories.keys(connection) == frozenset()
