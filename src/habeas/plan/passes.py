"""The passes that turn a policy and a graph into steps: what is taken, found, left out, kept and in which order.

Each is a pure function from draft to draft; `PASSES` is their order. What an erasure writes, and whether the
stores allow it, is decided in `masks` and `writes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from habeas.core.address import CollectionAddress
from habeas.core.errors import Refused
from habeas.plan.draft import Draft, Selection
from habeas.plan.graph import Graph
from habeas.plan.model import Caution, NotSearched
from habeas.plan.order import Cycle, arrange
from habeas.plan.ownership import (
    Pointers,
    carries_own,
    points_of,
    questions,
    strongest_standings,
)
from habeas.plan.traverse import Traversal, reached_from, traverse
from habeas.policy.model import ActionType
from habeas.policy.select import Selected, fields_of


def select_fields(draft: Draft) -> Draft:
    """What access and erasure rules take from each collection; a field within a taken one is taken with it."""
    selections: dict[CollectionAddress, Selection] = {}
    problems: list[Refused] = []
    actions = {action: bool(draft.policy.rules_of(action)) for action in ActionType}
    for address, node in draft.graph.nodes.items():
        outputs, erasures = (
            _outermost(fields_of(draft.policy, action, node.dataset, node.collection)) if actions[action] else ()
            for action in (ActionType.ACCESS, ActionType.ERASURE)
        )
        if outputs or erasures:
            selections[address] = Selection(outputs, erasures)
        problems += (_overlap(address, each) for each in erasures if len(each.rules) > 1)
    return replace(draft, selections=selections, problems=(*draft.problems, *problems))


def _outermost(selected: list[Selected]) -> tuple[Selected, ...]:
    taken: dict[str, Selected] = {}
    for each in sorted(selected, key=lambda one: one.path):
        parts = each.path.split(".")
        around = (taken.get(".".join(parts[:end])) for end in range(1, len(parts)))
        if not any(outer is not None and set(each.rules) <= set(outer.rules) for outer in around):
            taken[each.path] = each
    return tuple(taken.values())


def _overlap(address: CollectionAddress, selected: Selected) -> Refused:
    return Refused(
        f"is masked by several rules: {', '.join(sorted(selected.rules))}",
        cause="overlapping_rules",
        where=f"{address}:{selected.path}",
        fix="let one erasure rule alone target its category",
    )


def follow_references(draft: Draft) -> Draft:
    """Orient and follow references from the given kinds, through collections that may be searched."""
    usable = {address for address, node in draft.graph.nodes.items() if not (node.excluded or node.bound.disabled)}
    traversal = traverse(draft.graph, draft.kinds, usable)
    problems = [
        Refused(
            f"which way does data flow between {','.join(edge.left_paths)} and {','.join(edge.right_paths)}?",
            cause="direction",
            where=str(edge.left),
            fix="give the reference a direction: from (downwards, to rows that point here) or to (upwards)",
        )
        for edge in traversal.questions
    ]
    warnings: list[Caution] = []
    for fault in draft.graph.faults:
        where = f"{fault.where}:{fault.path}"
        if fault.where in traversal.hops and fault.refuses:
            problems.append(Refused(fault.message, cause=fault.cause, where=where, fix=fault.fix))
        elif fault.where in traversal.hops:
            warnings.append(Caution(where, fault.cause, fault.message, fault.fix))
    return replace(
        draft,
        traversal=traversal,
        problems=(*draft.problems, *problems),
        warnings=(*draft.warnings, *warnings),
    )


def leave_out(draft: Draft) -> Draft:
    """Say of each targeted collection that isn't searched why, and refuse the erasures that this makes wrong."""
    graph = draft.graph
    everywhere = _Reach(draft)
    not_searched, problems = [], []
    for address, selection in draft.selections.items():
        if address in draft.traversal.hops:
            continue
        reason, detail = everywhere.reason(address)
        not_searched.append(NotSearched(str(address), reason, detail, bool(selection.erasures)))
        if selection.erasures and reason in ("unreached", "disabled"):
            problems.append(_unsearched(graph, address, reason, detail))
    problems += _missed_ways(draft, everywhere)
    return replace(draft, not_searched=tuple(not_searched), problems=(*draft.problems, *problems))


class _Reach:
    """What would be reached if more were allowed, worked out only when asked."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._graph = draft.graph
        self._cache: dict[tuple[bool, bool], Traversal] = {}

    def traversal(self, *, all_kinds: bool, disabled: bool) -> Traversal:
        """The traversal from all declared kinds, or through disabled connections too."""
        if (all_kinds, disabled) not in self._cache:
            kinds = self._graph.kinds if all_kinds else self._draft.kinds
            usable = {
                address
                for address, node in self._graph.nodes.items()
                if not node.excluded and (disabled or not node.bound.disabled)
            }
            self._cache[all_kinds, disabled] = traverse(self._graph, kinds, usable)
        return self._cache[all_kinds, disabled]

    def reason(self, address: CollectionAddress) -> tuple[str, str]:
        """Why a collection isn't searched, and a detail for people."""
        node = self._graph.nodes[address]
        if node.excluded:
            return "excluded", node.excluded
        if node.bound.disabled:
            return "disabled", f"connection {node.bound.connection} is disabled"
        if address in self.traversal(all_kinds=False, disabled=True).hops:
            return "disabled", "reached only through a disabled connection"
        found = self.traversal(all_kinds=True, disabled=False)
        if address in found.hops:
            return "identity_absent", f"needs one of: {', '.join(self._kinds_of(address, found))}"
        return "unreached", "no identity kind reaches it"

    def _kinds_of(self, address: CollectionAddress, found: Traversal) -> list[str]:
        sources = {target: [link.source for link in links] for target, links in found.into.items()}
        fields = (self._graph.nodes[each].fields.values() for each in reached_from([address], sources))
        return sorted({field.identity for each in fields for field in each if field.identity})


def _unsearched(graph: Graph, address: CollectionAddress, reason: str, detail: str) -> Refused:
    fix = "declare a reference or identity that reaches it, or declare it excluded with a reason"
    if reason == "disabled":
        bound = graph.nodes[address].bound
        which = f"connection {bound.connection}" if bound.disabled else "the disabled connection that leads to it"
        fix = f"enable {which}, or declare the dataset excluded with a reason"
    return Refused(f"is targeted by an erasure but not searched: {detail}", cause=reason, where=str(address), fix=fix)


def _missed_ways(draft: Draft, everywhere: _Reach) -> Iterator[Refused]:
    """An erasure of a collection that rows also reach through a disabled connection would miss those."""
    graph = draft.graph
    if not any(node.bound.disabled and not node.excluded for node in graph.nodes.values()):
        return
    full = everywhere.traversal(all_kinds=False, disabled=True)
    sources = {target: [link.source for link in links] for target, links in full.into.items()}
    erased = [each for each in draft.traversal.hops if draft.selection(each).erasures]
    for address in sorted(reached_from(erased, sources)):
        node = graph.nodes[address]
        if node.bound.disabled and not draft.selection(address).erasures:
            message = f"leads to data that the erasure targets, but connection {node.bound.connection} is disabled"
            fix = "enable the connection, or declare the dataset excluded with a reason"
            yield Refused(message, cause="disabled", where=str(address), fix=fix)


def judge_ownership(draft: Draft) -> Draft:
    """Which end of each reference points, and the strongest class that rows of a collection can have."""
    graph = draft.graph
    return replace(
        draft,
        points={link: points_of(graph, link) for link in draft.traversal.links()},
        standings=strongest_standings(graph, draft.traversal),
        pointers=Pointers(graph),
    )


def prune(draft: Draft) -> Draft:
    """Keep what is targeted, what feeds it, and what ownership tests on kept rows ask."""
    sources: dict[CollectionAddress, list[CollectionAddress]] = defaultdict(list)
    for link in draft.traversal.links():
        sources[link.target].append(link.source)
    for address in draft.traversal.hops:
        if needs_pointings(draft, address) and draft.pointers is not None:
            pointed = (each.collection for each in draft.pointers.at(address) if not each.far)
            sources[address] += (each for each in pointed if each is not None and each in draft.traversal.hops)
    targeted = [address for address in draft.selections if address in draft.traversal.hops]
    return replace(draft, kept=frozenset(reached_from(targeted, sources)))


def needs_pointings(draft: Draft, address: CollectionAddress) -> bool:
    """Whether rows of the collection are the subject's only if every row that points to them is."""
    return any(
        link.ownership == "auto"
        and draft.points[link] == "to_target"
        and carries_own(draft.graph, link, draft.standings)
        for link in draft.links_into(address)
    )


def ask(draft: Draft) -> Draft:
    """Refuse an erasure whose writes hang on an ownership that nobody declared."""
    written = sorted(address for address in draft.kept if draft.is_written(address))
    asked = questions(draft.graph, draft.traversal, draft.standings, written)
    return replace(draft, problems=(*draft.problems, *asked))


def arrange_steps(draft: Draft) -> Draft:
    """Order kept collections, sources first, and fuse neighbours of one connection into runs."""
    kept = draft.kept
    data = [(link.source, link.target) for address in sorted(kept) for link in draft.links_into(address)]
    wishes = [wish for address in sorted(kept) if needs_pointings(draft, address) for wish in _wishes(draft, address)]
    arranged = arrange(
        {address: draft.traversal.hops[address] for address in kept},
        lambda address: draft.graph.nodes[address].bound.connection,
        data=data,
        after=list(_after(draft)),
        wishes=wishes,
    )
    if isinstance(arranged, Cycle):
        names = ", ".join(map(str, arranged.members))
        problem = Refused(
            f"`after` closes a cycle: {names}",
            cause="after_cycle",
            where=str(arranged.members[0]),
            fix="remove one of the `after` entries, or the reference that runs against it",
        )
        return replace(draft, problems=(*draft.problems, problem))
    return replace(draft, runs=arranged)


def _wishes(draft: Draft, address: CollectionAddress) -> list[tuple[CollectionAddress, CollectionAddress]]:
    """Collections that should come before this one, since their rows tell whose its rows are."""
    near = [] if draft.pointers is None else [each.collection for each in draft.pointers.at(address) if not each.far]
    return [(each, address) for each in near if each is not None and each in draft.kept and each != address]


def _after(draft: Draft) -> Iterator[tuple[CollectionAddress, CollectionAddress]]:
    by_dataset: Mapping[str, list[CollectionAddress]] = defaultdict(list)
    for address in sorted(draft.kept):
        by_dataset[address.dataset].append(address)
    for address in sorted(draft.kept):
        node = draft.graph.nodes[address]
        for name in node.collection.after:
            earlier = CollectionAddress.parse(name)
            if earlier in draft.kept:
                yield earlier, address
        for dataset in node.dataset.after:
            yield from ((earlier, address) for earlier in by_dataset.get(dataset, ()) if dataset != address.dataset)
