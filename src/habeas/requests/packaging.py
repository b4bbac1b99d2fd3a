"""From spooled rows to published packages: the deliver stage of a cohort.

One package a member and destination, all of a cohort's written in one pass. Publishing comes after all are
on disk; doing both again has the effect of once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from habeas.deliver.base import EncodedRows, PackageMember, PackageRef, StepRows
from habeas.deliver.package import publish, write_packages
from habeas.durable.boundary import reach
from habeas.execute.access import AccessResult, Package, SpooledRows, shown_columns
from habeas.requests.answers import answer_rows
from habeas.requests.attempt import Attempt
from habeas.requests.places import Place
from habeas.spool.rows import unpack_rows


def deliver_packages(
    attempt: Attempt, places: Sequence[Place], spooled: Sequence[Sequence[SpooledRows]], result: AccessResult
) -> dict[int, list[Package]]:
    """Write and publish the packages of all members, a place after the other; by member, what to keep about each.
    Whoever was canceled meanwhile gets none.

    `spooled` has the rows of each place, `result` what is counted of them. Raises DeliveryFailed where a
    destination didn't take one.
    """
    by_request = {each.request_id: each.index for each in attempt.context.members}
    packages: dict[int, list[Package]] = {each.index: [] for each in attempt.context.members}
    for place, rows in zip(places, spooled, strict=True):
        for ref in _deliver(attempt, place, rows, result):
            kept = Package(ref.storage, ref.location, ref.digest, ref.size)
            packages[by_request[ref.request_id]].append(kept)
    return packages


def _deliver(attempt: Attempt, place: Place, rows: Sequence[SpooledRows], result: AccessResult) -> list[PackageRef]:
    members = [
        PackageMember(
            each.request_id,
            each.encryption_key,
            attempt.plan.not_searched,
            attempt.plan.kinds,
            each.index,
            attempt.plan.absent_kinds,
            result.hidden_of(attempt.plan, each.index),
        )
        for each in attempt.context.members
    ]
    refs = write_packages(place.destination, place.format, members, _sources(attempt, place.rules, rows), attempt.epoch)
    reach("package.written")
    attempt.let_go()
    present = {each.request_id for each in attempt.context.members}
    place.destination.discard([ref.part for ref in refs if ref.request_id not in present])
    kept = [ref for ref in refs if ref.request_id in present]
    publish(place.destination, kept)
    reach("package.published")
    return kept


def _sources(attempt: Attempt, rules: frozenset[str], rows: Sequence[SpooledRows]) -> list[StepRows]:
    sources = []
    for each in rows:
        step = attempt.plan.steps[each.step]
        sources.append(StepRows(step.address, shown_columns(step, rules), _groups(attempt, each)))
    return [*sources, *answer_rows(attempt)]


def _groups(attempt: Attempt, rows: SpooledRows) -> Iterator[EncodedRows]:
    for frame in rows.frames:
        yield from unpack_rows(attempt.spool.read(frame))
