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
