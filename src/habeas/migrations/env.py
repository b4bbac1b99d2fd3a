"""What Alembic runs around the scripts: the connection comes from the caller, with its transaction open."""

from __future__ import annotations

from alembic import context

from habeas.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by making it anew
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
