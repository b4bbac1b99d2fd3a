"""The subject's own values inside documents of rows that are declared shared: masked, and nothing around them."""

from __future__ import annotations

from nestedbook import Documents

GONE = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}
HOUSEHOLD = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - name: household_id
    fides_meta: {references: [{dataset: db, field: household.id, direction: to, ownership: shared}]}
- name: household
  fides_meta: {person: false}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: body
    fields:
    - name: contact
      fields:
      - {name: email, data_categories: [user.contact.email]}
      - {name: note, data_categories: [user.content]}
    - name: members
      fides_meta: {data_type: "object[]"}
      fields:
      - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - {name: name, data_categories: [user.name]}
"""
BODY = (
    '{"contact": {"email": "ADA@example.com", "note": "for ada@example.com"}, "members": '
    '[{"email": "ada@example.com", "name": "Ada", "x": 1.50}, {"email": "bob@example.com", "name": "Bob", "x": 2}]}'
)


def test_only_her_values_and_her_elements_are_masked(store: Documents) -> None:
    store.run("CREATE TABLE person (id INTEGER PRIMARY KEY, email TEXT, household_id INTEGER)")
    store.run("CREATE TABLE household (id INTEGER PRIMARY KEY, body JSON)")
    store.run(f'INSERT INTO household VALUES (1, \'{BODY}\'), (2, \'{{"contact": {{"email": "cyd@example.com"}}}}\')')
    store.run("INSERT INTO person VALUES (1, 'ada@example.com', 1), (2, 'bob@example.com', 1)")
    store.run("INSERT INTO person VALUES (3, 'ada@example.com', 2)")
    store.describe(HOUSEHOLD)
    untouched = store.rows("SELECT body FROM household WHERE id = 2")
    item = store.erased(GONE, email="ada@example.com")
    assert store.document("SELECT body FROM household WHERE id = 1") == {
        "contact": {"email": "gone", "note": "for ada@example.com"},
        "members": [
            {"email": "gone", "name": "gone", "x": 1.5},
            {"email": "bob@example.com", "name": "Bob", "x": 2},
        ],
    }
    assert store.rows("SELECT body FROM household WHERE id = 2") == untouched
    assert item["erasure"]["db:household#own:body"]["masked"] == 1
    assert item["kept"]["shared_row"] == 2
