"""One session of a database, as reader and writer need it. Kinds subclass it over their driver.

Every driver error becomes one of ours here, without the driver's text, which may hold values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Row = tuple[Any, ...]
BATCH = 2_000  # rows fetched at once: enough to amortise the call, little memory


class Session(ABC):
    """A connection with its transaction. Not for use by two threads."""

    @abstractmethod
    def change(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run a statement; rows it changed: what it tells in a result, else the driver's count."""

    @abstractmethod
    def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """All rows of a small result."""

    @abstractmethod
    def stream(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Sequence[Row]]:
        """A result of any size in batches; other statements may run in between."""

    @abstractmethod
    def put(self, statement: str, rows: Iterable[Row]) -> None:
        """Run a dialect's filling statement over rows, by the driver's bulk path."""

    @abstractmethod
    def prepare(self, key: object, statements: Sequence[str]) -> None:
        """Make temp tables outside a snapshot. Those of the same key may be there already, empty."""

    @abstractmethod
    def begin_snapshot(self) -> None:
        """Begin a transaction that reads one moment and writes to temp tables only."""

    @abstractmethod
    def begin(self, *, writes: bool) -> None:
        """Begin a transaction that may use temp tables of its own; one that `writes` waits for its turn here."""

    @abstractmethod
    def commit(self) -> None:
        """Commit."""

    @abstractmethod
    def rollback(self) -> None:
        """Roll back; safe outside a transaction and on a lost connection."""
