"""A preview says of each kept count which references make it so, and what to declare; what it counts is what stays."""

from __future__ import annotations

from constraintbook import Store

X = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
TABLES = """
CREATE TABLE address (id integer PRIMARY KEY, street text);
CREATE TABLE rep (id integer PRIMARY KEY, email text);
CREATE TABLE person (id integer PRIMARY KEY, email text, address_id integer, rep_id integer, club_id integer);
CREATE TABLE club (id integer PRIMARY KEY, name text);
CREATE TABLE purchase (id integer PRIMARY KEY, person_id integer, note text);
CREATE TABLE line (id integer PRIMARY KEY, purchase_id integer REFERENCES purchase(id));
INSERT INTO address VALUES (1, 'Elm Street');
INSERT INTO rep VALUES (1, 'rae@example.com');
INSERT INTO club VALUES (1, 'Chess');
INSERT INTO person VALUES (1, 'ada@example.com', 1, 1, 1), (2, 'bob@example.com', 1, 1, 1);
INSERT INTO purchase VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');
INSERT INTO line VALUES (1, 1), (2, 3);
"""
DATASET = """
- name: address
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: street, data_categories: [user.contact.address.street]}
- name: rep
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
- name: club
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: name, data_categories: [user.content]}
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: address_id, fides_meta: {references: [{dataset: db, field: address.id, direction: to}]}}
  - {name: rep_id, fides_meta: {references: [{dataset: db, field: rep.id, direction: to}]}}
  - {name: club_id, fides_meta: {references: [{dataset: db, field: club.id, direction: to, ownership: context}]}}
- name: purchase
  fides_meta: {masking_strategy_override: {strategy: delete}}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: person_id, fides_meta: {references: [{dataset: db, field: person.id, direction: from}]}}
  - {name: note, data_categories: [user.content]}
"""


def test_each_kept_count_names_its_references(store: Store) -> None:
    store.run(TABLES)
    store.describe(DATASET)
    parts = store.preview(mask=X)
    kept = {address: [(each.reason, each.rows) for each in part.kept_rows] for address, part in parts.items()}
    assert kept == {
        "db:address": [("shared_row", 1)],
        "db:rep": [("person", 1)],
        "db:club": [("context", 1)],
        "db:person": [],
        "db:purchase": [("referenced", 1)],
    }
    because = {address: part.kept_rows[0].because for address, part in parts.items() if part.kept_rows}
    assert because == {
        "db:address": ("another row of db:person points here by address_id",),
        "db:rep": ("id = db:person:rep_id finds people, who are somebody else",),
        "db:club": ("id = db:person:club_id, declared context",),
        "db:purchase": (because["db:purchase"][0],),
    }
    assert because["db:purchase"][0].endswith("line (purchase_id)")
    assert all("declare" in part.kept_rows[0].fix for part in parts.values() if part.kept_rows)
    ended = store.erase(mask=X)
    assert ended["kept"] == {"context": 1, "person": 1, "referenced": 1, "shared_row": 1}
