"""The family of systems outside the graph: what their connections carry is configuration and nothing else.

What they hold never comes into the graph, so no dataset can lie behind one, and nothing here reads or writes a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, Literal, NoReturn

from habeas.connectors.base import Capabilities, CheckResult, Connector, Fence, Reader, Statement, Writer
from habeas.core.errors import NotOffered
from habeas.core.schema import StoreSchema, TableName
from habeas.plan.model import Plan, Segment


class OutsideConnector(Connector):
    """A connection without a graph; what is done with it is `requests`' to know."""

    category: ClassVar[Literal["database", "saas", "manual"]] = "manual"
    capabilities: ClassVar[Capabilities] = Capabilities(
        reads=False,
        masks=False,
        deletes=False,
        introspects=False,
        snapshot=False,
        pushes_masks=False,
        schemas=False,
        holds_rows=False,
        in_graph=False,
    )

    def check(self) -> CheckResult:
        """Nothing to reach."""
        return CheckResult(ok=True)

    def introspect(self, schema: str | None = None) -> StoreSchema:
        """It has none."""
        self._refuse()

    def fingerprints(self, tables: Sequence[TableName]) -> Mapping[TableName, str]:
        """It has none."""
        return {}

    def reader(self, plan: Plan, segment: Segment, label: str) -> AbstractContextManager[Reader]:
        """Never in a plan."""
        self._refuse()

    def writer(self, label: str, fence: Fence) -> AbstractContextManager[Writer]:
        """Never in a plan."""
        self._refuse()

    def end_sessions(self, prefix: str, keep: str) -> None:
        """It has none."""

    def statements(self, plan: Plan, segment: Segment) -> Sequence[Statement]:
        """It runs none."""
        return ()

    def identity(self) -> str:
        """Its kind: no system of ours can be behind it."""
        return self.kind

    def close(self) -> None:
        """Nothing is open."""

    def _refuse(self) -> NoReturn:
        raise NotOffered(f"a connection of type {self.kind} has no rows", where=self.kind)
