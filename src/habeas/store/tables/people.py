"""Tables of the people who operate habeas: users, and failed attempts to sign in."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Integer, LargeBinary, String, Table

from habeas.store.tables.base import UtcDateTime, base_columns, metadata

app_user = Table(
    "app_user",
    metadata,
    *base_columns(),
    Column("username", String(150), nullable=False),
    Column("username_key", String(255), nullable=False, unique=True),  # folded: `Ada` and `ada` are one name
    Column("first_name", String(255)),
    Column("last_name", String(255)),
    Column("password_hash", String(255)),  # argon2id; None until an invitation was accepted
    Column("roles", JSON, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("permitted", Boolean, nullable=False),  # whether anybody has set them; until then they are a new user's
    Column("invite_digest", String(64)),
    Column("invite_expires_at", UtcDateTime),
    Column("last_login_at", UtcDateTime),
    Column("password_reset_at", UtcDateTime),
)

sign_in_failure = Table(
    "sign_in_failure",
    metadata,
    Column("name_digest", LargeBinary, primary_key=True),  # keyed: also of names that nobody has
    Column("failed", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False, index=True),
    Column("locked_until", UtcDateTime),
)
