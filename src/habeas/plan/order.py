"""The order of steps, and which neighbours run as one: a topological order that keeps a store's steps together.

Loops (strongly connected collections) count as one place. Same input, same order, whatever order it came
in. Knows collections and connections only. Pure.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

from habeas.core.address import CollectionAddress

Node = TypeVar("Node", bound=Hashable)
Rank = tuple[int, CollectionAddress]
MAX_TRIALS = 8  # connections tried as the first one; more stores than that are rare and the gain small


class Run(NamedTuple):
    """Collections of one connection that run as one, in order; `loop` as in the plan's segments."""

    connection: str
    members: tuple[CollectionAddress, ...]
    loop: int | None


class Cycle(NamedTuple):
    """Collections whose `after` can't be honoured."""

    members: tuple[CollectionAddress, ...]


def components(nodes: Iterable[Node], successors: Mapping[Node, Sequence[Node]]) -> dict[Node, int]:
    """The strongly connected component of every node, by number (Kosaraju: two passes, no recursion)."""
    finished = _finishing_order(nodes, successors)
    backwards: dict[Node, list[Node]] = defaultdict(list)
    for node in finished:
        for successor in successors.get(node, ()):
            backwards[successor].append(node)
    component: dict[Node, int] = {}
    for number, start in enumerate(reversed(finished)):
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if node not in component:
                component[node] = number
                waiting += (each for each in backwards[node] if each not in component)
    return component


def _finishing_order(nodes: Iterable[Node], successors: Mapping[Node, Sequence[Node]]) -> list[Node]:
    finished: list[Node] = []
    seen: set[Node] = set()
    for start in nodes:
        if start in seen:
            continue
        seen.add(start)
        path = [(start, iter(successors.get(start, ())))]
        while path:
            node, rest = path[-1]
            following = next((each for each in rest if each not in seen), None)
            if following is None:
                finished.append(node)
                path.pop()
            else:
                seen.add(following)
                path.append((following, iter(successors.get(following, ()))))
    return finished


Pairs = Sequence[tuple[CollectionAddress, CollectionAddress]]


def arrange(
    hops: Mapping[CollectionAddress, int],
    connection: Callable[[CollectionAddress], str],
    *,
    data: Pairs,
    after: Pairs,
    wishes: Pairs,
) -> tuple[Run, ...] | Cycle:
    """Runs in order. `data` and `after` are (earlier, later) and binding; `wishes` too unless they close a cycle.

    Returns the members of a cycle that `after` closes, if there is one.
    """
    units = _Units(sorted(hops), hops, data)
    binding = {*units.between(data), *units.between(after)}
    inside = units.within(after)
    closed = inside or units.closed_by(binding)
    if closed:
        return Cycle(tuple(sorted(closed)))
    merged = components(units.numbers(), _successors({*binding, *units.between(wishes)}))
    wished = {(one, two) for one, two in units.between(wishes) if merged[one] != merged[two]}
    order = _fewest_runs(units, binding | wished, connection)
    return _runs(units, order, connection)


class _Units:
    """Loops and single collections as numbered places."""

    def __init__(self, addresses: list[CollectionAddress], hops: Mapping[CollectionAddress, int], data: Pairs) -> None:
        component = components(addresses, _successors(data))
        members: dict[int, list[CollectionAddress]] = defaultdict(list)
        for address in addresses:
            members[component[address]].append(address)
        self.members = {number: sorted(group, key=lambda each: (hops[each], each)) for number, group in members.items()}
        self.of = component
        self.rank: dict[int, Rank] = {number: (hops[group[0]], group[0]) for number, group in self.members.items()}

    def numbers(self) -> list[int]:
        return sorted(self.members, key=self.rank.__getitem__)

    def between(self, pairs: Pairs) -> list[tuple[int, int]]:
        found = ((self.of[one], self.of[two]) for one, two in pairs)
        return [(one, two) for one, two in found if one != two]

    def within(self, pairs: Pairs) -> list[CollectionAddress]:
        return [each for one, two in pairs if self.of[one] == self.of[two] for each in (one, two)]

    def closed_by(self, pairs: set[tuple[int, int]]) -> list[CollectionAddress]:
        merged = components(self.numbers(), _successors(pairs))
        sizes: dict[int, list[int]] = defaultdict(list)
        for number in self.numbers():
            sizes[merged[number]].append(number)
        return [each for group in sizes.values() if len(group) > 1 for one in group for each in self.members[one]]


def _successors(pairs: Iterable[tuple[Node, Node]]) -> Mapping[Node, list[Node]]:
    successors: dict[Node, list[Node]] = defaultdict(list)
    for one, two in pairs:
        successors[one].append(two)
    return successors


def _fewest_runs(
    units: _Units, pairs: set[tuple[int, int]], connection: Callable[[CollectionAddress], str]
) -> list[int]:
    held = {number: connection(units.members[number][0]) for number in units.members}
    targets = {two for _, two in pairs}
    firsts = sorted({held[number] for number in units.members if number not in targets})[:MAX_TRIALS]
    trials = [_sorted_units(units, pairs, held, first) for first in firsts]
    return min(trials, key=lambda order: _changes(order, held), default=[])


def _changes(order: list[int], held: Mapping[int, str]) -> int:
    return sum(held[one] != held[two] for one, two in pairwise(order))


def _sorted_units(units: _Units, pairs: set[tuple[int, int]], held: Mapping[int, str], first: str) -> list[int]:
    """Kahn's order that stays with one connection as long as it can."""
    successors = _successors(pairs)
    waits: dict[int, int] = defaultdict(int)
    for _, two in pairs:
        waits[two] += 1
    ready: dict[str, list[tuple[Rank, int]]] = defaultdict(list)
    for number in units.members:
        if not waits[number]:
            heapq.heappush(ready[held[number]], (units.rank[number], number))
    order: list[int] = []
    current = first
    while len(order) < len(units.members):
        if not ready[current]:
            current = min((heap[0], key) for key, heap in ready.items() if heap)[1]
        number = heapq.heappop(ready[current])[1]
        order.append(number)
        for successor in successors.get(number, ()):
            waits[successor] -= 1
            if not waits[successor]:
                heapq.heappush(ready[held[successor]], (units.rank[successor], successor))
    return order


def _runs(units: _Units, order: list[int], connection: Callable[[CollectionAddress], str]) -> tuple[Run, ...]:
    grown: list[tuple[str, list[CollectionAddress], int | None]] = []
    loops = 0
    for number in order:
        members = units.members[number]
        stores = list(dict.fromkeys(connection(each) for each in members))
        if len(stores) > 1:
            loops += 1
            grown += ((store, [each for each in members if connection(each) == store], loops) for store in stores)
        elif grown and grown[-1][0] == stores[0] and grown[-1][2] is None:
            grown[-1][1].extend(members)
        else:
            grown.append((stores[0], list(members), None))
    return tuple(Run(store, tuple(members), loop) for store, members, loop in grown)
