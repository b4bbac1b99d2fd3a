"""The draft: what a plan is while its passes work on it. Each pass takes one and returns one.

Collections are named by address until steps are numbered. A problem doesn't stop the passes, so that all of
them are found at once; `build` refuses in the end. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from habeas.core.address import CollectionAddress
from habeas.core.errors import Refused
from habeas.plan.graph import Graph
from habeas.plan.model import Caution, NotSearched, Points, Standing, Step
from habeas.plan.order import Run
from habeas.plan.ownership import Pointers
from habeas.plan.traverse import Followed, Traversal
from habeas.policy.model import Policy
from habeas.policy.select import Selected


@dataclass(frozen=True)
class Selection:
    """The fields of one collection that access rules and erasure rules take, in order of path."""

    outputs: tuple[Selected, ...] = ()
    erasures: tuple[Selected, ...] = ()


@dataclass(frozen=True, eq=False)
class Draft:
    """A plan in the making. Fields are filled from top to bottom."""

    policy: Policy
    graph: Graph
    kinds: tuple[str, ...]
    region: str
    selections: Mapping[CollectionAddress, Selection] = field(default_factory=dict)
    traversal: Traversal = field(default_factory=lambda: Traversal(frozenset(), {}, {}))
    points: Mapping[Followed, Points] = field(default_factory=dict)
    standings: Mapping[CollectionAddress, Standing] = field(default_factory=dict)
    pointers: Pointers | None = None
    kept: frozenset[CollectionAddress] = frozenset()
    runs: tuple[Run, ...] = ()
    steps: tuple[Step, ...] = ()
    own: tuple[Step, ...] = ()  # steps that mask own fields in shared rows, until they are put among the others
    not_searched: tuple[NotSearched, ...] = ()
    warnings: tuple[Caution, ...] = ()
    problems: tuple[Refused, ...] = ()

    def selection(self, address: CollectionAddress) -> Selection:
        """What the policy takes from a collection."""
        return self.selections.get(address, _NOTHING)

    def is_written(self, address: CollectionAddress) -> bool:
        """Whether an erasure writes rows of the collection: it is targeted, and rows can be the subject's."""
        return bool(self.selection(address).erasures) and self.standings.get(address) is Standing.OWN

    def links_into(self, address: CollectionAddress) -> tuple[Followed, ...]:
        """Followed references that find rows of the collection."""
        return self.traversal.into.get(address, ())


_NOTHING = Selection()
