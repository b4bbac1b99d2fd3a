"""Every table of our own database, one file per area, gathered here so that `metadata` is whole. SQLite and PostgreSQL
alike.

Times are UTC, stored naive (`UtcDateTime` gives them back with zone). Columns named `sealed_*` are encrypted by
`store.secrets`; nothing else here may hold personal data. `external_id` is the caller's own and is never logged. The
durable engine's tables live elsewhere and are not ours.
"""

from __future__ import annotations

from habeas.store.tables.access import access_token, client
from habeas.store.tables.base import UtcDateTime, metadata
from habeas.store.tables.configuration import (
    connection,
    data_category,
    dataset,
    policy,
    rule,
    rule_target,
    setting,
    storage,
)
from habeas.store.tables.events import event, event_head, event_webhook
from habeas.store.tables.evidence import audit_trail, ledger, ledger_run, receipt, receipt_head
from habeas.store.tables.execution import cohort, executor, plan
from habeas.store.tables.manual_work import instruction, manual_answer, manual_webhook
from habeas.store.tables.people import app_user, sign_in_failure
from habeas.store.tables.privacy_requests import execution_log, idempotency, outbox, privacy_request, provided_identity
from habeas.store.tables.questions import question
from habeas.store.tables.verification import (
    consent_change,
    consent_preference,
    consent_request,
    email_config,
    verification_code,
)
from habeas.store.tables.webhooks import webhook, webhook_attempt, webhook_call

__all__ = [
    "UtcDateTime",
    "access_token",
    "app_user",
    "audit_trail",
    "client",
    "cohort",
    "connection",
    "consent_change",
    "consent_preference",
    "consent_request",
    "data_category",
    "dataset",
    "email_config",
    "event",
    "event_head",
    "event_webhook",
    "execution_log",
    "executor",
    "idempotency",
    "instruction",
    "ledger",
    "ledger_run",
    "manual_answer",
    "manual_webhook",
    "metadata",
    "outbox",
    "plan",
    "policy",
    "privacy_request",
    "provided_identity",
    "question",
    "receipt",
    "receipt_head",
    "rule",
    "rule_target",
    "setting",
    "sign_in_failure",
    "storage",
    "verification_code",
    "webhook",
    "webhook_attempt",
    "webhook_call",
]
