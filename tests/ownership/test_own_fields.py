"""The subject's own fields in rows that are declared shared: masked and shown, and nothing else of these rows."""

from __future__ import annotations

import json
from typing import Any
from zipfile import ZipFile

from constraintbook import Store
from flowbook import Flow

HOUSEHOLD = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: phone, data_categories: [user.contact.phone_number], fides_meta: {identity: phone_number}}
  - name: household_id
    fides_meta: {references: [{dataset: db, field: household.id, direction: to, ownership: shared}]}
- name: household
  fides_meta: {person: false}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: contact, data_categories: [user.contact.email]}
  - {name: second, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - {name: phone, data_categories: [user.contact.phone_number]}
  - {name: rooms, data_categories: [user.financial]}
"""
TABLES = """
CREATE TABLE household (id integer PRIMARY KEY, contact text, second text, phone text, rooms text);
CREATE TABLE person (id integer PRIMARY KEY, email text, phone text, household_id integer);
INSERT INTO household VALUES
  (1, 'Ada@Example.com', 'bob@example.com', '(202) 555-0101', 'four'),
  (2, 'ada@example.com', 'ada@example.com', '(202) 555-0101', 'two'),
  (3, 'bob@example.com', ' ada@example.com', '+1 202 555 0102', 'ada@example.com.'),
  (4, NULL, NULL, NULL, NULL);
INSERT INTO person VALUES (1, 'ada@example.com', '+1 202 555 0101', 1), (2, 'bob@example.com', '+1 202 555 0102', 1),
  (3, 'ada@example.com', NULL, 3), (4, 'ada@example.com', NULL, 4), (5, 'cyd@example.com', NULL, 2);
"""
X = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
BOTH = {"email": "ada@example.com", "phone_number": "202-555-0101"}


def households(store: Store) -> list[tuple[Any, ...]]:
    return store.rows("SELECT id, contact, second, phone, rooms FROM household ORDER BY id")


def ended(store: Store, *identities: dict[str, Any], mask: Any = X) -> list[dict[str, Any]]:
    items = [store.end(each) for each in store.submit(*identities, mask=mask)]
    assert [each["status"] for each in items] == ["complete"] * len(items), [each["reason_detail"] for each in items]
    return items


def test_only_what_equals_an_identity_is_masked_and_the_row_stays_shared(store: Store) -> None:
    store.run(TABLES)
    store.describe(HOUSEHOLD)
    (item,) = ended(store, BOTH)
    assert households(store) == [
        (1, "X", "bob@example.com", "X", "four"),
        (2, "X", "X", "X", "X"),  # found by what it holds, and by no shared reference: hers
        (3, "bob@example.com", "X", "+1 202 555 0102", "ada@example.com."),
        (4, None, None, None, None),
    ]
    assert (item["outcome"], item["kept"]["shared_row"]) == ("erased_with_kept", 3)
    said = store.receipt(item["id"])
    for field, rows in {"contact": 1, "phone": 1, "second": 1}.items():
        done = said[f"db:household#own:{field}"]
        assert (done["frozen"], done["masked"], done["vanished"]) == (rows, rows, 0)
        assert done["fields"] == {field: "string_rewrite"}
    assert "db:household#own:rooms" not in said or said["db:household#own:rooms"]["frozen"] == 0


def test_each_of_a_cohort_masks_her_own_values_only(store: Store) -> None:
    store.run(TABLES)
    store.describe(HOUSEHOLD)
    ada, bob = ended(store, {"email": "ada@example.com"}, {"email": "bob@example.com"}, mask="hash")
    (one, two, three, _) = households(store)
    assert one[1] not in ("Ada@Example.com", one[2])
    assert one[2] != "bob@example.com"
    assert one[3:] == ("(202) 555-0101", "four")
    assert three[1] == "bob@example.com"  # it isn't his household
    assert three[2] not in (" ada@example.com", None)
    assert three[3:] == ("+1 202 555 0102", "ada@example.com.")
    assert store.receipt(ada["id"])["db:household#own:contact"]["masked"] == 1
    assert store.receipt(bob["id"])["db:household#own:second"]["masked"] == 1
    assert two[1] == two[2] != "ada@example.com"


def test_a_shared_row_is_never_deleted(store: Store) -> None:
    store.run(TABLES)
    leaving = "fides_meta: {person: false, masking_strategy_override: {strategy: delete}}"
    store.describe(HOUSEHOLD.replace("fides_meta: {person: false}", leaving))
    ended(store, {"email": "ada@example.com"})
    assert [(row[0], row[1]) for row in households(store)] == [
        (1, "X"),
        (2, "X"),  # her own row, which another one holds
        (3, "bob@example.com"),
        (4, None),
    ]


def test_numbers_count_only_where_a_field_is_said_to_hold_them(store: Store) -> None:
    numbered = """
- name: person
  fields:
  - {name: id, fides_meta: {primary_key: true, identity: member_no}}
  - name: household_id
    fides_meta: {references: [{dataset: db, field: household.id, direction: to, ownership: shared}]}
  - {name: alias, data_categories: [user.name], fides_meta: {identity: alias}}
- name: household
  fides_meta: {person: false}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: door, data_categories: [user.contact.address]}
  - {name: head, data_categories: [user.unique_id], fides_meta: {identity: member_no}}
  - {name: nick, data_categories: [user.name]}
"""
    store.run(
        "CREATE TABLE household (id integer PRIMARY KEY, door text, head text, nick text);"
        "CREATE TABLE person (id integer PRIMARY KEY, household_id integer, alias text);"
        "INSERT INTO household VALUES (1, '7', '7', 'ada'); INSERT INTO person VALUES (7, 1, 'ada')"
    )
    store.describe(numbered)
    ended(store, {"member_no": "7", "alias": "ada"})
    assert store.rows("SELECT door, head, nick FROM household") == [("7", "X", "X")]


def test_a_value_that_changed_meanwhile_is_left(store: Store) -> None:
    """The trigger stands for another application: it acts when the subject's own row is masked, which comes first."""
    store.run(TABLES)
    change = "UPDATE household SET contact = 'new@example.com' WHERE id = 1"
    store.act_after_update("person", change)
    store.describe(HOUSEHOLD.replace("{person: false}", "{person: false, erase_after: [db.person]}"))
    (item,) = ended(store, {"email": "ada@example.com"})
    assert households(store)[0] == (1, "new@example.com", "bob@example.com", "(202) 555-0101", "four")
    done = store.receipt(item["id"])["db:household#own:contact"]
    assert (done["frozen"], done["masked"], done["vanished"]) == (1, 0, 1)


def test_her_own_fields_are_shown_and_the_others_counted(store: Store, flow: Flow) -> None:
    store.run(TABLES)
    store.describe(HOUSEHOLD)
    item = flow.api.run("download_user", BOTH)
    rows = flow.package(item["id"])["db:household"]
    assert rows == [
        {"contact": "Ada@Example.com", "phone": "(202) 555-0101", "rooms": "four"},
        {
            "contact": "ada@example.com",
            "second": "ada@example.com",
            "phone": "(202) 555-0101",
            "rooms": "two",
        },
        {"second": " ada@example.com", "rooms": "ada@example.com."},
        {"rooms": None},
    ]
    assert item["withheld"] == {"db:household": 1 + 2 + 3}
    assert set(flow.package(item["id"])) == {"db:household", "db:person"}
    assert (item["identity_kinds"], item["absent_kinds"]) == (["email", "phone_number"], None)


def test_a_row_shared_in_fact_shows_her_own_fields_too_and_is_not_written(store: Store, flow: Flow) -> None:
    store.run(TABLES)
    second = "- {name: second, data_categories: [user.contact.email]"
    store.describe(
        HOUSEHOLD.replace(", ownership: shared", "").replace(f"{second}, fides_meta: {{identity: email}}", second)
    )
    item = flow.api.run("download_user", {"email": "bob@example.com"})
    assert flow.package(item["id"])["db:household"] == [{"second": "bob@example.com", "rooms": "four"}]
    assert (item["withheld"], item["absent_kinds"]) == ({"db:household": 2}, ["phone_number"])
    (item,) = ended(store, {"email": "bob@example.com"})
    assert item["kept"] == {"shared_row": 1}
    assert households(store)[0] == (1, "Ada@Example.com", "bob@example.com", "(202) 555-0101", "four")


def test_the_archive_has_an_index(store: Store, flow: Flow) -> None:
    store.run(TABLES)
    store.describe(HOUSEHOLD)
    archives = {"name": "archives", "key": "archives", "type": "local", "details": {}, "format": "csv"}
    flow.api.access_policy("archive_user", ["user"], archives)
    item = flow.api.run("archive_user", {"email": "bob@example.com"})
    with ZipFile(flow.installation.settings.data_dir / "packages" / f"{item['id']}.zip") as archive:
        told = json.loads(archive.read("index.json"))
    assert told == {
        "withheld": item["withheld"],
        "identity_kinds": ["email"],
        "absent_kinds": ["phone_number"],
    }
