"""Which collections any identity reaches, and which way references carry data. Knows no identity values."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping

from habeas.core.address import CollectionAddress
from habeas.dataset.places import ReferencePlace, World
from habeas.dataset.problem import Problem


def hops(world: World) -> dict[CollectionAddress, int]:
    """For every collection that some identity reaches: over how many references. Undirected ones count both ways."""
    neighbours = outgoing(world)
    found = dict.fromkeys(seeds(world), 0)
    queue = deque(sorted(found))
    while queue:
        address = queue.popleft()
        for other in sorted(neighbours[address]):
            if other not in found:
                found[other] = found[address] + 1
                queue.append(other)
    return found


def seeds(world: World) -> set[CollectionAddress]:
    """The collections in which an identity is looked up."""
    return {
        address
        for address, place in world.collections.items()
        if place.in_graph and any(each.field.identity for each in place.fields.values())
    }


def outgoing(world: World) -> Mapping[CollectionAddress, set[CollectionAddress]]:
    """From each collection, where references may carry data, undirected ones both ways."""
    found: dict[CollectionAddress, set[CollectionAddress]] = defaultdict(set)
    for reference in world.references:
        here, there = reference.holder, reference.target
        if there is None or not (here.in_graph and there.in_graph):
            continue
        if reference.reference.direction != "to":
            found[there.address].add(here.address)
        if reference.reference.direction != "from":
            found[here.address].add(there.address)
    return found


def flow(
    reference: ReferencePlace, near: Mapping[CollectionAddress, int]
) -> tuple[CollectionAddress, CollectionAddress] | None:
    """From where to where a reference carries data, given each collection's hops; None if it is never reached."""
    here, there = reference.holder.address, reference.target_address
    match reference.reference.direction:
        case "from":
            return there, here
        case "to":
            return here, there
    if here not in near or there not in near:
        return None
    return (here, there) if (near[here], here) < (near[there], there) else (there, here)


def check_reach(world: World) -> Iterator[Problem]:
    """Collections that no kind of identity reaches."""
    reached = hops(world)
    for address, place in world.collections.items():
        if place.in_graph and address not in reached:
            yield Problem(
                message="no identity reaches this collection",
                path=str(address),
                fix="declare an `identity` in it, a reference to it from a collection that is reached, or `excluded`",
                loc=place.loc,
                dataset=place.dataset.fides_key,
                saveable=True,
            )
