"""Packages of a whole cohort, written in one pass: all steps merged by member, streaming, memory flat.

A `PackageWriter` leaves durable parts whose names carry the epoch; `publish` shows them under their final
names, in the step that moves the stage. A rerun writes the same names again, a newer attempt other ones.
Never holds a package, and never sees whose a row is but by its member's index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from habeas.core.errors import BadInput
from habeas.deliver.base import Destination, Format, PackageMember, PackageRef, Part, StepRows
from habeas.deliver.csv_package import write_csv
from habeas.deliver.json_package import write_json
from habeas.deliver.merge import StepCursor
from habeas.deliver.sealing import check_encryption_key

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Form(NamedTuple):
    suffix: str
    write: Callable[[Part, PackageMember, int, Iterable[StepCursor]], None]


_FORMS: Mapping[str, _Form] = {"json": _Form("json", write_json), "csv": _Form("zip", write_csv)}


class PackageWriter:
    """Writes the packages of a cohort to one destination, some members at a time, in order of member.

    `sources` are in plan order and each in order of member; they are read once. Rows of members that aren't
    given are dropped. Raises BadInput for a bad format.
    """

    def __init__(self, destination: Destination, format: Format, sources: Sequence[StepRows], epoch: int) -> None:
        self._destination = destination
        self._form = _form_of(destination, format)
        self._cursors = [StepCursor(source) for source in sources]
        self._epoch = epoch

    def write(self, members: Sequence[PackageMember]) -> list[PackageRef]:
        """Write a package for each of the next members, with or without rows; all are durable on return.

        Raises BadInput for a bad key before anything is written, DeliveryFailed where the destination fails,
        OutOfOrder; then no part of these members is left.
        """
        destination, refs = self._destination, list[PackageRef]()
        numbered = _numbered(members)
        begun: list[str] = []
        whole = False
        try:
            for index, member in numbered:
                name = f"{member.request_id}.{self._form.suffix}"
                begun.append(self.part(member.request_id))
                part = Part(destination.create(begun[-1]))
                digest = _filled(part, self._form, member, index, self._cursors)
                place = destination.location(name)
                refs.append(PackageRef(member.request_id, destination.key, place, digest, part.size, begun[-1]))
            destination.sync(begun)
            whole = True
        finally:
            if not whole:
                destination.discard(begun)
        return refs

    def part(self, request_id: str) -> str:
        """How a request's part is named."""
        return f"{request_id}.{self._form.suffix}.{self._epoch}.part"


def write_packages(
    destination: Destination,
    format: Format,
    members: Sequence[PackageMember],
    sources: Sequence[StepRows],
    epoch: int,
) -> list[PackageRef]:
    """Write the packages of all members at once."""
    return PackageWriter(destination, format, sources, epoch).write(members)


def publish(destination: Destination, refs: Sequence[PackageRef]) -> None:
    """Show written packages under their final names and clear away what older epochs left; safe to call again.

    Raises DeliveryFailed where a package is gone; then deliver again.
    """
    named = [(ref.part, *_name_and_epoch(ref.part), ref.digest) for ref in refs]
    destination.show([(part, name, digest) for part, name, _, digest in named])
    destination.discard([f"{name}.{older}.part" for _, name, epoch, _ in named for older in range(1, epoch)])


def _form_of(destination: Destination, format: Format) -> _Form:
    if format not in _FORMS or format not in destination.formats:
        raise BadInput(
            f"a destination of type {destination.kind} takes no format {format}",
            where=destination.key,
            fix=f"use {' or '.join(destination.formats)}",
        )
    return _FORMS[format]


def _numbered(members: Sequence[PackageMember]) -> list[tuple[int, PackageMember]]:
    numbered = sorted(
        ((position if member.member is None else member.member), position) for position, member in enumerate(members)
    )
    if len({index for index, _ in numbered}) < len(members):
        raise BadInput("two members have one index", where="members")
    for member in members:
        if not _REQUEST_ID.fullmatch(member.request_id):
            raise BadInput("not the id of a privacy request", where="members")
        if member.encryption_key is not None:
            check_encryption_key(member.encryption_key)
    return [(index, members[position]) for index, position in numbered]


def _filled(part: Part, form: _Form, member: PackageMember, index: int, cursors: Sequence[StepCursor]) -> str:
    filled = False
    try:
        form.write(part, member, index, cursors)
        filled = True
    finally:
        if not filled:
            part.close()
    return part.finish()


def withdraw(destination: Destination, format: Format, request_ids: Sequence[str]) -> None:
    """Delete the packages of these requests, where there are any; safe to call again."""
    suffix = _form_of(destination, format).suffix
    destination.discard([f"{each}.{suffix}" for each in request_ids])


def _name_and_epoch(part: str) -> tuple[str, int]:
    name, epoch, _ = part.rsplit(".", 2)
    return name, int(epoch)
