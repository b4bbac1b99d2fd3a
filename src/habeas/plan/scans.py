"""Which lookups an index serves, and the CREATE INDEX that would serve the others.

Judged from the live schema's index list alone; where a store shows none, nothing is said. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from habeas.core.address import CollectionAddress
from habeas.dataset.model import IdentityMatch
from habeas.plan.draft import Draft
from habeas.plan.graph import Node, Paths
from habeas.plan.model import Caution, Seed, Step

_IN_A_COLUMN = "keep the value in a column of its own, with an index"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(
    {"all", "check", "column", "default", "from", "group", "index", "key", "order", "select", "table", "to", "user"}
)
_CAST = re.compile(r"::[a-z ]+(\(\d+\))?(\[\])?")


def serves_link(node: Node, paths: Paths) -> bool:
    """Whether some index begins with one of the columns."""
    if node.table is None:
        return True
    plain = [path for path in paths if node.inside(path) is None]
    return any(index and index[0] in plain for index in node.table.indexes)


def serves_seed(node: Node, column: str, kind: str, match: IdentityMatch) -> bool:
    """Whether an index serves the lookup of candidates by identity."""
    if node.table is None:
        return True
    if node.inside(column) is not None:
        return False
    needed = _canonical_indexes(node, kind, match)
    if needed:
        return all(_has_index(node, column, each) for each in needed)
    if _by_last_digits(kind, match):
        return False
    wanted = _reduced(seed_expression(column, kind, match))
    return any(index and (index[0] == wanted or _reduced(index[0]) == wanted) for index in node.table.indexes)


def _canonical_indexes(node: Node, kind: str, match: IdentityMatch) -> tuple[tuple[str, ...], ...]:
    """The indexes that the store needs together for the lookup; none where one on the column or nothing serves."""
    known = dict(node.table.seed_indexes) if node.table is not None and match == "canonical" else {}
    return known.get(kind, ())


def _has_index(node: Node, column: str, expressions: tuple[str, ...]) -> bool:
    wanted = [_reduced(each.format(_quoted(column))) for each in expressions]
    indexes = node.table.indexes if node.table is not None else ()
    return any([_reduced(each) for each in index[: len(wanted)]] == wanted for index in indexes)


def seed_expression(column: str, kind: str, match: IdentityMatch) -> str:
    """What candidates are looked up by: the column, or for canonical e-mail its trimmed lower case."""
    name = _quoted(column)
    return f"lower(trim({name}))" if kind == "email" and match == "canonical" else name


def warn_scans(draft: Draft) -> Draft:
    """Name each collection that is read whole, once, with all lookups that make it so."""
    found = [
        _caution(step, scans)
        for step in draft.steps
        if CollectionAddress.parse(step.address) in draft.graph.nodes
        if (scans := dict(_scans(step, draft.graph.nodes[CollectionAddress.parse(step.address)])))
    ]
    return replace(draft, warnings=(*draft.warnings, *found))


def _caution(step: Step, scans: Mapping[str, str]) -> Caution:
    lookups = ", nor ".join(scans)
    message = f"no index serves the lookup {lookups}: the whole table is read"
    return Caution(step.address, "scan", message, "; ".join(dict.fromkeys(scans.values())))


def _scans(step: Step, node: Node) -> Iterator[tuple[str, str]]:
    """Lookups that no index serves, and what would."""
    if node.table is None or node.table.is_view:
        return
    for seed in step.seeds if step.own_of is None else ():  # shared rows are looked at by their keys
        if not seed.indexed:
            needed = _canonical_indexes(node, seed.kind, seed.match)
            advice = _seed_advice(step, seed, needed, by_expression=node.table.expression_indexes)
            yield f"by {seed.kind} in {seed.column}", advice
    for columns in dict.fromkeys(link.columns for link in step.links if not link.indexed):
        fix = _create_index(step, columns, ", ".join(map(_quoted, columns)))
        yield f"by {', '.join(columns)}", _IN_A_COLUMN if _is_inside(step, columns) else fix


def _seed_advice(step: Step, seed: Seed, needed: tuple[tuple[str, ...], ...], *, by_expression: bool) -> str:
    if _is_inside(step, (seed.column,)):
        return _IN_A_COLUMN
    if needed:
        fixes = (
            _create_index(step, (seed.column, str(number)), ", ".join(each).format(_quoted(seed.column)))
            for number, each in enumerate(needed, 1)
        )
        return "; ".join(fixes)
    if _by_last_digits(seed.kind, seed.match):
        return "store the number in one form and declare identity_match: exact, with an index on the column"
    expression = seed_expression(seed.column, seed.kind, seed.match)
    if expression != _quoted(seed.column) and not by_expression:
        return "store the address in one form and declare identity_match: exact, with an index on the column"
    return _create_index(step, (seed.column,), expression)


def _is_inside(step: Step, columns: Paths) -> bool:
    return any(step.column(name).inside is not None for name in columns)


def _by_last_digits(kind: str, match: IdentityMatch) -> bool:
    """Candidates share their last digits in any spelling; no index that all stores have serves that."""
    return kind == "phone_number" and match == "canonical"


def _create_index(step: Step, columns: Paths, expressions: str) -> str:
    name = _quoted("_".join(("habeas", step.table.name, *columns))[:63])
    table = ".".join(_quoted(part) for part in (step.table.schema, step.table.name) if part)
    return f"CREATE INDEX {name} ON {table} ({expressions})"


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name) and name.islower() and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def _reduced(expression: str) -> str:
    """An index expression without what stores add when they show it: casts, quotes, spaces, brackets."""
    text = _CAST.sub("", expression.lower()).replace("both from", "").replace("collate", "").replace("btrim", "trim")
    return re.sub(r"[\s\"`()\[\]]", "", text)
