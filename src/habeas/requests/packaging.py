"""From spooled rows to published packages: the deliver stage of a cohort.

One package a member and destination, all of a cohort's written in one pass. Publishing comes after all are
on disk; doing both again has the effect of once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from habeas.core.errors import NotFound
from habeas.deliver.base import Destination, EncodedRows, Format, PackageMember, StepRows
from habeas.deliver.package import publish, write_packages
from habeas.durable.boundary import reach
from habeas.execute.access import SpooledRows, shown_columns
from habeas.requests.attempt import Attempt
from habeas.requests.destinations import open_stored
from habeas.spool.rows import unpack_rows
from habeas.store import destinations


class Place(NamedTuple):
    """One place and format that packages go to, with all rules whose fields they get."""

    destination: Destination
    format: Format
    rules: frozenset[str]


def open_places(attempt: Attempt) -> list[Place]:
    """The plan's places in order. Rules whose destinations are one place in one format share a package.

    Raises NotFound where a destination was deleted.
    """
    installation = attempt.installation
    keys = list(dict.fromkeys(output.storage for output in attempt.plan.outputs))
    with installation.database.read() as connection:
        found = destinations.find_many(connection, keys)
    places: dict[tuple[str, str], Place] = {}
    for key in keys:
        if key not in found:
            raise NotFound("the storage destination is gone", where=f"storage {key}", fix="make it again, then retry")
        destination = open_stored(found[key], installation.vault, installation.settings.data_dir)
        rules = frozenset(output.rule for output in attempt.plan.outputs if output.storage == key)
        place = Place(destination, found[key].format, rules)
        known = places.get((destination.place, place.format))
        places[destination.place, place.format] = known._replace(rules=known.rules | rules) if known else place
    return list(places.values())


def deliver_packages(
    attempt: Attempt, places: Sequence[Place], spooled: Sequence[Sequence[SpooledRows]]
) -> dict[int, list[dict[str, Any]]]:
    """Write and publish the packages of all members, a place after the other; by member, what to keep about each.
    Whoever was canceled meanwhile gets none.

    `spooled` has the rows of each place. Raises DeliveryFailed where a destination didn't take one.
    """
    attempt.let_go()
    members = [
        PackageMember(each.request_id, each.encryption_key, attempt.plan.not_searched, attempt.plan.kinds, each.index)
        for each in attempt.context.members
    ]
    by_request = {each.request_id: each.index for each in attempt.context.members}
    packages: dict[int, list[dict[str, Any]]] = {each.index: [] for each in attempt.context.members}
    for place, rows in zip(places, spooled, strict=True):
        sources = _sources(attempt, place.rules, rows)
        refs = write_packages(place.destination, place.format, members, sources, attempt.epoch)
        reach("package.written")
        attempt.fence()
        publish(place.destination, refs)
        reach("package.published")
        for ref in refs:
            kept = {"storage": ref.storage, "location": ref.location, "digest": ref.digest, "size": ref.size}
            packages[by_request[ref.request_id]].append(kept)
    return packages


def _sources(attempt: Attempt, rules: frozenset[str], rows: Sequence[SpooledRows]) -> list[StepRows]:
    sources = []
    for each in rows:
        step = attempt.plan.steps[each.step]
        sources.append(StepRows(step.address, shown_columns(step, rules), _groups(attempt, each)))
    return sources


def _groups(attempt: Attempt, rows: SpooledRows) -> Iterator[EncodedRows]:
    for frame in rows.frames:
        yield from unpack_rows(attempt.spool.read(frame))
