"""Queries on the e-mail configuration, of which there is one at most. Secrets pass through sealed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from habeas.store.tables import email_config


class EmailConfigRow(NamedTuple):
    """The configuration as stored."""

    id: str
    key: str
    name: str
    service_type: str
    details: Mapping[str, Any]
    sealed_secrets: bytes | None
    created_at: datetime
    updated_at: datetime

    def described(self) -> dict[str, Any]:
        """What answers show: everything but the secrets."""
        return {name: value for name, value in self._asdict().items() if name != "sealed_secrets"}


_COLUMNS = [email_config.c[name] for name in EmailConfigRow._fields]


def find(connection: Connection) -> EmailConfigRow | None:
    """The configuration, if there is one."""
    row = connection.execute(select(*_COLUMNS).order_by(email_config.c.created_at)).first()
    return None if row is None else EmailConfigRow(*row)


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Insert the configuration."""
    connection.execute(insert(email_config).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, row_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change the given columns."""
    connection.execute(update(email_config).where(email_config.c.id == row_id).values(**values, updated_at=now))


def remove(connection: Connection, row_id: str) -> None:
    """Delete the configuration with its secrets."""
    connection.execute(delete(email_config).where(email_config.c.id == row_id))
