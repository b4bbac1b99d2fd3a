"""People found by identities inside documents: what they are shown, and what an erasure leaves of their rows."""

from __future__ import annotations

from typing import Any

import pytest

from nestedbook import Documents

ACCOUNT = """
- name: account
  fields:
  - {name: id, data_categories: [user.unique_id], fides_meta: {primary_key: true}}
  - {name: phone, data_categories: [user.contact.phone_number], fides_meta: {identity: phone_number}}
  - name: profile
    fields:
    - {name: plan, data_categories: [system.operations]}
    - name: contacts
      fides_meta: {data_type: "object[]"%s}
      fields:
      - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - {name: label, data_categories: [user.name]}
      - {name: age, data_categories: [user.demographic]}
"""
ADA = {"email": " ADA@Example.com", "label": "Ada", "age": 36, "seen": 1.50}
BOB = {"email": "bob@example.com", "label": "Bób \u2603", "age": None, "n": 12345678901234567890123}
PROFILE = (
    '{"contacts": [{"email": " ADA@Example.com", "label": "Ada", "age": 36, "seen": 1.50}, '
    '{"email": "bob@example.com", "label": "Bób ☃", "age": null, "n": 12345678901234567890123}], '
    '"plan": "gold", "limits": [1, [2.50, null]], "none": null}'
)


@pytest.fixture
def account(store: Documents) -> Documents:
    """An account with two people's contacts in it, and one of strangers."""
    store.run("CREATE TABLE account (id INTEGER PRIMARY KEY, phone TEXT, profile JSON)")
    store.run(
        f"INSERT INTO account VALUES (1, '+1 202 555 0101', '{PROFILE}'), (2, NULL, '{{\"contacts\": []}}'), "
        '(3, NULL, NULL), (4, NULL, \'{"contacts": {"email": "eve@example.com"}}\')'
    )
    return store


def test_only_the_contacts_that_led_to_the_row_are_shown(account: Documents) -> None:
    account.describe(ACCOUNT % "")
    shown = account.access(email="ada@example.com")
    assert shown == {
        "account": [
            {
                "id": 1,
                "phone": "+1 202 555 0101",
                "profile": {"contacts": [{"email": ADA["email"], "label": "Ada", "age": 36}]},
            }
        ]
    }


def test_a_row_found_by_another_field_shows_no_others_contacts(account: Documents) -> None:
    account.describe(ACCOUNT % "")
    both = account.access(phone_number="202-555-0101", email="nobody@example.com")
    assert both == {"account": [{"id": 1, "phone": "+1 202 555 0101", "profile": {"contacts": []}}]}


def test_a_list_declared_whole_is_shown_whole(account: Documents) -> None:
    account.describe(ACCOUNT % ", return_all_elements: true")
    [row] = account.access(email="ada@example.com")["account"]
    assert [each["label"] for each in row["profile"]["contacts"]] == ["Ada", BOB["label"]]


def test_an_object_where_a_list_is_meant_is_found_too(account: Documents) -> None:
    account.describe(ACCOUNT % "")
    [row] = account.access(email="eve@example.com")["account"]
    assert row == {"id": 4, "phone": None, "profile": {"contacts": {"email": "eve@example.com"}}}


def test_an_erasure_masks_her_contact_and_leaves_the_rest_as_it_was(account: Documents) -> None:
    account.describe(ACCOUNT % "")
    others = account.rows("SELECT * FROM account WHERE id > 1 ORDER BY id")
    item = account.erased(
        {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone"}}, email="ada@example.com"
    )
    assert item["outcome"] == "erased_with_kept"
    assert item["kept"] == {"key_kept": 1}
    expected: dict[str, Any] = {"email": "gone", "label": "gone", "age": None, "seen": 1.50}
    profile = account.document("SELECT profile FROM account WHERE id = 1")
    assert profile == {
        "contacts": [expected, BOB],
        "plan": "gold",
        "limits": [1, [2.50, None]],
        "none": None,
    }
    [(text,)] = account.rows("SELECT CAST(profile AS TEXT) FROM account WHERE id = 1")
    assert "12345678901234567890123" in text  # digits are kept as they were
    assert "2.50" in text
    assert account.rows("SELECT * FROM account WHERE id > 1 ORDER BY id") == others
    fields = item["erasure"]["db:account"]["fields"]
    assert fields["profile.contacts.email"] == "string_rewrite"


def test_a_whole_list_is_masked_whole(account: Documents) -> None:
    account.describe(ACCOUNT % ", return_all_elements: true")
    account.erased(email="ada@example.com")
    profile = account.document("SELECT profile FROM account WHERE id = 1")
    assert [(each["email"], each["label"]) for each in profile["contacts"]] == [(None, None), (None, None)]


def test_two_people_of_one_document_are_erased_one_after_the_other(account: Documents) -> None:
    account.describe(ACCOUNT % "")
    account.erased("hash", email="ada@example.com")
    account.erased("hash", email="bob@example.com")
    ada, bob = account.document("SELECT profile FROM account WHERE id = 1")["contacts"]
    assert all(len(each[name]) == 64 for each in (ada, bob) for name in ("email", "label"))
    assert ada["email"] != bob["email"]
