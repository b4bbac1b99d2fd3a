"""Makes the tables of our own database, or brings them to this version by the migrations of the package.

Never touches another database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.core.errors import BadInput
from habeas.store.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0012"
"""The newest revision; equal to the scripts' by test, so that a start with nothing to do needs no Alembic."""

SCRIPTS = "habeas:migrations"
"""Where the scripts are, as Alembic names a place inside a package."""

_VERSION = sa.Table(  # Alembic's own, as it makes it; not in our metadata
    "alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), nullable=False)
)
_VERSION.append_constraint(sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"))
_LOCK = 0x68616265617301  # "habeas", 1: one process migrates at a time


def upgrade(connection: Connection) -> None:
    """Bring the tables to this version, in the caller's write transaction; safe to call again and from many
    processes. An empty database gets the tables as they are today, without Alembic, since a first start and every
    test wait for it; a test holds both ways equal. Raises BadInput where the database was made by a newer version.
    """
    _take_turn(connection)
    revision = current_revision(connection)
    if revision == HEAD:
        return
    if revision is None and not sa.inspect(connection).get_table_names():
        metadata.create_all(connection, checkfirst=False)
        _VERSION.create(connection)
        connection.execute(_VERSION.insert().values(version_num=HEAD))
        return
    config = _config(connection)
    _check_known(config, revision)
    from alembic import command

    command.upgrade(config, HEAD)


def downgrade(connection: Connection, revision: str) -> None:
    """Take the tables back to a revision (`base`: none of ours), in the caller's write transaction.

    What dropped tables and columns held is lost.
    """
    from alembic import command

    _take_turn(connection)
    command.downgrade(_config(connection), revision)


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at; None where it holds no tables of ours."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _take_turn(connection: Connection) -> None:
    # SQLite's write lock, which the transaction holds already, does the same there.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _check_known(config: Config, revision: str | None) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise BadInput(
            f"is at revision {revision}, which this version of habeas does not know",
            where="database",
            fix="start the newer version that made it",
        )
