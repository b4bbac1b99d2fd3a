"""Connections: saved, given their secrets, tested, listed, deleted; and which kinds of systems there are.

Secrets go in and never come out. A connection to habeas' own database, or to a file of its data directory,
is refused when its secrets are set. A failed test is an answer, not an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ValidationError, model_validator
from sqlalchemy import Connection

from habeas.connectors.base import CheckResult, Connector
from habeas.connectors.registry import connector_class, connector_classes
from habeas.core.errors import BadInput, Conflict, HabeasError, NotFound
from habeas.egress.policy import EgressPolicy
from habeas.requests.bulk import Bulk, Page, key_from, save_each
from habeas.requests.clients import Actor
from habeas.requests.inputs import Body, Description, Key, Name, without_answer_fields
from habeas.requests.manual_webhooks import is_defined, release_waiting
from habeas.requests.means import Means
from habeas.requests.processors import try_instructing
from habeas.requests.secrets import are_kept, checked_secrets, connector_of, seal_secrets
from habeas.requests.webhooks import check_unused
from habeas.store import audit
from habeas.store import connections as store
from habeas.store.session import default_url, new_id

ENGINE_FILE = "engine.sqlite"  # of the durable engine, whose module is too heavy to ask

System = Literal["database", "saas", "manual"]


class ConnectionInput(Body):
    """A connection as given. What is left out of a connection that exists stays as it is."""

    name: Name
    key: Key | None = None
    connection_type: Name
    access: Literal["read", "write"]
    disabled: bool | None = None
    description: Description | None = None

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_answer_fields(value, "last_test_timestamp", "last_test_succeeded", "saas_config")


def save_connections(means: Means, actor: Actor, items: Sequence[ConnectionInput]) -> Bulk:
    """Create or update connections by key; secrets are left as they are."""
    return save_each(items, lambda item: _save(means, actor, item))


def _save(means: Means, actor: Actor, item: ConnectionInput) -> dict[str, Any]:
    key = item.key or key_from(item.name)
    kind = connector_class(item.connection_type).kind
    now = means.clock.now()
    values: dict[str, Any] = {"name": item.name, "connection_type": kind, "access": item.access}
    if "description" in item.model_fields_set:
        values["description"] = item.description
    with means.database.begin() as connection:
        known = store.find_connection(connection, key)
        if store.holder_of_name(connection, item.name) not in (None, key):
            raise Conflict(
                f"Name {item.name} already exists in ConnectionConfig.", fix="choose another name, or its key"
            )
        was_disabled = known is not None and known.disabled
        disabled = was_disabled if item.disabled is None else item.disabled
        if disabled != was_disabled or known is None:
            values |= {"disabled": disabled, "disabled_at": now if disabled else None}
        if known is None:
            store.add(connection, values | {"id": new_id("con"), "key": key, "version": 1}, now)
        else:
            if known.connection_type != kind and known.sealed_secrets is not None:
                raise Conflict(
                    f"Connection {key} is of type {known.connection_type} and has secrets of that type",
                    fix="delete it first, or choose another key",
                )
            store.change(connection, known.id, values, now)
        audit.append(connection, means.clock, actor.client_id, "connection.saved", key, {"fields": sorted(values)})
        saved = _found(connection, key).described()
        release_waiting(connection, means)
    means.sources.forget(key)
    means.wake()
    return saved


def list_connections(means: Means, wanted: store.Filter, system: System | None, page: int, size: int) -> Page:
    """Connections that match, in order of name. `wanted.kinds` and `system` narrow together."""
    if system is not None:
        of_system = {each.kind for each in connector_classes() if each.category == system}
        wanted = wanted._replace(kinds=of_system if wanted.kinds is None else of_system & set(wanted.kinds))
    with means.database.read() as connection:
        rows, total = store.list_page(connection, wanted, offset=(page - 1) * size, limit=size)
    return Page([row.described() for row in rows], total, page, size)


def read_connection(means: Means, key: str) -> dict[str, Any]:
    """One connection, never its secrets; raises NotFound."""
    with means.database.read() as connection:
        return _found(connection, key).described()


def delete_connection(means: Means, actor: Actor, key: str) -> None:
    """Delete a connection with its datasets; raises NotFound, or Conflict while webhooks call it."""
    with means.database.begin() as connection:
        row = _found(connection, key)
        check_unused(connection, row.id, key)
        store.remove(connection, row.id)
        audit.append(connection, means.clock, actor.client_id, "connection.deleted", key, None)
        release_waiting(connection, means)
    means.sources.forget(key)
    means.wake()


def set_secrets(means: Means, actor: Actor, key: str, given: Mapping[str, Any], *, verify: bool) -> dict[str, Any]:
    """Replace all secrets of a connection; with `verify`, test it afterwards. The same secrets again change nothing.

    `changed` tells whether they were others than before.
    Raises NotFound; BadInput for secrets that aren't valid for its kind, for references that lead nowhere, and for
    a connection to habeas' own database; EgressRefused for a URL that our calls may not reach.
    """
    with means.database.read() as connection:
        row = _found(connection, key)
    kind = connector_class(row.connection_type)
    checked = checked_secrets(kind, given, means.settings)
    _refuse_own(means, kind, checked)
    if called := kind.capabilities.calls:
        EgressPolicy(means.settings.egress_allow).check_url(getattr(checked, called), where=f"secrets.{called}")
    with means.database.begin() as connection:
        row = _found(connection, key)
        changed = not are_kept(means.vault, row, given)
        if changed:
            sealed = seal_secrets(means.vault, row.id, given)
            untested = {"last_test_timestamp": None, "last_test_succeeded": None}
            store.change(connection, row.id, {"sealed_secrets": sealed} | untested, means.clock.now())
            audit.append(connection, means.clock, actor.client_id, "connection.secrets", key, {"fields": sorted(given)})
    if changed:
        means.sources.forget(key)
    said = f"Secrets {'updated' if changed else 'unchanged'} for ConnectionConfig with key: {key}."
    told = try_connection(means, key) if verify else _verdict(said, None)
    return told | {"msg": said, "changed": changed}


def try_connection(means: Means, key: str) -> dict[str, Any]:
    """Try the connection now and keep the outcome: `{msg, test_status, failure_reason}`. Raises NotFound.

    Missing or wrong secrets are a failed test too.
    """
    with means.database.read() as connection:
        row = _found(connection, key)
    result = _check(means, row)
    if not result.skipped:
        with means.database.begin() as connection:
            store.record_test(connection, row.id, result.ok, means.clock.now())
    return _verdict(f"Test completed for ConnectionConfig with key: {key}.", result)


def _check(means: Means, row: store.ConnectionRow) -> CheckResult:
    try:
        connector = connector_of(means.vault, means.settings, row)
    except BadInput as problem:
        return CheckResult(ok=False, code="secrets", message=str(problem))
    try:
        return _check_people(means, row, connector) or connector.check()
    finally:
        connector.close()


def _check_people(means: Means, row: store.ConnectionRow, connector: Connector) -> CheckResult | None:
    """What is wrong with a connection to a person; None where nothing is, or where it leads to a system."""
    if connector.capabilities.asks_fields and not is_defined(means, row.key):
        fix = f"POST /api/v1/connection/{row.key}/access_manual_webhook"
        return CheckResult(ok=False, code="no_fields", message=f"nothing is asked for yet – {fix}")
    if connector.capabilities.is_instructed:
        problem = try_instructing(means, connector)
        return None if problem is None else CheckResult(ok=False, code=problem.code, message=str(problem))
    return None


def _verdict(message: str, result: CheckResult | None) -> dict[str, Any]:
    if result is None:
        return {"msg": message, "test_status": None, "failure_reason": None}
    reason = None if result.ok else f"{result.code}: {result.message}" if result.message else result.code
    status = "skipped" if result.skipped else "succeeded" if result.ok else "failed"
    return {"msg": message, "test_status": status, "failure_reason": reason}


def _found(connection: Connection, key: str) -> store.ConnectionRow:
    row = store.find_connection(connection, key)
    if row is None:
        raise NotFound(f"No connection configuration found with key '{key}'.")
    return row


def _refuse_own(means: Means, kind: type[Connector], secrets: BaseModel) -> None:
    """Raises BadInput if these secrets lead to habeas' own database, or to a file that it keeps beside it."""
    data_dir = means.settings.data_dir
    own = (means.database.url, default_url(data_dir), f"sqlite:///{data_dir / ENGINE_FILE}")
    if _identity_of(kind, secrets) in {_identity_of_own(kind, url) for url in own}:
        raise BadInput(
            "this is habeas' own database", where="secrets", fix="connect the system that holds people's data instead"
        )


def _identity_of_own(kind: type[Connector], url: str) -> str | None:
    try:
        return _identity_of(kind, kind.secrets_model.model_validate({"url": url}))
    except (ValidationError, HabeasError):  # our own database is of another kind
        return None


def _identity_of(kind: type[Connector], secrets: BaseModel) -> str:
    """The name of the system that these secrets lead to."""
    connector = kind(secrets)
    try:
        return connector.identity()
    finally:
        connector.close()


def list_kinds(search: str | None, system: System | None, page: int, size: int) -> Page:
    """Kinds of systems by identifier: `{identifier, type, human_readable}`. `search` is a part of either name."""
    word = (search or "").casefold()
    found = [
        {"identifier": each.kind, "type": each.category, "human_readable": each.label}
        for each in sorted(connector_classes(), key=lambda each: each.kind)
        if each.listed
        and (system is None or each.category == system)
        and (word in each.kind.casefold() or word in each.label.casefold())
    ]
    return Page(found[(page - 1) * size : page * size], len(found), page, size)


def secrets_schema(kind: str) -> dict[str, Any]:
    """The JSON schema of a kind's secrets; raises NotFound."""
    known = {each.kind: each for each in connector_classes()}
    if kind not in known:
        raise NotFound(f"No connection type found with name '{kind}'.", fix="GET /api/v1/connection_type lists them")
    return known[kind].secrets_model.model_json_schema()
