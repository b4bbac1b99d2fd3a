"""Every collection, field and reference of many datasets, with address and loc. Looks nothing up outside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from habeas.core.address import CollectionAddress
from habeas.dataset.model import Collection, Dataset, Field, Reference
from habeas.dataset.problem import Loc
from habeas.dataset.reader import META_KEYS


@dataclass(frozen=True)
class FieldPlace:
    """A field with its dotted path and its loc from the dataset's top."""

    path: str
    field: Field
    loc: Loc


@dataclass(frozen=True)
class CollectionPlace:
    """A collection with its address and its loc from the dataset's top."""

    dataset: Dataset
    collection: Collection
    loc: Loc

    @cached_property
    def address(self) -> CollectionAddress:
        """`dataset:collection`."""
        return CollectionAddress(self.dataset.fides_key, self.collection.name)

    @cached_property
    def fields(self) -> Mapping[str, FieldPlace]:
        """Every field by its dotted path, parents before children."""
        return {place.path: place for place in _fields(self.collection.fields, self.loc, "")}

    @property
    def in_graph(self) -> bool:
        """Whether traversals may visit it."""
        return not (self.dataset.excluded or self.collection.excluded or self.collection.skip_processing)

    @property
    def primary_key(self) -> frozenset[str]:
        """The declared primary key's paths."""
        return frozenset(path for path, place in self.fields.items() if place.field.primary_key)

    def meta_loc(self, loc: Loc, key: str) -> Loc:
        """The loc of a key under the `fides_meta` of what stands at `loc`."""
        return meta_loc(self.dataset, loc, key)


def meta_loc(dataset: Dataset, loc: Loc, key: str) -> Loc:
    """The loc of a key under `fides_meta`, by whichever of its names the document uses there."""
    node: Any = dataset.raw
    for part in loc:
        node = _step(node, part)
    for name in META_KEYS:
        if isinstance(node, Mapping) and isinstance(node.get(name), Mapping) and key in node[name]:
            return (*loc, name, key)
    return (*loc, META_KEYS[0], key)


@dataclass(frozen=True)
class ReferencePlace:
    """A reference, from the field that declares it to the field it names; `target` is None where that doesn't exist."""

    holder: CollectionPlace
    field: FieldPlace
    reference: Reference
    index: int
    target: CollectionPlace | None

    @property
    def loc(self) -> Loc:
        """Its loc from the dataset's top."""
        return (*self.holder.meta_loc(self.field.loc, "references"), self.index)

    @property
    def path(self) -> str:
        """Its place for people."""
        return f"{self.holder.address.field(self.field.path)} references[{self.index}]"

    @property
    def target_address(self) -> CollectionAddress:
        """The collection it names, existing or not."""
        return CollectionAddress(self.reference.dataset, self.reference.collection)

    @property
    def is_self(self) -> bool:
        """Whether both ends lie in one collection."""
        return self.target_address == self.holder.address


@dataclass(frozen=True)
class World:
    """All datasets that are looked at together. Of several with one key the first counts."""

    datasets: Sequence[Dataset]
    by_key: Mapping[str, Dataset] = field(init=False)
    collections: Mapping[CollectionAddress, CollectionPlace] = field(init=False)
    references: tuple[ReferencePlace, ...] = field(init=False)

    def __post_init__(self) -> None:
        by_key: dict[str, Dataset] = {}
        for dataset in self.datasets:
            by_key.setdefault(dataset.fides_key, dataset)
        places = [
            CollectionPlace(dataset, collection, ("collections", index))
            for dataset in by_key.values()
            for index, collection in enumerate(dataset.collections)
        ]
        object.__setattr__(self, "by_key", by_key)
        object.__setattr__(self, "collections", {place.address: place for place in places})
        object.__setattr__(self, "references", tuple(self._references(places)))

    def _references(self, places: Sequence[CollectionPlace]) -> Iterator[ReferencePlace]:
        for holder in places:
            for each in holder.fields.values():
                for index, reference in enumerate(each.field.references):
                    address = CollectionAddress(reference.dataset, reference.collection)
                    yield ReferencePlace(holder, each, reference, index, self.collections.get(address))


def _fields(fields: Sequence[Field], loc: Loc, prefix: str) -> Iterator[FieldPlace]:
    for index, each in enumerate(fields):
        here = (*loc, "fields", index)
        yield FieldPlace(f"{prefix}{each.name}", each, here)
        yield from _fields(each.fields, here, f"{prefix}{each.name}.")


def _step(node: Any, part: str | int) -> Any:
    if isinstance(node, Mapping):
        return node.get(part)
    if isinstance(node, list) and isinstance(part, int) and part < len(node):
        return node[part]
    return None
