"""Manual webhooks: fields that a person looks up for an access request, before it runs.

A request whose policy gives access waits as `requires_input` until each enabled webhook has an answer with its present
labels; an empty answer says "looked, found nothing". Answers are sealed and put into the package under the
connection's key. An erasure is never answered so (fidesops): nothing was written there that could be verified.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator
from sqlalchemy import Connection

from habeas.connectors.registry import connector_class
from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.deliver.base import TOLD
from habeas.requests.clients import Actor
from habeas.requests.finding import found_request
from habeas.requests.inputs import Body, clean
from habeas.requests.means import Means
from habeas.requests.model import Reason, Stage, Status, check_stage, check_status
from habeas.store import audit, connections
from habeas.store import manual_webhooks as store
from habeas.store import requests as request_store
from habeas.store.manual_webhooks import AnswerRow, WebhookRow
from habeas.store.session import new_id

MAX_FIELDS = 100
MAX_VALUE = 100_000  # characters of one answer

_SEALED = "manual-answer"

PiiField = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(clean)]
Label = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True), AfterValidator(clean)]


class NotPossible(Conflict):
    """What is there doesn't allow this (fidesops answers 400)."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "not_possible"


class AskedField(Body):
    """One thing to look up, and its name in the package; made of the former where it is left out."""

    pii_field: PiiField
    dsr_package_label: Label | None = None

    @property
    def label(self) -> str:
        """The name in the package."""
        return self.dsr_package_label or _snake(self.pii_field)


class ManualWebhookInput(Body):
    """The fields that a person is asked for."""

    fields: Annotated[list[AskedField], Field(min_length=1, max_length=MAX_FIELDS)]

    @field_validator("fields")
    @classmethod
    def _unique(cls, value: list[AskedField]) -> list[AskedField]:
        if len({each.pii_field for each in value}) < len(value):
            raise ValueError("pii_fields must be unique")
        if len({each.label for each in value}) < len(value):
            raise ValueError("dsr_package_labels must be unique, also those made of pii_fields")
        return value

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        ignored = ("id", "connection_config")
        return {key: each for key, each in value.items() if key not in ignored} if isinstance(value, dict) else value


def create(means: Means, actor: Actor, connection_key: str, given: ManualWebhookInput) -> dict[str, Any]:
    """Give a connection its manual webhook; raises NotFound, NotPossible where it has one or is of another type."""
    if connection_key in TOLD:
        raise NotPossible(f"{connection_key} is a word of the package itself", fix="use a connection of another key")
    with means.database.begin() as connection:
        owner = _owner(connection, connection_key)
        if store.find(connection, connection_key) is not None:
            raise NotPossible(
                f"connection {connection_key} has a manual webhook already", fix="PATCH changes it, DELETE removes it"
            )
        values = {"id": new_id("mwh"), "connection_id": owner.id, **_columns(given)}
        store.add(connection, values, means.clock.now())
        return _saved(connection, means, actor, connection_key, given)


def change(means: Means, actor: Actor, connection_key: str, given: ManualWebhookInput) -> dict[str, Any]:
    """Replace the fields of a manual webhook; answers to other labels count no more. Raises NotFound."""
    with means.database.begin() as connection:
        row = _found(connection, connection_key)
        store.change(connection, row.id, _columns(given), means.clock.now())
        return _saved(connection, means, actor, connection_key, given)


def read(means: Means, connection_key: str) -> dict[str, Any]:
    """The manual webhook of a connection; raises NotFound."""
    with means.database.read() as connection:
        return _described(connection, _found(connection, connection_key))


def list_enabled(means: Means) -> list[dict[str, Any]]:
    """All whose connection isn't disabled."""
    with means.database.read() as connection:
        return [_described(connection, row) for row in store.list_enabled(connection)]


def delete(means: Means, actor: Actor, connection_key: str) -> None:
    """Remove a manual webhook; requests that waited go on where no other is left. Raises NotFound."""
    with means.database.begin() as connection:
        store.remove(connection, _found(connection, connection_key).id)
        audit.append(connection, means.clock, actor.client_id, "manual_webhook.deleted", connection_key, None)
        release_waiting(connection, means)
    means.wake()


def release_waiting(connection: Connection, means: Means) -> None:
    """Let requests go on that waited for answers, once no enabled webhook is left.

    Call it after a connection changed, and wake the workers after the commit.
    """
    check_status(Status.REQUIRES_INPUT, Status.PENDING)
    check_stage(Stage.QUEUED, Stage.QUEUED)
    expected = {"status": Status.REQUIRES_INPUT, "stage": Stage.QUEUED, "reason": Reason.MANUAL}
    values = {
        "status": Status.PENDING,
        "reason": None,
        "reason_detail": None,
        "attempt": request_store.next_attempt(),
        "updated_at": means.clock.now(),
    }
    moved = store.release(connection, expected, values)
    entries = [audit.Entry("system", "privacy_request.resumed", each, {"cause": "no_webhook_left"}) for each in moved]
    audit.append_all(connection, means.clock, entries)


def answer(means: Means, actor: Actor, request_id: str, connection_key: str, given: Mapping[str, Any]) -> None:
    """Keep what a person found for a request, in place of what was given before.

    Raises NotFound, NotPossible unless the request waits for input, BadInput for a label that isn't asked for or a
    value that is no text.
    """
    with means.database.begin() as connection:
        request = found_request(connection, request_id)
        webhook = _found(connection, connection_key)
        fields = _checked(webhook, given)
        if request["status"] != Status.REQUIRES_INPUT or request["stage"] != Stage.QUEUED:
            raise NotPossible(
                f"Invalid access manual webhook upload request: privacy request '{request_id}' status ="
                f" {request['status']}.",
                fix="answers are taken while it waits for them",
            )
        sealed = means.vault.seal(_SEALED, msgspec.json.encode(fields), f"{request_id}/{connection_key}")
        now = means.clock.now()
        row = AnswerRow(request_id, connection_key, webhook.labels_digest, sealed, actor.client_id, now)
        store.put_answer(connection, row)
        detail: dict[str, Any] = {"connection": connection_key, "labels": sorted(fields)}
        audit.append(connection, means.clock, actor.client_id, "manual_webhook.answered", request_id, detail)


def view(means: Means, actor: Actor, request_id: str, connection_key: str) -> dict[str, Any]:
    """`{checked, fields}` of a request: null for what wasn't found. `checked` is false where nothing was answered, or
    where other fields are asked for since; then `fields` has what both have. The look is audited. Raises NotFound.
    """
    with means.database.begin() as connection:
        found_request(connection, request_id)
        webhook = _found(connection, connection_key)
        row = store.find_answer(connection, request_id, connection_key)
        detail = {"connection": connection_key}
        audit.append(connection, means.clock, actor.client_id, "manual_webhook.viewed", request_id, detail)
    answered = {} if row is None else opened(means, row)
    fields = {label: answered.get(label) for label in _labels(webhook)}
    return {"checked": row is not None and row.labels_digest == webhook.labels_digest, "fields": fields}


def opened(means: Means, row: AnswerRow) -> dict[str, str | None]:
    """What was answered, by label; every label that was asked for is there."""
    plain = means.vault.open(_SEALED, row.sealed_fields, f"{row.privacy_request_id}/{row.connection_key}")
    return msgspec.json.decode(plain, type=dict[str, str | None])


def check_answered(connection: Connection, request_id: str) -> None:
    """Raises NotPossible, naming the connections, where a request still waits for answers."""
    missing = store.unanswered(connection, request_id)
    if missing:
        raise NotPossible(
            f"Cannot resume privacy request '{request_id}': no answer yet for {', '.join(missing)}",
            fix=f"PATCH /api/v1/privacy-request/{request_id}/access_manual_webhook/{missing[0]}",
        )


def is_defined(means: Means, connection_key: str) -> bool:
    """Whether a connection has its fields."""
    with means.database.read() as connection:
        return store.find(connection, connection_key) is not None


def _checked(webhook: WebhookRow, given: Mapping[str, Any]) -> dict[str, str | None]:
    labels = _labels(webhook)
    unknown = sorted(set(given) - set(labels))
    if unknown:
        raise BadInput("no such field is asked for", where=_shortened(unknown[0]), fix=f"use {', '.join(labels)}")
    for label, value in given.items():
        if value is not None and not isinstance(value, str):
            raise BadInput("must be a text or null", where=label)
        if value is not None and len(value) > MAX_VALUE:
            raise BadInput(f"is longer than {MAX_VALUE} characters", where=label)
    return {label: given.get(label) for label in labels}


def _shortened(word: str) -> str:
    """A caller's own key, as a place in an error: only if it looks like a label, since it could hold anything."""
    return word if re.fullmatch(r"[A-Za-z0-9_ -]{1,64}", word) else "fields"


def _labels(webhook: WebhookRow) -> list[str]:
    return [each["dsr_package_label"] for each in webhook.fields]


def _owner(connection: Connection, key: str) -> connections.ConnectionRow:
    row = connections.find_connection(connection, key)
    if row is None:
        raise NotFound(f"No connection configuration found with key '{key}'.")
    if not connector_class(row.connection_type).capabilities.asks_fields:
        raise NotPossible(f"connection {key} is of type {row.connection_type}, not manual_webhook")
    return row


def _found(connection: Connection, connection_key: str) -> WebhookRow:
    _owner(connection, connection_key)
    row = store.find(connection, connection_key)
    if row is None:
        raise NotFound(f"No access manual webhook exists for connection config with key '{connection_key}'")
    return row


def _columns(given: ManualWebhookInput) -> dict[str, Any]:
    fields = [{"pii_field": each.pii_field, "dsr_package_label": each.label} for each in given.fields]
    return {"fields": fields, "labels_digest": _digest([each.label for each in given.fields])}


def _digest(labels: Collection[str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(labels))).hexdigest()


def _saved(
    connection: Connection, means: Means, actor: Actor, connection_key: str, given: ManualWebhookInput
) -> dict[str, Any]:
    detail: dict[str, Any] = {"labels": [each.label for each in given.fields]}
    audit.append(connection, means.clock, actor.client_id, "manual_webhook.saved", connection_key, detail)
    return _described(connection, _found(connection, connection_key))


def _described(connection: Connection, row: WebhookRow) -> dict[str, Any]:
    owner = connections.find_connection(connection, row.connection_key)
    return {
        "id": row.id,
        "fields": row.fields,
        "connection_config": None if owner is None else owner.described(),
    }


def _snake(text: str) -> str:
    """fidesops' label of a field: `Last Name` → `last_name`."""
    return re.sub(r"\s+", "_", text.strip()).lower()
