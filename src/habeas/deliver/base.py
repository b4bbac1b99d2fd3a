"""What a package is made of and what a destination is: the contract between execution and places.

A destination takes parts under names that carry the epoch, makes many of them durable at once, and shows
them under their final names when told. It knows nothing of formats, plans or requests' states. What it was
handed as secrets it keeps to itself.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from habeas.core.errors import HabeasError
from habeas.plan.model import NotSearched

Format = Literal["json", "csv"]
EncodedRows = tuple[int, bytes, int]
"""A member's index, rows as JSON objects joined by commas, and how many."""


TOLD = frozenset({"not_searched", "withheld", "identity_kinds", "absent_kinds", "attachments"})
"""Words under which a package tells of itself; what it holds is under other names."""


class DeliveryFailed(HabeasError):
    """A destination didn't take a package; the work done is kept and delivery can be tried again."""

    status = 502
    code = "delivery"
    retryable = True


class PackageMember(NamedTuple):
    """One request's share. `kinds` are the identity kinds that were given, `absent_kinds` those that searched
    collections know too. `withheld` counts the fields that rows don't show, by collection. `member` is the index that
    rows carry, None for the place in the sequence.
    """

    request_id: str
    encryption_key: str | None = None
    not_searched: Sequence[NotSearched] = ()
    kinds: Sequence[str] = ()
    member: int | None = None
    absent_kinds: Sequence[str] = ()
    withheld: Mapping[str, int] = {}

    def told(self) -> dict[str, object]:
        """What the package tells about itself, without what is empty; {} where there is nothing but its rows."""
        told: dict[str, object] = {}
        if self.not_searched:
            told["not_searched"] = [each.shown() for each in self.not_searched]
        if self.withheld:
            told["withheld"] = dict(self.withheld)
        if told or self.absent_kinds:
            told["identity_kinds"] = list(self.kinds)
        if self.absent_kinds:
            told["absent_kinds"] = list(self.absent_kinds)
        return told


class StepRows(NamedTuple):
    """All rows of one step: `dataset:collection`, its columns, and its rows in order of member."""

    address: str
    columns: Sequence[str]
    frames: Iterable[EncodedRows]


class PackageRef(NamedTuple):
    """A written package. `digest` is the hex SHA-256 of the file; `part` the name until it is published."""

    request_id: str
    storage: str
    location: str
    digest: str
    size: int
    part: str = ""


class Sink(Protocol):
    """Where the bytes of one part go."""

    def write(self, data: bytes) -> object:
        """Take all of the bytes."""
        ...

    def close(self) -> None:
        """End the part; called once, also after an error."""
        ...


class Part:
    """One part being written: gathers small writes, counts and digests them. Not seekable, so that every
    destination can take it as a stream.
    """

    _GATHER = 1 << 18

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._gathered: list[bytes] = []
        self._waiting = 0
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Take bytes, as a binary file does."""
        chunk = bytes(data)
        self._gathered.append(chunk)
        self._waiting += len(chunk)
        self.size += len(chunk)
        if self._waiting >= self._GATHER:
            self.flush()
        return len(chunk)

    def flush(self) -> None:
        """Hand over what was gathered."""
        data = b"".join(self._gathered)
        self._gathered.clear()
        self._waiting = 0
        if data:
            self._digest.update(data)
            self._sink.write(data)

    def close(self) -> None:
        """End the part without what is still gathered, after an error."""
        self._sink.close()

    def finish(self) -> str:
        """Hand over the rest and end the part; the hex SHA-256 of all its bytes."""
        try:
            self.flush()
        finally:
            self._sink.close()
        return self._digest.hexdigest()


class Model(BaseModel):
    """Details or secrets of a destination; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Destination(ABC):
    """One configured place for packages. Safe for several threads that write different parts."""

    kind: ClassVar[str]
    label: ClassVar[str]
    formats: ClassVar[tuple[Format, ...]] = ("json", "csv")
    details_model: ClassVar[type[BaseModel]]
    secrets_model: ClassVar[type[BaseModel] | None] = None  # None: it takes none

    @abstractmethod
    def __init__(self, key: str, details: Any, secrets: Any, data_dir: Path) -> None:
        """`details` and `secrets` are instances of the models; `key` is the storage's, for refs."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The storage's key."""

    @property
    @abstractmethod
    def place(self) -> str:
        """A comparable name of the place itself: packages for one place must be merged into one file."""

    @abstractmethod
    def create(self, part: str) -> Sink:
        """Begin a part, replacing one of that name. Raises DeliveryFailed."""

    @abstractmethod
    def sync(self, parts: Sequence[str]) -> None:
        """Make closed parts outlive a power loss, all at once. Raises DeliveryFailed."""

    @abstractmethod
    def show(self, parts: Sequence[tuple[str, str, str]]) -> None:
        """Give parts their final names: (part, final name, digest). Safe to call again: a part that was shown
        already is left alone. Raises DeliveryFailed where neither part nor the very file is there.
        """

    @abstractmethod
    def discard(self, parts: Sequence[str]) -> None:
        """Delete parts that won't be shown, or packages, by name; nothing happens for one that isn't there."""

    @abstractmethod
    def location(self, name: str) -> str:
        """What to tell a person about where a file of that final name is."""
