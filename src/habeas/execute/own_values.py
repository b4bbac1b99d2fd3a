"""Which values are the subject's own in a row that is also others': those that equal an identity that she gave.

What the store proposes is decided elsewhere the same way; this is for values that only habeas opens. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from habeas.connectors.base import SeedValue
from habeas.core.identity import canonical
from habeas.core.values import canonical_text
from habeas.plan.model import Seed


class OwnValues:
    """The identities of a cohort's members, by kind and member."""

    def __init__(self, values: Iterable[SeedValue]) -> None:
        self._forms: dict[tuple[int, str], set[str]] = {}
        self._telling: dict[tuple[int, str], set[str]] = {}
        self._given: dict[tuple[int, str], set[str]] = {}
        for each in values:
            key = (each.member, each.kind)
            self._given.setdefault(key, set()).add(each.given)
            self._forms.setdefault(key, set()).add(each.canonical)
            if each.is_telling:
                self._telling.setdefault(key, set()).add(each.canonical)

    def holds(self, member: int, seeds: Sequence[Seed], value: object) -> bool:
        """Whether a field's value is the member's own; `seeds` say how the field is compared."""
        text = None if isinstance(value, dict | list | tuple) else canonical_text(value)
        return text is not None and any(self._equals(member, seed, text) for seed in seeds)

    def _equals(self, member: int, seed: Seed, text: str) -> bool:
        key = (member, seed.kind)
        if seed.match == "exact":
            return text in self._given.get(key, ())
        wanted = (self._forms if seed.declared else self._telling).get(key)
        return wanted is not None and canonical(seed.kind, text, seed.region) in wanted
