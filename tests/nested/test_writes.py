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


PEOPLE = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, fides_meta: {identity: email}}
"""
LAW = "masking_strategy_override: {strategy: preserve, configuration: {reason: law}}"
WRITTEN = "masking_strategy_override: {strategy: string_rewrite, configuration: {rewrite_value: hidden}}"


def person(store: Documents, body: str, fields: str) -> None:
    store.run("CREATE TABLE person (id INTEGER PRIMARY KEY, email TEXT, body JSON, code TEXT)")
    store.run(f"INSERT INTO person VALUES (1, 'ada@example.com', '{body}', 'c1')")
    store.describe(PEOPLE + fields)


def test_what_an_object_declares_holds_for_all_in_it(store: Documents) -> None:
    fields = f"""
  - name: body
    fides_meta: {{{LAW}}}
    fields:
    - {{name: x, data_categories: [user.content]}}
    - name: list
      fides_meta: {{data_type: "object[]"}}
      fields:
      - {{name: y, data_categories: [user.content]}}
      - {{name: z, data_categories: [user.content], fides_meta: {{{WRITTEN}}}}}
"""
    person(store, '{"x": "A", "list": [{"y": "B", "z": "C"}, {"y": "D"}]}', fields)
    item = store.erased(GONE, email="ada@example.com")
    assert (item["outcome"], item["kept"]) == ("erased_with_kept", {"law": 2})
    assert store.document("SELECT body FROM person") == {"x": "A", "list": [{"y": "B", "z": "hidden"}, {"y": "D"}]}


@pytest.mark.parametrize("protected", [f"fides_meta: {{{LAW}}}", f"fides_meta: {{read_only: true, {LAW}}}"])
def test_an_object_with_a_kept_part_is_masked_by_its_declared_parts(store: Documents, protected: str) -> None:
    fields = f"""
  - name: body
    data_categories: [user.content]
    fields:
    - {{name: x, {protected}}}
    - {{name: y}}
    - name: all
      fides_meta: {{data_type: "object[]", return_all_elements: true}}
      fields: [{{name: x, {protected}}}, {{name: y}}]
    - name: deep
      fields: [{{name: y}}]
"""
    everything = (
        '{"x": "A", "y": "B", "z": "C", "all": [{"x": "D", "y": "E", "z": "F"}, {"y": "G"}], "deep": {"z": "H"}}'
    )
    person(store, everything, fields)
    item = store.erased(GONE, email="ada@example.com")
    assert (item["outcome"], item["kept"]) == ("erased_with_kept", {"law": 2})
    parts = [{"x": "D", "y": "gone", "z": "F"}, {"y": "gone"}]
    assert store.document("SELECT body FROM person") == {"x": "A", "y": "gone", "z": "C", "all": parts, "deep": None}


def test_of_a_list_with_a_kept_part_only_her_elements_are_masked(store: Documents) -> None:
    store.run("CREATE TABLE room (id INTEGER PRIMARY KEY, who JSON)")
    store.run(
        """INSERT INTO room VALUES (1, '[{"mail": "ada@example.com", "law": "A"}, {"mail": "eve@example.com"}]')"""
    )
    store.describe(f"""
- name: room
  fields:
  - {{name: id, fides_meta: {{primary_key: true}}}}
  - name: who
    data_categories: [user.contact]
    fides_meta: {{data_type: "object[]"}}
    fields:
    - {{name: mail, fides_meta: {{identity: email}}}}
    - {{name: law, fides_meta: {{{LAW}}}}}
""")
    store.erased(GONE, email="ada@example.com")
    assert store.document("SELECT who FROM room") == [{"mail": "gone", "law": "A"}, {"mail": "eve@example.com"}]


READ_ONLY = {
    "body.x": """
  - name: body
    fides_meta: {read_only: true}
    fields: [{name: x, data_categories: [user.content]}]
""",
    "body.deep.x": """
  - name: body
    data_categories: [user.content]
    fields: [{name: deep, fields: [{name: x, fides_meta: {read_only: true}}]}, {name: y}]
""",
    "code": f"""
  - {{name: code, data_categories: [user.content], fides_meta: {{read_only: true, {WRITTEN}}}}}
""",
}


@pytest.mark.parametrize("address", READ_ONLY)
def test_read_only_is_never_written(store: Documents, address: str) -> None:
    person(store, '{"x": "A", "deep": {"x": "B"}, "y": "C"}', READ_ONLY[address])
    before = store.rows("SELECT * FROM person")
    item = store.erase(GONE, email="ada@example.com")
    assert (item["status"], item["reason"]) == ("error", "refused")
    detail = item["reason_detail"]
    assert (detail["code"], detail["address"]) == ("read_only_field", f"db:person:{address}")
    assert store.rows("SELECT * FROM person") == before
