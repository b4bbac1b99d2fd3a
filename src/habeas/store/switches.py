"""Switches that operators turn while habeas runs. A switch is on where its row exists; never cached."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.session import new_or_known
from habeas.store.tables import setting

PAUSED = "paused"


def is_on(connection: Connection, name: str) -> bool:
    """Whether the switch is on."""
    return connection.execute(sa.select(_exists(name))).scalar_one()


def turn_on(connection: Connection, name: str, now: datetime) -> bool:
    """Turn the switch on; whether it was off before. Of two that do so at once, one is told True."""
    new = new_or_known(connection, setting).values(name=name, value=True, updated_at=now)
    made = new.on_conflict_do_nothing().returning(setting.c.name)
    return connection.execute(made).one_or_none() is not None


def turn_off(connection: Connection, name: str) -> bool:
    """Turn the switch off; whether it was on before."""
    return connection.execute(sa.delete(setting).where(setting.c.name == name)).rowcount > 0


def is_off_clause(name: str) -> sa.ColumnElement[bool]:
    """The same question inside another statement."""
    return sa.not_(_exists(name))


def _exists(name: str) -> sa.Exists:
    return sa.exists().where(setting.c.name == name)
