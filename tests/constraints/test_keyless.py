"""Tables without a key: rows alike in what they were found by are written together, and counted."""

from __future__ import annotations

import pytest

from constraintbook import Store

PERSON = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
"""
EVENT = """
- name: event
  fides_meta: {person: false%s}
  fields:
  - name: person_id
    fides_meta: {references: [{dataset: db, field: person.id, direction: from}]}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: body, data_categories: [user.content]}
"""
TABLES = """
CREATE TABLE person (id integer PRIMARY KEY, email text);
CREATE TABLE event (person_id integer, email text, body text, at integer);
INSERT INTO person VALUES (1, 'ada@example.com'), (2, 'bob@example.com');
INSERT INTO event VALUES (1, NULL, 'by id', 1), (1, NULL, 'by id', 1), (1, NULL, 'another', 2),
  (NULL, 'Ada@example.com', 'by mail', 3), (1, 'ada@example.com', 'both', 4), (2, 'bob@example.com', 'Bob', 5),
  (2, NULL, 'Bob too', 6), (NULL, NULL, 'nobody', 7), (NULL, 'ADA@example.com ', NULL, 8);
"""
DELETE = ", masking_strategy_override: {strategy: delete}"
OTHERS = [(2, "bob@example.com", "Bob", 5), (2, None, "Bob too", 6), (None, None, "nobody", 7)]
CONSTANT = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}


def events(store: Store) -> list[tuple[object, ...]]:
    return store.rows("SELECT person_id, email, body, at FROM event ORDER BY at")


def make(store: Store, override: str = "") -> None:
    store.run(TABLES)
    store.describe(PERSON + EVENT % override)


def test_rows_are_masked_with_the_identity_they_were_found_by(store: Store) -> None:
    make(store)
    assert store.preview()["db:event"].rows == {"own": 6}
    said = store.erased()["db:event"]
    assert (said["frozen"], said["masked"], said["vanished"]) == (6, 6, 0)
    found = events(store)
    assert [row for row in found if row[3] in (5, 6, 7)] == OTHERS
    hers = [row for row in found if row[3] not in (5, 6, 7)]
    assert sorted(hers, key=repr) == sorted(
        [(1, None, None, at) for at in (1, 1, 2, 4)] + [(None, None, None, at) for at in (3, 8)], key=repr
    )


def test_rows_are_masked_by_a_constant(store: Store) -> None:
    make(store)
    said = store.erased(mask=CONSTANT)["db:event"]
    assert (said["frozen"], said["masked"]) == (6, 6)
    assert store.one("SELECT count(*) FROM event WHERE body = 'gone'") == 5  # of six, NULL stays NULL
    assert store.one("SELECT count(*) FROM event WHERE email = 'gone'") == 3
    assert [row for row in events(store) if row[3] in (5, 6, 7)] == OTHERS


def test_rows_are_deleted(store: Store) -> None:
    make(store, DELETE)
    said = store.erased()["db:event"]
    assert (said["frozen"], said["deleted"]) == (6, 6)
    assert events(store) == OTHERS


def test_two_persons_at_once(store: Store) -> None:
    make(store)
    for request_id in store.submit({"email": "ada@example.com"}, {"email": "bob@example.com"}):
        ended = store.end(request_id)
        assert (ended["status"], ended["outcome"]) == ("complete", "erased"), ended["reason_detail"]
    assert store.one("SELECT count(*) FROM event WHERE body IS NOT NULL") == 1
    assert store.one("SELECT count(*) FROM event") == 9


def test_a_mask_that_depends_on_the_row_is_refused(store: Store) -> None:
    make(store)
    detail = store.refused(mask="hash")
    assert (detail["code"], detail["address"]) == ("no_key", "db:event")
    assert "hash" in detail["problem"]


@pytest.mark.parametrize("value", ["ADA@EXAMPLE.COM", "adá@example.com"])
def test_what_a_collation_takes_for_equal_is_not(store: Store, value: str) -> None:
    store.run("CREATE TABLE person (id integer PRIMARY KEY, email text)")
    kind = {"mariadb": "varchar(80) COLLATE utf8mb4_general_ci", "sqlite": "text COLLATE NOCASE"}.get(
        store.kind, "text"
    )
    store.run(f"CREATE TABLE event (person_id integer, email {kind}, body text, at integer)")
    store.run(f"INSERT INTO event VALUES (NULL, 'ada@example.com', 'hers', 1), (NULL, '{value}', 'whose?', 2)")
    store.describe(PERSON + EVENT % "")
    said = store.erased()["db:event"]
    same_person = value.isascii()
    assert said["frozen"] == 1 + same_person
    assert store.one("SELECT body FROM event WHERE at = 2") == (None if same_person else "whose?")
