"""All vendors: one file each in `deliver/messages/vendors`, and those that other packages register.

A file there that defines a vendor is found by itself; another package names its class under the entry point group
`habeas.messages`. Never stores a vendor's settings.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from habeas.core.errors import BadInput
from habeas.deliver.messages import vendors as package
from habeas.deliver.messages.base import Vendor

ENTRY_POINTS = "habeas.messages"


def vendor_class(service_type: str) -> type[Vendor]:
    """The vendor of that service type; raises BadInput naming the valid ones."""
    known = _by_type()
    if service_type not in known:
        fix = f"use {' or '.join(known)}"
        raise BadInput(f"no such service type: {service_type!r}", where="service_type", fix=fix)
    return known[service_type]


def check_model(model: type[BaseModel], given: Mapping[str, Any], where: str) -> BaseModel:
    """Details or secrets, checked. Raises BadInput that names fields, without the values given."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        told = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or where}: {str(fault['msg']).removeprefix('Value error, ')}"
            for fault in faults
        )
        raise BadInput(told, where=where, fix=f"it takes {', '.join(model.model_fields)}") from None


def open_vendor(service_type: str, details: Mapping[str, Any], secrets: Mapping[str, Any] | None) -> Vendor:
    """A vendor ready to send; raises BadInput for settings that don't fit. Connects to nothing yet."""
    chosen = vendor_class(service_type)
    checked = None if secrets is None else check_model(chosen.secrets_model, secrets, "secrets")
    return chosen(check_model(chosen.details_model, details, "details"), checked)


@lru_cache(maxsize=1)
def _by_type() -> Mapping[str, type[Vendor]]:
    found: dict[str, type[Vendor]] = {}
    for each in (*_own(), *_registered()):
        if each.service_type in found:
            raise BadInput(f"two vendors are named {each.service_type}", where=ENTRY_POINTS)
        found[each.service_type] = each
    return dict(sorted(found.items()))


def _own() -> Iterator[type[Vendor]]:
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Vendor) and value.__module__ == module.__name__:
                yield value


def _registered() -> Iterator[type[Vendor]]:
    for point in entry_points(group=ENTRY_POINTS):
        yield point.load()
