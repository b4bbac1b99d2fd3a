"""Drafts of datasets from live schemas. Reads schemas, never a row; stores nothing."""

from __future__ import annotations

from habeas.core.errors import Refused
from habeas.dataset.draft import draft_dataset
from habeas.requests.sources import Sources


def draft_of_connection(sources: Sources, connection_key: str, key: str | None, schema: str | None) -> str:
    """YAML text of a dataset for the connection's live schema (None: its default one); `key` defaults to its own.

    Raises NotFound for the connection, SourceError where it can't be reached, Refused for a kind without a schema.
    """
    connector = sources.connector(connection_key)
    if not connector.capabilities.introspects:
        raise Refused("this kind of system has no schema to draft from", cause="no_schema", where=connection_key)
    live = sources.schema(connection_key, schema, max_age=0)
    return draft_dataset(key or connection_key, live, namespace=schema, connection=connection_key)
