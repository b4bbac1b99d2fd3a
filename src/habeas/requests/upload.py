"""Handing a document in for a request: `POST /storage/{request_id}`, stored where packages go, beside them.

Each call makes a file of its own, so that no caller can replace a package or what another one handed in. Sealed with
the request's own key where it has one. Never keeps the document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from habeas.core.errors import NotFound
from habeas.deliver.base import Destination, Part
from habeas.deliver.sealing import SealedText
from habeas.requests.clients import Actor
from habeas.requests.destinations import open_stored
from habeas.requests.inputs import Body, Key
from habeas.requests.means import Means
from habeas.requests.sealing import open_package_key
from habeas.store import audit, destinations
from habeas.store import requests as store
from habeas.store.session import new_id


class UploadInput(Body):
    """A document, and the storage destination to put it in."""

    storage_key: Key
    data: dict[str, Any] = Field(repr=False)


def upload(means: Means, actor: Actor, request_id: str, given: UploadInput) -> str:
    """Store the document as JSON and audit that; its location. Durable on return; a repeated call stores another.

    Raises NotFound for a request or destination that isn't there, DeliveryFailed where the destination fails.
    """
    with means.database.read() as connection:
        row = store.find_by_ids(connection, [request_id]).get(request_id)
        found = destinations.find(connection, given.storage_key)
    if row is None:
        raise NotFound(f"No privacy request found with id '{request_id}'.")
    if found is None:
        raise NotFound(f"No storage destination found with key '{given.storage_key}'.", where="storage_key")
    destination = open_stored(found, means.vault, means.settings.data_dir)
    name = f"{request_id}.{new_id('upl')}.json"
    key = open_package_key(means.vault, request_id, row["sealed_encryption_key"])
    size = _write(destination, name, given.data, key)
    with means.database.begin() as connection:
        detail = {"storage": given.storage_key, "size": size}
        audit.append(connection, means.clock, actor.client_id, "storage.uploaded", request_id, detail)
    return destination.location(name)


def _write(destination: Destination, name: str, data: Mapping[str, Any], key: str | None) -> int:
    """Write and show the file; its size. Nothing is left of one that failed."""
    begun = f"{name}.part"
    shown = False
    try:
        digest, size = _filled(Part(destination.create(begun)), data, key)
        destination.sync([begun])
        destination.show([(begun, name, digest)])
        shown = True
    finally:
        if not shown:
            destination.discard([begun])
    return size


def _filled(part: Part, data: Mapping[str, Any], key: str | None) -> tuple[str, int]:
    text = json.dumps(data, ensure_ascii=False, indent=2).encode()
    filled = False
    try:
        if key is None:
            part.write(text)
        else:
            sealed = SealedText(part.write, key)
            sealed.write(text)
            sealed.finish()
        filled = True
    finally:
        if not filled:
            part.close()
    return part.finish(), part.size
