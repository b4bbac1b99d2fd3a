"""Tables of what operators configure: connections, datasets, policies, destinations, data categories, switches."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from habeas.store.tables.base import UtcDateTime, base_columns, metadata

policy = Table(
    "policy",
    metadata,
    *base_columns(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("drp_action", String(32), unique=True),
    Column("execution_timeframe", Integer),
    Column("regime", String(64)),  # of `core/regimes.toml` or one's own
    Column("partial_identities", String(16), nullable=False, default="ask"),
    Column("verify", String(16)),  # always: also where a client vouches
    Column("duplicates", JSON),  # {window_days, identities, then}; None: as the settings say
    Column("custom_fields", JSON),  # {name: {label, type, required, …}}
    Column("approvals", Integer),  # how many people must approve; None: as the settings say
    Column("plan_drift", String(16)),  # ask: an approval holds for the plan that was approved
    Column("retention_days", Integer),  # after which ended requests are purged
    Column("client_id", String(64)),
)

rule = Table(
    "rule",
    metadata,
    *base_columns(),
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
    *base_columns(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("rule_id", ForeignKey("rule.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("data_category", String(255), nullable=False),
    UniqueConstraint("rule_id", "data_category"),
)

connection = Table(
    "connection",
    metadata,
    *base_columns(),
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
    *base_columns(),
    Column("fides_key", String(255), nullable=False, unique=True),
    Column("connection_id", ForeignKey("connection.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("body", JSON, nullable=False),  # the document as given
    Column("version", String(64), nullable=False),  # digest of the body
)

data_category = Table(  # those that operators add to the taxonomy
    "data_category",
    metadata,
    *base_columns(),
    Column("fides_key", String(255), nullable=False, unique=True),
    Column("parent_key", String(255)),  # None: a root
    Column("name", String(255)),
    Column("description", Text),
)

storage = Table(
    "storage",
    metadata,
    *base_columns(),
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
