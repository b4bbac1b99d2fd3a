"""From spooled rows to published packages: the deliver stage of a cohort.

One package a member and destination, all of a cohort's written in one pass. Publishing comes after all are
on disk; doing both again has the effect of once. What is kept about them lies with the cohort's progress, of
large cohorts in frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from habeas.deliver.base import EncodedRows, PackageMember, PackageRef, StepRows
from habeas.deliver.package import PackageWriter, publish, withdraw
from habeas.durable.boundary import reach
from habeas.execute.access import AccessResult, Package, SpooledRows, shown_columns
from habeas.execute.members import AT_ONCE, Member
from habeas.requests.answers import answer_rows
from habeas.requests.attempt import Attempt
from habeas.requests.model import Status
from habeas.requests.places import Place
from habeas.spool.frames import Frame
from habeas.spool.rows import unpack_rows
from habeas.store import cohorts

_PREFIX = "packages-"
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[PackageRef])


def deliver_packages(
    attempt: Attempt, places: Sequence[Place], spooled: Sequence[Sequence[SpooledRows]], result: AccessResult
) -> None:
    """Write and publish the packages of all members, a place after the other. Whoever was canceled meanwhile gets none.

    `spooled` has the rows of each place, `result` what is counted of them; it gets what is to be kept about the
    packages, the frames of large cohorts what is kept about theirs. Raises DeliveryFailed where a destination didn't
    take one.
    """
    attempt.context.frames.forget(_PREFIX)
    for number, (place, rows) in enumerate(zip(places, spooled, strict=True)):
        _Delivery(attempt, number, place, result).run(rows)


def withdraw_packages(attempt: Attempt) -> None:
    """Delete what was shown for members just before they were canceled: they were told that they get nothing."""
    if not attempt.plan.accesses:
        return
    with attempt.installation.database.read() as connection:
        canceled = cohorts.members_in(connection, attempt.cohort_id, Status.CANCELED)
    for place in attempt.open_places():
        withdraw(place.destination, place.format, canceled)


class _Delivery:
    """Packages of one place: written and made durable for some members at a time, shown once all are there."""

    def __init__(self, attempt: Attempt, number: int, place: Place, result: AccessResult) -> None:
        self._attempt = attempt
        self._number = number
        self._place = place
        self._result = result
        self._few = len(attempt.members) <= AT_ONCE
        self._refs: dict[int, Sequence[PackageRef] | Frame] = {}

    def run(self, rows: Sequence[SpooledRows]) -> None:
        """Write, then show; a part that isn't to be shown is deleted."""
        attempt, place = self._attempt, self._place
        writer = PackageWriter(place.destination, place.format, _sources(attempt, place.rules, rows), attempt.epoch)
        whole = False
        try:
            for number, members in attempt.members.parts():
                self._keep(number, writer.write([self._told(each) for each in members]))
            whole = True
        finally:
            if not whole:
                for number in self._refs:
                    place.destination.discard([ref.part for ref in self._kept(number)])
        reach("package.written")
        attempt.let_go()
        for number, members in attempt.members.parts():
            self._show(number, {each.request_id: each.index for each in members})
        attempt.context.frames.record([each for each in self._refs.values() if isinstance(each, Frame)])
        reach("package.published")

    def _told(self, member: Member) -> PackageMember:
        plan = self._attempt.plan
        return PackageMember(
            member.request_id,
            member.encryption_key,
            plan.not_searched,
            plan.kinds,
            member.index,
            plan.absent_kinds,
            self._result.hidden_of(plan, member.index),
        )

    def _keep(self, number: int, refs: Sequence[PackageRef]) -> None:
        if self._few:
            self._refs[number] = refs
        else:
            name = f"{_PREFIX}{self._number:03}-{number:06}"
            self._refs[number] = self._attempt.spool.write(name, _encoder.encode(refs), durable=True)

    def _kept(self, number: int) -> Sequence[PackageRef]:
        kept = self._refs[number]
        return _decoder.decode(self._attempt.spool.read(kept)) if isinstance(kept, Frame) else kept

    def _show(self, number: int, present: Mapping[str, int]) -> None:
        refs = self._kept(number)
        self._place.destination.discard([ref.part for ref in refs if ref.request_id not in present])
        shown = [ref for ref in refs if ref.request_id in present]
        publish(self._place.destination, shown)
        if self._few:
            for ref in shown:
                self._result.packages.setdefault(present[ref.request_id], []).append(_package(ref))


class Packages:
    """What is kept about the packages of a cohort, by member."""

    def __init__(self, attempt: Attempt, result: AccessResult) -> None:
        self._attempt = attempt
        self._result = result
        self._part: tuple[int, dict[str, list[Package]]] = -1, {}

    def of(self, member: Member) -> list[Package]:
        """A member's packages, a place after the other; quick for members that are near each other."""
        if self._result.packages:
            return self._result.packages.get(member.index, [])
        number = member.index // AT_ONCE
        if self._part[0] != number:
            self._part = number, self._read(number)
        return self._part[1].get(member.request_id, [])

    def _read(self, number: int) -> dict[str, list[Package]]:
        read: dict[str, list[Package]] = {}
        for frame in self._attempt.context.frames.list(_PREFIX):
            if int(frame.name.split("-")[2].partition(".")[0]) == number:
                for ref in _decoder.decode(self._attempt.spool.read(frame)):
                    read.setdefault(ref.request_id, []).append(_package(ref))
        return read


def _package(ref: PackageRef) -> Package:
    return Package(ref.storage, ref.location, ref.digest, ref.size)


def _sources(attempt: Attempt, rules: frozenset[str], rows: Sequence[SpooledRows]) -> list[StepRows]:
    sources = []
    for each in rows:
        step = attempt.plan.steps[each.step]
        sources.append(StepRows(step.address, shown_columns(step, rules), _groups(attempt, each)))
    return [*sources, *answer_rows(attempt)]


def _groups(attempt: Attempt, rows: SpooledRows) -> Iterator[EncodedRows]:
    for frame in rows.frames:
        yield from unpack_rows(attempt.spool.read(frame))
