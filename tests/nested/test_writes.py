"""What happens to documents around a write: NULL, text that is no JSON, arrays, and others who write meanwhile."""

from __future__ import annotations

import pytest

from constraintbook import policy
from nestedbook import Documents

NOTE = """
- name: note
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, fides_meta: {identity: email}}
  - name: body
    fields:
    - {name: text, data_categories: [user.content]}
    - {name: lang, data_categories: [system.operations]}
"""
GONE = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}


def note(store: Documents, *bodies: str, column: str = "JSON") -> None:
    store.run(f"CREATE TABLE note (id INTEGER PRIMARY KEY, email TEXT, body {column})")
    for number, body in enumerate(bodies):
        store.run(f"INSERT INTO note VALUES ({number}, 'ada@example.com', {body})")
    store.describe(NOTE)


def test_null_stays_and_what_is_absent_is_not_made(store: Documents) -> None:
    bodies = ("NULL", "'null'", "'[]'", '\'{"lang": "en"}\'', "'{\"text\": null}'", '\'[{"text": "x"}, 3]\'', "'7'")
    note(store, *bodies)
    store.erased(GONE, email="ada@example.com")
    found = [store.document(f"SELECT body FROM note WHERE id = {number}") for number in range(len(bodies))]
    assert found == [None, None, [], {"lang": "en"}, {"text": None}, [{"text": "gone"}, 3], 7]


def test_what_is_no_text_becomes_null(store: Documents) -> None:
    note(store, "'{\"text\": 5}'", '\'{"text": {"a": "b"}}\'', '\'{"text": ["a", [true, "b"]]}\'')
    store.erased(GONE, email="ada@example.com")
    found = [store.document(f"SELECT body FROM note WHERE id = {number}")["text"] for number in range(3)]
    assert found == [None, None, ["gone", [None, "gone"]]]


def test_elements_of_one_list_are_drawn_apart(store: Documents) -> None:
    note(store, '\'{"text": ["a", "a"]}\'')
    store.erased("random_string_rewrite", email="ada@example.com")
    one, two = store.document("SELECT body FROM note")["text"]
    assert one != two


def test_json_text_in_a_text_column_is_for_sqlite_alone(store: Documents) -> None:
    if store.kind != "sqlite":
        note(store, '\'{"text": "x"}\'', column="TEXT")
        item = store.erase(GONE, email="ada@example.com")
        assert (item["status"], item["reason"]) == ("error", "refused")
        assert "lies inside a column of type text" in str(item["reason_detail"])
        return
    note(store, '\'{"text": "x", "lang": "en"}\'', column="TEXT")
    store.erased(GONE, email="ada@example.com")
    assert store.document("SELECT body FROM note") == {"text": "gone", "lang": "en"}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # PostgreSQL takes no such value into its documents
def test_text_that_is_no_json_is_refused_before_any_write(store: Documents) -> None:
    note(store, '\'{"text": "x"}\'', "'{text: x'", column="TEXT")
    before = store.rows("SELECT * FROM note")
    item = store.erase(GONE, email="ada@example.com")
    assert (item["status"], item["reason"]) == ("error", "refused")
    assert item["reason_detail"]["address"] == "db:note:body"
    assert store.rows("SELECT * FROM note") == before


def test_arrays_of_postgresql(postgres: Documents) -> None:
    postgres.run(
        "CREATE TABLE person (id int PRIMARY KEY, mails text[], ids int[], docs jsonb[], grid text[][], j json)"
    )
    postgres.run("""
        INSERT INTO person VALUES
          (1, '{ada@example.com,"b,\\"x\\"@example.com",NULL}', '{7,8}', ARRAY['{"m": "Ada", "k": 1}', 'null']::jsonb[],
           '{{a,b},{c,d}}', '{"z": 1, "a": "ada@example.com", "z": 1}')""")
    postgres.run("CREATE TABLE item (id bigint PRIMARY KEY, name text)")
    postgres.run("INSERT INTO item VALUES (7, 'seven'), (9, 'nine')")
    postgres.describe("""
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: mails, data_categories: [user.contact.email], fides_meta: {data_type: "string[]", identity: email}}
  - {name: ids, fides_meta: {references: [{dataset: db, field: item.id, direction: to}]}}
  - name: docs
    fields:
    - {name: m, data_categories: [user.name]}
  - name: j
    fields:
    - {name: a, data_categories: [user.contact.email]}
- name: item
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: name, data_categories: [user.content]}
""")
    shown = postgres.access(email="ada@example.com")
    assert shown == {
        "person": [{"docs": [{"m": "Ada"}, None], "j": {"a": "ada@example.com"}, "mails": ["ada@example.com"]}],
        "item": [{"name": "seven"}],
    }
    postgres.erased(GONE, email="ada@example.com")
    [(mails, docs, grid, j)] = postgres.rows("SELECT mails, docs, grid, j::text FROM person")
    assert mails == ["gone", 'b,"x"@example.com', None]
    assert docs == [{"m": "gone", "k": 1}, None]
    assert grid == [["a", "b"], ["c", "d"]]
    assert j == '{"z":1,"a":"gone"}'
    assert postgres.rows("SELECT name FROM item ORDER BY id") == [("gone",), ("nine",)]


def test_rows_of_two_people_are_masked_for_both(store: Documents) -> None:
    store.run("CREATE TABLE room (id INTEGER PRIMARY KEY, who JSON)")
    store.run('INSERT INTO room VALUES (1, \'["ada@example.com", "bob@example.com", "eve@example.com"]\')')
    store.describe("""
- name: room
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: who, data_categories: [user.contact.email], fides_meta: {data_type: "string[]", identity: email}}
""")
    both = [{"email": "ada@example.com"}, {"email": "bob@example.com"}]
    items = store.ask_all(policy(store.installation, GONE), *both)
    assert [each["status"] for each in items] == ["complete", "complete"]
    assert store.document("SELECT who FROM room") == ["gone", "gone", "eve@example.com"]
