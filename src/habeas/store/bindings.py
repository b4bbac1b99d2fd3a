"""Queries on which dataset lies behind which connection: what a catalog is built from. Bodies come apart, since
they are large and seldom change.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import connection as source
from habeas.store.tables import dataset


class Binding(NamedTuple):
    """A stored dataset and its connection; `version` is the body's digest, `connection_version` tells every change,
    also to another connection of the same key.
    """

    fides_key: str
    version: str
    connection_key: str
    connection_version: str
    access: str
    disabled: bool


def list_bindings(connection: Connection) -> list[Binding]:
    """All stored datasets, by key."""
    found = (
        sa.select(
            dataset.c.fides_key,
            dataset.c.version,
            source.c.key,
            source.c.id + "#" + sa.cast(source.c.version, sa.Text),
            source.c.access,
            source.c.disabled,
        )
        .join(source, dataset.c.connection_id == source.c.id)
        .order_by(dataset.c.fides_key)
    )
    return [Binding(*row) for row in connection.execute(found)]


def bodies_of(connection: Connection, fides_keys: Collection[str]) -> dict[str, Any]:
    """The documents of these datasets, by key."""
    found = sa.select(dataset.c.fides_key, dataset.c.body).where(dataset.c.fides_key.in_(fides_keys))
    return {row.fides_key: row.body for row in connection.execute(found)}
