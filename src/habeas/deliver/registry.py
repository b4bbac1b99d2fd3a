"""All kinds of destinations: one file each in `deliver/destinations`, and those that other packages register.

A file there that defines a destination is found by itself; another package names its class under the entry
point group `habeas.destinations`. Never stores a destination's settings.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from habeas.core.errors import BadInput
from habeas.deliver import destinations as package
from habeas.deliver.base import Destination

ENTRY_POINTS = "habeas.destinations"


def destination_class(kind: str) -> type[Destination]:
    """The kind of that name; raises BadInput naming the valid ones."""
    known = _by_kind()
    if kind not in known:
        raise BadInput(f"no such type of storage: {kind!r}", where="type", fix=f"use {' or '.join(known)}")
    return known[kind]


def destination_classes() -> list[type[Destination]]:
    """All kinds in order of name."""
    return list(_by_kind().values())


def check_settings(model: type[BaseModel] | None, settings: Mapping[str, Any] | None, where: str) -> BaseModel | None:
    """Details or secrets, checked; None where the kind takes none. Raises BadInput without the values given."""
    if model is None:
        if settings:
            raise BadInput("this type of storage takes none", where=where, fix=f"leave {where} out")
        return None
    try:
        return model.model_validate(dict(settings or {}))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        told = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise BadInput(told, where=where, fix=f"it takes {', '.join(model.model_fields)}") from None


def open_destination(
    kind: str, key: str, details: Mapping[str, Any], secrets: Mapping[str, Any] | None, data_dir: Path
) -> Destination:
    """A destination ready for packages; raises BadInput for settings that don't fit. Touches no place yet."""
    chosen = destination_class(kind)
    return chosen(
        key,
        check_settings(chosen.details_model, details, "details"),
        check_settings(chosen.secrets_model, secrets, "secrets"),
        data_dir,
    )


@lru_cache(maxsize=1)
def _by_kind() -> Mapping[str, type[Destination]]:
    found: dict[str, type[Destination]] = {}
    for each in (*_own(), *_registered()):
        if each.kind in found:
            raise BadInput(f"two types of storage are named {each.kind}", where=ENTRY_POINTS)
        found[each.kind] = each
    return dict(sorted(found.items()))


def _own() -> Iterator[type[Destination]]:
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Destination) and value.__module__ == module.__name__:
                yield value


def _registered() -> Iterator[type[Destination]]:
    for point in entry_points(group=ENTRY_POINTS):
        yield point.load()
