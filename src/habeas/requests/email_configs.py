"""The e-mail configuration: saved, given secrets, read, deleted; one at most (fidesops).

Details and secrets are checked by the vendor's own models. Secrets are never shown. What the settings say
(`HABEAS_SMTP_HOST`) counts only where nothing is stored here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator
from sqlalchemy import Connection

from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.deliver.messages.registry import check_model, vendor_class
from habeas.requests.bulk import Page, key_from
from habeas.requests.clients import Actor
from habeas.requests.inputs import Body, Key, Name, without_answer_fields
from habeas.requests.means import Means
from habeas.requests.messages import CONFIG_SECRETS
from habeas.store import audit
from habeas.store import email_configs as store
from habeas.store.session import new_id


class EmailConfigInput(Body):
    """A configuration as given."""

    name: Name
    key: Key | None = None
    service_type: Name = "mailgun"
    details: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_answer_fields(value)


class OneOnly(Conflict):
    """There is a configuration already (fidesops answers 400)."""

    status: ClassVar[int] = 400


def create_config(means: Means, actor: Actor, given: EmailConfigInput) -> dict[str, Any]:
    """Make the configuration; raises OneOnly where there is one, BadInput for details that don't fit."""
    values = _checked(given)
    with means.database.begin() as connection:
        if store.find(connection) is not None:
            raise OneOnly("Only one email config is supported at a time.", fix="PATCH or DELETE the one that exists")
        key = given.key or key_from(given.name)
        store.add(connection, values | {"id": new_id("ema"), "key": key}, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "email.saved", key, {"type": given.service_type})
        return _found(connection, key).described()


def change_config(means: Means, actor: Actor, key: str, given: EmailConfigInput) -> dict[str, Any]:
    """Replace name and details; secrets stay unless the service type changes. Raises NotFound or BadInput."""
    values = _checked(given)
    with means.database.begin() as connection:
        row = _found(connection, key)
        if given.key not in (None, key):
            raise BadInput("is another one than the path's", where="key", fix="leave it out")
        dropped = {} if row.service_type == given.service_type else {"sealed_secrets": None}
        store.change(connection, row.id, values | dropped, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "email.saved", key, {"type": given.service_type})
        return _found(connection, key).described()


def set_secrets(means: Means, actor: Actor, key: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the secrets: `{msg, test_status, failure_reason}`. Raises NotFound or BadInput."""
    with means.database.begin() as connection:
        row = _found(connection, key)
        check_model(vendor_class(row.service_type).secrets_model, given, "secrets")
        sealed = means.vault.seal_json(CONFIG_SECRETS, dict(given), row.id)
        store.change(connection, row.id, {"sealed_secrets": sealed}, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "email.secrets", key, {"fields": sorted(given)})
    return {"msg": f"Secrets updated for EmailConfig with key: {key}.", "test_status": None, "failure_reason": None}


def list_configs(means: Means, page: int, size: int) -> Page:
    """The configuration, as a page."""
    with means.database.read() as connection:
        row = store.find(connection)
    shown = [] if row is None else [row.described()]
    return Page(shown if page == 1 else [], len(shown), page, size)


def read_config(means: Means, key: str) -> dict[str, Any]:
    """The configuration of that key; raises NotFound."""
    with means.database.read() as connection:
        return _found(connection, key).described()


def delete_config(means: Means, actor: Actor, key: str) -> None:
    """Delete it with its secrets; raises NotFound. Messages wait until there is another."""
    with means.database.begin() as connection:
        store.remove(connection, _found(connection, key).id)
        audit.append(connection, means.clock, actor.client_id, "email.deleted", key, None)


def _checked(given: EmailConfigInput) -> dict[str, Any]:
    check_model(vendor_class(given.service_type).details_model, given.details, "details")
    return {"name": given.name, "service_type": given.service_type, "details": given.details}


def _found(connection: Connection, key: str) -> store.EmailConfigRow:
    row = store.find(connection)
    if row is None or row.key != key:
        raise NotFound(f"No email config found with key {key}")
    return row
