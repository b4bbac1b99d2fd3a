"""The kinds of systems that can be connected: found, not listed. Adding one is a file in `kinds/`.

Other packages add kinds by an entry point in the group `habeas.connectors` that names a Connector class.
Opens no connection and knows no kind by name.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from habeas.connectors import kinds
from habeas.connectors.base import Connector
from habeas.core.errors import BadInput

ENTRY_POINTS = "habeas.connectors"


def connector_class(kind: str) -> type[Connector]:
    """The class of a kind; raises BadInput, naming the kinds there are, for any other."""
    known = _classes()
    if kind not in known:
        raise BadInput("no such connection type", where="connection_type", fix=f"one of {', '.join(sorted(known))}")
    return known[kind]


def connector_classes() -> list[type[Connector]]:
    """All kinds, by name. Each class tells its label, category, secrets and capabilities itself."""
    return [each for _, each in sorted(_classes().items())]


@cache
def _classes() -> Mapping[str, type[Connector]]:
    return {each.kind: each for each in (*_own(), *_installed())}


def _own() -> Iterator[type[Connector]]:
    for module in pkgutil.iter_modules(kinds.__path__):
        found = import_module(f"{kinds.__name__}.{module.name}")
        yield from (
            each
            for each in vars(found).values()
            if isinstance(each, type) and issubclass(each, Connector) and each.__module__ == found.__name__
        )


def _installed() -> Iterator[type[Connector]]:
    for point in entry_points(group=ENTRY_POINTS):
        found = point.load()
        if not (isinstance(found, type) and issubclass(found, Connector)):
            raise BadInput("an entry point of a connector names no Connector class", where=point.value)
        yield found
