"""Whether the app key is the one this database was used with: found at the start, not at the first sealed row."""

from __future__ import annotations

import base64

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.core.clock import Clock
from habeas.core.errors import BadInput, Unavailable
from habeas.store.secrets import Vault
from habeas.store.session import insert_new
from habeas.store.tables import setting

_NAME = "app_key"


def check_app_key(connection: Connection, clock: Clock, vault: Vault) -> None:
    """Compare with a sealed mark, made by the first start, in a write transaction; safe to call again.

    Raises BadInput naming both keys' ids for another app key. A rotation keeps the old key in the list.
    """
    mark = base64.b64encode(vault.seal(_NAME, b"habeas", "mark")).decode()
    insert_new(connection, setting, [{"name": _NAME, "value": mark, "updated_at": clock.now()}])
    kept = connection.execute(sa.select(setting.c.value).where(setting.c.name == _NAME)).scalar_one()
    try:
        vault.open(_NAME, base64.b64decode(kept), "mark")
    except Unavailable as error:
        raise BadInput(error.message, where="app_encryption_key", fix=error.fix) from None
