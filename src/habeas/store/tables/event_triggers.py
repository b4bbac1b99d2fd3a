"""The triggers that write events: in the statement that moves a request or logs a finished step, whoever runs it.

A revision that makes `privacy_request` or `execution_log` anew on SQLite (a batch that does more than add columns)
loses them and calls `make_triggers` again; so does one that changes them here. Never anything but inserts into `event`.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

_CREATED = """
INSERT INTO event (created_at, type, privacy_request_id, policy_key)
VALUES (NEW.created_at, 'privacy_request.created', NEW.id, NEW.policy_key)"""
_APPROVAL = """
INSERT INTO event (created_at, type, privacy_request_id, policy_key, word)
SELECT NEW.updated_at, 'privacy_request.needs_person', NEW.id, NEW.policy_key, 'approval'
WHERE NEW.stage = 'approve'"""
_WAITING = """
INSERT INTO event (created_at, type, privacy_request_id, policy_key, word)
SELECT NEW.updated_at, 'privacy_request.needs_person', NEW.id, NEW.policy_key, NEW.reason
WHERE NEW.status = 'requires_input'"""
_APPROVAL_LATER = f"{_APPROVAL} AND OLD.stage <> 'approve'"
_VERIFIED = """
INSERT INTO event (created_at, type, privacy_request_id, policy_key)
SELECT NEW.updated_at, 'privacy_request.verified', NEW.id, NEW.policy_key
WHERE OLD.identity_verified_at IS NULL AND NEW.identity_verified_at IS NOT NULL"""
_MOVED = """
INSERT INTO event (created_at, type, privacy_request_id, policy_key, word)
SELECT NEW.updated_at,
  CASE WHEN NEW.status IN ('requires_input', 'paused') THEN 'privacy_request.needs_person'
    ELSE 'privacy_request.' || NEW.status END,
  NEW.id, NEW.policy_key,
  CASE NEW.status WHEN 'complete' THEN NEW.outcome WHEN 'paused' THEN COALESCE(NEW.reason, 'paused')
    WHEN 'requires_input' THEN NEW.reason WHEN 'error' THEN NEW.reason END
WHERE NEW.status <> OLD.status
  AND NEW.status IN ('approved', 'denied', 'complete', 'error', 'canceled', 'requires_input', 'paused')"""
_STEP = """
INSERT INTO event (created_at, type, privacy_request_id, policy_key, cohort_id, detail)
SELECT NEW.created_at, 'privacy_request.step_done', request.id, request.policy_key, NEW.cohort_id, {object}(
  'dataset', NEW.dataset_name, 'collection', NEW.collection_name, 'action', NEW.action_type,
  'requests', CASE WHEN NEW.member IS NULL THEN cohort.size ELSE 1 END, 'counts', {counts})
FROM cohort LEFT JOIN privacy_request AS request
  ON request.cohort_id = cohort.id AND request.status = 'in_processing'
  AND (request.member = NEW.member OR (NEW.member IS NULL AND cohort.size = 1))
WHERE cohort.id = NEW.cohort_id AND NEW.status = 'complete'"""
_TRIGGERS = (
    ("event_of_new_request", "privacy_request", "INSERT", (_CREATED, _APPROVAL, _WAITING)),
    (
        "event_of_moved_request",
        "privacy_request",
        "UPDATE OF status, stage, identity_verified_at",
        (_VERIFIED, _APPROVAL_LATER, _MOVED),
    ),
    ("event_of_step", "execution_log", "INSERT", (_STEP,)),
)
_JSON = {
    "postgresql": {"object": "json_build_object", "counts": "NEW.counts"},
    "sqlite": {"object": "json_object", "counts": "json(NEW.counts)"},
}


def make_triggers(connection: Connection) -> None:
    """Make the triggers; those that are there are made anew."""
    dialect = connection.dialect.name
    drop_triggers(connection)
    for name, table, when, statements in _TRIGGERS:
        body = "".join(f"{each};" for each in statements)
        for word, spelled in _JSON[dialect].items():
            body = body.replace("{" + word + "}", spelled)
        does = f"BEGIN {body} END"
        if dialect == "postgresql":
            made = f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$"
            connection.exec_driver_sql(made)
            does = f"EXECUTE FUNCTION {name}()"
        connection.exec_driver_sql(f"CREATE TRIGGER {name} AFTER {when} ON {table} FOR EACH ROW {does}")


def drop_triggers(connection: Connection) -> None:
    """Drop them; safe where they aren't there."""
    for name, *_ in _TRIGGERS:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name}() CASCADE")  # with its trigger
        else:
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
