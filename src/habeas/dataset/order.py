"""Whether `after` and `erase_after` name what exists, run in no circle, and leave every collection reachable."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from habeas.core.address import CollectionAddress
from habeas.dataset.places import CollectionPlace, World, meta_loc
from habeas.dataset.problem import Loc, Problem, nearest
from habeas.dataset.reach import hops, outgoing, seeds

Before = Mapping[CollectionAddress, set[CollectionAddress]]


def check_order(world: World) -> Iterator[Problem]:
    """Problems of `after` on collections and datasets, and of `erase_after`."""
    yield from _check_dataset_names(world)
    for place in world.collections.values():
        yield from _check_names(world, place, "after", place.collection.after)
        yield from _check_names(world, place, "erase_after", place.collection.erase_after)
    before = _before(world)
    circle = _circle(before)
    if circle:
        yield _circular(world, circle, "after")
    else:
        yield from _check_blocked(world, before)
    erased = _circle({place.address: _addresses(world, place.collection.erase_after) for place in _places(world)})
    if erased:
        yield _circular(world, erased, "erase_after")


def _places(world: World) -> list[CollectionPlace]:
    return list(world.collections.values())


def _addresses(world: World, names: tuple[str, ...]) -> set[CollectionAddress]:
    return {address for name in names if (address := CollectionAddress.parse(name)) in world.collections}


def _before(world: World) -> Before:
    """What must come before each collection, its own `after` and its dataset's together."""
    found: dict[CollectionAddress, set[CollectionAddress]] = {}
    for dataset in world.by_key.values():
        others = {
            CollectionAddress(key, each.name)
            for key in dataset.after
            if key in world.by_key
            for each in world.by_key[key].collections
        }
        for collection in dataset.collections:
            address = CollectionAddress(dataset.fides_key, collection.name)
            found[address] = others | _addresses(world, collection.after)
    return found


def _check_dataset_names(world: World) -> Iterator[Problem]:
    for dataset in world.by_key.values():
        for index, key in enumerate(dataset.after):
            if key not in world.by_key:
                loc = (*meta_loc(dataset, (), "after"), index)
                yield _unknown(world, key, dataset.fides_key, dataset.fides_key, loc)


def _unknown(world: World, key: str, path: str, dataset: str, loc: Loc) -> Problem:
    near = nearest(key, world.by_key, 0.8)
    return Problem(
        message=f"there is no dataset {key!r}",
        path=f"{path} {loc[-2]}[{loc[-1]}]",
        fix=f"did you mean {near}?" if near else "add that dataset",
        loc=loc,
        dataset=dataset,
        saveable=True,
    )


def _check_names(world: World, place: CollectionPlace, key: str, names: tuple[str, ...]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        address = CollectionAddress.parse(name)
        loc = (*place.meta_loc(place.loc, key), index)
        if address in world.collections:
            continue
        dataset = world.by_key.get(address.dataset)
        if dataset is None:
            yield _unknown(world, address.dataset, str(place.address), place.dataset.fides_key, loc)
            continue
        near = nearest(address.collection, [each.name for each in dataset.collections])
        yield Problem(
            message=f"the dataset {address.dataset} has no collection {address.collection!r}",
            path=f"{place.address} {key}[{index}]",
            fix=f"did you mean {address.dataset}:{near}?" if near else "declare the collection there",
            loc=loc,
            dataset=place.dataset.fides_key,
        )


def _circle(before: Before) -> list[CollectionAddress]:
    """One circle, each after the one before it, from its smallest address on; empty if there is none."""
    sorter: TopologicalSorter[CollectionAddress] = TopologicalSorter()
    for address in sorted(before):
        sorter.add(address, *sorted(before[address]))
    try:
        sorter.prepare()
    except CycleError as error:
        circle = list(error.args[1])[:-1]
        start = circle.index(min(circle))
        return circle[start:] + circle[:start]
    return []


def _circular(world: World, circle: list[CollectionAddress], key: str) -> Problem:
    place = world.collections[circle[0]]
    names = ", ".join(str(address) for address in circle)
    return Problem(
        message=f"{key} runs in a circle: {names}" if len(circle) > 1 else f"{names} can't come after itself",
        path=f"{place.address} {key}",
        fix=f"take one {key} away",
        loc=place.meta_loc(place.loc, key),
        dataset=place.dataset.fides_key,
    )


def _check_blocked(world: World, before: Before) -> Iterator[Problem]:
    """Collections that references reach, but only through what `after` puts behind them."""
    reached = set(hops(world))
    visited = _visit(world, before, reached)
    for address in sorted(reached - visited):
        waits = sorted((before.get(address, set()) & reached) - visited)
        if not waits:  # its way leads through a blocked one, which is named itself
            continue
        place = world.collections[address]
        yield Problem(
            message=f"comes after {waits[0]}, which is reached only through it",
            path=f"{address} after",
            fix="take that after away, or reach the other by a reference of its own",
            loc=place.meta_loc(place.loc, "after"),
            dataset=place.dataset.fides_key,
        )


def _visit(world: World, before: Before, reached: set[CollectionAddress]) -> set[CollectionAddress]:
    neighbours = outgoing(world)
    visited: set[CollectionAddress] = set()
    waiting: dict[CollectionAddress, list[CollectionAddress]] = defaultdict(list)
    queue = deque(sorted(seeds(world)))
    while queue:
        address = queue.popleft()
        if address in visited:
            continue
        open_ = (before.get(address, set()) & reached) - visited
        if open_:
            waiting[min(open_)].append(address)
            continue
        visited.add(address)
        queue.extend(waiting.pop(address, ()))
        queue.extend(sorted(neighbours[address]))
    return visited
