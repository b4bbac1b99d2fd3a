"""Datasets: saved from JSON or YAML, validated, listed, deleted; and all of them as values for a plan.

What is faulty in form is never stored. What only the whole can mend – a reference to a dataset that isn't
known yet, a collection that no identity reaches – is stored with a warning and fails validation. The
document is kept as given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from habeas.connectors.registry import connector_class
from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.dataset.check import check_datasets
from habeas.dataset.load import DatasetProblems, Loaded, Problem, read_datasets, read_document
from habeas.dataset.model import Dataset
from habeas.requests.bulk import MAX_ITEMS, Bulk, Failure, Page
from habeas.requests.clients import Actor
from habeas.requests.means import Means
from habeas.store import audit, categories, connections
from habeas.store import datasets as store
from habeas.store.session import new_id


class PlacedDataset(NamedTuple):
    """A stored dataset as a value, with what a plan needs to know of its connection."""

    dataset: Dataset
    version: str
    connection: str
    access: str
    disabled: bool


def save_documents(means: Means, actor: Actor, connection_key: str, documents: Sequence[Mapping[str, Any]]) -> Bulk:
    """Create or update datasets of a connection from parsed bodies, by `fides_key`.

    Raises NotFound for the connection; DatasetProblems with every fault of form of all documents.
    """
    loaded: list[Loaded] = []
    problems: list[Problem] = []
    own = _own_categories(means)
    for index, document in enumerate(documents):
        try:
            loaded.append(read_document(document, where=f"item {index + 1}", loc=("body", index), own=own))
        except DatasetProblems as found:
            problems.extend(found.problems)
    if problems:
        raise DatasetProblems(problems)
    return _save(means, actor, connection_key, loaded, own)


def save_text(means: Means, actor: Actor, connection_key: str, text: str) -> Bulk:
    """As `save_documents`, from YAML text with the top key `dataset`; problems name line and column."""
    own = _own_categories(means)
    loaded = read_datasets(text, name="body", own=own)
    if len(loaded.datasets) > MAX_ITEMS:
        raise BadInput(f"more than {MAX_ITEMS} datasets", where="dataset", fix="send them in several calls")
    return _save(means, actor, connection_key, [loaded], own)


def _own_categories(means: Means) -> frozenset[str]:
    with means.database.read() as connection:
        return categories.keys(connection)


def _save(means: Means, actor: Actor, connection_key: str, loaded: Sequence[Loaded], own: frozenset[str]) -> Bulk:
    """Save what was read with these categories of one's own; raises Conflict if one of them is gone meanwhile."""
    given = [dataset for each in loaded for dataset in each.datasets]
    bulk = Bulk()
    with means.database.begin() as connection:
        if not own <= categories.hold(connection):
            raise Conflict("a data category was deleted meanwhile", fix="send it again")
        owner = _connection(connection, connection_key)
        _refuse_outside(owner)
        problems = _problems(connection, given, loaded)
        bulk.warnings = [str(each) for each in problems if not each.refuses_saving]
        for dataset in given:
            try:
                _refuse_faulty(dataset, problems)
                bulk.succeeded.append(_save_one(means, actor, connection, owner, dataset))
            except (BadInput, Conflict) as problem:
                bulk.failed.append(Failure(str(problem), dict(dataset.raw)))
    means.sources.forget(connection_key)
    return bulk


def _refuse_outside(owner: connections.ConnectionRow) -> None:
    """Raises Conflict for a kind of system that no dataset can describe."""
    if not connector_class(owner.connection_type).capabilities.in_graph:
        raise Conflict(
            f"a connection of type {owner.connection_type} takes no datasets",
            where=owner.key,
            fix="what is asked of people is configured with the connection (docs/manual-work.md)",
        )


def _refuse_faulty(dataset: Dataset, problems: Iterable[Problem]) -> None:
    refused = [each for each in problems if each.dataset == dataset.fides_key and each.refuses_saving]
    if refused:
        raise DatasetProblems(refused)


def _save_one(
    means: Means, actor: Actor, connection: Connection, owner: connections.ConnectionRow, dataset: Dataset
) -> dict[str, Any]:
    key, body, now = dataset.fides_key, dict(dataset.raw), means.clock.now()
    version = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    known = store.find(connection, key)
    if known is None:
        row = {"id": new_id("dat"), "fides_key": key, "connection_id": owner.id, "body": body, "version": version}
        store.add(connection, row, now)
    elif known.connection_id != owner.id:
        raise Conflict(f"Dataset with key '{key}' already exists.", fix="it belongs to another connection")
    elif known.version != version:
        store.change(connection, known.id, body, version, now)
    audit.append(connection, means.clock, actor.client_id, "dataset.saved", key, {"connection": owner.key})
    return body


def _problems(connection: Connection, given: Sequence[Dataset], loaded: Iterable[Loaded]) -> list[Problem]:
    """What is wrong with the given datasets, seen together with all stored ones; and, as warnings, what they would
    break in those.
    """
    keys = {dataset.fides_key for dataset in given}
    stored = [placed.dataset for placed in placed_datasets(connection)]
    others = [dataset for dataset in stored if dataset.fides_key not in keys]
    present = {(each.dataset, each.message) for each in check_datasets(stored)}
    found: list[Problem] = []
    for each in check_datasets([*others, *given]):
        if each.dataset is None or each.dataset in keys:
            found.append(each)
        elif (each.dataset, each.message) not in present:
            found.append(msgspec.structs.replace(each, severity="warning"))
    for document in loaded:
        found = document.place(found)
    return found


def validate_document(means: Means, connection_key: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Check one dataset together with all stored ones, and store nothing.

    `{dataset, traversal_details: {is_traversable, msg}, warnings}`; raises DatasetProblems for faults of form,
    NotFound for the connection.
    """
    with means.database.read() as connection:
        loaded = read_document(document, where="dataset", own=categories.keys(connection))
        _connection(connection, connection_key)
        problems = _problems(connection, loaded.datasets, [loaded])
    errors = [str(each) for each in problems if each.severity == "error"]
    warnings = [str(each) for each in problems if each.severity == "warning"]
    details = {"is_traversable": not errors, "msg": "\n".join(errors) or None}
    return {"dataset": dict(document), "traversal_details": details, "warnings": warnings}


def list_documents(means: Means, connection_key: str, page: int, size: int) -> Page:
    """A connection's datasets as given, newest first; raises NotFound for the connection."""
    with means.database.read() as connection:
        owner = _connection(connection, connection_key)
        rows, total = store.list_page(connection, owner.id, offset=(page - 1) * size, limit=size)
    return Page([dict(row.body) for row in rows], total, page, size)


def read_document_of(means: Means, connection_key: str, fides_key: str) -> dict[str, Any]:
    """One dataset as given; raises NotFound unless it is this connection's."""
    with means.database.read() as connection:
        return dict(_found(connection, connection_key, fides_key).body)


def delete_document(means: Means, actor: Actor, connection_key: str, fides_key: str) -> None:
    """Delete a dataset; raises NotFound unless it is this connection's."""
    with means.database.begin() as connection:
        store.remove(connection, _found(connection, connection_key, fides_key).id)
        detail = {"connection": connection_key}
        audit.append(connection, means.clock, actor.client_id, "dataset.deleted", fides_key, detail)
    means.sources.forget(connection_key)


def placed_datasets(connection: Connection) -> list[PlacedDataset]:
    """Every stored dataset as a value, in order of key. Two statements."""
    own = categories.keys(connection)
    return [
        PlacedDataset(
            read_document(row.body, where=row.fides_key, own=own).datasets[0],
            row.version,
            row.connection_key,
            row.access,
            row.disabled,
        )
        for row in store.list_placed(connection)
    ]


def _connection(connection: Connection, key: str) -> connections.ConnectionRow:
    row = connections.find_connection(connection, key)
    if row is None:
        raise NotFound(f"No connection configuration found with key '{key}'.")
    return row


def _found(connection: Connection, connection_key: str, fides_key: str) -> store.DatasetRow:
    owner = _connection(connection, connection_key)
    row = store.find(connection, fides_key)
    if row is None or row.connection_id != owner.id:
        raise NotFound(f"No dataset with fides_key '{fides_key}' found for connection '{connection_key}'.")
    return row
