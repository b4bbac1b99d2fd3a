"""The traversal: the part of the graph that given identity kinds reach, with every reference oriented.

Reach is by number of hops from a collection that holds a given kind, so it is the same whatever order
datasets, collections and fields come in. Knows no policy. Pure.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from habeas.core.address import CollectionAddress
from habeas.dataset.model import Ownership
from habeas.plan.graph import Edge, Graph, Node, Paths


class Followed(msgspec.Struct, frozen=True, order=True):
    """An oriented edge: rows of `target` whose paths equal a source row's, as a tuple."""

    target: CollectionAddress
    source: CollectionAddress
    paths: Paths
    source_paths: Paths
    ownerships: tuple[Ownership, ...] = ()
    declared_by: tuple[CollectionAddress, ...] = ()

    @property
    def ownership(self) -> Ownership:
        """The declared ownership; `auto` where none is. Contradictions are a question, see ownership."""
        return self.ownerships[0] if self.ownerships else "auto"


@dataclass(frozen=True, eq=False)
class Traversal:
    """What is reached. `hops` has every reached collection; `into` its incoming links, in order;
    `questions` are reached collections with a self reference whose direction is open.
    """

    kinds: frozenset[str]
    hops: Mapping[CollectionAddress, int]
    into: Mapping[CollectionAddress, tuple[Followed, ...]]
    questions: tuple[Edge, ...] = ()

    def links(self) -> list[Followed]:
        """All followed links, in order of target, then source."""
        return [link for address in sorted(self.into) for link in self.into[address]]

    def out_of(self) -> Mapping[CollectionAddress, tuple[Followed, ...]]:
        """Links by source."""
        out: dict[CollectionAddress, list[Followed]] = defaultdict(list)
        for link in self.links():
            out[link.source].append(link)
        return {source: tuple(links) for source, links in out.items()}


def seed_paths(node: Node, kinds: Collection[str]) -> Paths:
    """Fields of the collection that hold one of the kinds, in order of path."""
    return tuple(sorted(path for path, field in node.fields.items() if field.identity in kinds))


def traverse(graph: Graph, kinds: Collection[str], usable: Collection[CollectionAddress]) -> Traversal:
    """Follow references from the kinds through usable collections.

    A reference without direction leads from the collection with fewer hops to the other, at equal hops from
    the smaller address, and never back.
    """
    allowed = frozenset(usable)
    edges = [edge for edge in graph.edges if edge.left in allowed and edge.right in allowed]
    starts = [address for address in sorted(allowed) if seed_paths(graph.nodes[address], kinds)]
    hops = _hops(starts, edges)
    into: dict[CollectionAddress, set[Followed]] = defaultdict(set)
    questions: list[Edge] = []
    for edge in edges:
        if edge.flow == "either" and edge.left == edge.right:
            questions += [edge] if edge.left in hops else []
        elif (link := _orient(edge, hops)) is not None:
            into[link.target].add(link)
    return Traversal(
        kinds=frozenset(kinds),
        hops=hops,
        into={target: tuple(sorted(links)) for target, links in into.items()},
        questions=tuple(questions),
    )


def reached_from(
    starts: Collection[CollectionAddress], neighbours: Mapping[CollectionAddress, Collection[CollectionAddress]]
) -> set[CollectionAddress]:
    """Everything that can be reached from the starts, these included."""
    found, waiting = set(starts), deque(starts)
    while waiting:
        for neighbour in neighbours.get(waiting.popleft(), ()):
            if neighbour not in found:
                found.add(neighbour)
                waiting.append(neighbour)
    return found


def _hops(starts: list[CollectionAddress], edges: list[Edge]) -> dict[CollectionAddress, int]:
    neighbours: dict[CollectionAddress, set[CollectionAddress]] = defaultdict(set)
    for edge in edges:
        neighbours[edge.left].add(edge.right)
        if edge.flow == "either":
            neighbours[edge.right].add(edge.left)
    hops = dict.fromkeys(starts, 0)
    waiting = deque(starts)
    while waiting:
        here = waiting.popleft()
        for there in neighbours.get(here, ()):
            if there not in hops:
                hops[there] = hops[here] + 1
                waiting.append(there)
    return hops


def _orient(edge: Edge, hops: Mapping[CollectionAddress, int]) -> Followed | None:
    if edge.left not in hops or (edge.flow == "either" and edge.right not in hops):
        return None
    if edge.flow == "left_to_right" or hops[edge.left] <= hops[edge.right]:
        return Followed(edge.right, edge.left, edge.right_paths, edge.left_paths, edge.ownerships, edge.declared_by)
    paths, source_paths = _by_target(edge.left_paths, edge.right_paths)
    return Followed(edge.left, edge.right, paths, source_paths, edge.ownerships, edge.declared_by)


def _by_target(paths: Paths, source_paths: Paths) -> tuple[Paths, Paths]:
    pairs = sorted(zip(paths, source_paths, strict=True))
    return tuple(path for path, _ in pairs), tuple(path for _, path in pairs)
