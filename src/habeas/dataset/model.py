"""The model of a dataset: the annotated schema that a company writes, in the vocabulary of fides.

Values only: reading text is `load`, problems are `check`. Nothing here knows a live store. Names keep
the spelling of the file. `raw` keeps the whole document as given, so that what habeas doesn't use is
shown again and never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

Direction = Literal["from", "to"]
Ownership = Literal["auto", "owned", "shared", "context"]
IdentityMatch = Literal["canonical", "exact"]


class StrategyChoice(msgspec.Struct, frozen=True):
    """A masking strategy by name with its configuration, as in a rule or an override."""

    strategy: str
    configuration: Mapping[str, Any] = {}


class Reference(msgspec.Struct, frozen=True):
    """A field points to a field elsewhere. `field` is `collection.path.to.field` of `dataset`.

    `key` groups references of one collection to one other into a tuple; direction None is oriented per
    plan (design: from the collection nearer to an identity).
    """

    dataset: str
    field: str
    direction: Direction | None = None
    key: str | None = None
    ownership: Ownership = "auto"

    @property
    def collection(self) -> str:
        """The collection the reference names."""
        return self.field.partition(".")[0]

    @property
    def path(self) -> str:
        """The dotted path within that collection."""
        return self.field.partition(".")[2]


class Field(msgspec.Struct, frozen=True):
    """A column or nested path. `data_categories` are today's keys, own ones before inheritance."""

    name: str
    data_categories: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    references: tuple[Reference, ...] = ()
    identity: str | None = None
    identity_match: IdentityMatch = "canonical"
    region: str | None = None
    primary_key: bool = False
    data_type: str | None = None  # without []
    is_array: bool = False
    length: int | None = None
    return_all_elements: bool = False
    read_only: bool = False
    masking_strategy_override: StrategyChoice | None = None
    description: str | None = None


class Collection(msgspec.Struct, frozen=True):
    """A table, document collection or endpoint. `after`/`erase_after` hold `dataset:collection`."""

    name: str
    fields: tuple[Field, ...]
    data_categories: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    erase_after: tuple[str, ...] = ()
    skip_processing: bool = False
    masking_strategy_override: StrategyChoice | None = None
    partitioning: Mapping[str, Any] | None = None
    person: bool | None = None
    excluded: str | None = None  # the reason
    description: str | None = None

    def leaves(self) -> Iterator[tuple[str, Field]]:
        """Every field with its dotted path, parents before children, in the file's order."""
        yield from _walk(self.fields, "")

    @property
    def holds_people(self) -> bool:
        """Whether rows are people: some field declares an identity, unless `person: false`."""
        return self.person is not False and any(field.identity for _, field in self.leaves())


class Dataset(msgspec.Struct, frozen=True):
    """One described system, or one schema of it."""

    fides_key: str
    collections: tuple[Collection, ...]
    name: str | None = None
    description: str | None = None
    data_categories: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    schema: str | None = None  # of fides_meta.namespace
    database_name: str | None = None
    excluded: str | None = None  # the reason
    raw: Mapping[str, Any] = {}

    def collection(self, name: str) -> Collection | None:
        """The collection of that exact name, or None."""
        return next((each for each in self.collections if each.name == name), None)


def _walk(fields: tuple[Field, ...], prefix: str) -> Iterator[tuple[str, Field]]:
    for field in fields:
        path = f"{prefix}{field.name}"
        yield path, field
        yield from _walk(field.fields, f"{path}.")
