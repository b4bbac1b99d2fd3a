"""Facts about graphs and traversals: the same datasets, the same reach. Groups: graph_*, edge_from_reference,
traversal*, optional_identity, can_run_given_remaining.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from casebook import load_facts
from habeas.core.address import CollectionAddress
from habeas.core.errors import Refused
from habeas.dataset.load import dataset_from
from habeas.plan.build import build_plan
from habeas.plan.graph import BoundDataset, Catalog, Edge, Graph, build_graph
from habeas.plan.order import Cycle, arrange
from habeas.plan.traverse import Traversal, seed_paths, traverse
from planbook import policy_of

ROOT = "__ROOT__:__ROOT__"
Fact = dict[str, Any]


def facts(*topics: str) -> Any:
    return pytest.mark.parametrize("fact", load_facts(*topics), ids=lambda fact: fact["id"])


def catalog_of(datasets: Iterable[Mapping[str, Any]]) -> Catalog:
    """The facts' short form of datasets as a catalog without live schemas."""
    documents = [
        {
            "fides_key": each["dataset"],
            "fides_meta": {"after": each.get("after", [])},
            "collections": [
                {
                    "name": collection["name"],
                    "fides_meta": {"after": [name.replace(":", ".") for name in collection.get("after", [])]},
                    "fields": fields_of(collection["fields"]),
                }
                for collection in each["collections"]
            ],
        }
        for each in datasets
    ]
    loaded = [dataset_from(document, where="fact") for document in documents]
    return Catalog(tuple(BoundDataset(each, "db") for each in loaded))


def fields_of(fields: Iterable[Mapping[str, Any]], prefix: str = "") -> list[dict[str, Any]]:
    built = []
    for each in fields:
        path = each["path"].removeprefix(prefix)
        if not each["path"].startswith(prefix) or "." in path:
            continue
        meta = {"references": [_reference(one) for one in each.get("references", ())]}
        if "identity" in each:
            meta["identity"] = each["identity"]
        field = {"name": path, "data_categories": ["user"], "fides_meta": meta}
        below = fields_of(fields, f"{each['path']}.")
        built.append(field | ({"fields": below} if below else {}))
    return built


def _reference(given: Mapping[str, Any]) -> dict[str, Any]:
    dataset, collection, path = given["to_field"].split(":")
    return {"dataset": dataset, "field": f"{collection}.{path}", "direction": given["direction"]}


def graph_of(fact: Fact) -> Graph:
    return build_graph(catalog_of(fact["input"]["datasets"]))


def traversal_of(fact: Fact) -> tuple[Graph, Traversal]:
    graph = graph_of(fact)
    return graph, traverse(graph, list(fact["input"]["seed"]), list(graph.nodes))


def edge_text(edge: Edge) -> list[dict[str, Any]]:
    pairs = zip(edge.left_paths, edge.right_paths, strict=True)
    return [
        {"from": f"{edge.left}:{left}", "to": f"{edge.right}:{right}", "bidirectional": edge.flow == "either"}
        for left, right in pairs
    ]


@facts("graph_nodes")
def test_collections_are_nodes(fact: Fact) -> None:
    assert [str(each) for each in graph_of(fact).nodes] == fact["expect"]["equals"]


@facts("graph_edges")
def test_references_are_edges(fact: Fact) -> None:
    assert [text for edge in graph_of(fact).edges for text in edge_text(edge)] == fact["expect"]["equals"]


@facts("graph_identity_fields")
def test_fields_that_hold_identities(fact: Fact) -> None:
    found = {
        f"{address}:{path}": field.identity
        for address, node in graph_of(fact).nodes.items()
        for path, field in node.fields.items()
        if field.identity
    }
    assert found == fact["expect"]["equals"]


# fidesops refuses a reference within one collection. Here rows of one table may point to each other, in the direction
# that is said.
WITHIN_ITSELF = "F0407"


@facts("edge_from_reference")
def test_a_reference_becomes_an_edge(fact: Fact) -> None:
    given, expect = fact["input"], fact["expect"]
    here, there = (each.split(".", 2) for each in (given["field"], given["references"]))
    if fact["id"] == WITHIN_ITSELF:
        assert "raises" in expect
        assert here[:2] == there[:2]
        for direction, causes in ((None, {"direction"}), ("from", set[str]())):
            reference = {"to_field": ":".join(there), "direction": direction}
            fields = [{"path": here[2], "references": [reference]}, {"path": there[2], "identity": "email"}]
            alone = {"dataset": here[0], "collections": [{"name": here[1], "fields": fields}]}
            assert refused(catalog_of([alone]), ["email"]) & {"direction"} == causes
        return
    assert sorted(map(edge_ends, [here, there])) == sorted([expect["equals"]["from"], expect["equals"]["to"]])
    reference = {"to_field": ":".join(there), "direction": given["direction"]}
    documents = [
        {"dataset": each[0], "collections": [{"name": each[1], "fields": nested(each[2], more)}]}
        for each, more in ((here, {"references": [reference]}), (there, {}))
    ]
    ((text,),) = map(edge_text, build_graph(catalog_of(documents)).edges)
    ends = {name: text[name].replace(":", ".") for name in ("from", "to")}
    assert ends | {"bidirectional": text["bidirectional"]} == expect["equals"]


def edge_ends(parts: list[str]) -> str:
    return ".".join(parts)


def nested(path: str, more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A field with its parents."""
    parts = path.split(".")
    above = [{"path": ".".join(parts[:end])} for end in range(1, len(parts))]
    return [*above, {"path": path, **more}]


@facts("traversal_start_collections")
def test_collections_found_by_an_identity(fact: Fact) -> None:
    graph, traversal = traversal_of(fact)
    found = [str(each) for each in graph.nodes if seed_paths(graph.nodes[each], traversal.kinds)]
    assert found == fact["expect"]["equals"]


def map_of(graph: Graph, traversal: Traversal) -> dict[str, Any]:
    """The traversal as the facts draw it: to each collection from where, and to where."""
    drawn: dict[str, Any] = {ROOT: {"from": {}, "to": {}}}
    for address in traversal.hops:
        drawn[str(address)] = {"from": {}, "to": {}}
    pairs = [
        (ROOT, str(address), f"{graph.nodes[address].fields[path].identity} -> {path}")
        for address in traversal.hops
        for path in seed_paths(graph.nodes[address], traversal.kinds)
    ]
    pairs += [
        (str(link.source), str(link.target), f"{left} -> {right}")
        for link in traversal.links()
        for left, right in zip(link.source_paths, link.paths, strict=True)
    ]
    for source, target, text in pairs:
        drawn[target]["from"].setdefault(source, []).append(text)
        drawn[source]["to"].setdefault(target, []).append(text)
    return drawn


@facts("traversal_map")
def test_who_leads_to_whom(fact: Fact) -> None:
    assert map_of(*traversal_of(fact)) == fact["expect"]["equals"]


# fidesops calls the node at which its one walk around a circle ends a terminator (F0269). Here a circle is walked to
# its fixpoint, so nothing in it is an end.
CIRCLES = {"F0269": []}


@facts("traversal_terminators")
def test_collections_that_lead_nowhere(fact: Fact) -> None:
    drawn = map_of(*traversal_of(fact))
    found = sorted(name for name, each in drawn.items() if not each["to"])
    assert found == CIRCLES.get(fact["id"], sorted(fact["expect"]["equals"]))


@facts("traversal_incoming_edges", "traversal_outgoing_edges")
def test_edges_of_one_collection(fact: Fact) -> None:
    graph, traversal = traversal_of(fact)
    here = CollectionAddress.parse(fact["input"]["collection"])
    declared = {(text["from"], text["to"]): text["bidirectional"] for each in graph.edges for text in edge_text(each)}
    incoming = fact["topic"] == "traversal_incoming_edges"
    found = [
        {"from": f"{ROOT}:{field.identity}", "to": f"{here}:{path}", "bidirectional": False}
        for path, field in graph.nodes[here].fields.items()
        if incoming and field.identity in traversal.kinds
    ]
    for link in traversal.links():
        if here != (link.target if incoming else link.source):
            continue
        for left, right in zip(link.source_paths, link.paths, strict=True):
            ends = (f"{link.source}:{left}", f"{link.target}:{right}")
            assert ends in declared  # the facts show an edge once it has a direction
            found.append({"from": ends[0], "to": ends[1], "bidirectional": False})
    assert found == fact["expect"]["equals"]


# fidesops counts a second visit where its walk ends ("F0270"); here a circle is one run, walked until nothing is added.


@facts("traversal_visit_order")
def test_a_circle_is_entered_where_the_identity_is(fact: Fact) -> None:
    _, traversal = traversal_of(fact)
    order = sorted(traversal.hops, key=lambda address: traversal.hops[address])
    wanted = {name: visits[0] for name, visits in fact["expect"]["equals"].items() if name != ROOT}
    assert [str(each) for each in order] == sorted(wanted, key=lambda name: wanted[name])


def tree_of(identities: Mapping[str, str], levels: int) -> Catalog:
    """The facts' tree: each node a dataset with one collection, undirected references from parent to child."""
    names, level = ["root"], ["root"]
    for _ in range(levels - 1):
        level = [f"{name}.{number}" for name in level for number in range(3)]
        names += level
    documents = []
    for name in names:
        children = [each for each in names if each.rpartition(".")[0] == name]
        references = [{"to_field": f"{each}:ds:f1", "direction": None} for each in children]
        field: dict[str, Any] = {"path": "f1", "references": references}
        kinds = [kind for key, kind in identities.items() if key.split(".ds.")[0] == name]
        field |= dict(zip(["identity"], kinds, strict=False))
        documents.append({"dataset": name, "collections": [{"name": "ds", "fields": [field]}]})
    return catalog_of(documents)


def refused(catalog: Catalog, kinds: Iterable[str]) -> set[str]:
    """Why an erasure of everything is refused."""
    try:
        build_plan(policy_of({"erasure": ["user"]}), catalog, list(kinds), region="US")
    except Refused as problem:
        return {each.cause for each in problem.problems}
    return set()


# What fidesops finds wrong with a graph is found here too, when a plan is made; by other words.
CAUSES = {
    "F0257": "after_cycle",
    "F0259": "after_cycle",
    "F0261": "unknown_reference",
    "F0262": "direction",
    "F0265": "unreached",
    "F0287": "identity_absent",
}


@facts("traversal")
def test_whole_traversals(fact: Fact) -> None:
    given = fact["input"]
    if "graph" in given:
        graph = build_graph(tree_of(given["identity_fields"], levels=4))
        assert set(traverse(graph, given["seed_keys"], list(graph.nodes)).hops) == set(graph.nodes)
        return
    assert "raises" in fact["expect"]
    cause = CAUSES[fact["id"]]
    catalog = catalog_of(given["datasets"])
    if cause == "unknown_reference":  # its dataset may come later: saved, and said in every plan and check
        plan = build_plan(policy_of({"access": ["user"]}), catalog, list(given["seed"]), region="US")
        assert cause in {each.code for each in plan.warnings}
        return
    if cause == "identity_absent":  # not an error of the graph: an erasure asks for the missing kind, see design §6
        plan = build_plan(policy_of({"access": ["user"]}), catalog, list(given["seed"]), region="US")
        assert {each.reason for each in plan.not_searched} == {cause}
        return
    assert cause in refused(catalog, given["seed"])


@facts("traversal_start_collection_count")
def test_as_many_starts_as_fields_hold_a_given_kind(fact: Fact) -> None:
    given = fact["input"]
    names = [f"dr_{number}" for number in range(1, given["fully_connected_collections"] + 1)]
    held = {key.split(".")[0]: {"identity": kind} for key, kind in given["identity_fields"].items()}
    documents = [
        {"dataset": name, "collections": [{"name": "ds", "fields": [{"path": "f1"} | held.get(name, {})]}]}
        for name in names
    ]
    graph = build_graph(catalog_of(documents))
    found = [each for each in graph.nodes if seed_paths(graph.nodes[each], given["seed_keys"])]
    assert len(found) == fact["expect"]["equals"]


@facts("optional_identity")
def test_what_nothing_reaches_refuses_an_erasure(fact: Fact) -> None:
    assert fact["expect"]["raises"] == "UnreachableNodesError"
    alone = {"dataset": "a", "collections": [{"name": "b", "fields": [{"path": "f"}]}]}
    assert refused(catalog_of([alone]), fact["input"]["seed_keys"]) == {"unreached"}


@facts("can_run_given_remaining")
def test_a_collection_waits_for_those_it_comes_after(fact: Fact) -> None:
    given = fact["input"]
    here = CollectionAddress("here", "here")
    remaining = [CollectionAddress.parse(each) for each in dict.fromkeys(given["remaining"])]
    wanted = set(given["after_collections"])
    after = [(each, here) for each in remaining if str(each) in wanted or each.dataset in given["after_datasets"]]
    runs = arrange(dict.fromkeys([*remaining, here], 0), lambda address: str(address), data=[], after=after, wishes=[])
    assert not isinstance(runs, Cycle)
    order = [address for run in runs for address in run.members]
    waits = any(order.index(each) < order.index(here) for each, _ in after)
    assert waits is not fact["expect"]["equals"]
