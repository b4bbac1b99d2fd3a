"""Tables of execution: plans, cohorts, and who executes."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from habeas.store.tables.base import UtcDateTime, metadata

plan = Table(  # content-addressed
    "plan",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

cohort = Table(
    "cohort",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("plan_digest", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("stage", String(32), nullable=False),
    Column("epoch", Integer, nullable=False, default=0),
    Column("executor_id", String(64), index=True),
    Column("sealed_data_key", LargeBinary),  # of the spool; None once purged
    Column("progress", JSON),  # stage results: counts and digests, never values
    Column("finished_at", UtcDateTime),
    Column("pairs", BigInteger),  # rows found, counted for each member that they were found for
    Index("ix_cohort_stage", "stage"),
    Index("ix_cohort_plan", "plan_digest", "finished_at"),
)

executor = Table(  # leases; used on PostgreSQL
    "executor",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("lock_key", BigInteger, nullable=False),
    Column("beat_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("version", String(32), nullable=False),
)
