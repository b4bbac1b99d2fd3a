"""From spooled rows to published packages: the deliver stage of a cohort.

One package a member and destination, all of a cohort's written in one pass. Publishing comes after all are
on disk; doing both again has the effect of once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from habeas.deliver.base import Destination, EncodedRows, PackageMember, StepRows
from habeas.deliver.package import publish, write_packages
from habeas.durable.boundary import reach
from habeas.execute.access import SpooledRows, shown_columns, storages
from habeas.requests.attempt import Attempt
from habeas.requests.destinations import open_destination
from habeas.spool.rows import unpack_rows


def deliver_packages(attempt: Attempt, spooled: Mapping[str, Sequence[SpooledRows]]) -> dict[int, list[dict[str, Any]]]:
    """Write and publish the packages of all members; by member, what to keep about each package.

    Raises DeliveryFailed where a destination didn't take one, NotFound where it was deleted.
    """
    places = _open_destinations(attempt, list(spooled))
    kinds = attempt.plan.kinds
    members = [
        PackageMember(each.request_id, each.encryption_key, attempt.plan.not_searched, kinds, each.index)
        for each in attempt.context.members
    ]
    by_request = {each.request_id: each.index for each in attempt.context.members}
    packages: dict[int, list[dict[str, Any]]] = {each.index: [] for each in attempt.context.members}
    for storage, rows in spooled.items():
        destination, form = places[storage]
        refs = write_packages(destination, form, members, _sources(attempt, storage, rows), attempt.epoch)
        reach("package.written")
        attempt.fence()
        publish(destination, refs)
        reach("package.published")
        for ref in refs:
            kept = {"storage": ref.storage, "location": ref.location, "digest": ref.digest, "size": ref.size}
            packages[by_request[ref.request_id]].append(kept)
    return packages


def _open_destinations(attempt: Attempt, keys: list[str]) -> dict[str, tuple[Destination, Any]]:
    installation = attempt.installation
    with installation.database.read() as connection:
        return {
            key: open_destination(connection, installation.vault, installation.settings.data_dir, key) for key in keys
        }


def _sources(attempt: Attempt, storage: str, rows: Sequence[SpooledRows]) -> list[StepRows]:
    rules = storages(attempt.plan)[storage]
    sources = []
    for each in rows:
        step = attempt.plan.steps[each.step]
        sources.append(StepRows(step.address, shown_columns(step, rules), _groups(attempt, each)))
    return sources


def _groups(attempt: Attempt, rows: SpooledRows) -> Iterator[EncodedRows]:
    for frame in rows.frames:
        yield from unpack_rows(attempt.spool.read(frame))
