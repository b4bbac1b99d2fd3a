"""Addresses of collections and fields: parse, print, compare. Never looks anything up."""

from __future__ import annotations

from typing import NamedTuple

from habeas.core.errors import BadInput


class CollectionAddress(NamedTuple):
    """`dataset:collection`. Orders by code point, dataset first."""

    dataset: str
    collection: str

    def __str__(self) -> str:
        return f"{self.dataset}:{self.collection}"

    @classmethod
    def parse(cls, text: str) -> CollectionAddress:
        """Read `dataset:collection`; raises BadInput for any other form."""
        dataset, colon, collection = text.partition(":")
        if not (dataset and colon and collection) or ":" in collection:
            raise BadInput("not a collection address", where=repr(text), fix="write dataset:collection")
        return cls(dataset, collection)

    def field(self, path: str) -> FieldAddress:
        """The address of a field of this collection; `path` is dotted."""
        return FieldAddress(self.dataset, self.collection, path)


class FieldAddress(NamedTuple):
    """`dataset:collection:path.to.field`. `path` is the dotted path of names."""

    dataset: str
    collection: str
    path: str

    def __str__(self) -> str:
        return f"{self.dataset}:{self.collection}:{self.path}"

    @property
    def owner(self) -> CollectionAddress:
        """The collection the field belongs to."""
        return CollectionAddress(self.dataset, self.collection)

    @classmethod
    def parse(cls, text: str) -> FieldAddress:
        """Read `dataset:collection:path`; raises BadInput for any other form."""
        parts = text.split(":")
        if len(parts) != 3 or not all(parts):
            raise BadInput("not a field address", where=repr(text), fix="write dataset:collection:path.to.field")
        return cls(*parts)
