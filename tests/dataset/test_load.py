"""Datasets from text and bodies: every annotation, and every problem at once with its place and what would be right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebook import load_facts
from habeas.core.errors import BadInput
from habeas.dataset.load import DatasetProblems, dataset_from, load_datasets, read_datasets, read_document
from habeas.dataset.model import Dataset, Reference, StrategyChoice
from habeas.dataset.reader import parse_data_type

FULL = """
dataset:
  - fides_key: shop
    name: Shop
    description: What we sell
    organization_fides_key: default_organization
    tags: null
    data_categories: [user]
    fides_meta:
      after: [billing]
      namespace: {schema: sales, database_name: shop_db}
    collections:
      - name: customer
        data_categories: [user.contact]
        fides_meta:
          after: [billing.account]
          erase_after: ["shop:orders"]
          skip_processing: no
          partitioning: {field: created, start: "NOW() - 10 DAYS"}
          person: true
          masking_strategy_override: {strategy: delete, configuration: {on_referenced: cascade}}
        fields:
          - name: id
            fides_meta: {primary_key: yes, data_type: integer}
          - name: email
            description: Where we write to
            data_categories: [user.contact.email]
            fides_meta: {identity: email, identity_match: exact, data_type: string, length: 254}
          - name: phone
            fides_meta: {identity: phone_number, region: DE, read_only: true}
          - name: address_id
            fides_meta:
              references:
                - {dataset: shop, field: address.id, direction: to, ownership: shared}
          - name: tags
            fides_meta: {data_type: "string[]", return_all_elements: true}
          - name: profile
            fields:
              - name: name
                data_categories: [user.name]
                fides_meta:
                  masking_strategy_override: {strategy: hash, configuration: {algorithm: SHA-512}}
      - name: address
        fidesops_meta: {excluded: {reason: kept for tax law}}
        fields:
          - {name: id, fidesops_meta: {primary_key: true}}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(DatasetProblems) as caught:
        load_datasets(text, name="shop.yml")
    return [str(problem) for problem in caught.value.problems]


def field_problem(field: str) -> str:
    """The one problem of a collection that holds this one field."""
    text = f"fides_key: shop\ncollections:\n- name: customer\n  fields:\n  - {field}\n"
    (problem,) = problems(text)
    return problem


def body(field: dict[str, Any]) -> dict[str, Any]:
    return {"fides_key": "shop", "collections": [{"name": "customer", "fields": [field]}]}


def test_every_annotation_is_read() -> None:
    (dataset,) = load_datasets(FULL, name="shop.yml")
    assert (dataset.fides_key, dataset.name, dataset.description) == ("shop", "Shop", "What we sell")
    assert (dataset.data_categories, dataset.after) == (("user",), ("billing",))
    assert (dataset.schema, dataset.database_name) == ("sales", "shop_db")
    assert dataset.raw["organization_fides_key"] == "default_organization"
    customer, address = dataset.collections
    assert (customer.after, customer.erase_after) == (("billing:account",), ("shop:orders",))
    assert (customer.skip_processing, customer.person) == (False, True)
    assert customer.partitioning == {"field": "created", "start": "NOW() - 10 DAYS"}
    assert customer.masking_strategy_override == StrategyChoice("delete", {"on_referenced": "cascade"})
    assert address.excluded == "kept for tax law"
    fields = dict(customer.leaves())
    assert (fields["id"].primary_key, fields["id"].data_type) == (True, "integer")
    assert (fields["email"].identity, fields["email"].identity_match, fields["email"].length) == ("email", "exact", 254)
    assert (fields["phone"].region, fields["phone"].read_only) == ("DE", True)
    assert fields["address_id"].references == (Reference("shop", "address.id", "to", None, "shared"),)
    assert (fields["tags"].data_type, fields["tags"].is_array, fields["tags"].return_all_elements) == (
        "string",
        True,
        True,
    )
    assert fields["profile.name"].masking_strategy_override == StrategyChoice("hash", {"algorithm": "SHA-512"})


def test_the_same_as_json_gives_the_same() -> None:
    (from_yaml,) = load_datasets(FULL, name="shop.yml")
    document = from_yaml.raw
    for text in (json.dumps([document]), json.dumps({"dataset": [document]}), json.dumps(document)):
        assert load_datasets(text, name="shop.json") == [from_yaml]
    assert dataset_from(document, where="body") == from_yaml


# Shapes that files of fides and fidesops have: nulls everywhere, older names and keys, what their own samples misplace.
OLDER = """
dataset:
  - fides_key: mongo_test
    tags: null
    meta: null
    data_categories: null
    fidesctl_meta: {resource_id: mongo://example}
    fidesops_meta: {after: null}
    collections:
      - name: customer_details
        description: null
        data_categories: null
        fidesops_meta: null
        fields:
          - name: _id
            data_categories: [system.operations]
            fidesops_meta: {primary_key: True, data_type: object_id}
          - name: customer_id
            data_categories: [user.derived.identifiable.unique_id]
            fidesops_meta:
              references: [{dataset: shop, field: customer.id, direction: from}]
              identity: null
              length: null
              custom_request_field: null
          - name: travel_identifiers
            fidesops_meta: {data_type: "string[]", data_categories: [system.operations]}
          - name: comments
            fidesops_meta: {data_type: "object[]", return_all_elements: true}
            fields:
              - name: comment_id
                data_categories: [user.contact.city]
                fidesops_meta:
                  data_type: string
                  references: [{dataset: mongo_test, field: conversations.thread.comment, direction: to}]
"""


def test_a_dataset_of_fidesops_loads_unchanged() -> None:
    loaded = read_datasets(OLDER, name="mongo.yml")
    (dataset,) = loaded.datasets
    fields = dict(dataset.collections[0].leaves())
    assert fields["customer_id"].data_categories == ("user.unique_id",)
    assert fields["comments.comment_id"].data_categories == ("user.contact.address.city",)
    assert fields["comments.comment_id"].references[0].path == "thread.comment"
    assert fields["_id"].data_type == "object_id"
    assert dataset.raw["fidesctl_meta"] == {"resource_id": "mongo://example"}
    messages = [str(warning) for warning in loaded.warnings]
    assert len(messages) == 3
    assert messages[0].startswith("mongo.yml:19:31: mongo_test:customer_details:customer_id data_categories[0]: ")
    assert "user.derived.identifiable.unique_id is now called user.unique_id" in messages[0]
    assert "fidesops_meta.data_categories: data_categories is not read here" in messages[1]


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    text = """dataset:
- fides_key: sh op
  colections: []
  collections:
  - name: customer
    fields:
    - name: id
      data_categories: [user.unique_idd]
      fides_meta: {primry_key: true, data_type: int, length: -1}
    - name: id
    - name: profile.name
  - fields:
"""
    assert problems(text) == [
        "shop.yml:2:14: dataset[0].fides_key: 'sh op' is not a key – use letters, digits, '.', '_' and '-' only",
        "shop.yml:3:3: sh op colections: unknown key 'colections' – did you mean collections?",
        "shop.yml:8:25: sh op:customer:id data_categories[0]: unknown data category 'user.unique_idd'"
        " – did you mean user.unique_id?",
        "shop.yml:9:20: sh op:customer:id fides_meta.primry_key: unknown key 'primry_key' – did you mean primary_key?",
        "shop.yml:9:49: sh op:customer:id fides_meta.data_type: unknown data type 'int' – did you mean integer?",
        "shop.yml:9:62: sh op:customer:id fides_meta.length: length must be a whole number above 0, not -1"
        " – give the column's length",
        "shop.yml:10:7: sh op:customer fields[1]: 'id' stands here a second time – keep one of them",
        "shop.yml:11:13: sh op:customer fields[2].name: the name 'profile.name' holds a '.', which separates the"
        " parts of an address – list a nested field under its parent's `fields`",
        "shop.yml:12:5: sh op collections[1]: name is missing – give a name",
        "shop.yml:12:5: sh op collections[1]: fields are missing – list the fields of the collection under `fields`",
    ]


FAULTS = {
    "number as name": ("name: 5", "name must be text, not a number – put it in quotes"),
    "flag as name": ("name: true", "name must be text, not true or false – put it in quotes"),
    "colon in a name": ("name: 'a:b'", "holds a ':'"),
    "unknown type": ("{name: a, fides_meta: {data_type: strin}}", "did you mean string?"),
    "unknown list type": ("{name: a, fides_meta: {data_type: 'varchar[]'}}", "did you mean string[]?"),
    "length zero": ("{name: a, fides_meta: {length: 0}}", "above 0, not 0"),
    "length as words": ("{name: a, fides_meta: {length: long}}", "above 0, not text"),
    "flag as words": ("{name: a, fides_meta: {primary_key: perhaps}}", "must be true or false, not text"),
    "direction": (
        "{name: a, fides_meta: {references: [{dataset: x, field: y.z, direction: form}]}}",
        "direction can't be 'form' – did you mean from?",
    ),
    "ownership": (
        "{name: a, fides_meta: {references: [{dataset: x, field: y.z, ownership: share}]}}",
        "ownership can't be 'share' – did you mean shared?",
    ),
    "reference without field": ("{name: a, fides_meta: {references: [{dataset: x}]}}", "field is missing"),
    "reference to a collection": (
        "{name: a, fides_meta: {references: [{dataset: x, field: y}]}}",
        "doesn't name a field – write collection.field",
    ),
    "one reference": (
        "{name: a, fides_meta: {references: {dataset: x, field: y.z}}}",
        "references must be a list of mappings, not a mapping",
    ),
    "reference key": (
        "{name: a, fides_meta: {references: [{dataset: x, field: y.z, direcion: to}]}}",
        "did you mean direction?",
    ),
    "identity match": (
        "{name: a, fides_meta: {identity: email, identity_match: exactly}}",
        "did you mean exact?",
    ),
    "region": ("{name: a, fides_meta: {identity: phone_number, region: Germany}}", "two capital letters"),
    "all elements of one": ("{name: a, fides_meta: {return_all_elements: true}}", "return_all_elements is for lists"),
    "typed object": (
        "{name: a, fides_meta: {data_type: string}, fields: [{name: b}]}",
        "can't be of type string – write object",
    ),
    "delete on a field": (
        "{name: a, fides_meta: {masking_strategy_override: {strategy: delete}}}",
        "delete removes whole rows",
    ),
    "strategy without name": ("{name: a, fides_meta: {masking_strategy_override: {}}}", "strategy is missing"),
    "strategy as text": (
        "{name: a, fides_meta: {masking_strategy_override: hash}}",
        "masking_strategy_override must be a mapping, not text",
    ),
    "categories as text": ("{name: a, data_categories: user.name}", "must be a list of text, not text"),
    "category as number": ("{name: a, data_categories: [3]}", "must be text, not a number"),
    "unknown category": ("{name: a, data_categories: [user.contact.emial]}", "did you mean user.contact.email?"),
    "both metas, differently": (
        "{name: a, fides_meta: {length: 3}, fidesops_meta: {length: 4}}",
        "length is given twice, differently",
    ),
    "repeated nested field": ("{name: a, fields: [{name: b}, {name: b}]}", "'b' stands here a second time"),
    "misspelled meta": ("{name: a, fides_mata: {}}", "did you mean fides_meta?"),
    "nested too deep": ("{name: a" + ", fields: [{name: a" * 21 + "}]" * 21 + "}", "nested deeper than 20 levels"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_names_what_would_be_right(case: str) -> None:
    field, message = FAULTS[case]
    problem = field_problem(field)
    assert message in problem
    assert problem.startswith("shop.yml:5:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no dataset"),
        ("- 3", "must be a mapping, not a number"),
        ("policies: []", "begin with `dataset:`"),
        ("dataset: {collections: []}", "fides_key is missing"),
        ("fides_key: shop", "collections are missing"),
        ("[{fides_key: a, collections: []}, {fides_key: a, collections: []}]", "'a' stands here a second time"),
        ("{fides_key: a, collections: [{name: b, fields: [], fides_meta: {after: [x]}}]}", "write dataset:collection"),
        (
            "{fides_key: a, collections: [{name: b, fields: [], fides_meta: {after: [x.y.z]}}]}",
            "write dataset:collection",
        ),
        ("{fides_key: a, collections: [{name: b, fields: [], fides_meta: {excluded: {}}}]}", "reason is missing"),
        (
            "{fides_key: a, collections: [{name: b, fields: []}, {name: b, fields: []}]}",
            "'b' stands here a second time",
        ),
        ("{fides_key: a, fides_meta: {after: [a]}, collections: []}", "can't come after itself"),
        (
            "{fides_key: a, collections: [{name: b, fields: [], fides_meta: {masking_strategy_override: "
            "{strategy: delete, configuration: {on_referenced: casacde}}}}]}",
            "did you mean cascade?",
        ),
    ],
)
def test_a_fault_of_the_whole_is_named(text: str, message: str) -> None:
    assert any(message in problem for problem in problems(text))


def test_a_body_gives_locs_as_an_api_needs_them() -> None:
    field = {"name": "id", "fides_meta": {"references": [{"dataset": "shop", "field": "a.b", "direction": "too"}]}}
    with pytest.raises(DatasetProblems) as caught:
        dataset_from(body(field), where="body", loc=("body", 0))
    (problem,) = caught.value.problems
    assert problem.detail() == {
        "loc": ["body", 0, "collections", 0, "fields", 0, "fides_meta", "references", 0, "direction"],
        "msg": "direction can't be 'too' – did you mean to?",
        "type": "value_error",
    }
    assert (caught.value.status, problem.line) == (422, None)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"name": "a", "primary_key": True}, "primary_key is not read here – write it under fides_meta"),
        ({"name": "a", "fides_meta": {"identity": "e-mail"}}, "did you mean email?"),
        ({"name": "a", "fides_meta": {"identity_match": "exact"}}, "says nothing without identity"),
        ({"name": "a", "fides_meta": {"colour": "red"}}, "colour is kept but not used"),
        ({"name": "a", "fides_meta": {"identity": "email"}, "fields": [{"name": "b"}]}, "write it on one of these"),
    ],
)
def test_a_doubt_is_a_warning(field: dict[str, Any], message: str) -> None:
    (warning,) = read_document(body(field), where="body").warnings
    assert warning.severity == "warning"
    assert message in str(warning)


@pytest.mark.parametrize("fact", load_facts("parse_type_name"), ids=lambda fact: fact["id"])
def test_data_types_are_parsed_as_the_facts_say(fact: dict[str, Any]) -> None:
    assert list(parse_data_type(fact["input"]["text"])) == fact["expect"]["equals"]


def test_an_unknown_data_type_is_refused() -> None:
    with pytest.raises(BadInput, match="write one of string, integer"):
        parse_data_type("zzzz")


def shuffled(dataset: Dataset) -> set[tuple[str, object]]:
    return {(f"{each.name}.{path}", field) for each in dataset.collections for path, field in each.leaves()}


@given(st.permutations(range(4)), st.permutations(range(3)))
def test_the_order_of_fields_and_collections_says_nothing(fields: list[int], collections: list[int]) -> None:
    made = [{"name": f"f{index}", "fides_meta": {"length": index + 1}} for index in range(4)]
    straight = {"fides_key": "a", "collections": [{"name": f"c{index}", "fields": made} for index in range(3)]}
    other = {
        "fides_key": "a",
        "collections": [{"name": f"c{index}", "fields": [made[at] for at in fields]} for index in collections],
    }
    assert shuffled(dataset_from(straight, where="a")) == shuffled(dataset_from(other, where="b"))


document = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["shop", "user.name", "string", "a.b", "", "delete"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["fides_key", "collections", "fields", "name", "fides_meta", "references", "data_categories", "length",
             "after", "namespace", "excluded", "masking_strategy_override", "identity", "data_type", "dataset", "field"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=30,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["fides_key", "collections", "name", "fides_meta"]), document))
def test_any_document_is_read_or_refused_with_problems(value: dict[str, Any]) -> None:
    try:
        dataset_from(value, where="body")
    except DatasetProblems as refused:
        assert refused.problems  # noqa: PT017  both ways are right, and only one raises
