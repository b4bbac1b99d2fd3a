"""Assembly: kept collections become numbered steps with keys, columns, seeds, links and pointings.

Types and keys come from the live schema where there is one. What the schema lacks is a problem with the
field's address. Masks come later. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from habeas.core.address import CollectionAddress
from habeas.core.errors import Refused
from habeas.core.schema import ColumnType, TypeFamily
from habeas.dataset.model import Field
from habeas.plan.draft import Draft
from habeas.plan.graph import Graph, Node, Paths
from habeas.plan.inside import compared_column, compared_name, refuse_tuple, refuse_unreadable
from habeas.plan.model import Caution, Column, Link, Output, Pointing, Rival, Seed, Step
from habeas.plan.order import Run
from habeas.plan.own import own_seeds
from habeas.plan.ownership import (
    Pointed,
    Pointers,
    RivalTest,
    is_followed,
    is_identifying,
    people_above,
    rivals_of,
)
from habeas.plan.passes import needs_pointings
from habeas.plan.scans import serves_link, serves_seed
from habeas.plan.traverse import Followed, seed_paths

DECLARED_TYPES: Mapping[str, TypeFamily] = {
    "string": TypeFamily.TEXT,
    "text": TypeFamily.TEXT,
    "object_id": TypeFamily.TEXT,
    "integer": TypeFamily.INTEGER,
    "float": TypeFamily.FLOAT,
    "decimal": TypeFamily.DECIMAL,
    "boolean": TypeFamily.BOOLEAN,
    "date": TypeFamily.DATE,
    "time": TypeFamily.TIME,
    "datetime": TypeFamily.TIMESTAMP,
    "timestamp": TypeFamily.TIMESTAMP,
    "uuid": TypeFamily.UUID,
    "bytes": TypeFamily.BINARY,
    "object": TypeFamily.JSON,
    "json": TypeFamily.JSON,
}
"""Families of the types a dataset may declare; fidesops' `string` to `object_id`, and ours."""


def assemble_steps(draft: Draft) -> Draft:
    """Number the steps in order of their runs and give each what it reads and how its rows are found."""
    order = [address for run in draft.runs for address in run.members]
    assembly = _Assembly(draft, {address: index for index, address in enumerate(order)})
    steps = tuple(assembly.step(address) for address in order)
    problems = [problem for address in order for problem in assembly.problems(address)]
    datasets = {address.dataset: draft.graph.nodes[address].bound for address in order}
    nameless = [name for name, bound in datasets.items() if bound.dataset.database_name and bound.database is None]
    warnings = [Caution(name, "database_name", _NAMELESS, "leave it out") for name in nameless]
    return replace(draft, steps=steps, problems=(*draft.problems, *problems), warnings=(*draft.warnings, *warnings))


_NAMELESS = "namespace.database_name isn't compared: the connection's kind of store has no names of databases"


def key_of(node: Node) -> Paths:
    """The declared primary key, else the store's, else its shortest unique key without NULLs, rather one that
    holds no personal data; () if none.
    """
    if node.table is not None and node.table.inherited:
        return ()  # whatever is declared: rows of other tables show under the same keys
    if node.declared_key:
        live = node.table.primary_key if node.table else ()
        return live if set(live) == set(node.declared_key) else node.declared_key
    if node.table is None:
        return ()
    if node.table.primary_key:
        return node.table.primary_key
    sound = [key for key in node.table.uniques if not any(node.live[name].nullable for name in key)]
    return min(sound, key=lambda key: (_is_personal(node, key), len(key), key), default=())


def _is_personal(node: Node, key: Paths) -> bool:
    """Whether the key's values are data about somebody, as far as its types tell."""
    return any(node.live[name].type.family not in (TypeFamily.INTEGER, TypeFamily.UUID) for name in key)


def column_type(node: Node, name: str) -> ColumnType:
    """The live type; the declared one where the store has none, or one that habeas doesn't know."""
    field, live = node.fields.get(name), node.live.get(name)
    family = _declared_family(field)
    if live is None:
        length = field.length if field else None
        return ColumnType(family, field.data_type or "" if field else "", length)
    lengths = [each for each in (live.type.length, field.length if field else None) if each is not None]
    if live.type.family is not TypeFamily.OTHER and min(lengths, default=None) == live.type.length:
        return live.type
    return ColumnType(
        family if live.type.family is TypeFamily.OTHER else live.type.family,
        live.type.native,
        min(lengths, default=None),
        live.type.values,
    )


def _declared_family(field: Field | None) -> TypeFamily:
    if field is None or field.data_type is None:
        return TypeFamily.JSON if field is not None and field.fields else TypeFamily.OTHER
    return TypeFamily.ARRAY if field.is_array else DECLARED_TYPES.get(field.data_type, TypeFamily.OTHER)


def reference_columns(graph: Graph, node: Node) -> frozenset[str]:
    """Columns that take part in a declared reference or a live foreign key, at either end."""
    own = (key.columns for key in node.table.foreign_keys) if node.table else ()
    pointed = (incoming.key.target_columns for incoming in graph.pointing_at(node))
    declared = graph.reference_paths.get(node.address, frozenset())
    return declared.union(*own, *pointed)


@dataclass(frozen=True)
class _Found:
    """How rows of one collection are found, still by address."""

    seeds: Paths
    links: tuple[tuple[Followed, tuple[RivalTest, ...]], ...]
    pointed: tuple[Pointed, ...]


class _Assembly:
    """Everything about all steps that one step needs to know."""

    def __init__(self, draft: Draft, index: Mapping[CollectionAddress, int]) -> None:
        self._draft = draft
        self._graph = draft.graph
        self._index = index
        self._used: dict[CollectionAddress, set[str]] = defaultdict(set)
        self._inside: dict[CollectionAddress, dict[str, Column]] = defaultdict(dict)
        self._number = iter(range(len(draft.traversal.links())))
        self._pointers = pointers = draft.pointers or Pointers(draft.graph)
        above = people_above(draft.graph, draft.traversal, draft.standings)
        self._found = {address: self._find(address, pointers, above) for address in index}
        for address in index:
            self._use(address)

    def _find(
        self,
        address: CollectionAddress,
        pointers: Pointers,
        above: Mapping[CollectionAddress, Collection[CollectionAddress]],
    ) -> _Found:
        draft = self._draft
        links = tuple(
            (link, rivals_of(draft.graph, pointers, link, draft.points[link], above))
            for link in draft.links_into(address)
        )
        pointed = tuple(self._pointed(address, pointers)) if needs_pointings(draft, address) else ()
        return _Found(seed_paths(draft.graph.nodes[address], draft.kinds), links, pointed)

    def _pointed(self, address: CollectionAddress, pointers: Pointers) -> Iterator[Pointed]:
        """What points to rows of the collection; of another store only what a link doesn't bring by itself."""
        auto = [link for link in self._draft.links_into(address) if link.ownership == "auto"]
        tested = [link for link in auto if self._draft.points[link] == "to_target"]
        for each in pointers.at(address):
            if not each.far or any(not is_followed(link, each) for link in tested):
                yield each

    def _use(self, address: CollectionAddress) -> None:
        node, found, selection = self._graph.nodes[address], self._found[address], self._draft.selection(address)
        used = self._used
        used[address].update(key_of(node))
        used[address].update(each.path.partition(".")[0] for each in (*selection.outputs, *selection.erasures))
        self._compare(address, found.seeds)
        for link, rivals in found.links:
            self._compare(address, link.paths)
            self._compare(link.source, link.source_paths)
            for rival in rivals:
                self._compare(address, rival.columns)
                self._compare(rival.people, rival.people_columns)
        for each in found.pointed:
            self._compare(address, each.target_columns)
            if each.collection is not None and each.collection in self._index:
                self._compare(each.collection, each.columns)

    def _compare(self, address: CollectionAddress, paths: Paths) -> None:
        """Fields that something is compared with: columns, or values inside one."""
        for path in paths:
            column = compared_column(self._graph, self._graph.nodes[address], path)
            if column is None or column.inside is None:
                self._used[address].add(path)
            else:
                self._used[address].add(column.inside.column)
                self._inside[address][path] = column

    def _named(self, address: CollectionAddress, paths: Paths) -> tuple[str, ...]:
        """The plan's names of fields that something is compared with."""
        return tuple(compared_name(self._graph.nodes[address], path) for path in paths)

    def _type(self, node: Node, path: str) -> ColumnType:
        inside = compared_column(self._graph, node, path)
        return column_type(node, path) if inside is None else inside.type

    def step(self, address: CollectionAddress) -> Step:
        """The step of a collection, without masks."""
        node, found = self._graph.nodes[address], self._found[address]
        key = key_of(node)
        names = (*key, *sorted(self._used[address].difference(key)))
        shown = reference_columns(self._graph, node).union(key)
        return Step(
            index=self._index[address],
            address=str(address),
            connection=node.bound.connection,
            table=node.table_name,
            fingerprint=node.table.fingerprint if node.table else "",
            columns=(
                *(self._column(node, name, shown) for name in names),
                *(column for _, column in sorted(self._inside[address].items())),
            ),
            key=key,
            view=node.table is not None and node.table.is_view,
            people=node.people,
            witness=self._pointers.is_asked(address),
            seeds=tuple(self._seed(node, path) for path in found.seeds),
            links=tuple(self._link(node, link, rivals) for link, rivals in found.links),
            pointings=tuple(self._pointing(address, each) for each in found.pointed),
            output=tuple(self._outputs(node, shown)),
        )

    def _column(self, node: Node, name: str, shown: frozenset[str]) -> Column:
        live, field = node.live.get(name), node.fields.get(name)
        identifying = name not in shown and is_identifying(field.identity if field else None, _categories(node, name))
        return Column(name, column_type(node, name), live.nullable if live else True, identifying)

    def _seed(self, node: Node, path: str) -> Seed:
        field = node.fields[path]
        kind, region = field.identity or "", field.region or self._draft.region
        indexed = serves_seed(node, path, kind, field.identity_match)
        return Seed(compared_name(node, path), kind, field.identity_match, region, indexed)

    def _link(self, node: Node, link: Followed, rivals: tuple[RivalTest, ...]) -> Link:
        source = self._graph.nodes[link.source]
        pairs = zip(link.paths, link.source_paths, strict=True)
        native = all(_comparable(self._type(node, here), self._type(source, there)) for here, there in pairs)
        return Link(
            id=next(self._number),
            source=self._index[link.source],
            source_columns=self._named(link.source, link.source_paths),
            columns=self._named(link.target, link.paths),
            points=self._draft.points[link],
            ownership=link.ownership,
            compare="native" if native else "text",
            rivals=tuple(self._rival(link.target, each) for each in rivals),
            indexed=serves_link(node, link.paths),
        )

    def _rival(self, target: CollectionAddress, rival: RivalTest) -> Rival:
        columns, people_columns = self._named(target, rival.columns), self._named(rival.people, rival.people_columns)
        return Rival(columns, self._index[rival.people], people_columns, rival.standing)

    def _pointing(self, address: CollectionAddress, pointed: Pointed) -> Pointing:
        target_columns, holder = self._named(address, pointed.target_columns), pointed.collection
        if holder is None:
            return Pointing(pointed.table, pointed.columns, target_columns)
        return Pointing(
            pointed.table,
            self._named(holder, pointed.columns),
            target_columns,
            self._index.get(holder),
            () if pointed.far else tuple(self._typed(holder, address, pointed)),
            pointed.far,
        )

    def _typed(self, holder: CollectionAddress, address: CollectionAddress, pointed: Pointed) -> Iterator[Column]:
        """Pointing columns whose values can't be compared without knowing their type."""
        node, target = self._graph.nodes[holder], self._graph.nodes[address]
        for path, there in zip(pointed.columns, pointed.target_columns, strict=True):
            inside = compared_column(self._graph, node, path)
            if inside is not None:
                yield inside
            elif not _comparable(self._type(node, path), self._type(target, there)):
                yield Column(path, self._type(node, path))

    def _outputs(self, node: Node, shown: frozenset[str]) -> Iterator[Output]:
        for each in self._draft.selection(node.address).outputs:
            field = node.fields.get(each.path)
            identifying = is_identifying(field.identity if field else None, each.categories) and each.path not in shown
            rules, categories = tuple(sorted(each.rules)), tuple(sorted(each.categories))
            identifying = identifying or self._identifies_inside(node, each.path, shown)
            own = (
                own_seeds(node, each.path, self._draft.kinds, self._draft.region)
                if identifying and not node.people
                else ()
            )
            yield Output(each.path, rules, categories, identifying, own)

    def _identifies_inside(self, node: Node, path: str, shown: frozenset[str]) -> bool:
        """Whether something in an object that is taken whole tells who somebody is."""
        return any(
            is_identifying(field.identity, _categories(node, below))
            for below, field in node.fields.items()
            if below.startswith(f"{path}.") and below not in shown
        )

    def problems(self, address: CollectionAddress) -> Iterator[Refused]:
        """What the live schema lacks for this step."""
        node = self._graph.nodes[address]
        named = node.dataset.database_name
        if named is not None and node.bound.database not in (None, named):
            message = f"the dataset is of database {named}, and connection {node.bound.connection} of another one"
            fix = "correct namespace.database_name, or bind the dataset to a connection to that database"
            yield Refused(message, cause="other_database", where=str(address), fix=fix)
        elif node.bound.problem is not None:
            message = f"the schema of connection {node.bound.connection} can't be read: {node.bound.problem}"
            yield Refused(message, cause="unreachable", where=str(address), fix="mend the connection, then retry")
        elif node.bound.schema is not None and node.table is None:
            message = f"there is no table {node.table_name} behind connection {node.bound.connection}"
            fix = "correct the collection's name or the dataset's namespace, or remove the collection"
            yield Refused(message, cause="missing_table", where=str(address), fix=fix)
        elif node.table is not None:
            for name in sorted(self._used[address].difference(node.live)):
                yield _missing_column(node, name)
            yield from self._unreadable(node)

    def _unreadable(self, node: Node) -> Iterator[Refused]:
        found = [refuse_unreadable(node, path) for path in sorted(self._inside[node.address])]
        for link, _ in self._found[node.address].links:
            found += [refuse_tuple(node, link.paths), refuse_tuple(self._graph.nodes[link.source], link.source_paths)]
        yield from (problem for problem in found if problem is not None)


def _missing_column(node: Node, name: str) -> Refused:
    where = f"{node.address}:{name}"
    if "." in name:
        message = "lies inside a column and can't be the key of a row"
        return Refused(message, cause="nested_field", where=where, fix="declare primary_key on a column")
    message = f"table {node.table_name} has no such column"
    return Refused(message, cause="missing_column", where=where, fix="correct the field's name or remove the field")


def _comparable(one: ColumnType, two: ColumnType) -> bool:
    if one.family is TypeFamily.OTHER and two.family is TypeFamily.OTHER:
        return one.native == two.native
    return one.family is two.family


def _categories(node: Node, path: str) -> tuple[str, ...]:
    """The field's categories, its parents', the collection's or the dataset's: the nearest that are given."""
    here = path
    while here:
        field = node.fields.get(here)
        if field is not None and field.data_categories:
            return field.data_categories
        here = here.rpartition(".")[0]
    return node.collection.data_categories or node.dataset.data_categories


def segments_of(runs: tuple[Run, ...]) -> Iterator[tuple[Run, tuple[int, ...]]]:
    """Each run with the indices of its steps."""
    start = 0
    for run in runs:
        yield run, tuple(range(start, start + len(run.members)))
        start += len(run.members)
