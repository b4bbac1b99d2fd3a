"""A package as one JSON document: `{"dataset:collection": [rows], …}`, collections without rows left out.

Where collections weren't searched it also says so, under `not_searched`, with whatever else there is to tell;
otherwise it holds collections only, as fidesops' does, and an empty package is `{}`. Never parses a row.
"""

from __future__ import annotations

from collections.abc import Iterable

from habeas.core.values import encode_json
from habeas.deliver.base import PackageMember, Part
from habeas.deliver.merge import StepCursor
from habeas.deliver.sealing import SealedText

_FIRST, _FURTHER = b"{", b"],\n"  # what stands before a collection


def write_json(part: Part, member: PackageMember, index: int, cursors: Iterable[StepCursor]) -> None:
    """Write one member's package; sealed as a whole where the member has an encryption key."""
    sealed = SealedText(part.write, member.encryption_key) if member.encryption_key is not None else None
    write = sealed.write if sealed else part.write
    opening = _FIRST
    for cursor in cursors:
        before = opening + encode_json(cursor.address) + b":["
        for rows in cursor.rows_of(index):
            write(before)
            write(rows)
            before, opening = b",", _FURTHER
    write(_ending(member, opening))
    if sealed:
        sealed.finish()


def _ending(member: PackageMember, opening: bytes) -> bytes:
    if not member.not_searched:
        return b"{}" if opening == _FIRST else b"]}"
    return opening + encode_json(member.told())[1:]
