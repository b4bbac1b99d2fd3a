"""The graph: all collections of all bound datasets, and the references between them, merged.

A catalog is what a plan is made of: datasets, each with its connection and, where the store has one, its
live schema. Building the graph decides nothing about a request: no identity kind, no policy, no direction
that the datasets leave open. Pure.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from habeas.core.address import CollectionAddress
from habeas.core.schema import ColumnSchema, ForeignKey, StoreSchema, TableName, TableSchema, TypeFamily
from habeas.dataset.model import Collection, Dataset, Direction, Field, Ownership, Reference
from habeas.plan.model import Inside

Paths = tuple[str, ...]
Flow = Literal["left_to_right", "either"]


class BoundDataset(msgspec.Struct, frozen=True):
    """A dataset with the connection it lives behind. `schema` None with `problem` None: the store has no
    schema to compare with; `problem` says why the schema could not be read. `database`: the one that is connected,
    None where the kind of store has no names for them.
    """

    dataset: Dataset
    connection: str
    access: Literal["read", "write"] = "write"
    disabled: bool = False
    schema: StoreSchema | None = None
    problem: str | None = None
    database: str | None = None


class Catalog(msgspec.Struct, frozen=True):
    """All bound datasets of an installation, in any order."""

    datasets: tuple[BoundDataset, ...]

    def version(self) -> str:
        """Hex SHA-256 over everything a plan may read; independent of the order of datasets, collections
        and fields. Row estimates are left out, since they change by themselves.
        """
        seen: set[int] = set()
        parts: list[Any] = []
        for bound in sorted(self.datasets, key=lambda each: each.dataset.fides_key):
            schema = bound.schema
            if schema is not None and id(schema) in seen:
                schema = None
            elif schema is not None:
                seen.add(id(schema))
            parts.append(
                (
                    _ordered(bound.dataset),
                    bound.connection,
                    bound.access,
                    bound.disabled,
                    bound.problem is not None,
                    sorted((_steady(table) for table in schema.tables), key=lambda each: str(each.table))
                    if schema
                    else None,
                )
            )
        return hashlib.sha256(_ENCODER.encode(parts)).hexdigest()


def _steady(table: TableSchema) -> TableSchema:
    return msgspec.structs.replace(table, estimated_rows=0)


def _ordered(dataset: Dataset) -> Dataset:
    collections = sorted(dataset.collections, key=lambda each: each.name)
    ordered = (msgspec.structs.replace(each, fields=_ordered_fields(each.fields)) for each in collections)
    return msgspec.structs.replace(dataset, collections=tuple(ordered), raw={})


def _ordered_fields(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(
        msgspec.structs.replace(
            each,
            fields=_ordered_fields(each.fields),
            references=tuple(sorted(each.references, key=lambda one: _ENCODER.encode(one))),
        )
        if each.fields or each.references
        else each
        for each in sorted(fields, key=lambda one: one.name)
    )


_ENCODER = msgspec.json.Encoder(order="sorted", enc_hook=str)


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """A collection with its dataset, and its live table where the store has one."""

    address: CollectionAddress
    bound: BoundDataset
    collection: Collection
    fields: Mapping[str, Field]
    declared_key: Paths
    table_name: TableName
    table: TableSchema | None
    live: Mapping[str, ColumnSchema]
    people: bool

    @property
    def dataset(self) -> Dataset:
        """The dataset that describes the collection."""
        return self.bound.dataset

    @property
    def excluded(self) -> str | None:
        """Why the collection is never searched, None if it may be."""
        if self.collection.skip_processing:
            return "skip_processing"
        return self.collection.excluded or self.dataset.excluded

    def knows(self, path: str) -> bool:
        """Whether the dataset declares the field or the live table has the column."""
        return path in self.fields or path in self.live

    def inside(self, path: str) -> Inside | None:
        """Where a field's values lie inside a column; None where the column itself is the value."""
        base, *names = path.split(".")
        live, field = self.live.get(base), self.fields.get(path)
        is_document = live is not None and live.type.family in (TypeFamily.ARRAY, TypeFamily.JSON)
        if not names and not is_document and not (field is not None and field.is_array):
            return None
        prefixes = (".".join((base, *names)[:end]) for end in range(1, len(names) + 2))
        around = (self.fields.get(prefix) for prefix in prefixes)
        return Inside(base, tuple(names), any(each is not None and each.return_all_elements for each in around))

    def is_key(self, paths: Paths) -> bool:
        """Whether one tuple of values finds one row at most, by the declared or a live key; elements never do."""
        if any(self.inside(path) is not None for path in paths):
            return False
        columns = frozenset(paths)
        if self.declared_key and columns.issuperset(self.declared_key):
            return True
        return self.table is not None and self.table.is_key(columns)


class Edge(msgspec.Struct, frozen=True):
    """A tuple reference between two collections; path i of the left matches path i of the right.

    `flow` left_to_right is a declared direction, with the source on the left; `either` is left open, with
    the smaller address on the left. `declared_by` are the collections whose fields hold the declaration.
    `ownerships` are the distinct declared ones, without `auto`.
    """

    left: CollectionAddress
    left_paths: Paths
    right: CollectionAddress
    right_paths: Paths
    flow: Flow
    ownerships: tuple[Ownership, ...] = ()
    declared_by: tuple[CollectionAddress, ...] = ()


class Fault(NamedTuple):
    """Something in a declaration that can't be followed. `cause` is one word; `refuses` whether a plan that
    searches `where` can't be made, or is only warned.
    """

    where: CollectionAddress
    path: str
    cause: str
    message: str
    fix: str
    refuses: bool


class Incoming(NamedTuple):
    """A live foreign key, seen from the table it points to."""

    holder: TableSchema
    key: ForeignKey


@dataclass(frozen=True, eq=False)
class Graph:
    """Everything that is declared and introspected, indexed. Nodes and edges are in order of address."""

    nodes: Mapping[CollectionAddress, Node]
    edges: tuple[Edge, ...]
    faults: tuple[Fault, ...]
    by_table: Mapping[tuple[str, TableName], tuple[CollectionAddress, ...]]
    incoming: Mapping[tuple[str, TableName], tuple[Incoming, ...]]
    reference_paths: Mapping[CollectionAddress, frozenset[str]]
    kinds: frozenset[str] = field(default_factory=frozenset)

    def pointing_at(self, node: Node) -> tuple[Incoming, ...]:
        """Live foreign keys of any table of the same connection that point to the node's table."""
        return self.incoming.get((node.bound.connection, node.table_name), ())

    def step_of(self, connection: str, table: TableName) -> tuple[CollectionAddress, ...]:
        """Collections that describe a table, in order of address."""
        return self.by_table.get((connection, table), ())


def build_graph(catalog: Catalog) -> Graph:
    """All collections and references of the catalog. What can't be resolved is in `faults`."""
    nodes = {node.address: node for node in sorted(_nodes(catalog), key=lambda node: node.address)}
    faults: list[Fault] = []
    declared = list(_declarations(nodes, faults))
    edges = _merge(declared)
    reference_paths: dict[CollectionAddress, set[str]] = defaultdict(set)
    for edge in edges:
        reference_paths[edge.left].update(edge.left_paths)
        reference_paths[edge.right].update(edge.right_paths)
    by_table: dict[tuple[str, TableName], list[CollectionAddress]] = defaultdict(list)
    for node in nodes.values():
        by_table[node.bound.connection, node.table_name].append(node.address)
    return Graph(
        nodes=nodes,
        edges=edges,
        faults=tuple(sorted(faults)),
        by_table={key: tuple(found) for key, found in by_table.items()},
        incoming=_incoming(catalog),
        reference_paths={address: frozenset(paths) for address, paths in reference_paths.items()},
        kinds=frozenset(each.identity for node in nodes.values() for each in node.fields.values() if each.identity),
    )


def _nodes(catalog: Catalog) -> Iterator[Node]:
    tables: dict[int, Mapping[TableName, TableSchema]] = {}
    for bound in catalog.datasets:
        schema = bound.schema
        if schema is not None and id(schema) not in tables:
            tables[id(schema)] = schema.by_name()
        known = tables[id(schema)] if schema is not None else {}
        namespace = _namespace(bound.dataset, known)
        for collection in bound.dataset.collections:
            fields = dict(collection.leaves())
            name = TableName(collection.name, namespace)
            table = known.get(name)
            yield Node(
                address=CollectionAddress(bound.dataset.fides_key, collection.name),
                bound=bound,
                collection=collection,
                fields=fields,
                declared_key=tuple(sorted(path for path, each in fields.items() if each.primary_key)),
                table_name=name,
                table=table,
                live={column.name: column for column in table.columns} if table else {},
                people=collection.holds_people,
            )


def _namespace(dataset: Dataset, known: Mapping[TableName, TableSchema]) -> str | None:
    """The schema's name as the store's tables carry it: none for the default schema, also where it was named."""
    if dataset.schema is None or not known or any(name.schema == dataset.schema for name in known):
        return dataset.schema
    return None


class _Declared(NamedTuple):
    this: CollectionAddress
    that: CollectionAddress
    pairs: tuple[tuple[str, str], ...]  # (path here, path there)
    direction: Direction | None
    ownerships: frozenset[Ownership]


def _declarations(nodes: Mapping[CollectionAddress, Node], faults: list[Fault]) -> Iterator[_Declared]:
    datasets = {address.dataset for address in nodes}
    for node in nodes.values():
        groups: dict[tuple[CollectionAddress, str], list[tuple[str, Reference]]] = defaultdict(list)
        for path, each in node.fields.items():
            for number, reference in enumerate(each.references):
                that = CollectionAddress(reference.dataset, reference.collection)
                # Without a key a reference is a group of its own; NUL can't be in a declared name.
                name = reference.key or f"\0{path}\0{number}"
                groups[that, name].append((path, reference))
        for (that, _), members in groups.items():
            broken = [fault for path, each in members if (fault := _fault(node, path, each, nodes, datasets))]
            faults.extend(broken)
            if not broken:
                yield from _declared(node.address, that, members, faults)


def _fault(
    node: Node, path: str, reference: Reference, nodes: Mapping[CollectionAddress, Node], datasets: set[str]
) -> Fault | None:
    that = nodes.get(CollectionAddress(reference.dataset, reference.collection))
    target = f"{reference.dataset}:{reference.collection}:{reference.path}"
    if that is not None and that.knows(reference.path):
        return None
    if reference.dataset not in datasets:
        message = f"refers to {target}, in a dataset that isn't known; nothing is followed there"
        fix = f"add the dataset {reference.dataset}, or remove the reference"
        return Fault(node.address, path, "unknown_reference", message, fix, refuses=False)
    what = "collection" if that is None else "field"
    fix = f"correct the reference or declare the {what}"
    return Fault(node.address, path, "unknown_reference", f"refers to {target}; no such {what}", fix, refuses=True)


def _declared(
    this: CollectionAddress, that: CollectionAddress, members: list[tuple[str, Reference]], faults: list[Fault]
) -> Iterator[_Declared]:
    directions = {each.direction for _, each in members} - {None}
    if len(directions) > 1:
        message = f"has references to {that} with one key but different directions"
        faults.append(Fault(this, members[0][0], "direction", message, "give all of them one direction", refuses=True))
        return
    yield _Declared(
        this,
        that,
        tuple(sorted({(path, each.path) for path, each in members})),
        next(iter(directions), None),
        frozenset(each.ownership for _, each in members) - {"auto"},
    )


_Ends = tuple[CollectionAddress, CollectionAddress, tuple[tuple[str, str], ...]]


class _Merged:
    """What all declarations of one edge say together."""

    def __init__(self) -> None:
        self.ownerships: set[Ownership] = set()
        self.declared_by: set[CollectionAddress] = set()

    def add(self, each: _Declared) -> None:
        self.ownerships |= each.ownerships
        self.declared_by.add(each.this)

    def edge(self, ends: _Ends, flow: Flow) -> Edge:
        left, right, pairs = ends
        left_paths, right_paths = (tuple(side) for side in zip(*pairs, strict=True))
        ownerships, declared_by = tuple(sorted(self.ownerships)), tuple(sorted(self.declared_by))
        return Edge(left, left_paths, right, right_paths, flow, ownerships, declared_by)


def _merge(declared: list[_Declared]) -> tuple[Edge, ...]:
    directed: dict[_Ends, _Merged] = defaultdict(_Merged)
    for each in declared:
        if each.direction is not None:
            directed[_ends(each, source_is_this=each.direction == "to")].add(each)
    either: dict[_Ends, _Merged] = defaultdict(_Merged)
    for each in declared:
        if each.direction is None:
            _place_open(each, directed, either)
    edges = [merged.edge(ends, "left_to_right") for ends, merged in directed.items()]
    edges += [merged.edge(ends, "either") for ends, merged in either.items()]
    return tuple(sorted(edges, key=lambda edge: (edge.left, edge.right, edge.left_paths, edge.right_paths)))


def _place_open(each: _Declared, directed: Mapping[_Ends, _Merged], either: dict[_Ends, _Merged]) -> None:
    """An open declaration of an edge that is directed elsewhere says the same edge, not its way back."""
    ways = (_ends(each, source_is_this=True), _ends(each, source_is_this=False))
    known = [way for way in ways if way in directed]
    for way in known:
        directed[way].add(each)
    if not known:
        either[ways[0] if each.this <= each.that else ways[1]].add(each)


def _ends(each: _Declared, *, source_is_this: bool) -> _Ends:
    if source_is_this:
        return each.this, each.that, each.pairs
    return each.that, each.this, tuple(sorted((there, here) for here, there in each.pairs))


def _incoming(catalog: Catalog) -> dict[tuple[str, TableName], tuple[Incoming, ...]]:
    incoming: dict[tuple[str, TableName], list[Incoming]] = defaultdict(list)
    seen: set[tuple[str, TableName, ForeignKey]] = set()
    for bound in catalog.datasets:
        tables = bound.schema.tables if bound.schema else ()
        for table, key in ((each, key) for each in tables for key in each.foreign_keys):
            if (bound.connection, table.table, key) not in seen:
                seen.add((bound.connection, table.table, key))
                incoming[bound.connection, key.table].append(Incoming(table, key))
    return {
        at: tuple(sorted(found, key=lambda each: (str(each.holder.table), each.key.columns)))
        for at, found in incoming.items()
    }
