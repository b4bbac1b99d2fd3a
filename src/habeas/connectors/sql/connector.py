"""The base of all SQL connectors: sessions in, readers and writers out.

A kind adds its secrets, its sessions and its catalog. Compiled statements are kept by plan and segment,
since a busy installation runs one plan again and again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Literal

from habeas.connectors.base import Connector, Fence, Reader, Statement, Writer
from habeas.connectors.sql.dialect import Dialect
from habeas.connectors.sql.explain import segment_statements
from habeas.connectors.sql.inline import InlineSession
from habeas.connectors.sql.reader import SqlReader
from habeas.connectors.sql.session import Session
from habeas.connectors.sql.statements import SegmentStatements
from habeas.connectors.sql.writer import SqlWriter
from habeas.core.errors import SchemaChanged, SourceDenied
from habeas.core.schema import TableName
from habeas.plan.model import Plan, Segment

KEPT_STATEMENTS = 64

Purpose = Literal["read", "write"]


class SqlConnector(Connector):
    """A SQL database. `_session` of a kind gives a session set up for reading or writing."""

    dialect: Dialect

    def _prepare(self, dialect: Dialect, inline: Dialect | None = None) -> None:
        """`inline`: for accounts that may make no temp tables."""
        self.dialect = dialect
        self._inline = inline
        self._temp_tables: bool | None = None  # unknown before the first use
        self._compiled: OrderedDict[tuple[str, Segment, Dialect], SegmentStatements] = OrderedDict()
        self._compiled_lock = Lock()

    @abstractmethod
    def _session(self, purpose: Purpose, label: str) -> AbstractContextManager[Session]:
        """A session of its own, ended or given back at the end. Raises our errors."""

    @abstractmethod
    def _fingerprints(self, session: Session, tables: Sequence[TableName]) -> Mapping[TableName, str]:
        """Present fingerprints, in few statements; a table that is gone is absent."""

    def fingerprints(self, tables: Sequence[TableName]) -> Mapping[TableName, str]:
        """In a session of its own; a table that is named twice is asked for once."""
        with self._session("read", "habeas") as session:
            return self._fingerprints(session, list(dict.fromkeys(tables)))

    @contextmanager
    def reader(self, plan: Plan, segment: Segment, label: str) -> Iterator[Reader]:
        """Temp tables are made before the snapshot, the schema is checked inside it."""
        with self._session("read", label) as opened:
            session, statements = self._with_tables(opened, plan, segment)
            session.begin_snapshot()
            try:
                self._check_schema(session, plan, segment)
                yield SqlReader(session, statements)
            finally:
                session.rollback()

    @contextmanager
    def writer(self, label: str, fence: Fence) -> Iterator[Writer]:
        """Each chunk is a transaction of its own."""
        with self._session("write", label) as session:
            if self._temp_tables is None:
                self._temp_tables = self._may_make_tables(session)
            dialect = self._dialect()
            yield SqlWriter(session if dialect is self.dialect else InlineSession(session), dialect, fence)

    def _with_tables(self, session: Session, plan: Plan, segment: Segment) -> tuple[Session, SegmentStatements]:
        """The session with the segment's tables, whether the server holds them or we do."""
        statements = self._statements(plan, segment)
        if self._dialect() is self.dialect:
            try:
                session.prepare(statements, statements.setup())
            except SourceDenied:
                session.rollback()
                if self._inline is None or self._may_make_tables(session):
                    raise
                self._temp_tables = False
            else:
                self._temp_tables = True
                return session, statements
        statements = self._statements(plan, segment, self._dialect())
        session = InlineSession(session)
        session.prepare(statements, statements.setup())
        return session, statements

    def _dialect(self) -> Dialect:
        if self._inline is None or self._temp_tables is not False:
            return self.dialect
        self._inline.default_schema = self.dialect.default_schema
        return self._inline

    def _may_make_tables(self, session: Session) -> bool:
        """Whether the account may make temp tables, asked of the server."""
        return True

    def statements(self, plan: Plan, segment: Segment) -> Sequence[Statement]:
        """As the segment's readers and writers will run them."""
        return segment_statements(self._statements(plan, segment))

    def _statements(self, plan: Plan, segment: Segment, dialect: Dialect | None = None) -> SegmentStatements:
        dialect = dialect or self.dialect
        key = (plan.digest(), segment, dialect)
        with self._compiled_lock:
            if key in self._compiled:
                self._compiled.move_to_end(key)
                return self._compiled[key]
        compiled = SegmentStatements(dialect, plan, segment)
        with self._compiled_lock:
            self._compiled[key] = compiled
            while len(self._compiled) > KEPT_STATEMENTS:
                self._compiled.popitem(last=False)
        return compiled

    def _check_schema(self, session: Session, plan: Plan, segment: Segment) -> None:
        steps = [plan.steps[index] for index in segment.steps if plan.steps[index].fingerprint]
        live = self._fingerprints(session, list(dict.fromkeys(step.table for step in steps)))
        for step in steps:
            if step.table not in live:
                raise SchemaChanged("the table is gone", where=step.address, fix="plan again")
            if live[step.table] != step.fingerprint:
                raise SchemaChanged("the table's columns, keys or rules changed", where=step.address, fix="plan again")
