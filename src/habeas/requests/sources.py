"""The connected systems of an installation: connectors built from stored connections, and their schemas.

Both are cached by the connection's version, so that a change, also one made by another process, is taken
in. A replaced connector may still be in use by a running cohort: it is closed at the end, not at once.
Secrets are resolved when a connector is built and live in it alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from habeas.connectors.base import Connector
from habeas.core.errors import HabeasError, NotFound
from habeas.core.schema import StoreSchema
from habeas.core.settings import Settings
from habeas.requests.secrets import connector_of
from habeas.store import connections as store
from habeas.store.secrets import Vault
from habeas.store.session import Database

FRESH_SECONDS = 60.0
_AT_ONCE = 8  # introspections, so that one dead system doesn't hold up the others

SchemaKey = tuple[str, str | None]


class _Built(NamedTuple):
    version: str
    connector: Connector


class _Read(NamedTuple):
    version: str
    moment: float
    schema: StoreSchema


class Sources:
    """Safe to share between threads. Whoever gets a connector doesn't close it."""

    def __init__(self, database: Database, vault: Vault, settings: Settings) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._guard = threading.Lock()
        self._built: dict[str, _Built] = {}
        self._schemas: dict[SchemaKey, _Read] = {}
        self._generation = 0

    @property
    def generation(self) -> int:
        """Grows whenever a connector or schema was forgotten: what was planned with them may be stale."""
        return self._generation

    def connector(self, connection_key: str) -> Connector:
        """The connector of a stored connection. Raises NotFound, or BadInput where secrets are missing or wrong."""
        with self._guard:
            built = self._built.get(connection_key)
        return built.connector if built is not None else self._build(connection_key).connector

    def schema(self, connection_key: str, schema: str | None, *, max_age: float = FRESH_SECONDS) -> StoreSchema:
        """The live schema, read again when older than `max_age` seconds. Raises SourceError."""
        with self._guard:
            built = self._built.get(connection_key)
            known = self._schemas.get((connection_key, schema))
        built = built or self._build(connection_key)
        if known is not None and known.version == built.version and time.monotonic() - known.moment <= max_age:
            return known.schema
        read = built.connector.introspect(schema)
        with self._guard:
            self._schemas[connection_key, schema] = _Read(built.version, time.monotonic(), read)
        return read

    def schemas(
        self, wanted: Iterable[SchemaKey], *, max_age: float = FRESH_SECONDS
    ) -> Mapping[SchemaKey, StoreSchema | HabeasError | None]:
        """Several schemas at once: the schema, why it can't be had, or None where the system has none."""
        keys = list(dict.fromkeys(wanted))

        def read(key: SchemaKey) -> StoreSchema | HabeasError | None:
            try:
                if not self.connector(key[0]).capabilities.introspects:
                    return None
                return self.schema(*key, max_age=max_age)
            except HabeasError as problem:
                return problem

        if len(keys) <= 1:
            return {key: read(key) for key in keys}
        with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(keys))) as pool:
            return dict(zip(keys, pool.map(read, keys), strict=True))

    def observe(self, versions: Mapping[str, str]) -> None:
        """Take in the present versions of connections: what was built from another one is forgotten."""
        with self._guard:
            stale = [key for key, built in self._built.items() if versions.get(key, built.version) != built.version]
        for key in stale:
            self.forget(key)

    def forget(self, connection_key: str) -> None:
        """Build the connector and read its schemas anew when next asked. Who uses the old one may go on: its
        sessions close as they are given back.
        """
        with self._guard:
            built = self._built.pop(connection_key, None)
        if built is not None:
            built.connector.close()
        self.forget_schemas(connection_key)

    def forget_schemas(self, connection_key: str | None = None) -> None:
        """Read the schemas of a connection, or of all, anew when next asked; connectors stay."""
        with self._guard:
            for key in [key for key in self._schemas if connection_key in (None, key[0])]:
                del self._schemas[key]
            self._generation += 1

    def close(self) -> None:
        """Close all connectors; safe to call twice."""
        with self._guard:
            connectors = [built.connector for built in self._built.values()]
            self._built.clear()
            self._schemas.clear()
        for connector in connectors:
            connector.close()

    def _build(self, connection_key: str) -> _Built:
        with self._database.read() as connection:
            row = store.find_connection(connection, connection_key)
        if row is None:
            raise NotFound(f"no connection has the key {connection_key}", where="connection")
        made = _Built(f"{row.id}#{row.version}", connector_of(self._vault, self._settings, row))
        with self._guard:
            present = self._built.setdefault(connection_key, made)
        if present is not made:
            made.connector.close()
        return present
