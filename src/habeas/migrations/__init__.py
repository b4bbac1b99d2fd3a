"""The migrations of our own database, as scripts for Alembic. `store.migrate` runs them; nothing imports this."""
