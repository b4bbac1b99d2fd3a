"""How keys, landings and frozen chunks are written into spool frames: MessagePack that keeps Python types.

Integers, text, booleans, floats, bytes and NULL travel as they are; other scalars as an extension with a
one-letter tag and their text. Never seals anything itself: the spool does. What `pack_*` writes, the
matching `unpack_*` gives back equal, of the same types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from habeas.connectors.base import FrozenChunk, Landing
from habeas.plan.model import Standing

_NATIVE = (int, str, float, bool, bytes, type(None))
_EXTENSION = 1
_WIDEST = 1 << 63


def _encode_scalar(value: Any) -> Any:
    kind = type(value)
    if kind is int and not -_WIDEST <= value < _WIDEST:
        return msgspec.msgpack.Ext(_EXTENSION, b"i" + str(value).encode())
    if kind in _NATIVE:
        return value
    for tag, (known, write, _) in _TAGS.items():
        if kind is known:
            return msgspec.msgpack.Ext(_EXTENSION, tag + write(value).encode())
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    raise TypeError(f"a value of type {kind.__name__} can't be a key")


def _decode_scalar(code: int, data: memoryview) -> Any:
    raw = bytes(data)
    if code != _EXTENSION:
        raise ValueError("unknown extension in a frame")
    if raw[:1] == b"i":
        return int(raw[1:])
    return _TAGS[raw[:1]][2](raw[1:].decode())


def _seconds(value: timedelta) -> str:
    return f"{value.days}:{value.seconds}:{value.microseconds}"


def _duration(text: str) -> timedelta:
    days, seconds, micros = (int(part) for part in text.split(":"))
    return timedelta(days, seconds, micros)


_TAGS: dict[bytes, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    b"n": (Decimal, str, Decimal),
    b"u": (UUID, str, UUID),
    b"s": (datetime, datetime.isoformat, datetime.fromisoformat),
    b"d": (date, date.isoformat, date.fromisoformat),
    b"t": (time, time.isoformat, time.fromisoformat),
    b"p": (timedelta, _seconds, _duration),
}

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ext_hook=_decode_scalar)


def _column(values: Sequence[Any]) -> list[Any]:
    # Most key columns are plain; finding that out costs one pass over their types.
    if set(map(type, values)) <= {str, bytes, type(None)}:
        return list(values)
    return [_encode_scalar(value) for value in values]


def pack_landings(landings: Iterable[Landing]) -> bytes:
    """One frame of values that leave a segment."""
    return _encoder.encode(
        [[each.member, int(each.standing), each.exclusive, _column(each.values)] for each in landings]
    )


def unpack_landings(payload: bytes) -> list[Landing]:
    """What `pack_landings` wrote."""
    return [
        Landing(member, Standing(standing), exclusive, tuple(values))
        for member, standing, exclusive, values in _decoder.decode(payload)
    ]


def pack_chunk(chunk: FrozenChunk) -> bytes:
    """One frame of frozen rows. `current` is left out: present values are never stored."""
    return _encoder.encode(
        [
            chunk.step,
            chunk.number,
            [_column(column) for column in chunk.keys],
            chunk.owners,
            [[position, owners] for position, owners in chunk.others.items()],
            chunk.digests,
            [None if column is None else _column(column) for column in chunk.masked],
            chunk.joint,
            chunk.held,
            chunk.copies,
        ]
    )


def unpack_chunk(payload: bytes) -> FrozenChunk:
    """What `pack_chunk` wrote."""
    step, number, keys, owners, others, digests, masked, joint, held, copies = _decoder.decode(payload)
    return FrozenChunk(
        step=step,
        number=number,
        keys=keys,
        owners=owners,
        others={position: members for position, members in others},
        digests=digests,
        masked=masked,
        joint=joint,
        held=held,
        copies=copies,
    )
