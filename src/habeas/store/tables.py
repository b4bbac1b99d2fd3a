"""Every table of our own database, in one place. SQLAlchemy Core, SQLite and PostgreSQL alike.

Times are UTC, stored naive (`UtcDateTime` gives them back with zone). Columns named `sealed_*` are
encrypted by `store.secrets`; nothing else here may hold personal data. `external_id` is the caller's own
and is never logged. The durable engine's tables live elsewhere and are not ours.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, stored without zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To naive UTC; raises ValueError for a naive value."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime of ours always has a zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


# Rows count up in every database: SQLite gives an autoincrementing key to INTEGER only.
RowId = BigInteger().with_variant(Integer, "sqlite")


def _base() -> tuple[Column[Any], ...]:
    return (
        Column("id", String(64), primary_key=True),
        Column("created_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
    )


# -- configuration --------------------------------------------------------------------------------

policy = Table(
    "policy",
    metadata,
    *_base(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("drp_action", String(32), unique=True),
    Column("execution_timeframe", Integer),
    Column("partial_identities", String(16), nullable=False, default="ask"),
    Column("client_id", String(64)),
)

rule = Table(
    "rule",
    metadata,
    *_base(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("policy_id", ForeignKey("policy.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("action_type", String(16), nullable=False),
    Column("storage_key", String(255)),
    Column("sealed_masking_strategy", LargeBinary),  # {strategy, configuration}
    Column("position", Integer, nullable=False, default=0),
)

rule_target = Table(
    "rule_target",
    metadata,
    *_base(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("rule_id", ForeignKey("rule.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("data_category", String(255), nullable=False),
    UniqueConstraint("rule_id", "data_category"),
)

connection = Table(
    "connection",
    metadata,
    *_base(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", Text),
    Column("connection_type", String(64), nullable=False),
    Column("access", String(8), nullable=False),  # read | write
    Column("disabled", Boolean, nullable=False, default=False),
    Column("disabled_at", UtcDateTime),
    Column("sealed_secrets", LargeBinary),
    Column("last_test_timestamp", UtcDateTime),
    Column("last_test_succeeded", Boolean),
    Column("version", Integer, nullable=False, default=1),  # counts changes
)

dataset = Table(
    "dataset",
    metadata,
    *_base(),
    Column("fides_key", String(255), nullable=False, unique=True),
    Column("connection_id", ForeignKey("connection.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("body", JSON, nullable=False),  # the document as given
    Column("version", String(64), nullable=False),  # digest of the body
)

storage = Table(
    "storage",
    metadata,
    *_base(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("type", String(32), nullable=False),
    Column("format", String(16), nullable=False, default="json"),
    Column("details", JSON, nullable=False),
    Column("sealed_secrets", LargeBinary),
)

setting = Table(  # switches that operators turn while running, such as `paused`
    "setting",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# -- clients --------------------------------------------------------------------------------------

client = Table(
    "client",
    metadata,
    *_base(),
    Column("secret_digest", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_by", String(64)),
)

access_token = Table(
    "access_token",
    metadata,
    Column("id", String(64), primary_key=True),  # jti
    Column("client_id", String(64), nullable=False, index=True),
    Column("scopes", JSON, nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("revoked_at", UtcDateTime),
)

# -- privacy requests -----------------------------------------------------------------------------

privacy_request = Table(
    "privacy_request",
    metadata,
    *_base(),
    Column("external_id", String(1024)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("policy_id", String(64), nullable=False),
    Column("policy_key", String(255), nullable=False),
    Column("client_id", String(64)),
    Column("status", String(32), nullable=False),
    Column("stage", String(32), nullable=False),
    Column("outcome", String(32)),
    Column("reason", String(32)),
    Column("reason_detail", JSON),  # {address, problem, fix}, values never
    Column("kept", JSON),  # {reason: count}
    Column("not_searched", JSON),  # [{address, reason, detail}]
    Column("warnings", JSON),
    Column("kinds", JSON, nullable=False),  # identity kinds given, sorted
    Column("sealed_identities", LargeBinary, nullable=False),
    Column("sealed_encryption_key", LargeBinary),
    Column("sealed_seed", LargeBinary, nullable=False),  # 32 bytes: masking secrets and digests derive from it
    Column("started_processing_at", UtcDateTime),
    Column("finished_processing_at", UtcDateTime),
    Column("reviewed_at", UtcDateTime),
    Column("reviewed_by", String(64)),
    Column("identity_verified_at", UtcDateTime),
    Column("paused_at", UtcDateTime),
    Column("canceled_at", UtcDateTime),
    Column("cancel_reason", String(200)),
    Column("due_date", UtcDateTime),
    Column("plan_digest", String(64)),
    Column("cohort_id", String(64)),
    Column("member", Integer),  # index in the cohort
    Column("package", JSON),  # [{storage, location, digest, size}]
    Column("attempt", Integer, nullable=False, default=0),
    Column("earlier", JSON),  # [[cohort_id, member]] of former attempts, oldest first
    Index("ix_privacy_request_stage", "stage", "created_at"),
    Index("ix_privacy_request_status", "status", "created_at"),
    Index("ix_privacy_request_created", "created_at", "id"),
    Index("ix_privacy_request_external", "external_id"),
    Index("ix_privacy_request_cohort", "cohort_id", "member"),
)

provided_identity = Table(  # for search: one blind index a value
    "provided_identity",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("privacy_request_id", ForeignKey("privacy_request.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(64), nullable=False),
    Column("blind_index", LargeBinary, nullable=False, index=True),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_digest", String(64), nullable=False),
    Column("request_ids", JSON, nullable=False),
    Column("sealed_answer", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

execution_log = Table(
    "execution_log",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("cohort_id", String(64), nullable=False, index=True),
    Column("member", Integer),  # None: every member of the cohort
    Column("dataset_name", String(255), nullable=False),
    Column("collection_name", String(255), nullable=False),
    Column("action_type", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("fields_affected", JSON, nullable=False),
    Column("message", Text),
    Column("counts", JSON),
)

audit_trail = Table(  # append-only and hash-chained
    "audit_trail",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(128), index=True),  # the id of what it was done to
    Column("detail", JSON),
    Column("previous", LargeBinary(32), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
)

# -- execution ------------------------------------------------------------------------------------

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
    Index("ix_cohort_stage", "stage"),
)

receipt = Table(
    "receipt",
    metadata,
    Column("privacy_request_id", String(64), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("cohort_id", String(64), nullable=False),
    Column("position", Integer, nullable=False),  # leaf in the cohort's tree
    Column("leaf", LargeBinary(32), nullable=False),  # its hash, so that a proof needs no other body
    Column("head", Integer, nullable=False, index=True),
    Column("body", Text, nullable=False),  # canonical JSON
    Column("created_at", UtcDateTime, nullable=False),
)

receipt_head = Table(  # one gapless chain an installation
    "receipt_head",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("cohort_id", String(64), nullable=False, unique=True),
    Column("body", Text, nullable=False),  # canonical JSON: number, previous, root, size, time, key_id
    Column("signature", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

ledger = Table(  # what was erased, kept so that it can be erased again
    "ledger",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("cohort_id", String(64), nullable=False, index=True),
    Column("address", String(512), nullable=False, index=True),
    Column("number", Integer, nullable=False),  # of the frozen chunk: a rerun writes it once
    Column("members", JSON),  # who owns the rows, packed
    Column("form", String(8), nullable=False),  # plain | hmac
    Column("keys", LargeBinary, nullable=False),  # packed keys, integers and UUIDs plain, others as HMAC
    Column("digests", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("cohort_id", "address", "number"),
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

outbox = Table(
    "outbox",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("sealed_body", LargeBinary),
    Column("claimed_by", String(64)),
    Column("claimed_at", UtcDateTime),
    Column("sent_at", UtcDateTime, index=True),
    Column("attempts", Integer, nullable=False, default=0),
)
