"""Tables of proof: audit trail, receipts, ledger. Append-only."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from habeas.store.tables.base import RowId, UtcDateTime, base_columns, metadata

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
    Column("remains", LargeBinary),  # keyed digests of the rows as they were left, where tests may ask whose they are
    Column("remains_of", JSON),  # the columns that these cover, and the table's fingerprint
    Column("again_at", UtcDateTime),  # when rows of it were last erased again
    UniqueConstraint("cohort_id", "address", "number"),
)

ledger_run = (
    Table(  # looking again for what the ledger holds: a replay erases what it finds, a verification tells of it
        "ledger_run",
        metadata,
        *base_columns(),
        Column("kind", String(16), nullable=False),  # replay | verification
        Column("status", String(16), nullable=False),  # queued | in_processing | complete | error
        Column("client_id", String(64), nullable=False),  # who asked
        Column("since", UtcDateTime),
        Column("connection_key", String(255)),
        Column("position", RowId, nullable=False, default=0),  # of the ledger, up to which it is done
        Column("counts", JSON, nullable=False),  # {address: {looked_for, found, erased, kept}}
        Column("pending", JSON),  # what is being erased again, so that a crash loses no count
        Column("problems", JSON),  # [{address, problem, fix, code}]
        Column("reappeared", Integer, nullable=False, default=0),  # requests of which something is back
        Column("finished_at", UtcDateTime),
        Index("ix_ledger_run_created", "kind", "created_at"),
    )
)
