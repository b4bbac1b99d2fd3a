"""Identities as the store is asked for them, and as its candidates are confirmed.

The store narrows down, this decides: canonical forms are `core.identity`'s and no database's. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from habeas.connectors.base import SeedValue
from habeas.connectors.sql.dialect import Dialect
from habeas.connectors.sql.statements import column_of
from habeas.core.identity import canonical
from habeas.plan.model import Seed, Step

VALUES_AT_ONCE = 20_000
_NOT_DIGITS = re.compile(r"[^0-9]")


class SeedBatch(NamedTuple):
    """Values for one statement: the array to bind, and whose a candidate row is by its text and the number
    of the value it equals (from 1; None where the store doesn't tell).
    """

    bound: Any
    members: Callable[[str | None, int | None], Sequence[int]]


def seed_batches(dialect: Dialect, step: Step, seed: Seed, values: Iterable[SeedValue]) -> Iterator[SeedBatch]:
    """Those of the values that are of the seed's kind, in bounded batches; none where none can be in the column."""
    waiting = (value for value in values if value.kind == seed.kind)
    while part := list(islice(waiting, VALUES_AT_ONCE)):
        if seed.match == "canonical" and seed.kind in ("email", "phone_number"):
            yield _canonical_batch(dialect, seed, part)
        else:
            batch = _equal_batch(dialect, step, seed, part)
            if batch is not None:
                yield batch


def _canonical_batch(dialect: Dialect, seed: Seed, values: Sequence[SeedValue]) -> SeedBatch:
    wanted: dict[str, set[int]] = {}
    for value in values:
        wanted.setdefault(value.canonical, set()).add(value.member)
    sought = {text for form in wanted for text in ([form] if seed.kind == "email" else phone_ends(form))}

    def members(text: str | None, number: int | None) -> Sequence[int]:
        if text is None:
            return ()
        return sorted(wanted.get(canonical(seed.kind, text, seed.region), ()))

    return SeedBatch(dialect.array(sorted(sought)), members)


def phone_ends(form: str) -> list[str]:
    """The last seven digits that a column with this canonical number may end in.

    An extension may follow the number without letters (`#5`), so both ends count. Of numbers shorter than
    seven national digits the country's code may be missing or replaced by a 0.
    """
    number, _, extension = form.partition(";ext=")
    digits = _NOT_DIGITS.sub("", number)
    forms = {digits, digits + extension}
    if number.startswith("+") and len(digits) < 10:  # country codes have one to three digits
        national = [digits[length:] for length in (1, 2, 3)]
        forms |= {prefix + each + tail for each in national for prefix in ("", "0") for tail in ("", extension)}
    return sorted({each[-7:] for each in forms})


def _equal_batch(dialect: Dialect, step: Step, seed: Seed, values: Sequence[SeedValue]) -> SeedBatch | None:
    exact = seed.match == "exact"
    convert = dialect.lookup("", column_of(step, seed.column), indexed=seed.indexed).convert
    sought: dict[Any, list[SeedValue]] = {}
    for value in values:
        typed = convert(value.given if exact else value.canonical)
        if typed is not None:
            sought.setdefault(typed, []).append(value)
    if not sought:
        return None
    groups = list(sought.values())

    def members(text: str | None, number: int | None) -> Sequence[int]:
        group = groups[(number or 1) - 1]
        return sorted({value.member for value in group if exact or value.canonical == text})

    return SeedBatch(dialect.numbered(list(sought)), members)
