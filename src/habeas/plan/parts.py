"""Masks of parts of a document: what an erasure does to fields inside a column, united by column.

A part takes all that lies at its path; text is masked by the strategy, anything else becomes null, as does an
object, unless an array in it leads to the row: of that only the subject's elements are masked. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from habeas.core.errors import Refused
from habeas.core.schema import TypeFamily
from habeas.dataset.model import Field, StrategyChoice
from habeas.masking.registry import AnyStrategy
from habeas.plan.assemble import DECLARED_TYPES
from habeas.plan.graph import Graph, Node
from habeas.plan.inside import compared_column
from habeas.plan.model import Kept, Mask, Step, base_of
from habeas.policy.select import Selected

NULL = "null_rewrite"
_KEY_FAMILIES = (TypeFamily.INTEGER, TypeFamily.UUID)


def is_part(step: Step, path: str) -> bool:
    """Whether a field is masked inside its column: it lies in one, or some of its elements are others'."""
    return "." in path or any(
        column.inside is not None and column.inside.column == path and not column.inside.whole
        for column in step.entries
    )


def refuse_part(node: Node, path: str, where: str) -> Refused | None:
    """Why a part can't be written, None if it can."""
    base = base_of(path)
    live, schema = node.live.get(base), node.bound.schema
    if live is None or schema is None:
        return None
    if live.generated:
        message, fix = "lies in a column that the store computes", "target the columns it is computed from"
        return Refused(message, cause="generated_column", where=where, fix=fix)
    if live.type.family in schema.documents:
        return None
    known = ", ".join(schema.documents) or "no column"
    message = (
        f"lies inside a column of type {live.type.native or 'unknown'}; in this store habeas masks inside: {known}"
    )
    fix = "target the whole column, or declare masking_strategy_override delete on the collection"
    return Refused(message, cause="unmaskable", where=where, fix=fix)


def keep_part(graph: Graph, node: Node, path: str) -> Kept | None:
    """A reference field that holds integers or UUIDs stays, as in a column of its own."""
    if path not in graph.reference_paths.get(node.address, frozenset()):
        return None
    column = compared_column(graph, node, path)
    return Kept(path, "key_kept") if column is not None and column.type.family in _KEY_FAMILIES else None


def part_mask(node: Node, selected: Selected, choice: StrategyChoice, chosen: AnyStrategy) -> Mask:
    """The mask of one part. What a strategy for text can't mask becomes null."""
    field = node.fields[selected.path]
    fits = chosen.fits(_family(field))
    return Mask(
        field=selected.path,
        rule=selected.rules[0],
        strategy=chosen.name if fits else NULL,
        form="computed",
        configuration=choice.configuration if fits else {},
        categories=tuple(sorted(selected.categories)),
        length=field.length,
        substituted=None if fits else "type",
        per_row=fits and chosen.per_row,
    )


def _family(field: Field) -> TypeFamily:
    if field.data_type is None:
        return TypeFamily.JSON if field.fields else TypeFamily.TEXT
    return DECLARED_TYPES.get(field.data_type, TypeFamily.TEXT)


def unite_parts(step: Step, masks: Iterable[Mask]) -> tuple[Mask, ...]:
    """All masks, those of one document as one: its column is written once."""
    return tuple(_united(step, list(masks)))


def _united(step: Step, masks: list[Mask]) -> Iterator[Mask]:
    parts: dict[str, list[Mask]] = {}
    for mask in masks:
        if is_part(step, mask.field):
            parts.setdefault(base_of(mask.field), []).append(mask)
        else:
            yield mask
    form: Literal["computed"] = "computed"
    for column, found in parts.items():
        categories = sorted({category for part in found for category in part.categories})
        yield Mask(column, found[0].rule, found[0].strategy, form, categories=tuple(categories), parts=tuple(found))


def refuse_delete(step: Step, node: Node) -> Refused | None:
    """Rows in which a list holds other people's elements too can't be deleted for one of them."""
    found_by = {seed.column for seed in step.seeds}
    for column in step.entries:
        inside = column.inside
        if column.name in found_by and inside is not None and not inside.whole and _is_listed(node, column.name):
            return Refused(
                f"rows found by elements of {inside.column} may hold other people's elements",
                cause="nested_field",
                where=step.address,
                fix="declare return_all_elements on the list if all of it is one person's, or mask instead of deleting",
            )
    return None


def _is_listed(node: Node, name: str) -> bool:
    names = name.removesuffix("[]").split(".")
    live = node.live.get(names[0])
    fields = (node.fields.get(".".join(names[: end + 1])) for end in range(len(names)))
    is_array = live is not None and live.type.family is TypeFamily.ARRAY
    return is_array or any(field is not None and field.is_array for field in fields)
