"""Tables of privacy requests: identities, answers to repeated calls, logs, and what leaves about them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    func,
)
from sqlalchemy import text as sa_text

from habeas.store.tables.base import RowId, UtcDateTime, base_columns, metadata

privacy_request = Table(
    "privacy_request",
    metadata,
    *base_columns(),
    Column("external_id", String(1024)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("policy_id", String(64), nullable=False),
    Column("policy_key", String(255), nullable=False),
    Column("client_id", String(64)),
    Column("status", String(32), nullable=False),
    Column("stage", String(32), nullable=False),
    Column("outcome", String(32)),
    Column("settled", String(32)),  # the outcome of work that is done, while webhooks are still to be told
    Column("reason", String(32)),
    Column("reason_detail", JSON),  # {address, problem, fix}, values never
    Column("kept", JSON),  # {reason: count}
    Column("confirmed", JSON),  # erasures that somebody confirmed: [{address, by, at, rows}]
    Column("not_searched", JSON),  # [{address, reason, detail}]
    Column("withheld", JSON),  # fields that the package's rows don't show, by collection
    Column("absent_kinds", JSON),  # identity kinds that searched collections know but weren't given
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
    Column("must_verify", Boolean),  # although a client vouches, as the policy says
    Column("claimed", JSON),  # identity kinds given that nobody vouches for, sorted
    Column("paused_at", UtcDateTime),
    Column("canceled_at", UtcDateTime),
    Column("cancel_reason", String(200)),
    Column("due_date", UtcDateTime),
    Column("regime", String(64)),  # that of the policy when the request came
    Column("extended_at", UtcDateTime),
    Column("clock_stopped_at", UtcDateTime),  # its due date moves by as long as it stands
    Column("clock_stopped_seconds", Integer),  # how long it stood before
    Column("plan_digest", String(64)),
    Column("instructs", JSON),  # connections whose processors are told to erase, as configured when it began
    Column("asked", Boolean),  # people were asked for something that its package shows
    Column("cohort_id", String(64)),
    Column("member", Integer),  # index in the cohort
    Column("package", JSON),  # [{storage, location, digest, size}]
    Column("attempt", Integer, nullable=False, default=0),
    Column("replans", Integer),  # times planned anew for a changed schema since somebody last asked for it
    Column("reappeared", Integer),  # rows that were erased and are back, when last looked for
    Column("reverified_at", UtcDateTime),  # when they were last looked for
    Column("earlier", JSON),  # [[cohort_id, member]] of former attempts, oldest first
    Column("duplicate_of", String(64)),  # the earlier request of the same person that asks for the same
    Column("resubmits", String(64)),  # the ended request that this one repeats
    Column("sealed_custom_fields", LargeBinary),  # {name: {label, value}}
    Column("first_approved_by", String(64)),  # where two must approve
    Column("first_approved_at", UtcDateTime),
    Column("approved_digest", String(64)),  # of the plan that was approved, where the approval holds for it alone
    Column("deleted_at", UtcDateTime),  # hidden from lists
    Column("purged_at", UtcDateTime),  # what we held of the person is destroyed
    Column("told_at_risk", UtcDateTime),  # the due date of which it was told that it nears
    Column("told_overdue", UtcDateTime),  # and of which, that it is over
    Index("ix_privacy_request_created", "created_at", "id"),
    Index("ix_privacy_request_updated", "updated_at", "id"),
    Index("ix_privacy_request_requested", "requested_at", "id"),
    Index("ix_privacy_request_stage", "stage", "created_at", "id"),
    Index("ix_privacy_request_status", "status", "created_at", "id"),
    Index("ix_privacy_request_policy", "policy_key", "created_at", "id"),
    Index("ix_privacy_request_cohort", "cohort_id", "member"),
)

BY_CHARACTERS = ("ix_privacy_request_external_folded", "ix_privacy_request_id_characters")
"""Indexes over expressions that each database spells its own way: for prefixes, in order of characters, which on
PostgreSQL only a collation of its own gives; one is PostgreSQL's only.
"""
_external = func.lower(privacy_request.c.external_id)
Index(BY_CHARACTERS[0], _external).ddl_if(dialect="sqlite")
Index(BY_CHARACTERS[0], _external.collate("C")).ddl_if(dialect="postgresql")
Index(BY_CHARACTERS[1], privacy_request.c.id.collate("C")).ddl_if(dialect="postgresql")

# What most requests have none of costs nothing while they are taken in.
PARTIAL = {
    "external_id": ("external_id", "id"),
    "due_date": ("due_date", "id"),
    "started": ("started_processing_at", "id"),
    "finished": ("finished_processing_at", "id"),
    "reviewed": ("reviewed_at", "id"),
    "verified": ("identity_verified_at", "id"),
    "paused": ("paused_at", "id"),
    "canceled": ("canceled_at", "id"),
    "outcome": ("outcome", "created_at", "id"),
    "reason": ("reason", "created_at", "id"),
    "duplicate_of": ("duplicate_of", "id"),
    "deleted_at": ("deleted_at", "id"),
}
for _name, _columns in PARTIAL.items():
    _first = privacy_request.c[_columns[0]].is_not(None)
    Index(
        f"ix_privacy_request_{_name}",
        *(privacy_request.c[each] for each in _columns),
        sqlite_where=_first,
        postgresql_where=_first,
    )

OPEN_DUE = "due_date IS NOT NULL AND status NOT IN ('complete', 'denied', 'canceled')"
"""Open requests with a due date, as their index says it; a query must say it in the same words to use it."""
_open_due = sa_text(OPEN_DUE)
Index("ix_privacy_request_open_due", privacy_request.c.due_date, sqlite_where=_open_due, postgresql_where=_open_due)

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
    Column("due_at", UtcDateTime),  # not before
    Column("failed_at", UtcDateTime),  # given up
    Column("error", String(64)),  # of the last attempt, one word
    Index("ix_outbox_subject", "subject"),
)
