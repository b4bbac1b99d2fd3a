"""Event webhooks: where events are sent to, registered, changed, looked at and told again. Sends nothing itself.

The signing secret is shown once, where it was made here. Who registers one must be allowed to hear events.
"""

from __future__ import annotations

import base64
import secrets
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator
from sqlalchemy.engine import Connection

from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.deliver.webhooks.signing import PREFIX as SECRET_PREFIX
from habeas.deliver.webhooks.signing import signing_key
from habeas.egress.policy import EgressPolicy
from habeas.requests.bulk import Page, key_from
from habeas.requests.clients import Actor
from habeas.requests.events import settle
from habeas.requests.inputs import Body, Key, Name, without_answer_fields
from habeas.requests.installation import Installation
from habeas.store import audit, events, outbox
from habeas.store import event_webhooks as store
from habeas.store.events import TYPES
from habeas.store.session import new_id

PREFIX = "event."
PURPOSE = "event-webhook"
HEARS = "event:read"

Url = Annotated[str, StringConstraints(min_length=8, max_length=2048)]
Secret = Annotated[str, StringConstraints(min_length=24, max_length=512)]


class WebhookInput(Body):
    """A webhook as given. No `types`: all. No `secret`: one is made."""

    name: Name
    key: Key | None = None
    url: Url
    types: list[str] = Field(default_factory=list, max_length=len(TYPES))
    secret: Secret | None = Field(default=None, repr=False)


class WebhookChange(Body):
    """What is to be changed; the rest stays."""

    name: Name | None = None
    url: Url | None = None
    types: list[str] | None = Field(default=None, max_length=len(TYPES))
    secret: Secret | None = Field(default=None, repr=False)
    disabled: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_answer_fields(value, "key", "disabled_reason", "failures")


def register(installation: Installation, actor: Actor, given: WebhookInput) -> dict[str, Any]:
    """Make a webhook; with its `secret`. It hears what happens from now on. Raises BadInput, Conflict."""
    actor.require(HEARS)
    secret = given.secret or SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    webhook_id, now = new_id("ewh"), installation.clock.now()
    row = {
        "id": webhook_id,
        "created_at": now,
        "updated_at": now,
        "key": given.key or key_from(given.name),
        "name": given.name,
        **_checked(installation, webhook_id, given.url, given.types, secret),
        "disabled": False,
        "disabled_reason": None,
        "failures": 0,
    }
    settle(installation)  # what was before isn't for it
    with installation.database.begin() as connection:
        if store.find(connection, key=row["key"]) is not None:
            raise Conflict("there is an event webhook of this key", where="key", fix="PATCH it, or take another key")
        store.insert(connection, row)
        audit.append(connection, installation.clock, actor.client_id, "event_webhook.created", row["key"], None)
    return _shown(row) | {"secret": secret}


def change(installation: Installation, actor: Actor, key: str, given: WebhookChange) -> dict[str, Any]:
    """Change what is given. To enable it forgets its failures. Raises NotFound, BadInput."""
    actor.require(HEARS)
    with installation.database.begin() as connection:
        row = _found(connection, key)
        values = _checked(installation, row["id"], given.url, given.types, given.secret)
        if given.name is not None:
            values["name"] = given.name
        if given.disabled is not None:
            values |= {"disabled": given.disabled, "disabled_reason": "asked" if given.disabled else None}
            values |= {} if given.disabled else {"failures": 0}
            if given.disabled:
                outbox.give_up_all(connection, installation.clock.now(), PREFIX, f"{row['id']}/", "disabled")
        values["updated_at"] = installation.clock.now()
        store.update(connection, row["id"], values)
        detail = {"fields": sorted(given.model_fields_set)}
        audit.append(connection, installation.clock, actor.client_id, "event_webhook.changed", key, detail)
        return _shown(row | values)


def remove(installation: Installation, actor: Actor, key: str) -> None:
    """Take a webhook away with all that waits for it. Raises NotFound."""
    with installation.database.begin() as connection:
        row = _found(connection, key)
        store.delete(connection, row["id"])
        outbox.drop_all(connection, PREFIX, f"{row['id']}/")
        audit.append(connection, installation.clock, actor.client_id, "event_webhook.deleted", key, None)


def list_all(installation: Installation, *, page: int, size: int) -> Page:
    """Webhooks by key, never their secrets."""
    with installation.database.read() as connection:
        rows, total = store.page(connection, (page - 1) * size, size)
    return Page([_shown(row) for row in rows], total, page, size)


def read(installation: Installation, key: str) -> dict[str, Any]:
    """One webhook. Raises NotFound."""
    with installation.database.read() as connection:
        return _shown(_found(connection, key))


def deliveries(installation: Installation, key: str, *, state: str | None, page: int, size: int) -> Page:
    """What was, is or could not be sent to a webhook, newest first. Raises NotFound."""
    with installation.database.read() as connection:
        subjects = f"{_found(connection, key)['id']}/"
        rows, total = outbox.page(
            connection, PREFIX, state=state, subject=None, subjects=subjects, offset=(page - 1) * size, limit=size
        )
    items = []
    for row in rows:
        position, type_ = str(row.pop("subject")).removeprefix(subjects), str(row.pop("kind")).removeprefix(PREFIX)
        del row["id"]
        items.append({"event_id": int(position), "type": type_, **row})
    return Page(items, total, page, size)


def replay(installation: Installation, actor: Actor, key: str, *, after: int | None, failed: bool) -> int:
    """Send again what failed, or everything it wants behind a position; how many. Raises NotFound, Conflict where the
    webhook is disabled, BadInput unless exactly one is asked for.
    """
    actor.require(HEARS)
    if failed == (after is not None):
        raise BadInput("say what to send again", where="after", fix="give after, or failed: true")
    head = settle(installation)
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = _found(connection, key)
        if row["disabled"]:
            raise Conflict("the webhook is disabled", where=key, fix="enable it first")
        if after is None:
            count = outbox.renew_all(connection, PREFIX, f"{row['id']}/")
        else:
            count = events.hand_on(connection, now, row["id"], row["types"], after + 1, head.position)
        detail = {"count": count}
        audit.append(connection, installation.clock, actor.client_id, "event_webhook.replayed", key, detail)
    return count


def open_secret(installation: Installation, row: dict[str, Any]) -> bytes:
    """The signing key of a stored webhook."""
    return signing_key(installation.vault.open(PURPOSE, row["sealed_secret"], row["id"]).decode())


def _checked(
    installation: Installation, webhook_id: str, url: str | None, types: list[str] | None, secret: str | None
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if url is not None:
        values["url"] = EgressPolicy(installation.settings.egress_allow).check_url(url, where="url")
    if types is not None:
        unknown = sorted(set(types) - set(TYPES))
        if unknown:
            raise BadInput("names a type of event that there isn't", where="types", fix=", ".join(TYPES))
        values["types"] = sorted(set(types))
    if secret is not None:
        signing_key(secret)
        values["sealed_secret"] = installation.vault.seal(PURPOSE, secret.encode(), webhook_id)
    return values


def _found(connection: Connection, key: str) -> dict[str, Any]:
    row = store.find(connection, key=key)
    if row is None:
        raise NotFound(f"No event webhook found with key {key}")
    return row


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "sealed_secret"}
