"""Which look-ups the store compares by a collation for which accents don't count, so that they may find another's rows.

Judged from the live schema alone. Canonical look-ups by identity are confirmed letter by letter and aren't named. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from habeas.core.address import CollectionAddress
from habeas.core.schema import TypeFamily
from habeas.plan.draft import Draft
from habeas.plan.graph import Node
from habeas.plan.model import Caution, Step


def warn_folding(draft: Draft) -> Draft:
    """Name each text column that is compared by such a collation."""
    found = [
        caution
        for step in draft.steps
        if (address := CollectionAddress.parse(step.address)) in draft.graph.nodes
        for caution in _folding(step, draft.graph.nodes[address])
    ]
    return replace(draft, warnings=(*draft.warnings, *found))


def _folding(step: Step, node: Node) -> Iterator[Caution]:
    for seed in step.seeds:
        if seed.match == "exact" and _folds(node, seed.column):
            fix = "declare identity_match: canonical, or give the column a collation that tells accents apart"
            yield _caution(node, seed.column, f"identities of kind {seed.kind}", fix)
    compared = [link.columns for link in step.links if link.compare == "native"]  # as text, bytes are compared
    for column in dict.fromkeys(column for columns in compared for column in columns if _folds(node, column)):
        fix = "give the column a collation that tells accents apart, such as a binary one"
        yield _caution(node, column, "references", fix)


def _folds(node: Node, column: str) -> bool:
    live = node.live.get(column)
    return live is not None and live.folds_accents and live.type.family is TypeFamily.TEXT


def _caution(node: Node, column: str, what: str, fix: str) -> Caution:
    message = f"{what} are compared by the column's collation, for which é and e may be one letter"
    return Caution(f"{node.address}:{column}", "folds_accents", message, fix)
