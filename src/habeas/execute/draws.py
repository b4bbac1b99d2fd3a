"""Values drawn per row for columns that must be unique: those that meet another value are drawn anew.

Only where a column leaves so few values that they may meet. What is drawn is frozen before the first write,
so that a rerun writes the same. Never reads or writes a store itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from habeas.core.errors import Refused
from habeas.plan.model import Mask

ATTEMPTS = 30
_WIDE_TEXT = 12  # characters, of 36 letters and digits
_WIDE_KINDS = frozenset({"uuid", "binary", "json"})
_WIDE_BITS = 53

Taken = Callable[[Sequence[str]], Collection[int]]
Draw = Callable[[int, bytes], str | None]


def may_meet(mask: Mask) -> bool:
    """Whether values of the mask that must differ could be equal by chance."""
    if not (mask.per_row and mask.unique):
        return False
    kind = mask.configuration.get("kind")
    if kind is None:
        length = mask.configuration.get("length", _WIDE_TEXT)
        return min(int(length), mask.length or _WIDE_TEXT) < _WIDE_TEXT
    return kind not in _WIDE_KINDS and not (kind == "integer" and mask.configuration.get("size", 0) > _WIDE_BITS)


def make_distinct(masked: list[Any], seen: set[str], taken: Taken, draw: Draw, where: str) -> None:
    """Draw anew, in place, what equals an earlier draw (`seen`, which grows) or a value `taken` in the store.

    `draw` takes a row's position and a mark that makes it another draw. Raises Refused where no value is free.
    """
    waiting = [position for position, value in enumerate(masked) if value is not None]
    for attempt in range(ATTEMPTS):
        if attempt:
            for position in waiting:
                masked[position] = draw(position, bytes([attempt]))
        held = taken([masked[position] for position in waiting])
        meeting = []
        for number, position in enumerate(waiting):
            if number in held or masked[position] in seen:
                meeting.append(position)
            seen.add(masked[position])
        if not meeting:
            return
        waiting = meeting
    raise Refused(
        "its unique values are used up: no random one is free",
        cause="unmaskable",
        where=where,
        fix="declare masking_strategy_override on the field (preserve keeps it) or delete on the collection",
    )
