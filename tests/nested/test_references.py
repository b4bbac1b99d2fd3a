"""References that lead from, to and between values inside documents, in one store and between two."""

from __future__ import annotations

from typing import Any

import pytest

from nestedbook import Documents

PERSON = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - name: orders
    fides_meta:
      data_type: "%s[]"
      references: [{dataset: db, field: purchase.id, direction: to}]
"""
PURCHASE = """
- name: purchase
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: note, data_categories: [user.content]}
"""
THREAD = """
- name: thread
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: title, data_categories: [user.content]}
  - name: messages
    fides_meta: {data_type: "object[]"}
    fields:
    - name: author
      data_categories: [user.unique_id]
      fides_meta: {references: [{dataset: db, field: person.id, direction: from%s}]}
    - {name: text, data_categories: [user.content]}
    - name: file_id
      fides_meta: {references: [{dataset: %s, field: file.id, direction: to}]}
"""
FILE = """
- name: file
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: name, data_categories: [user.content]}
"""
PEOPLE = "(1, 'ada@example.com', '[10, 11]'), (2, 'bob@example.com', '[11, 12]'), (3, 'eve@example.com', NULL)"
TAGS = '[["x", "ada@example.com"], "bob@example.com"]'
BODY = '{"t": [{"k": "x1", "m": 1}, {"k": "x2", "m": 2}]}'
GONE = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}


def message(author: int, text: str, file_id: Any = None) -> str:
    return f'{{"author": {author}, "text": "{text}", "file_id": {file_id or "null"}}}'


@pytest.fixture
def shop(store: Documents) -> Documents:
    """Ada and Bob with orders of their own and one of both."""
    store.run("CREATE TABLE person (id INTEGER PRIMARY KEY, email TEXT, orders JSON)")
    store.run("CREATE TABLE purchase (id INTEGER PRIMARY KEY, note TEXT)")
    store.run(f"INSERT INTO person VALUES {PEOPLE}")
    store.run("INSERT INTO purchase VALUES (10, 'a'), (11, 'both'), (12, 'b'), (13, 'nobody')")
    return store


@pytest.mark.parametrize("declared", ["integer", "string"])
def test_elements_of_a_list_lead_to_rows(shop: Documents, declared: str) -> None:
    shop.describe(PERSON % declared + PURCHASE)
    shown = shop.access(email="ada@example.com")
    assert shown["purchase"] == [{"note": "a"}, {"note": "both"}]
    item = shop.erased(GONE, email="ada@example.com")
    assert item["kept"] == {"shared_row": 1}  # order 11 is Bob's too
    assert shop.rows("SELECT note FROM purchase ORDER BY id") == [("gone",), ("both",), ("b",), ("nobody",)]
    assert shop.document("SELECT orders FROM person WHERE id = 1") == [10, 11]  # not targeted


def test_a_thread_of_several_people_is_shared_in_fact(shop: Documents) -> None:
    mixed = f"[{message(1, 'mine')}, {message(2, 'his')}]"
    shop.run("CREATE TABLE thread (id INTEGER PRIMARY KEY, title TEXT, messages JSON)")
    shop.run("CREATE TABLE file (id INTEGER PRIMARY KEY, name TEXT)")
    shop.run(f"INSERT INTO thread VALUES (1, 'own', '[{message(1, 'only me')}]'), (2, 'mixed', '{mixed}')")
    shop.describe(PERSON % "integer" + PURCHASE + THREAD % ("", "db") + FILE)
    shown = shop.access(email="ada@example.com")["thread"]
    assert [[each["text"] for each in row["messages"]] for row in shown] == [["only me"], ["mine"]]
    item = shop.erased(GONE, email="ada@example.com")
    assert item["kept"]["shared_row"] == 2  # the order of both, and the thread
    assert shop.rows("SELECT title FROM thread ORDER BY id") == [("gone",), ("mixed",)]
    assert shop.document("SELECT messages FROM thread WHERE id = 1")[0]["text"] == "gone"
    assert [each["text"] for each in shop.document("SELECT messages FROM thread WHERE id = 2")] == ["mine", "his"]


def test_of_an_owned_thread_only_her_messages_are_masked_and_followed(shop: Documents) -> None:
    messages = f"[{message(1, 'mine', 100)}, {message(2, 'his', 200)}, {message(1, 'me again', 300)}]"
    shop.run("CREATE TABLE thread (id INTEGER PRIMARY KEY, title TEXT, messages JSON)")
    shop.run("CREATE TABLE file (id INTEGER PRIMARY KEY, name TEXT)")
    shop.run(f"INSERT INTO thread VALUES (1, 'about', '{messages}')")
    shop.run("INSERT INTO file VALUES (100, 'f1'), (200, 'f2'), (300, 'f3'), (400, 'f4')")
    shop.describe(PERSON % "integer" + PURCHASE + THREAD % (", ownership: owned", "db") + FILE)
    shown = shop.access(email="ada@example.com")
    assert [each["name"] for each in shown["file"]] == ["f1", "f3"]
    [thread] = shown["thread"]
    assert thread["messages"] == [{"author": 1, "text": "mine"}, {"author": 1, "text": "me again"}]
    shop.erased(GONE, email="ada@example.com")
    assert shop.rows("SELECT name FROM file ORDER BY id") == [("gone",), ("f2",), ("gone",), ("f4",)]
    left = shop.document("SELECT messages FROM thread")
    assert [(each["author"], each["text"]) for each in left] == [(1, "gone"), (2, "his"), (1, "gone")]


def test_values_in_documents_lead_to_another_store(shop: Documents, other: Documents) -> None:
    messages = f"[{message(1, 'mine', 100)}, {message(2, 'his', 200)}]"
    shop.run("CREATE TABLE thread (id INTEGER PRIMARY KEY, title TEXT, messages JSON)")
    shop.run(f"INSERT INTO thread VALUES (1, 'about', '{messages}')")
    other.run("CREATE TABLE file (id INTEGER PRIMARY KEY, name TEXT)")
    other.run("CREATE TABLE note (id INTEGER PRIMARY KEY, tags JSON)")
    other.run("INSERT INTO file VALUES (100, 'f1'), (200, 'f2')")
    other.run(f"INSERT INTO note VALUES (1, '{TAGS}'), (2, '[\"eve@example.com\"]')")
    note = """
- name: note
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: tags
    data_categories: [user.content]
    fides_meta:
      data_type: "string[]"
      references: [{dataset: db, field: person.email, direction: from, ownership: owned}]
"""
    other.describe(FILE + note)
    shop.describe(PERSON % "integer" + PURCHASE + THREAD % (", ownership: owned", "far"))
    shown = shop.access(email="ada@example.com")
    assert shown["file"] == [{"name": "f1"}]
    assert shown["note"] == [{"tags": [["ada@example.com"]]}]
    shop.erased(GONE, email="ada@example.com")
    assert other.rows("SELECT name FROM file ORDER BY id") == [("gone",), ("f2",)]
    assert other.document("SELECT tags FROM note WHERE id = 1") == [["x", "gone"], "bob@example.com"]
    assert other.document("SELECT tags FROM note WHERE id = 2") == ["eve@example.com"]


def test_a_document_leads_to_a_document(shop: Documents) -> None:
    shop.run("CREATE TABLE left_side (id INTEGER PRIMARY KEY, email TEXT, seen JSON)")
    shop.run("CREATE TABLE right_side (id INTEGER PRIMARY KEY, body JSON)")
    shop.run('INSERT INTO left_side VALUES (1, \'ada@example.com\', \'[{"c": "x1"}, {"c": "x3"}, {"d": "x2"}]\')')
    shop.run(f'INSERT INTO right_side VALUES (1, \'{BODY}\'), (2, \'{{"t": [{{"k": "x2"}}]}}\')')
    shop.describe("""
- name: left_side
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - name: seen
    fields:
    - {name: c, fides_meta: {references: [{dataset: db, field: right_side.body.t.k, direction: to}]}}
- name: right_side
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: body
    fields:
    - name: t
      fields:
      - {name: k, data_categories: [user.unique_id]}
      - {name: m, data_categories: [user.content]}
""")
    assert shop.access(email="ada@example.com")["right_side"] == [{"body": {"t": [{"k": "x1", "m": 1}]}}]


def test_a_value_of_another_kind_is_no_match(shop: Documents) -> None:
    shop.run('UPDATE person SET orders = \'["010", 10.0, true, {"x": 10}, null, "10 "]\' WHERE id = 1')
    shop.describe(PERSON % "integer" + PURCHASE)
    assert "purchase" not in shop.access(email="ada@example.com")


def test_other_documents_of_a_row_found_by_an_element_are_shown_as_documents(shop: Documents) -> None:
    shop.run("CREATE TABLE box (id INTEGER PRIMARY KEY, mails JSON, content JSON)")
    shop.run("""INSERT INTO box VALUES (1, '["ada@example.com", "bob@example.com"]', '{"a": [1, "x"]}')""")
    shop.describe("""
- name: box
  fides_meta: {person: false}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: mails
    data_categories: [user.contact.email]
    fides_meta: {data_type: "string[]", identity: email}
  - {name: content, data_categories: [user.content]}
""")
    assert shop.access(email="ada@example.com")["box"] == [{"mails": ["ada@example.com"], "content": {"a": [1, "x"]}}]
