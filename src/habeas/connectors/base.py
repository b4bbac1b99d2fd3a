"""What a connector is: the contract between the engine and one kind of system.

A connector is handed steps and links of a plan, never a policy, and knows no masking strategy: masks
reach it as expressions or as values. It owns its driver, its dialect and its sessions. A `Reader` is one
snapshot of one store in which a segment's traversal runs, set-based; a `Writer` is a session for chunked
writes. Neither is safe for use by two threads. All raise `SourceError`s that never repeat driver text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec
from pydantic import BaseModel

from habeas.core.errors import SourceError
from habeas.core.identity import is_telling
from habeas.core.nested import Entries
from habeas.core.schema import RemainsOf, StoreSchema, TableName
from habeas.plan.model import Link, Plan, Segment, Standing, Step

Secrets = Mapping[int, Mapping[str, str]]
"""Per member of the cohort: a mask's secrets by name (`<prefix>.salt`)."""


@contextmanager
def at(step: Step) -> Iterator[None]:
    """A system's error inside names the collection; which system it was stays in the message."""
    try:
        yield
    except SourceError as error:
        if error.where is None or ":" not in error.where:
            error.message = f"{error.where or 'the store'}: {error.message}"
            error.where = step.address
        raise


class Capabilities(msgspec.Struct, frozen=True):
    """What a kind of system can do. Code asks this, never the kind's name."""

    reads: bool = True
    masks: bool = True
    deletes: bool = True
    introspects: bool = True
    snapshot: bool = True  # a segment reads one moment
    pushes_masks: bool = True  # compiles expressions
    schemas: bool = True  # tables live in named schemas
    holds_rows: bool = True  # a store that can be queried; otherwise somebody answers for it
    in_graph: bool = True  # datasets may lie behind it
    is_instructed: bool = False  # a person erases what a message tells her to
    asks_fields: bool = False  # a person answers fields that are configured beside it
    takes_webhooks: bool = False
    calls: str = ""  # which secret is the URL that our own HTTP client calls, judged when it is saved too


class CheckResult(msgspec.Struct, frozen=True):
    """What a test of the connection found. `code` is one word when not ok: `unreachable`, `denied`, …; `skipped`:
    this kind has nothing to try, and nothing was tried.
    """

    ok: bool
    code: str | None = None
    message: str = ""
    version: str = ""
    temp_tables: bool = True
    skipped: bool = False


class WebhookTarget(NamedTuple):
    """Where webhooks go: URL, the Authorization header's value, and what they are signed with where that was given."""

    url: str
    authorization: str
    signing_secret: str | None


class SeedValue(NamedTuple):
    """A verified or vouched identity of one member. `canonical` is its comparable form."""

    member: int
    kind: str
    given: str
    canonical: str

    @property
    def is_telling(self) -> bool:
        """Whether it counts in fields that aren't said to hold its kind."""
        return is_telling(self.kind, self.canonical)


class Landing(NamedTuple):
    """Values that leave a source row for a link. `exclusive`: no row that isn't the subject's points with
    the same values, as far as the source's store can tell.
    """

    member: int
    standing: Standing
    exclusive: bool
    values: tuple[Any, ...]


class RowBatch(NamedTuple):
    """Rows in the column order asked for, with whose each is. The lists have one length."""

    members: Sequence[int]
    standings: Sequence[int]
    rows: Sequence[tuple[Any, ...]]


class FrozenChunk(msgspec.Struct):
    """Rows of one step that an erasure will touch, by key, column-wise; the unit of writing.

    `keys[c][r]` is key column c of row r; rows are in key order and no row is in two chunks of a step.
    `owners[r]` is the lowest member; `others` lists all owners of rows that several members own.
    `digests[r]` is the keyed digest of the row's targeted values. `masked[i][r]` is the value that mask i
    writes, None as a list where the mask is constant. `current` (computed masks only) holds present
    values as canonical text between reading and computing; it is never stored.
    """

    step: int
    number: int
    keys: list[list[Any]]
    owners: list[int]
    others: dict[int, list[int]]
    digests: list[bytes]
    masked: list[list[Any] | None]
    current: dict[int, list[str | None]] | None = None
    joint: bool = False  # rows of several members: written last
    held: bool = False  # of a step that deletes: rows that other rows hold, to be masked instead
    copies: list[int] | None = None  # of a table without a key: how many rows are alike; their digests are added up
    elements: list[Mapping[str, Entries]] | None = None  # by row and column, what of arrays is hers; never stored

    def __len__(self) -> int:
        return len(self.owners)


class Verified(NamedTuple):
    """What a re-scan of a chunk found: row positions by state. Masked rows are those in none of the lists.

    A position stands in `vanished` once for each of its copies that is gone.
    """

    vanished: list[int]  # no row has this key any more
    untouched: list[int]  # the frozen digest still matches
    changed: list[int]  # neither the frozen value nor the mask


class Statement(NamedTuple):
    """One compiled statement of a segment, for explain and preview. Parameters are named, never valued."""

    address: str
    purpose: Literal["seed", "follow", "rows", "freeze", "mask", "delete", "verify"]
    text: str


Fence = Callable[[], None]
"""Raises `Fenced` if this attempt no longer holds its epoch. Called before each write transaction."""


class Erased(Protocol):
    """What the ledger knows of rows that an earlier erasure left."""

    @property
    def digest_key(self) -> bytes:
        """The key of the rows' digests."""
        ...

    def kinds(self, address: str) -> Mapping[RemainsOf, int]:
        """What its digests of a collection's rows cover, with how many there are."""
        ...

    def among(self, address: str, kind: RemainsOf, rows: Sequence[tuple[tuple[Any, ...], bytes]]) -> list[int]:
        """Positions of those rows (key, digest) that are as they were left."""
        ...


class Reader(ABC):
    """One snapshot of one store, in which the rows of a segment's steps are found and read."""

    @abstractmethod
    def seed(self, step: Step, values: Iterable[SeedValue]) -> None:
        """Find rows by identity; they become OWN. Matching follows each seed's `match` and `region`. The values may be
        gone through several times.
        """

    def claim(self, step: Step, values: Iterable[SeedValue]) -> None:
        """Among rows that were found and are declared shared, find those that hold a value of the subject's, for a
        step with `own_of`; each becomes OWN there for the member whose value it is.
        """
        raise NotImplementedError("this system knows no fields of one's own")

    @abstractmethod
    def land(self, link: Link, landings: Iterable[Landing]) -> None:
        """Take in values that another segment exported for this link; consumed in bounded batches."""

    @abstractmethod
    def load(self, chunk: FrozenChunk) -> None:
        """Put frozen rows into the found set as OWN, by key, without looking for them anew."""

    @abstractmethod
    def recognise(self, step: Step, columns: Sequence[str], rows: Iterable[tuple[int, tuple[Any, ...]]]) -> None:
        """Take in what names the subject's rows (member, values of `columns`) of a step of another segment, for
        the tests of this one; see `Plan.asked`. Rows that are not taken in count as somebody else's.
        """

    def own(self, step: Step, columns: Sequence[str]) -> Iterator[list[tuple[int, tuple[Any, ...]]]]:
        """Stream the subject's rows of a step by these columns, as another segment's reader recognises them."""
        for members, standings, rows in self.rows(step, columns):
            yield [
                (member, row)
                for member, standing, row in zip(members, standings, rows, strict=True)
                if standing == Standing.OWN
            ]

    @abstractmethod
    def traverse(self) -> int:
        """Follow all links inside the segment, and landed ones, to the least fixpoint; rows added."""

    def disregard(self, erased: Erased) -> int:
        """Judge again without rows that an erasure left as they are: they are nobody's; rows added or strengthened."""
        return 0

    def nobodys(self, step: Step) -> Iterator[list[tuple[Any, ...]]]:
        """Stream the keys of rows of a step that were found to be nobody's."""
        yield from ()

    @abstractmethod
    def counts(self, step: Step) -> Mapping[tuple[int, Standing], int]:
        """Found rows per member and standing."""

    @abstractmethod
    def rows(self, step: Step, columns: Sequence[str]) -> Iterator[RowBatch]:
        """Stream found rows, all standings, ordered by member then key, each once per member."""

    @abstractmethod
    def departures(self, link: Link) -> Iterator[list[Landing]]:
        """Stream the distinct values that leave this segment by a link."""

    def taken(self, step: Step, column: str, values: Sequence[str]) -> frozenset[int]:
        """Positions of values that some row of the step's table holds in the column already."""
        return frozenset()

    def keys(self, step: Step) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Stream the keys of all rows of the step's table, in batches, in the store's order."""
        raise NotImplementedError("this system can't list its keys")

    def leave_out(self, step: Step, other: Step) -> None:
        """Forget the found rows of a step that were found for another step of the same table too."""
        raise NotImplementedError("this system knows no rows that hold others")

    def hold_back(self) -> None:
        """Among the found rows of steps that delete, and of those that come with them, tell which stay: those that a
        row holds which isn't deleted, and those that another step deletes. Asked with all such steps of the store.
        """
        raise NotImplementedError("this system knows no rows that hold others")

    def set_aside(self, step: Step, chunk: FrozenChunk) -> tuple[frozenset[int], frozenset[int]]:
        """Positions of a chunk's rows that are held back, and of those that another step deletes."""
        return frozenset(), frozenset()

    @abstractmethod
    def freeze(
        self, step: Step, digest_key: bytes, secrets: Secrets, *, new_only: bool = False
    ) -> Iterator[FrozenChunk]:
        """Stream OWN rows as chunks with digests and masked or current values. `new_only`: not those loaded.

        Joint rows come in chunks of their own.
        """


class Writer(ABC):
    """Chunked writes to one store, each chunk one explicit transaction that repeats safely.

    `wrote` turns True just before a transaction that writes is committed: from then on something may be written.
    """

    wrote: bool = False

    @abstractmethod
    def mask(self, step: Step, chunk: FrozenChunk, digest_key: bytes | None = None) -> int:
        """Write the masks to exactly the chunk's rows; returns rows found. Running twice writes the same.

        Documents hold more than what is masked: given the key that the rows were frozen with, a row with masked
        parts is written only if its digest is still the frozen one.
        """

    def withheld(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> Sequence[int]:
        """Positions of rows that the step's guards keep from being written. `verify` has them in none of its lists."""
        return ()

    def know(self, step: Step, chunks: Iterable[FrozenChunk]) -> None:
        """Take in the keys of the subject's rows of a step that guards of other steps ask about."""
        raise NotImplementedError("this system knows no guards")

    def untie(self, step: Step, chunk: FrozenChunk) -> int:
        """Set the step's `untie` columns of exactly the chunk's rows to NULL; returns rows changed."""
        raise NotImplementedError("this system has no foreign keys")

    def delete_together(self, parts: Iterable[tuple[Step, FrozenChunk]], digest_key: bytes) -> int:
        """Delete as `delete` does, all in one transaction with constraints checked at its end."""
        raise NotImplementedError("this system has no constraints to defer")

    @abstractmethod
    def delete(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> int:
        """Delete exactly the chunk's rows whose digest, under the key they were frozen with, is still the
        frozen one; returns rows deleted. Running twice deletes nothing more.
        """

    def remains(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> tuple[RemainsOf, list[bytes]] | None:
        """The digests of the chunk's masked rows as they are now, by which they are known again; zeros for a row that
        isn't masked. None where the system can't tell.
        """
        return None

    def try_out(self, step: Step, chunk: FrozenChunk, check: str) -> Sequence[int]:
        """Positions of the chunk's rows whose masked values a CHECK of the store would refuse. Writes nothing.

        Raises SourceRejected where a value can't even be cast. Stores that know no CHECKs refuse nothing.
        """
        return ()

    @abstractmethod
    def verify(self, step: Step, chunk: FrozenChunk, digest_key: bytes) -> Verified:
        """Look at every row of the chunk again, in the store."""


class Connector(ABC):
    """One configured system. Safe to share between threads; readers and writers are not."""

    kind: ClassVar[str]
    label: ClassVar[str]
    category: ClassVar[Literal["database", "saas", "manual"]] = "database"
    listed: ClassVar[bool] = True  # among the kinds of systems that hold data
    secrets_model: ClassVar[type[BaseModel]]
    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    def __init__(self, secrets: BaseModel) -> None: ...

    def with_answers(self, answers: Any) -> Connector:
        """This connector for one cohort, whose questions and answers (`answered.question.Answers`) are handed to kinds
        for which somebody answers. All others need none.
        """
        return self

    @abstractmethod
    def check(self) -> CheckResult:
        """Try to reach the system with the given credentials. Never raises for a system that is down."""

    @abstractmethod
    def introspect(self, schema: str | None = None) -> StoreSchema:
        """All tables and views of one schema (None: the default one), with keys, types and privileges."""

    @abstractmethod
    def fingerprints(self, tables: Sequence[TableName]) -> Mapping[TableName, str]:
        """Present fingerprints, cheaply; a table that is gone is absent from the answer."""

    @abstractmethod
    def reader(self, plan: Plan, segment: Segment, label: str) -> AbstractContextManager[Reader]:
        """Open a snapshot for a segment. Raises SchemaChanged where a fingerprint differs from the plan's."""

    @abstractmethod
    def writer(self, label: str, fence: Fence) -> AbstractContextManager[Writer]:
        """Open a write session. `label` names cohort and epoch to the store where it can show one."""

    @abstractmethod
    def end_sessions(self, prefix: str, keep: str) -> None:
        """End or await write sessions of older attempts: label starts with `prefix` and isn't `keep`."""

    @abstractmethod
    def statements(self, plan: Plan, segment: Segment) -> Sequence[Statement]:
        """The statements that a segment will run, compiled, without running anything."""

    @abstractmethod
    def identity(self) -> str:
        """A comparable name of the system itself, without secrets, so that our own database is recognised."""

    def database(self, schema: str | None) -> str | None:
        """The name of the database in which a schema (None: the default one) lies; None where the kind has no names."""
        return None

    def webhook_target(self) -> WebhookTarget:
        """Where webhooks go, for kinds that take them."""
        raise NotImplementedError("this kind takes no webhooks")

    @abstractmethod
    def close(self) -> None:
        """Close all sessions that nobody uses, and those in use as they are given back; safe to call twice.

        Who still holds the connector may go on using it.
        """
