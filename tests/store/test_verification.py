"""The tables of verification; and that going back to the first version leaves what its tables hold."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from habeas.store import migrate, verification
from habeas.store.session import Database
from habeas.store.tables import policy, privacy_request, provided_identity, rule

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BASE = {"created_at": NOW, "updated_at": NOW}


def count(database: Database) -> list[int]:
    with database.read() as connection:
        return [
            connection.execute(sa.text(f"SELECT COUNT(*) FROM {table.name}")).scalar_one()
            for table in (policy, rule, privacy_request, provided_identity)
        ]


def test_going_back_deletes_nothing_of_others(database: Database) -> None:
    request = {"id": "pri_1", "requested_at": NOW, "policy_id": "pol_1", "policy_key": "p", "status": "pending"}
    request |= {"stage": "queued", "kinds": ["email"], "sealed_identities": b"1", "sealed_seed": b"2", "attempt": 0}
    with database.begin() as connection:
        connection.execute(sa.insert(policy).values(id="pol_1", key="p", name="p", verify="always", **BASE))
        named = {"id": "rul_1", "key": "r", "name": "r", "policy_id": "pol_1", "action_type": "access"}
        connection.execute(sa.insert(rule).values(**named, **BASE))
        connection.execute(sa.insert(privacy_request).values(**request, **BASE))
        index = {"privacy_request_id": "pri_1", "kind": "email", "blind_index": b"3"}
        connection.execute(sa.insert(provided_identity).values(**index))
    with database.begin() as connection:
        migrate.downgrade(connection, "0001")
    assert count(database) == [1, 1, 1, 1]
    database.migrate()
    assert count(database) == [1, 1, 1, 1]


def test_a_second_code_replaces_the_first_and_is_counted(database: Database) -> None:
    row = {"subject": "pri_1", "kind": "email", "blind_index": b"1", "issued_at": NOW, "expires_at": NOW}
    with database.begin() as connection:
        verification.put(connection, row | {"digest": b"first"})
        verification.count_wrong(connection, "pri_1")
        verification.use(connection, "pri_1", NOW)
        verification.put(connection, row | {"digest": b"second"})
        found = verification.find_locked(connection, "pri_1")
    assert found is not None
    assert (bytes(found["digest"]), found["wrong"], found["sent"], found["used_at"]) == (b"second", 0, 2, None)
