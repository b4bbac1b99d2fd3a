"""Which values are the subject's own in a row that is also others': those that equal an identity that she gave.

What the store proposes is decided elsewhere the same way; this is for values that only habeas opens. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from habeas.connectors.base import SeedValue
from habeas.core.identity import canonical
from habeas.core.values import canonical_text
from habeas.execute.members import AT_ONCE, Seeds
from habeas.plan.model import Seed


class _Forms:
    """One member's values, by kind."""

    def __init__(self, values: Iterable[SeedValue]) -> None:
        self.canonical: dict[str, set[str]] = {}
        self.telling: dict[str, set[str]] = {}
        self.given: dict[str, set[str]] = {}
        for each in values:
            self.given.setdefault(each.kind, set()).add(each.given)
            self.canonical.setdefault(each.kind, set()).add(each.canonical)
            if each.is_telling:
                self.telling.setdefault(each.kind, set()).add(each.canonical)


class OwnValues:
    """The identities of a cohort's members, by kind and member; opened as members are asked about."""

    def __init__(self, seeds: Seeds) -> None:
        self._seeds = seeds
        self._opened: dict[int, _Forms] = {}

    def holds(self, member: int, seeds: Sequence[Seed], value: object) -> bool:
        """Whether a field's value is the member's own; `seeds` say how the field is compared."""
        text = None if isinstance(value, dict | list | tuple) else canonical_text(value)
        return text is not None and any(_equals(self._of(member), seed, text) for seed in seeds)

    def _of(self, member: int) -> _Forms:
        if member not in self._opened:
            if len(self._opened) >= AT_ONCE:
                self._opened.clear()
            self._opened[member] = _Forms(self._seeds.of(member))
        return self._opened[member]


def _equals(forms: _Forms, seed: Seed, text: str) -> bool:
    if seed.match == "exact":
        return text in forms.given.get(seed.kind, ())
    wanted = (forms.canonical if seed.declared else forms.telling).get(seed.kind)
    return wanted is not None and canonical(seed.kind, text, seed.region) in wanted
