"""Identities that a webhook derives: added to those of a request, vouched for by whoever configured the webhook.

Only kinds that are known here, and never in place of a value that was given. Written in the caller's transaction,
sealed, with their search index; the audit trail names kinds and no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from habeas.core.errors import BadInput
from habeas.core.identity import Assurance, Identity
from habeas.requests.installation import Installation
from habeas.requests.sealing import identity_index, open_alternatives, seal_identities
from habeas.requests.submission import read_identities
from habeas.requests.verification import kinds_of
from habeas.store import audit, datasets
from habeas.store import requests as store

USUAL_KINDS = frozenset({"email", "phone_number"})
ACTOR = "webhook"


def derive(
    connection: Connection,
    installation: Installation,
    row: Mapping[str, Any],
    given: Mapping[str, Any] | None,
    webhook_key: str,
) -> dict[str, Any]:
    """The columns of the request with what was derived; empty where nothing is new. Raises BadInput for values or
    kinds that can't be taken; nothing is written then.
    """
    found = read_identities(given or {}, Assurance.VOUCHED, where="derived_identity")
    kinds = {each.kind for each in found}
    _check_known(connection, kinds)
    known = {*row["kinds"], *(row["claimed"] or ())}
    new = tuple(each for each in found if each.kind not in known)
    if found:
        taken = [each.kind for each in new]
        detail = {"webhook": webhook_key, "kinds": taken, "ignored": sorted(known & {*kinds})}
        action = "privacy_request.identities_derived"
        audit.append(connection, installation.clock, ACTOR, action, row["id"], detail)
    if not new:
        return {}
    _insert_indexes(connection, installation, row["id"], new)
    vault = installation.vault
    first, *others = open_alternatives(vault, row["id"], row["sealed_identities"])
    groups = ((*first, *new), *others)
    sealed = seal_identities(vault, [(row["id"], groups)])[0]
    return {"sealed_identities": sealed, **kinds_of(each for group in groups for each in group)}


def _check_known(connection: Connection, kinds: set[str]) -> None:
    if kinds <= USUAL_KINDS or kinds <= USUAL_KINDS | declared_kinds(connection):
        return
    raise BadInput("holds a kind that no dataset knows", where="derived_identity", fix="name it in a dataset first")


def _insert_indexes(
    connection: Connection, installation: Installation, request_id: str, new: Iterable[Identity]
) -> None:
    vault, region = installation.vault, installation.settings.phone_region
    rows = [
        {
            "privacy_request_id": request_id,
            "kind": each.kind,
            "blind_index": identity_index(vault, each.kind, each.value, region),
        }
        for each in new
    ]
    store.insert_requests(connection, [], rows)


def declared_kinds(connection: Connection) -> set[str]:
    """The identity kinds that stored datasets declare."""
    return {kind for each in datasets.list_placed(connection) for kind in _kinds(each.body)}


def _kinds(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for name in ("fides_meta", "fidesops_meta"):
            meta = node.get(name)
            if isinstance(meta, Mapping) and isinstance(meta.get("identity"), str):
                yield meta["identity"]
        for each in ("collections", "fields"):
            yield from _kinds(node.get(each))
    elif isinstance(node, list):
        for each in node:
            yield from _kinds(each)
