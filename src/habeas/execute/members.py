"""The members of a cohort, in order: who asks, by which identities, with which secret. Memory holds a thousand of them
at a time; the others wait in sealed frames of the cohort's spool, from which they are read again as they are needed.

Holds personal data, in memory and sealed. Never asks a database.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec

from habeas.connectors.base import SeedValue
from habeas.core.identity import Assurance, Identity, canonical
from habeas.masking.secrets import derive_secret
from habeas.spool.frames import Spool

AT_ONCE = 1_000  # members that are held together


@dataclass(frozen=True, slots=True)
class Member:
    """One privacy request of the cohort. `seed` is its own secret: masks derive from it. The last five say how often
    it ran before, how often it was planned anew, in which cohorts, whether people were asked about it, and which
    connections' processors are to be told of it.
    """

    index: int
    request_id: str
    identities: tuple[Identity, ...]
    seed: bytes = field(repr=False)
    encryption_key: str | None = field(default=None, repr=False)
    attempt: int = 0
    replans: int = 0
    earlier: tuple[Any, ...] = ()
    asked: bool = False
    instructs: tuple[str, ...] = ()


_decoder = msgspec.msgpack.Decoder(tuple[Member, ...])
_encoder = msgspec.msgpack.Encoder()


class Roster:
    """Members by their index in the cohort, which ascends. Without a spool all stay in memory. Not shared between
    threads.
    """

    def __init__(self, members: Iterable[Member], spool: Spool | None = None) -> None:
        self._spool = spool
        self._parts: dict[int, Callable[[], tuple[Member, ...]]] = {}
        self._present: Container[int] | None = None
        self._size = 0
        self._opened: tuple[int, tuple[Member, ...]] | None = None
        for number, group in groupby(members, key=lambda member: member.index // AT_ONCE):
            part = tuple(group)
            self._size += len(part)
            self._parts[number] = self._kept(number, part)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Member]:
        for _, members in self.parts():
            yield from members

    def parts(self) -> Iterator[tuple[int, tuple[Member, ...]]]:
        """All members, some at a time. A part has the same number in every attempt, whoever has left it."""
        for number in self._parts:
            yield number, self._part(number)

    def of(self, index: int) -> Member:
        """One member; quick for members that are near each other. Raises KeyError for one that isn't there."""
        number = index // AT_ONCE
        if self._opened is None or self._opened[0] != number:
            self._opened = number, self._part(number)
        members = self._opened[1]
        place = min(index % AT_ONCE, len(members) - 1)  # none is further back than its index says
        while place >= 0 and members[place].index > index:
            place -= 1
        if place < 0 or members[place].index != index:
            raise KeyError(index)
        return members[place]

    def only(self, present: Container[int], size: int) -> Roster:
        """The same without members that left; `size` are present."""
        left = Roster((), self._spool)
        left._parts, left._present, left._size = self._parts, present, size
        return left

    def _kept(self, number: int, part: tuple[Member, ...]) -> Callable[[], tuple[Member, ...]]:
        spool = self._spool
        if spool is None or not self._parts:
            return lambda: part
        frame = spool.write(f"members-{number:06}", _encoder.encode(part), durable=False)
        return lambda: _decoder.decode(spool.read(frame))

    def _part(self, number: int) -> tuple[Member, ...]:
        kept, present = self._parts[number](), self._present
        return kept if present is None else tuple(each for each in kept if each.index in present)


class Seeds:
    """The identities that may start a traversal: verified or vouched ones only. Made anew whenever they are gone
    through.
    """

    def __init__(self, members: Roster, region: str) -> None:
        self._members = members
        self._region = region

    def __iter__(self) -> Iterator[SeedValue]:
        for member in self._members:
            yield from self._values(member)

    def of(self, member: int) -> Iterator[SeedValue]:
        """Those of one member."""
        return self._values(self._members.of(member))

    def _values(self, member: Member) -> Iterator[SeedValue]:
        for each in member.identities:
            if each.assurance is not Assurance.CLAIMED:
                yield SeedValue(member.index, each.kind, each.value, canonical(each.kind, each.value, self._region))


class MemberSecrets(Mapping[int, Mapping[str, str]]):
    """Each member's secrets of masks by name, derived from the member's own seed when they are asked for."""

    def __init__(self, members: Roster, names: Iterable[tuple[str, str]]) -> None:
        self._members = members
        self._names = sorted(names)
        self._derived: dict[int, Mapping[str, str]] = {}

    def __getitem__(self, member: int) -> Mapping[str, str]:
        if member not in self._derived:
            if len(self._derived) >= AT_ONCE:
                self._derived.clear()
            seed = self._members.of(member).seed
            self._derived[member] = {
                f"{prefix}.{name}": derive_secret(seed, prefix, name) for prefix, name in self._names
            }
        return self._derived[member]

    def __iter__(self) -> Iterator[int]:
        return (member.index for member in self._members)

    def __len__(self) -> int:
        return len(self._members)
