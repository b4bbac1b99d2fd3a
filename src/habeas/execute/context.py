"""What the running of one cohort is handed: its plan, its members, and the ways to the outside.

Built by `requests.flow`, used by every stage. Holds personal data (identities) in memory only. Nothing
here has effects of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from habeas.connectors.base import Connector, Erased, Fence, Writer
from habeas.execute.members import Roster, Seeds
from habeas.plan.model import Plan, Step
from habeas.spool.frames import Frame, Spool

LogStatus = Literal["in_processing", "retrying", "complete", "error", "paused", "skipped"]


@dataclass(frozen=True)
class LogEntry:
    """What happened in one collection: counts and places, never values. `member` None: the whole cohort."""

    step: Step
    action: Literal["access", "erasure"]
    status: LogStatus
    message: str
    counts: Mapping[str, int] = field(default_factory=dict)
    member: int | None = None


class FrameBook(Protocol):
    """Which durable frames the cohort has; kept in our database, so that a lost frame is noticed."""

    def record(self, frames: Sequence[Frame]) -> None:
        """Note frames that are on disk; noting one again replaces its digest."""
        ...

    def list(self, prefix: str) -> list[Frame]:
        """Frames whose name starts so, in order of name."""
        ...

    def forget(self, prefix: str) -> None:
        """Leave out frames whose name starts so: what wrote them begins anew."""
        ...


class LogSink(Protocol):
    """Where entries become visible, at once."""

    def __call__(self, entries: list[LogEntry]) -> None:
        """Write the entries in one statement."""
        ...


@dataclass(frozen=True)
class CohortContext:
    """Everything a stage needs. `digest_key` keys the row digests and stays the same for later verification."""

    cohort_id: str
    epoch: int
    plan: Plan
    members: Roster
    connector: Callable[[str], Connector]
    spool: Spool
    frames: FrameBook
    fence: Fence
    log: LogSink
    digest_key: bytes = field(repr=False)
    region: str = "US"
    erased: Erased | None = None  # rows that an earlier erasure left: they are nobody's
    wrote: Callable[[], None] = lambda: None  # called when a store may have been written to
    told: Callable[[Step], str] = lambda _: "success"  # what the log says of a step that is erased

    @contextmanager
    def writer(self, connection: str) -> Iterator[Writer]:
        """A fenced writer of a connection, noting whether it wrote."""
        with self.connector(connection).writer(self.label, self.fence) as writer:
            try:
                yield writer
            finally:
                if writer.wrote:
                    self.wrote()

    @property
    def label(self) -> str:
        """How sessions of this attempt are named in the stores."""
        return f"{self.label_prefix}{self.epoch}"

    @property
    def label_prefix(self) -> str:
        """How sessions of any attempt of this cohort begin."""
        return f"habeas/{self.cohort_id}/"

    @property
    def seeds(self) -> Seeds:
        """The identities that may start a traversal."""
        return Seeds(self.members, self.region)
