"""Encoded rows of one step in frames, by member of the cohort.

A frame holds groups: a member's index, a count, and that many rows as JSON objects joined by commas. Groups
come in order of member; a member may have several in a row. Never looks into the rows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from habeas.spool.frames import Frame, Spool

FRAME_BYTES = 1 << 20
_HEAD = struct.Struct(">IIQ")  # member, count, bytes of data


class RowGroup(NamedTuple):
    """Rows of one member: JSON objects joined by commas, and how many."""

    member: int
    data: bytes
    row_count: int


def pack_rows(groups: Iterable[RowGroup]) -> bytes:
    """One frame's payload."""
    parts: list[bytes] = []
    for member, data, count in groups:
        parts += (_HEAD.pack(member, count, len(data)), data)
    return b"".join(parts)


def unpack_rows(payload: bytes) -> Iterator[RowGroup]:
    """What `pack_rows` was given, in order; raises ValueError for anything else."""
    position = 0
    while position < len(payload):
        start = position + _HEAD.size
        if start > len(payload):
            raise ValueError("a frame of rows ends early")
        member, count, size = _HEAD.unpack_from(payload, position)
        position = start + size
        if position > len(payload):
            raise ValueError("a frame of rows ends early")
        yield RowGroup(member, payload[start:position], count)


def write_rows(
    spool: Spool, name: str, groups: Iterable[RowGroup], *, durable: bool = False, frame_bytes: int = FRAME_BYTES
) -> list[Frame]:
    """Spool the groups in frames `<name>-<number>` of about `frame_bytes`; memory holds one frame at a time."""
    frames: list[Frame] = []
    pending: list[RowGroup] = []
    size = 0

    def flush() -> None:
        frames.append(spool.write(f"{name}-{len(frames):06}", pack_rows(pending), durable=durable))
        pending.clear()

    for group in groups:
        pending.append(group)
        size += _HEAD.size + len(group.data)
        if size >= frame_bytes:
            flush()
            size = 0
    if pending:
        flush()
    return frames


def read_rows(spool: Spool, frames: Iterable[Frame]) -> Iterator[RowGroup]:
    """The groups of these frames, one frame in memory at a time; raises FrameLost as `Spool.read`."""
    for frame in frames:
        yield from unpack_rows(spool.read(frame))
