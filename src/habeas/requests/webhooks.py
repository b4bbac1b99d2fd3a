"""Webhooks as operators configure them: those that a policy calls before and after, and those asked before approval.

Each names a connection of a kind that takes webhooks. The list of a phase is replaced whole or not at all; its order
is the order of calls. Never calls one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from sqlalchemy import Connection

from habeas.connectors.registry import connector_class
from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.requests.bulk import Page, key_from
from habeas.requests.clients import Actor
from habeas.requests.inputs import Body, Key, Name
from habeas.requests.means import Means
from habeas.store import audit, connections, policies
from habeas.store import webhooks as store
from habeas.store.session import new_id
from habeas.store.webhooks import APPROVAL, POST, PRE, WebhookRow

__all__ = ["APPROVAL", "POST", "PRE", "WebhookInput", "WebhookUpdate"]

Direction = Literal["one_way", "two_way"]


class NotPossible(BadInput):
    """What fidesops answers with 400."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "webhook_not_possible"


class ApprovalWebhookInput(Body):
    """A webhook that is asked before approval. Without key it gets one from its name, without name one from connection
    and phase.
    """

    connection_config_key: Key
    key: Key | None = None
    name: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_shown(value)


class WebhookInput(ApprovalWebhookInput):
    """A webhook that is called before or after execution."""

    direction: Direction


class ApprovalWebhookUpdate(Body):
    """What of a webhook before approval changes."""

    connection_config_key: Key | None = None
    name: Name | None = None


class WebhookUpdate(ApprovalWebhookUpdate):
    """What of a webhook changes."""

    direction: Direction | None = None
    order: int | None = Field(default=None, ge=-(2**31), le=2**31)


def without_shown(value: Any) -> Any:
    """A body without what answers add, so that a list that was read can be sent back."""
    if not isinstance(value, dict):
        return value
    shown = {name: each for name, each in value.items() if name not in ("policy_key", "order", "phase")}
    place = shown.pop("connection_config", None)
    if isinstance(place, dict) and "connection_config_key" not in shown:
        shown["connection_config_key"] = place.get("key")
    return shown


def list_webhooks(means: Means, phase: str, policy_key: str | None, page: int, size: int) -> Page:
    """The webhooks of a phase, in order; raises NotFound for an unknown policy."""
    with means.database.read() as connection:
        rows = _all(connection, phase, policy_key)
        shown = [_described(connection, row, policy_key) for row in rows[(page - 1) * size : page * size]]
    return Page(shown, len(rows), page, size)


def read_webhook(means: Means, phase: str, policy_key: str | None, key: str) -> dict[str, Any]:
    """One webhook; raises NotFound."""
    with means.database.read() as connection:
        return _described(connection, _found(_all(connection, phase, policy_key), key), policy_key)


def replace_webhooks(
    means: Means,
    actor: Actor,
    phase: str,
    policy_key: str | None,
    items: Sequence[WebhookInput | ApprovalWebhookInput],
) -> list[dict[str, Any]]:
    """Make the webhooks of a phase be exactly these, in this order; all or nothing. Those left out are deleted.

    Raises NotFound for an unknown policy or connection, NotPossible for keys or names that meet.
    """
    with means.database.begin() as connection:
        now = means.clock.now()
        known = {row.key: row for row in _all(connection, phase, policy_key)}
        policy_id = _policy_id(connection, policy_key)
        wanted = [_columns(connection, phase, policy_id, item, at) for at, item in enumerate(items)]
        _check_distinct(connection, phase, policy_id, wanted)
        _store_list(connection, known, wanted, now)
        detail = {"phase": phase, "webhooks": [values["key"] for values in wanted]}
        audit.append(connection, means.clock, actor.client_id, "webhooks.saved", policy_key or phase, detail)
        return [_described(connection, row, policy_key) for row in _all(connection, phase, policy_key)]


def _store_list(
    connection: Connection, known: Mapping[str, WebhookRow], wanted: Sequence[dict[str, Any]], now: datetime
) -> None:
    kept = {values["key"]: known[values["key"]].id for values in wanted if values["key"] in known}
    store.remove(connection, [row.id for key, row in known.items() if key not in kept])
    for webhook_id in kept.values():  # names may be exchanged, so the old ones go first
        store.change(connection, webhook_id, {"name": webhook_id}, now)
    for values in wanted:
        if values["key"] in kept:
            store.change(connection, kept[values["key"]], values, now)
        else:
            store.add(connection, {"id": new_id("wbh"), **values}, now)


def change_webhook(
    means: Means,
    actor: Actor,
    phase: str,
    policy_key: str | None,
    key: str,
    given: WebhookUpdate | ApprovalWebhookUpdate,
) -> dict[str, Any]:
    """Change a webhook: `{resource, new_order}`; the order of all where its own changed.

    Raises NotFound, NotPossible.
    """
    with means.database.begin() as connection:
        now, rows = means.clock.now(), _all(connection, phase, policy_key)
        row = _found(rows, key)
        values = given.model_dump(exclude_none=True)
        if "connection_config_key" in values:
            values["connection_id"] = _target(connection, values.pop("connection_config_key"))
        if values.get("name", row.name) != row.name and store.all_with(connection, phase, "name", [values["name"]]):
            raise NotPossible(f"Name {values['name']} is another webhook's.", where="name", fix="choose another name")
        order = values.pop("order", row.position)
        if not 0 <= order < len(rows):
            raise NotPossible(
                f"Cannot set order to {order}: there are only {len(rows)} webhook(s) in this list",
                where="order",
                fix=f"0 to {len(rows) - 1}",
            )
        if values:
            store.change(connection, row.id, values, now)
        others = [each for each in rows if each.id != row.id]
        moved = order != row.position
        if moved:
            _number(connection, [*others[:order], row, *others[order:]], now)
        detail = {"phase": phase, "fields": sorted({*values, *(["order"] if moved else [])})}
        audit.append(connection, means.clock, actor.client_id, "webhook.changed", key, detail)
        after = _all(connection, phase, policy_key)
        return {
            "resource": _described(connection, _found(after, key), policy_key),
            "new_order": _order_of(after) if moved else [],
        }


def delete_webhook(means: Means, actor: Actor, phase: str, policy_key: str | None, key: str) -> dict[str, Any]:
    """Delete a webhook: `{new_order}`, of those that are left where one moved up. Raises NotFound."""
    with means.database.begin() as connection:
        rows = _all(connection, phase, policy_key)
        row = _found(rows, key)
        store.remove(connection, [row.id])
        left = [each for each in rows if each.id != row.id]
        _number(connection, left, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "webhook.deleted", key, {"phase": phase})
        shifted = row.position < len(left)
        return {"new_order": _order_of(_all(connection, phase, policy_key)) if shifted else []}


def check_unused(connection: Connection, connection_id: str, key: str) -> None:
    """Raises Conflict if a webhook calls the connection."""
    callers = store.keys_that_call(connection, connection_id)
    if callers:
        raise Conflict(f"webhooks call connection {key}: {', '.join(callers)}", fix="delete or change them first")


def _columns(
    connection: Connection, phase: str, policy_id: str | None, item: WebhookInput | ApprovalWebhookInput, position: int
) -> dict[str, Any]:
    name = item.name or item.key or f"{item.connection_config_key} {phase} {position}"
    return {
        "key": item.key or key_from(name),
        "name": name,
        "phase": phase,
        "policy_id": policy_id,
        "connection_id": _target(connection, item.connection_config_key),
        "direction": item.direction if isinstance(item, WebhookInput) else "two_way",
        "position": position,
    }


def _check_distinct(
    connection: Connection, phase: str, policy_id: str | None, wanted: Sequence[dict[str, Any]]
) -> None:
    for column in ("key", "name"):
        values = [each[column] for each in wanted]
        if len(set(values)) < len(values):
            raise NotPossible(
                f"two webhooks of the list have one {column}", where=column, fix=f"make each {column} differ"
            )
        taken = [each for each in store.all_with(connection, phase, column, values) if each.policy_id != policy_id]
        if taken:
            raise NotPossible(f"another policy has a webhook of {column} {getattr(taken[0], column)}", where=column)


def _number(connection: Connection, rows: Sequence[WebhookRow], now: Any) -> None:
    for position, row in enumerate(rows):
        if row.position != position:
            store.change(connection, row.id, {"position": position}, now)


def _order_of(rows: Sequence[WebhookRow]) -> list[dict[str, Any]]:
    return [{"key": row.key, "order": row.position} for row in rows]


def _all(connection: Connection, phase: str, policy_key: str | None) -> list[WebhookRow]:
    return store.list_of(connection, phase, _policy_id(connection, policy_key))


def _policy_id(connection: Connection, policy_key: str | None) -> str | None:
    if policy_key is None:
        return None
    row = policies.find_policy(connection, policy_key)
    if row is None:
        raise NotFound(f"No Policy found for key {policy_key}.")
    return row.id


def _found(rows: Sequence[WebhookRow], key: str) -> WebhookRow:
    for row in rows:
        if row.key == key:
            return row
    raise NotFound(f"No webhook found for key '{key}' here.")


def _target(connection: Connection, key: str) -> str:
    row = connections.find_connection(connection, key)
    if row is None:
        raise NotFound(f"No connection configuration found with key '{key}'.")
    if not connector_class(row.connection_type).capabilities.takes_webhooks:
        raise BadInput(
            f"connection {key} takes no webhooks", where="connection_config_key", fix="name one of type https"
        )
    return row.id


def _described(connection: Connection, row: WebhookRow, policy_key: str | None) -> dict[str, Any]:
    place = connections.find_connection(connection, row.connection_key)
    shown: dict[str, Any] = {
        "key": row.key,
        "name": row.name,
        "connection_config": place.described() if place else None,
    }
    if row.phase != APPROVAL:
        shown |= {"policy_key": policy_key, "direction": row.direction, "order": row.position}
    return shown
