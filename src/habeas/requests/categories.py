"""Data categories of an operator's own, below the taxonomy's or beside them: made, described, listed, deleted.

A key never changes, since datasets and targets name it. What is in use is never deleted. Keys of the
taxonomy itself, today's and former ones, are never made, changed or deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

from pydantic import model_validator
from sqlalchemy import Connection

from habeas.core.errors import BadInput, Conflict, Forbidden, NotFound
from habeas.core.taxonomy import CATEGORIES, current, nearest
from habeas.dataset.model import Dataset, Field
from habeas.requests.clients import Actor
from habeas.requests.datasets import placed_datasets
from habeas.requests.inputs import Body, Description, Key, Name, without_answer_fields
from habeas.requests.means import Means
from habeas.store import audit
from habeas.store import categories as store
from habeas.store.session import new_id

_SHOWN_USES = 10

_FIDES_ONLY = ("organization_fides_key", "tags", "version_added", "version_deprecated", "replaced_by")


class CategoryInput(Body):
    """A category as given, in fides' shape. `parent_key` is what stands before the key's last dot."""

    fides_key: Key
    name: Name | None = None
    description: Description | None = None
    parent_key: Key | None = None
    is_default: Literal[False] = False
    active: Literal[True] = True

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_answer_fields(value, *_FIDES_ONLY)


def create_category(means: Means, actor: Actor, given: CategoryInput) -> dict[str, Any]:
    """Make a category. Raises BadInput for a key or parent that can't be, Conflict where the key is there already."""
    key = given.fides_key
    if key in CATEGORIES:
        raise Conflict(f"{key} is a category of the taxonomy", fix="name it as it is, without making it")
    parent = _parent(given)
    with means.database.begin() as connection:
        if store.find(connection, key) is not None:
            raise Conflict(f"A data category with fides_key {key} already exists.", fix="PUT changes it")
        _check_parent(parent, store.hold(connection))
        values = {"id": new_id("cat"), "fides_key": key, "parent_key": parent}
        described = {"name": given.name, "description": given.description}
        store.add(connection, values | described, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "data_category.saved", key, None)
        return _described(_found(connection, key))


def change_category(means: Means, actor: Actor, given: CategoryInput) -> dict[str, Any]:
    """Change name and description; what is left out stays. Raises NotFound, BadInput, or Forbidden for the taxonomy's
    own.
    """
    _refuse_standard(given.fides_key)
    _parent(given)
    with means.database.begin() as connection:
        row = _found(connection, given.fides_key)
        values = given.model_dump(include={"name", "description"}, exclude_unset=True)
        store.change(connection, row.id, values, means.clock.now())
        detail = {"fields": sorted(values)}
        audit.append(connection, means.clock, actor.client_id, "data_category.saved", row.fides_key, detail)
        return _described(_found(connection, row.fides_key))


def list_categories(means: Means) -> list[dict[str, Any]]:
    """The whole taxonomy by key: the standard categories (`is_default`), and the operator's own."""
    with means.database.read() as connection:
        own = {row.fides_key: _described(row) for row in store.list_all(connection)}
    known = {key: _standard(key) for key in CATEGORIES} | own
    return [known[key] for key in sorted(known)]


def read_category(means: Means, key: str) -> dict[str, Any]:
    """One category, standard or own; raises NotFound."""
    if key in CATEGORIES:
        return _standard(key)
    with means.database.read() as connection:
        return _described(_found(connection, key))


def delete_category(means: Means, actor: Actor, key: str) -> dict[str, Any]:
    """Delete a category; gives it as it was. Raises NotFound, Forbidden for the taxonomy's own, Conflict naming where
    it is in use.
    """
    _refuse_standard(key)
    with means.database.begin() as connection:
        row = store.claim(connection, key)
        if row is None:
            raise _unknown(key)
        uses = list(islice(_uses(connection, key), _SHOWN_USES + 1))
        if uses:
            shown = ", ".join(uses[:_SHOWN_USES]) + (" and others" if len(uses) > _SHOWN_USES else "")
            raise Conflict(f"data category {key} is in use: {shown}", fix="take it out there first")
        store.remove(connection, row.id)
        audit.append(connection, means.clock, actor.client_id, "data_category.deleted", key, None)
    return _described(row)


def _parent(given: CategoryInput) -> str | None:
    """The parent that the key names. Raises BadInput for a key that is none, or another parent given beside it."""
    key = given.fides_key
    if "" in key.split("."):
        raise BadInput(f"{key!r} has an empty part", where="fides_key", fix="write words joined by single dots")
    today = current(key)
    if today is not None:
        raise BadInput(f"{key} is a former key of {today}", where="fides_key", fix=f"use {today}, or another key")
    parent = key.rpartition(".")[0] or None
    if given.parent_key not in (None, parent):
        fix = f"write {parent}, or leave it out" if parent else "leave it out: a key without a dot is a root"
        raise BadInput(f"is not what {key} lies below", where="parent_key", fix=fix)
    return parent


def _check_parent(parent: str | None, own: frozenset[str]) -> None:
    if parent is None or parent in CATEGORIES or parent in own:
        return
    today = current(parent)
    near = today or nearest(parent, own)
    fix = f"did you mean {near}?" if near else "make the parent first"
    said = f"is a former key of {today}" if today else "is no data category"
    raise BadInput(f"the parent {parent} {said}", where="fides_key", fix=fix)


def _refuse_standard(key: str) -> None:
    if key in CATEGORIES:
        raise Forbidden(f"{key} is a category of the taxonomy and stays as it is")


def _uses(connection: Connection, key: str) -> Iterator[str]:
    """Where a category is named: categories below it, targets of rules, fields of datasets."""
    for row in store.list_all(connection):
        if row.parent_key == key:
            yield f"data category {row.fides_key}"
    for use in store.targets_of(connection, key):
        yield f"target {use.target} of rule {use.rule} of policy {use.policy}"
    for placed in placed_datasets(connection):
        yield from _uses_in(placed.dataset, key)


def _uses_in(dataset: Dataset, key: str) -> Iterator[str]:
    if key in dataset.data_categories:
        yield f"dataset {dataset.fides_key}"
    for collection in dataset.collections:
        address = f"{dataset.fides_key}:{collection.name}"
        if key in collection.data_categories:
            yield f"collection {address}"
        yield from (f"field {address}:{path}" for path in _fields_of(collection.fields, key, ""))


def _fields_of(fields: tuple[Field, ...], key: str, prefix: str) -> Iterator[str]:
    for field in fields:
        path = f"{prefix}{field.name}"
        if key in field.data_categories:
            yield path
        yield from _fields_of(field.fields, key, f"{path}.")


def _standard(key: str) -> dict[str, Any]:
    empty = dict.fromkeys(("name", "description", "created_at", "updated_at"))
    return {"fides_key": key, "parent_key": key.rpartition(".")[0] or None, "is_default": True, **empty}


def _described(row: store.CategoryRow) -> dict[str, Any]:
    shown = {name: value for name, value in row._asdict().items() if name != "id"}
    return shown | {"is_default": False}


def _found(connection: Connection, key: str) -> store.CategoryRow:
    row = store.find(connection, key)
    if row is None:
        raise _unknown(key)
    return row


def _unknown(key: str) -> NotFound:
    return NotFound(f"No data category found with fides_key {key}.")
