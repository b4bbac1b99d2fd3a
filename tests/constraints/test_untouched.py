"""An erasure that fails before its first write has written nothing, says so, and can be sent again or canceled."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from constraintbook import Store
from habeas.requests.connections import set_secrets
from habeas.requests.installation import Installation
from habeas.requests.service import cancel, read_request, retry
from requestbook import CLIENT, wait_until

TABLES = """
CREATE TABLE note (id integer PRIMARY KEY, email text, body text);
CREATE TABLE person (id integer PRIMARY KEY, email text);
INSERT INTO note VALUES (1, 'ada@example.com', 'a note');
INSERT INTO person VALUES (1, 'ada@example.com');
"""
DATASET = """
- name: note
  fides_meta: {erase_after: [db.person]}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, fides_meta: {identity: email}}
  - {name: body, data_categories: [user.content]}
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
"""


@pytest.fixture
def holder(postgres: Store, installation: Installation, postgres_url_of_session: str) -> Iterator[psycopg.Connection]:
    """A session of another application on the described store, whose locks are not waited for long."""
    postgres.run(TABLES)
    postgres.describe(DATASET)
    secrets = {"url": postgres_url_of_session, "lock_timeout_seconds": 0.1}
    set_secrets(installation, CLIENT, "db", secrets, verify=True)
    schema = postgres.one("SELECT current_schema()")
    with psycopg.connect(postgres_url_of_session, options=f"-c search_path={schema}") as connection:
        yield connection


@pytest.mark.parametrize("afterwards", ["retry", "cancel"])
def test_a_row_locked_all_along_is_refused_and_untouched(
    postgres: Store, installation: Installation, holder: psycopg.Connection, afterwards: str
) -> None:
    holder.execute("SELECT FROM person FOR UPDATE")
    ended = postgres.erase()
    assert (ended["status"], ended["reason"]) == ("error", "refused"), ended["reason_detail"]
    assert postgres.one("SELECT email FROM person") == "ada@example.com"
    assert postgres.one("SELECT body FROM note") == "a note"
    holder.rollback()
    if afterwards == "cancel":
        assert not cancel(installation, [ended["id"]], actor=CLIENT).failed
        assert read_request(installation, ended["id"])["status"] == "canceled"
        return
    assert not retry(installation, [ended["id"]], actor=CLIENT).failed
    assert postgres.end(ended["id"])["outcome"] == "erased"
    assert postgres.one("SELECT email FROM person") is None


def test_a_row_locked_after_the_first_write_is_incomplete(
    postgres: Store, installation: Installation, holder: psycopg.Connection
) -> None:
    holder.execute("SELECT FROM note FOR UPDATE")
    ended = postgres.erase()
    assert (ended["status"], ended["reason"]) == ("error", "incomplete"), ended["reason_detail"]
    assert postgres.one("SELECT email FROM person") is None
    holder.rollback()
    assert not retry(installation, [ended["id"]], actor=CLIENT).failed
    wait_until(lambda: read_request(installation, ended["id"])["outcome"] == "erased", 30.0)
