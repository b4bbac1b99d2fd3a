"""Whose rows are, as far as structure tells: which side points, who else a row may belong to, what to ask.

The tests themselves run in the store, on rows; this names them. Ownership that a test can't decide is a
question to the author of the datasets: an erasure that would write on a guess is refused. Pure.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from habeas.core.address import CollectionAddress
from habeas.core.errors import Refused
from habeas.core.schema import ForeignKey, TableName
from habeas.core.taxonomy import is_within
from habeas.plan.graph import Edge, Graph, Node, Paths
from habeas.plan.model import Points, Standing
from habeas.plan.traverse import Followed, Traversal, seed_paths

IDENTIFYING = ("user.name", "user.contact", "user.government_id", "user.unique_id", "user.account")


class Pointer(NamedTuple):
    """Rows of a collection point with `columns` to a row of another whose `target_columns` are a key."""

    columns: Paths
    target_columns: Paths


class Pointed(NamedTuple):
    """A table whose rows point to a collection's rows, and the collection that describes it, if one does. `far`:
    it lies behind another connection.
    """

    table: TableName
    columns: Paths
    target_columns: Paths
    collection: CollectionAddress | None
    far: bool = False


def points_of(graph: Graph, link: Followed) -> Points:
    """Which end of a followed reference holds it."""
    source, target = graph.nodes[link.source], graph.nodes[link.target]
    target_is_key = target.is_key(link.paths)
    if target_is_key != source.is_key(link.source_paths):
        return "to_target" if target_is_key else "to_source"
    if not target_is_key:
        return "neither"
    return _points_between_keys(source, target, link)


def _points_between_keys(source: Node, target: Node, link: Followed) -> Points:
    if _has_foreign_key(target, link.paths, source, link.source_paths):
        return "to_source"
    if _has_foreign_key(source, link.source_paths, target, link.paths):
        return "to_target"
    # Declared by both sides tells nothing: then a test of the pointing rows must agree before a write.
    return "to_source" if link.declared_by == (link.target,) else "to_target"


def _has_foreign_key(holder: Node, paths: Paths, other: Node, other_paths: Paths) -> bool:
    if holder.table is None or holder.bound.connection != other.bound.connection:
        return False
    pairs = set(zip(paths, other_paths, strict=True))
    return any(
        key.table == other.table_name and pairs.issubset(zip(key.columns, key.target_columns, strict=True))
        for key in holder.table.foreign_keys
    )


class Pointers:
    """Who points to whom, by declared references (followed or not) and live foreign keys."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._from: dict[CollectionAddress, dict[CollectionAddress, set[Pointer]]] = defaultdict(
            lambda: defaultdict(set)
        )
        self._to: dict[CollectionAddress, set[Pointed]] = defaultdict(set)
        for edge in graph.edges:
            self._add_edge(edge)
        for node in graph.nodes.values():
            for incoming in graph.pointing_at(node):
                self._add_foreign_key(node, incoming.holder.table, incoming.key)

    def direct(self, holder: CollectionAddress, people: CollectionAddress) -> list[Pointer]:
        """References that rows of `holder` themselves hold to rows of `people`, in order."""
        return sorted(self._from[holder][people]) if holder in self._from else []

    def is_asked(self, address: CollectionAddress) -> bool:
        """Whether rows of the collection can hold back others: people who are pointed to, and what points to rows."""
        nodes = self._graph.nodes
        if nodes[address].people and self._to.get(address):
            return True
        return any(not nodes[target].people for target in self._from.get(address, ()))

    def at(self, address: CollectionAddress) -> list[Pointed]:
        """Tables whose rows point to rows of the collection, in order of name."""
        return sorted(self._to.get(address, ()), key=lambda each: (str(each.table), each.columns, each.target_columns))

    def _add_edge(self, edge: Edge) -> None:
        forth = Followed(edge.right, edge.left, edge.right_paths, edge.left_paths, (), edge.declared_by)
        match points_of(self._graph, forth):
            case "to_target":
                self._add(edge.left, edge.left_paths, edge.right, edge.right_paths)
            case "to_source":
                self._add(edge.right, edge.right_paths, edge.left, edge.left_paths)
            case "neither":
                pass

    def _add(self, holder: CollectionAddress, paths: Paths, target: CollectionAddress, target_paths: Paths) -> None:
        pairs = sorted(zip(paths, target_paths, strict=True))
        pointer = Pointer(tuple(one for one, _ in pairs), tuple(two for _, two in pairs))
        self._from[holder][target].add(pointer)
        here, there = self._graph.nodes[holder], self._graph.nodes[target]
        far = here.bound.connection != there.bound.connection
        self._to[target].add(Pointed(here.table_name, pointer.columns, pointer.target_columns, holder, far))

    def _add_foreign_key(self, node: Node, holder: TableName, key: ForeignKey) -> None:
        for address in self._graph.step_of(node.bound.connection, holder):
            self._add(address, key.columns, node.address, key.target_columns)
        if not self._graph.step_of(node.bound.connection, holder):
            pairs = sorted(zip(key.columns, key.target_columns, strict=True))
            columns, target_columns = tuple(one for one, _ in pairs), tuple(two for _, two in pairs)
            self._to[node.address].add(Pointed(holder, columns, target_columns, None))


def strongest_standings(graph: Graph, traversal: Traversal) -> dict[CollectionAddress, Standing]:
    """For each reached collection, the strongest class that any of its rows can have."""
    standings = {
        address: Standing.OWN for address in traversal.hops if seed_paths(graph.nodes[address], traversal.kinds)
    }
    points = {link: points_of(graph, link) for links in traversal.into.values() for link in links}
    out = traversal.out_of()
    waiting = deque(sorted(standings))
    while waiting:
        source = waiting.popleft()
        for link in out.get(source, ()):
            standing = _lands_as(graph.nodes[link.target], link, standings[source], points[link])
            if standing is not None and standing < standings.get(link.target, Standing.PERSON + 1):
                standings[link.target] = standing
                waiting.append(link.target)
    return standings


def _lands_as(target: Node, link: Followed, source: Standing, points: Points) -> Standing | None:
    if source is Standing.PERSON:
        return None
    if source is not Standing.OWN:
        return Standing.CONTEXT if points == "to_target" else None
    match link.ownership:
        case "owned":
            return Standing.OWN
        case "shared":
            return Standing.SHARED
        case "context":
            return Standing.CONTEXT
        case "auto":
            return Standing.PERSON if target.people else Standing.OWN


def carries_own(graph: Graph, link: Followed, standings: Mapping[CollectionAddress, Standing]) -> bool:
    """Whether a row can be the subject's by this link."""
    people = graph.nodes[link.target].people
    return (
        standings.get(link.source) is Standing.OWN
        and link.ownership in ("auto", "owned")
        and not (people and link.ownership == "auto")
    )


def people_above(
    graph: Graph, traversal: Traversal, standings: Mapping[CollectionAddress, Standing]
) -> dict[CollectionAddress, set[CollectionAddress]]:
    """For each collection, the people collections nearest above it on any way that carries the subject's rows."""
    above: dict[CollectionAddress, set[CollectionAddress]] = defaultdict(set)
    carrying: dict[CollectionAddress, list[CollectionAddress]] = defaultdict(list)
    for link in traversal.links():
        if carries_own(graph, link, standings):
            carrying[link.source].append(link.target)
    waiting = deque(address for address in sorted(standings) if graph.nodes[address].people)
    while waiting:
        source = waiting.popleft()
        brings = {source} if graph.nodes[source].people else above[source]
        for target in carrying.get(source, ()):
            if not brings <= above[target]:
                above[target] |= brings
                waiting += [] if graph.nodes[target].people else [target]
    return above


class RivalTest(NamedTuple):
    """A direct reference of a landing row that can make it somebody else's; see plan.model.Rival."""

    columns: Paths
    people: CollectionAddress
    people_columns: Paths
    standing: Standing


def rivals_of(
    graph: Graph,
    pointers: Pointers,
    link: Followed,
    points: Points,
    above: Mapping[CollectionAddress, Collection[CollectionAddress]],
) -> tuple[RivalTest, ...]:
    """What to test on rows that land by this link, in order. Only `auto` links have rivals."""
    if link.ownership != "auto" or graph.nodes[link.target].people:
        return ()
    from_people = graph.nodes[link.source].people
    people = [link.source] if from_people else sorted(above.get(link.source, ()))
    followed = set(zip(link.paths, link.source_paths, strict=True))
    shared = points == "to_target" or from_people
    return _rival_of_itself(graph, link, points) + tuple(
        RivalTest(pointer.columns, each, pointer.target_columns, Standing.SHARED_ROW if shared else Standing.PERSON)
        for each in people
        for pointer in pointers.direct(link.target, each)
        if not (each == link.source and set(zip(pointer.columns, pointer.target_columns, strict=True)) == followed)
    )


def _rival_of_itself(graph: Graph, link: Followed, points: Points) -> tuple[RivalTest, ...]:
    """A row that holds a list of references may point to others' rows by the very one that was followed."""
    if points != "to_source" or all(graph.nodes[link.target].inside(path) is None for path in link.paths):
        return ()
    return (RivalTest(link.paths, link.source, link.source_paths, Standing.SHARED_ROW),)


def questions(
    graph: Graph,
    traversal: Traversal,
    standings: Mapping[CollectionAddress, Standing],
    written: Collection[CollectionAddress],
) -> Iterator[Refused]:
    """What must be answered before an erasure may write these collections. Ways that can't make a row the
    subject's need no answer.
    """
    pointers = Pointers(graph)
    waiting, leads_to_write = list(written), set(written)
    while waiting:
        target = waiting.pop()
        carrying = [link for link in traversal.into.get(target, ()) if carries_own(graph, link, standings)]
        yield from _questions_at(graph, target, carrying)
        yield from _far_pointings(graph, pointers, carrying)
        fresh = {link.source for link in carrying} - leads_to_write
        leads_to_write |= fresh
        waiting += sorted(fresh)


def _questions_at(graph: Graph, target: CollectionAddress, carrying: list[Followed]) -> Iterator[Refused]:
    two_people: dict[CollectionAddress, Followed] = {}
    for link in carrying:
        where = f"{target}:{','.join(link.paths)}"
        if len(link.ownerships) > 1:
            message = f"the reference to {link.source} is declared as {' and '.join(link.ownerships)}"
            yield Refused(message, cause="ownership", where=where, fix="give it one ownership")
        if link.ownership != "auto":
            continue
        points = points_of(graph, link)
        if points == "neither":
            yield _neither(link, where)
        elif points == "to_source" and graph.nodes[link.source].people:
            two_people[link.source] = link
    if len(two_people) > 1:
        yield _two_people(target, sorted(two_people))


def _far_pointings(graph: Graph, pointers: Pointers, carrying: list[Followed]) -> Iterator[Refused]:
    """Whether all rows that point to a row are the subject's can't be asked of another store."""
    for link in carrying:
        if link.ownership != "auto" or points_of(graph, link) != "to_target":
            continue
        for each in pointers.at(link.target):
            if each.far and not is_followed(link, each):
                by = f"{each.collection} in another store, by {','.join(each.columns)}"
                yield Refused(
                    f"rows of {by}, may point to its rows too",
                    cause="ownership",
                    where=f"{link.target}:{','.join(link.paths)}",
                    fix=f"declare ownership (owned, shared or context) on its reference from {link.source}",
                )


def is_followed(link: Followed, pointed: Pointed) -> bool:
    """Whether the pointing is the followed reference itself."""
    pairs = set(zip(link.source_paths, link.paths, strict=True))
    return pointed.collection == link.source and pairs == set(zip(pointed.columns, pointed.target_columns, strict=True))


def _neither(link: Followed, where: str) -> Refused:
    ends = f"{','.join(link.paths)} nor {link.source}:{','.join(link.source_paths)}"
    return Refused(
        f"whose are rows found by {link.source}? Neither {ends} is a key, so the reference tells not which row points",
        cause="ownership",
        where=where,
        fix="declare ownership (owned, shared or context) on the reference, or primary_key on the field that is a key",
    )


def _two_people(target: CollectionAddress, people: list[CollectionAddress]) -> Refused:
    return Refused(
        f"whose are its rows? They are followed from different people: {' and '.join(map(str, people))}",
        cause="ownership",
        where=str(target),
        fix="declare ownership on one of the references, such as context for the one the rows aren't about",
    )


def is_identifying(identity: str | None, categories: Collection[str]) -> bool:
    """Whether a field's value tells who somebody is."""
    return identity is not None or any(_identifies(category) for category in categories)


@lru_cache(maxsize=1024)
def _identifies(category: str) -> bool:
    return any(is_within(category, each) for each in IDENTIFYING)
