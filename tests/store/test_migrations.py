"""Migrations and tables say the same, on both databases, there and back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from habeas.core.errors import BadInput
from habeas.store import migrate
from habeas.store.session import Database
from habeas.store.tables import metadata
from habeas.store.tables.privacy_requests import BY_CHARACTERS


def is_comparable(_object: object, name: str | None, *_: object) -> bool:
    """Whether metadata can say it: not an index over an expression that each database spells its own way."""
    return name not in BY_CHARACTERS


def differences(database: Database) -> list[object]:
    with database.begin() as connection:
        opts = {"compare_type": True, "compare_server_default": True, "include_object": is_comparable}
        context = MigrationContext.configure(connection, opts=opts)
        return list(compare_metadata(context, metadata))


def test_migrations_and_tables_agree(database: Database) -> None:
    assert differences(database) == []


def shape(database: Database) -> dict[str, object]:
    """All that the database says of its tables, but for the order of columns."""
    with database.read() as connection:
        inspector = sa.inspect(connection)
        found: dict[str, object] = {
            table: {
                "columns": {
                    each["name"]: {**each, "type": repr(each["type"])} for each in inspector.get_columns(table)
                },
                "key": inspector.get_pk_constraint(table),
                "foreign": sorted(inspector.get_foreign_keys(table), key=repr),
                "unique": sorted(inspector.get_unique_constraints(table), key=repr),
                "checks": sorted(inspector.get_check_constraints(table), key=repr),
            }
            for table in inspector.get_table_names()
        }
        indexes = {
            "sqlite": "SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL",
            "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
            " UNION SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        }[database.dialect]
        found["indexes"] = {name: " ".join(sql.split()) for name, sql in connection.execute(sa.text(indexes))}
    return found


def test_an_empty_database_gets_what_the_migrations_make(database: Database) -> None:
    made = shape(database)
    with database.begin() as connection:
        migrate.downgrade(connection, "base")
        migrate.upgrade(connection)  # by the scripts: Alembic's own table is there
    assert shape(database) == made


def test_head_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", migrate.SCRIPTS)
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_down_and_up_again(database: Database) -> None:
    with database.begin() as connection:
        migrate.downgrade(connection, "base")
    with database.read() as connection:
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
    database.migrate()
    database.migrate()
    assert differences(database) == []


def test_many_processes_may_migrate_at_once(url: str) -> None:
    databases = [Database.open(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(Database.migrate, databases))
    assert differences(databases[0]) == []
    for each in databases:
        each.close()


def test_a_newer_database_is_refused(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BadInput, match="9999"):
        database.migrate()
