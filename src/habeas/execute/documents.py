"""Masking parts of documents: the whole new document is made here and frozen, its other parts as they were.

Never stores a present value, but for what a document holds beside its masked parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from habeas.connectors.base import FrozenChunk
from habeas.core.errors import Refused
from habeas.core.nested import Cover, Entries, NotADocument, Path, Place, cover_own, cover_parts, open_document
from habeas.core.values import encode_json
from habeas.execute.own_values import OwnValues
from habeas.masking.base import Masker, row_key
from habeas.plan.model import Mask, Seed, Step

MaskerOf = Callable[[Mask, int], Masker]


def mask_documents(
    step: Step, mask: Mask, chunk: FrozenChunk, values: Sequence[str | None], masker_of: MaskerOf
) -> list[str | None]:
    """The new documents of one column, as JSON text; NULL stays NULL. Raises Refused for text that isn't JSON.

    A document in which nothing is masked keeps its text.
    """
    maskers: dict[int, list[Masker]] = {}
    paths = {_path(part): None for part in mask.parts}
    masked: list[str | None] = []
    for row, (owner, value) in enumerate(zip(chunk.owners, values, strict=True)):
        if value is None:
            masked.append(None)
            continue
        if owner not in maskers:
            maskers[owner] = [masker_of(part, owner) for part in mask.parts]
        document = _opened(step, mask, value, paths)
        entries = chunk.elements[row].get(mask.field, {}) if chunk.elements else {}
        covers = _covers(step, mask, maskers[owner], [column[row] for column in chunk.keys])
        masked.append(_written(value, document, cover_parts(document, covers, entries)))
    return masked


def mask_own_parts(
    step: Step, mask: Mask, chunk: FrozenChunk, values: Sequence[str | None], masker_of: MaskerOf, own: OwnValues
) -> list[str | None]:
    """As `mask_documents` for rows that are declared shared: only what is the owners' own, of each with her secrets."""
    paths = {_path(part): None for part in mask.parts}
    masked: list[str | None] = []
    for row, (lowest, value) in enumerate(zip(chunk.owners, values, strict=True)):
        document = None if value is None else _opened(step, mask, value, paths)
        covered = document
        entries = chunk.elements[row].get(mask.field, {}) if chunk.elements else {}
        for owner in chunk.others.get(row) or (lowest,):
            maskers = [masker_of(part, owner) for part in mask.parts]
            covers = _covers(step, mask, maskers, [column[row] for column in chunk.keys])
            covered = cover_own(covered, covers, entries, _is_own(step, mask, own, owner))
        masked.append(None if value is None else _written(value, document, covered))
    return masked


def _is_own(step: Step, mask: Mask, own: OwnValues, owner: int) -> Callable[[Path, object], bool]:
    seeds: dict[Path, list[Seed]] = {}
    for seed in step.seeds:
        seeds.setdefault(tuple(seed.column.split(".")[1:]), []).append(seed)
    return lambda path, value: own.holds(owner, seeds.get(path, ()), value)


def _opened(step: Step, mask: Mask, value: str, paths: Entries) -> object:
    try:
        return open_document(value, paths)
    except NotADocument:
        fix = "mend the rows, or target the whole column"
        where = f"{step.address}:{mask.field}"
        raise Refused("holds text that isn't JSON", cause="unmaskable", where=where, fix=fix) from None


def _covers(step: Step, mask: Mask, maskers: Sequence[Masker], key: Sequence[object]) -> dict[Path, Cover]:
    pairs = zip(mask.parts, maskers, strict=True)
    return {_path(part): _cover(step, mask.field, part, masker, key) for part, masker in pairs}


def _path(part: Mask) -> Path:
    return tuple(part.field.split(".")[1:])


def _cover(step: Step, column: str, part: Mask, masker: Masker, key: Sequence[object]) -> Cover:
    def cover(value: object, place: Place) -> object:
        if not isinstance(value, str):
            return None  # the strategies write text; NULL fits any value inside a document
        # With its place in the document, elements of one array don't get one value.
        drawn = row_key(f"{step.address}:{column}{_suffix(place)}", key) if part.per_row else None
        return masker(value, drawn)

    return cover


def _suffix(place: Place) -> str:
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in place)


def _written(value: str, document: object, covered: object) -> str | None:
    if covered == document:
        return value
    if document is value and (covered is None or isinstance(covered, str)):
        return covered  # text that is no JSON stays text
    return encode_json(covered).decode()
