"""The places that a plan's packages go to, opened once per configuration: a busy installation delivers to the
same few again and again. Never writes to one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from habeas.core.errors import NotFound
from habeas.deliver.base import Destination, Format
from habeas.plan.model import Plan
from habeas.requests.destinations import open_stored
from habeas.requests.installation import Installation
from habeas.store import destinations

_KEPT = 64


class Place(NamedTuple):
    """One place and format that packages go to, with all rules whose fields they get."""

    destination: Destination
    format: Format
    rules: frozenset[str]


class Places:
    """Opened places of one installation. Safe to share between threads."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._guard = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Sequence[Place]] = OrderedDict()

    def of(self, plan: Plan, digest: str, stamp: str | None) -> Sequence[Place]:
        """The plan's places in order. Rules whose destinations are one place in one format share a package.

        `stamp` is that of the present configuration; None where it isn't known: then they are read. Raises
        NotFound where a destination was deleted.
        """
        if stamp is None:
            return self._open(plan)
        with self._guard:
            known = self._kept.get((digest, stamp))
        if known is None:
            known = self._open(plan)
            with self._guard:
                self._kept[digest, stamp] = known
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return known

    def _open(self, plan: Plan) -> Sequence[Place]:
        installation = self._installation
        keys = list(dict.fromkeys(output.storage for output in plan.outputs))
        with installation.database.read() as connection:
            found = destinations.find_many(connection, keys)
        places: dict[tuple[str, str], Place] = {}
        for key in keys:
            if key not in found:
                raise NotFound(
                    "the storage destination is gone", where=f"storage {key}", fix="make it again, then retry"
                )
            destination = open_stored(found[key], installation.vault, installation.settings.data_dir)
            rules = frozenset(output.rule for output in plan.outputs if output.storage == key)
            place = Place(destination, found[key].format, rules)
            known = places.get((destination.place, place.format))
            places[destination.place, place.format] = known._replace(rules=known.rules | rules) if known else place
        return tuple(places.values())
