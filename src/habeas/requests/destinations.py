"""Storage destinations: where packages go. Saved, given secrets, listed, deleted; and built for a delivery.

Details and secrets are checked by the destination's own models. A destination that rules name can't be
deleted: their next package would have no place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from sqlalchemy import Connection

from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.deliver.base import Destination
from habeas.deliver.registry import check_settings, destination_class, open_destination
from habeas.requests.bulk import Bulk, Page, key_from, save_each
from habeas.requests.clients import Actor
from habeas.requests.inputs import Body, Key, Name, without_answer_fields
from habeas.requests.means import Means
from habeas.store import audit, policies
from habeas.store import destinations as store
from habeas.store.secrets import Vault
from habeas.store.session import new_id

_PURPOSE = "storage-secrets"


class DestinationInput(Body):
    """A destination as given."""

    name: Name
    key: Key | None = None
    type: Name
    details: dict[str, Any] = Field(default_factory=dict)
    format: Literal["json", "csv"] = "json"

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_answer_fields(value)


def save_destinations(means: Means, actor: Actor, items: Sequence[DestinationInput]) -> Bulk:
    """Create or update destinations by key; secrets are left as they are unless the type changes."""
    return save_each(items, lambda item: _save(means, actor, item))


def _save(means: Means, actor: Actor, item: DestinationInput) -> dict[str, Any]:
    key = item.key or key_from(item.name)
    kind = destination_class(item.type)
    if item.format not in kind.formats:
        raise BadInput(f"{kind.kind} does not take {item.format}", where="format", fix=f"use {', '.join(kind.formats)}")
    check_settings(kind.details_model, item.details, "details")
    values = {"name": item.name, "type": kind.kind, "format": item.format, "details": item.details}
    with means.database.begin() as connection:
        known = store.find(connection, key)
        if store.holder_of_name(connection, item.name) not in (None, key):
            raise Conflict(f"Name {item.name} already exists in StorageConfig.", fix="choose another name, or its key")
        if known is None:
            store.add(connection, values | {"id": new_id("sto"), "key": key}, means.clock.now())
        else:
            dropped = {} if known.type == kind.kind else {"sealed_secrets": None}
            store.change(connection, known.id, values | dropped, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "storage.saved", key, {"type": kind.kind})
        return _found(connection, key).described()


def list_destinations(means: Means, page: int, size: int) -> Page:
    """Destinations, newest first."""
    with means.database.read() as connection:
        rows, total = store.list_page(connection, offset=(page - 1) * size, limit=size)
    return Page([row.described() for row in rows], total, page, size)


def read_destination(means: Means, key: str) -> dict[str, Any]:
    """One destination, never its secrets; raises NotFound."""
    with means.database.read() as connection:
        return _found(connection, key).described()


def delete_destination(means: Means, actor: Actor, key: str) -> None:
    """Delete a destination; raises NotFound, or Conflict while rules name it."""
    with means.database.begin() as connection:
        row = _found(connection, key)
        users = policies.rules_that_store_to(connection, key)
        if users:
            raise Conflict(
                f"rules store to it: {', '.join(users)}", where=key, fix="give them another destination first"
            )
        store.remove(connection, row.id)
        audit.append(connection, means.clock, actor.client_id, "storage.deleted", key, None)


def set_secrets(means: Means, actor: Actor, key: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Replace a destination's secrets: `{msg, test_status, failure_reason}`. Raises NotFound or BadInput."""
    with means.database.begin() as connection:
        row = _found(connection, key)
        model = destination_class(row.type).secrets_model
        if model is None:
            raise NoSecrets(f"storage of type {row.type} is unsupported here: it takes no secrets")
        check_settings(model, given, "secrets")
        sealed = means.vault.seal_json(_PURPOSE, dict(given), row.id)
        store.change(connection, row.id, {"sealed_secrets": sealed}, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "storage.secrets", key, {"fields": sorted(given)})
    return {"msg": f"Secrets updated for StorageConfig with key: {key}.", "test_status": None, "failure_reason": None}


class NoSecrets(BadInput):
    """The type of destination takes no secrets."""

    status = 400
    code = "no_secrets"


def open_stored(row: store.DestinationRow, vault: Vault, data_dir: Path) -> Destination:
    """A stored destination ready for packages. Raises BadInput for settings that no longer fit."""
    opened = None if row.sealed_secrets is None else vault.open_json(_PURPOSE, row.sealed_secrets, row.id)
    secrets = opened if isinstance(opened, dict) else None
    return open_destination(row.type, row.key, row.details, secrets, data_dir)


def _found(connection: Connection, key: str) -> store.DestinationRow:
    row = store.find(connection, key)
    if row is None:
        raise NotFound(f"No configuration with key {key}.")
    return row
