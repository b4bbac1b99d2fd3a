"""Datasets looked at together: references, reach, order, tuples and whose rows are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.dataset.check import check_datasets
from habeas.dataset.load import dataset_from, read_datasets
from habeas.dataset.model import Dataset
from habeas.dataset.problem import Problem

Fields = dict[str, dict[str, Any]]


def dataset(key: str, collections: dict[str, Fields], **meta: dict[str, Any]) -> Dataset:
    """A dataset from `{collection: {field: fides_meta}}`; `meta` gives collections' own fides_meta by name."""
    return dataset_from(
        {
            "fides_key": key,
            "collections": [
                {
                    "name": name,
                    "fides_meta": meta.get(name, {}),
                    "fields": [{"name": field, "fides_meta": each} for field, each in fields.items()],
                }
                for name, fields in collections.items()
            ],
        },
        where=key,
    )


def ref(field: str, dataset: str = "shop", **more: str) -> dict[str, Any]:
    return {"references": [{"dataset": dataset, "field": field, **more}]}


def texts(problems: Sequence[Problem]) -> list[str]:
    return [f"{problem.severity}{' saveable' if problem.saveable else ''} {problem}" for problem in problems]


CUSTOMER: Fields = {"id": {"primary_key": True}, "email": {"identity": "email"}}


def test_datasets_without_fault_have_no_problem() -> None:
    shop = dataset("shop", {"customer": CUSTOMER, "orders": {"customer_id": ref("customer.id", direction="from")}})
    desk = dataset(
        "desk", {"ticket": {"customer_id": ref("customer.id"), "id": {}}, "note": {"of": ref("ticket.id", "desk")}}
    )
    assert check_datasets([shop, desk]) == []
    assert check_datasets([desk, shop]) == []


def test_an_unknown_dataset_may_come_later_and_fails_the_check() -> None:
    (problem,) = check_datasets([dataset("shop", {"customer": CUSTOMER | {"x": ref("a.b", "shoop", direction="to")}})])
    assert texts([problem]) == [
        "error saveable shop:customer:x references[0]: there is no dataset 'shoop' – did you mean shop?"
    ]
    assert problem.loc == ("collections", 0, "fields", 2, "fides_meta", "references", 0)
    assert problem.dataset == "shop"


def test_an_unknown_collection_or_field_is_refused_with_the_nearest() -> None:
    more = {"x": ref("costumer.id", direction="to"), "y": ref("customer.emial", direction="to")}
    assert texts(check_datasets([dataset("shop", {"customer": CUSTOMER | more})])) == [
        "error shop:customer:x references[0]: the dataset shop has no collection 'costumer'"
        " – did you mean customer.id?",
        "error shop:customer:y references[0]: shop:customer has no field 'emial' – did you mean customer.email?",
    ]


def test_a_field_in_an_object_that_declares_no_more_exists() -> None:
    fields = CUSTOMER | {"info": {"data_type": "object"}}
    profile = {"id": ref("customer.info.profile.id", direction="from")}
    assert check_datasets([dataset("shop", {"customer": fields, "profile": profile})]) == []


def test_a_collection_that_no_identity_reaches_is_named() -> None:
    shop = dataset("shop", {"customer": CUSTOMER, "log": {"id": {}}, "line": {"log": ref("log.id")}})
    assert texts(check_datasets([shop])) == [
        f"error saveable shop:{name}: no identity reaches this collection – declare an `identity` in it,"
        " a reference to it from a collection that is reached, or `excluded`"
        for name in ("log", "line")
    ]


@pytest.mark.parametrize("meta", [{"excluded": {"reason": "law"}}, {"skip_processing": True}])
def test_what_stays_outside_needs_no_reach_and_gives_none(meta: dict[str, Any]) -> None:
    shop = dataset(
        "shop",
        {"customer": CUSTOMER, "log": {"id": {}, "customer": ref("customer.id")}, "line": {"log": ref("log.id")}},
        log=meta,
    )
    assert [problem.path for problem in check_datasets([shop])] == ["shop:line"]


def test_direction_is_respected() -> None:
    shop = dataset("shop", {"customer": CUSTOMER, "orders": {"customer_id": ref("customer.id", direction="to")}})
    assert [problem.path for problem in check_datasets([shop])] == ["shop:orders"]


def test_a_reference_within_one_collection_needs_a_direction() -> None:
    (problem,) = check_datasets([dataset("shop", {"customer": CUSTOMER | {"parent": ref("customer.id")}})])
    assert (problem.severity, problem.saveable, problem.refuses_saving) == ("error", True, False)
    assert "which way data flows" in problem.message
    assert (
        check_datasets([dataset("shop", {"customer": CUSTOMER | {"parent": ref("customer.id", direction="to")}})]) == []
    )


def chain(*after: tuple[str, str]) -> Dataset:
    orders = {"customer_id": ref("customer.id"), "id": {"primary_key": True}}
    collections = {"customer": CUSTOMER, "orders": orders, "line": {"order_id": ref("orders.id")}}
    return dataset("shop", collections, **{name: {"after": [other]} for name, other in after})


def test_after_is_accepted_where_it_can_be_kept() -> None:
    assert check_datasets([chain(("line", "shop.customer"), ("orders", "shop:customer"))]) == []


def test_a_circle_of_after_is_refused() -> None:
    assert texts(check_datasets([chain(("line", "shop.orders"), ("orders", "shop.line"))])) == [
        "error shop:line after: after runs in a circle: shop:line, shop:orders – take one after away"
    ]
    (problem,) = check_datasets([chain(("line", "shop.line"))])
    assert "can't come after itself" in problem.message


def test_after_what_is_reached_only_through_it_is_refused() -> None:
    assert texts(check_datasets([chain(("orders", "shop.line"))])) == [
        "error shop:orders after: comes after shop:line, which is reached only through it"
        " – take that after away, or reach the other by a reference of its own"
    ]


def test_a_circle_of_datasets_is_refused() -> None:
    def one(key: str, after: str) -> Dataset:
        document = {"fides_key": key, "fides_meta": {"after": [after]}, "collections": []}
        document["collections"] = [{"name": "c", "fields": [{"name": "e", "fides_meta": {"identity": "email"}}]}]
        return dataset_from(document, where=key)

    (problem,) = check_datasets([one("a", "b"), one("b", "a")])
    assert problem.message == "after runs in a circle: a:c, b:c"
    (unknown,) = check_datasets([one("shop", "shopp")])
    assert texts([unknown]) == ["error saveable shop after[0]: there is no dataset 'shopp' – did you mean shop?"]


def test_erase_after_is_checked_too() -> None:
    collections = {"customer": CUSTOMER, "b": {"e": {"identity": "email"}}}
    circle = {"customer": {"erase_after": ["shop.b"]}, "b": {"erase_after": ["shop.customer"]}}
    (problem,) = check_datasets([dataset("shop", collections, **circle)])
    assert problem.message == "erase_after runs in a circle: shop:b, shop:customer"
    (unknown,) = check_datasets([dataset("shop", collections, b={"erase_after": ["shop.custommer"]})])
    assert unknown.path == "shop:b erase_after[0]"
    assert unknown.fix == "did you mean shop:customer?"


COMPOSITE: Fields = {"shop": {"primary_key": True}, "no": {"primary_key": True}, "email": {"identity": "email"}}


@pytest.mark.parametrize(
    ("shop", "no", "message"),
    [
        ({}, {}, "parts of the composite key of shop:account, yet each matches by itself"),
        ({"key": "k"}, {"key": "k"}, None),
        ({"key": "k"}, {"key": "k", "direction": "to"}, "the tuple 'k' differ in direction"),
        ({"key": "k"}, {"key": "k", "ownership": "shared"}, "the tuple 'k' differ in ownership"),
        ({"key": "k"}, {}, "the key 'k' groups this reference with no other"),
    ],
)
def test_tuples_hang_together(shop: dict[str, str], no: dict[str, str], message: str | None) -> None:
    orders = {"shop": ref("account.shop", **shop), "no": ref("account.no", **no)}
    problems = check_datasets([dataset("shop", {"account": COMPOSITE, "orders": orders})])
    assert [message in problem.message for problem in problems if message] == ([True] if message else [])
    assert message or not problems


STAFF: Fields = {"id": {"primary_key": True}, "email": {"identity": "email"}}


def two_people(**staff: str) -> list[Problem]:
    orders = {"customer_id": ref("customer.id"), "rep_id": ref("staff.id", **staff)}
    return check_datasets([dataset("shop", {"customer": CUSTOMER, "staff": STAFF, "orders": orders})])


def test_rows_reached_from_two_kinds_of_people_raise_the_question() -> None:
    (problem,) = two_people()
    assert problem.severity == "warning"
    assert problem.message == (
        "rows of shop:orders are reached from the people of shop:customer and shop:staff: whose are they?"
    )
    assert two_people(ownership="context") == []
    assert two_people(direction="to") == []  # not followed from the staff, so nothing is asked


def test_what_two_kinds_of_people_point_to_raises_no_question() -> None:
    address: Fields = {"id": {"primary_key": True}}
    points = {"address_id": ref("address.id", direction="to")}
    shop = dataset("shop", {"customer": CUSTOMER | points, "staff": STAFF | points, "address": address})
    assert check_datasets([shop]) == []


def test_types_that_differ_are_compared_as_text() -> None:
    customer = CUSTOMER | {"id": {"primary_key": True, "data_type": "integer"}}
    orders = {"customer_id": ref("customer.id") | {"data_type": "string"}}
    (problem,) = check_datasets([dataset("shop", {"customer": customer, "orders": orders})])
    assert "compared as text" in problem.message


def test_warnings_of_the_reading_and_empty_collections_are_told() -> None:
    document = {
        "fides_key": "shop",
        "collections": [
            {
                "name": "c",
                "fields": [{"name": "e", "data_categories": ["user.gender"], "fides_meta": {"identity": "email"}}],
            },
            {"name": "empty", "data_categories": ["user"], "fides_meta": {"excluded": {"reason": "x"}}, "fields": []},
        ],
    }
    problems = check_datasets([dataset_from(document, where="shop")])
    assert [problem.severity for problem in problems] == ["warning", "warning"]
    assert problems[0].loc == ("collections", 0, "fields", 0, "data_categories", 0)
    assert "no policy takes anything from it" in problems[1].message


def test_two_datasets_of_one_key_are_refused() -> None:
    shop = dataset("shop", {"customer": CUSTOMER})
    assert texts(check_datasets([shop, shop])) == [
        "error shop: the dataset 'shop' exists a second time – give one of them another fides_key"
    ]


def test_problems_find_their_place_in_the_text() -> None:
    text = """dataset:
- fides_key: shop
  collections:
  - name: customer
    fields:
    - name: email
      fidesops_meta:
        identity: email
        references:
        - dataset: shop
          field: orders.id
"""
    loaded = read_datasets(text, name="shop.yml")
    (problem,) = loaded.place(check_datasets(loaded.datasets))
    assert str(problem).startswith(
        "shop.yml:10:11: shop:customer:email references[0]: the dataset shop has no collection"
    )
    assert problem.loc == ("collections", 0, "fields", 0, "fidesops_meta", "references", 0)


NAMES = ("a", "b", "c", "d")
edges = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(["from", "to", None])), max_size=6
)


@given(edges, st.sets(st.sampled_from(NAMES)), st.permutations(NAMES))
def test_reach_is_a_walk_along_references_and_order_says_nothing(
    links: list[tuple[str, str, str | None]], people: set[str], order: list[str]
) -> None:
    def build(names: Sequence[str]) -> Dataset:
        collections: dict[str, Fields] = {}
        for name in names:
            fields: Fields = {"id": {"identity": "email"} if name in people else {}}
            for index, (here, there, direction) in enumerate(links):
                if here == name:
                    fields[f"r{index}"] = ref(f"{there}.id", **({"direction": direction} if direction else {}))
            collections[name] = fields
        return dataset("shop", collections)

    reached = set(people)
    for _ in NAMES:
        for here, there, direction in links:
            if there in reached and direction != "to":
                reached.add(here)
            if here in reached and direction != "from":
                reached.add(there)
    problems = check_datasets([build(NAMES)])
    unreached = {problem.path for problem in problems if "no identity reaches" in problem.message}
    assert unreached == {f"shop:{name}" for name in NAMES if name not in reached}
    assert {str(problem) for problem in problems} == {str(problem) for problem in check_datasets([build(order)])}
