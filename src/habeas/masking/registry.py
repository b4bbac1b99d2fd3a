"""All masking strategies: one file each in `masking/strategies`, and those that other packages register.

A file there that defines a strategy is found by itself; another package names its class under the entry
point group `habeas.masking_strategies`. Never configures or runs a strategy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from habeas.core.errors import BadInput
from habeas.dataset.problem import nearest
from habeas.masking import strategies as package
from habeas.masking.base import MaskingStrategy

ENTRY_POINTS = "habeas.masking_strategies"

AnyStrategy: TypeAlias = MaskingStrategy[Any]


class UnknownStrategy(BadInput):
    """No masking strategy has that name."""

    code = "unknown_strategy"


def strategy(name: str) -> AnyStrategy:
    """The strategy of that name; raises UnknownStrategy naming the valid ones, and the nearest."""
    known = _by_name()
    if name not in known:
        near = nearest(name, known)
        raise UnknownStrategy(
            f"Strategy '{name}' does not exist. Valid strategies are [{', '.join(known)}]",
            fix=f"did you mean {near}?" if near else None,
        )
    return known[name]


def strategies() -> list[AnyStrategy]:
    """All strategies in order of name."""
    return list(_by_name().values())


@lru_cache(maxsize=1)
def _by_name() -> Mapping[str, AnyStrategy]:
    found: dict[str, AnyStrategy] = {}
    for each in (*_own(), *_registered()):
        if each.name in found:
            raise BadInput(f"two masking strategies are named {each.name}", where=ENTRY_POINTS)
        found[each.name] = each
    return dict(sorted(found.items()))


def _own() -> Iterator[AnyStrategy]:
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, MaskingStrategy) and value.__module__ == module.__name__:
                yield value()


def _registered() -> Iterator[AnyStrategy]:
    for point in entry_points(group=ENTRY_POINTS):
        yield point.load()()
