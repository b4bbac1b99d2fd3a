"""What fixtures don't show: what is withheld, versions, index forms, namespaces, counts and statements in words."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pytest

from habeas.core.errors import Refused
from habeas.core.schema import StoreSchema, TableName
from habeas.dataset.load import load_datasets
from habeas.dataset.model import Collection, Dataset, Field, Reference
from habeas.plan.build import build_plan
from habeas.plan.explain import Explanation, explain
from habeas.plan.graph import BoundDataset, Catalog
from habeas.plan.model import Plan, Segment, Standing
from planbook import policy_of, schema_of

DATASETS = """
dataset:
- fides_key: shop
  data_categories: [user.contact]
  collections:
  - name: customer
    fields:
    - {name: id, data_categories: [user.unique_id], fides_meta: {primary_key: true}}
    - {name: email, fides_meta: {identity: email}}
    - {name: points, data_categories: [user.behavior]}
    - name: friend_id
      data_categories: [user.unique_id]
      fides_meta: {references: [{dataset: shop, field: customer.id, direction: to}]}
"""
DDL = "create table customer (id integer primary key, email text, points integer, friend_id integer);"


def catalog(ddl: str = DDL, schema: StoreSchema | None = None, **bound: object) -> Catalog:
    [dataset] = load_datasets(DATASETS, name="shop.yml")
    return Catalog((BoundDataset(dataset, "db", schema=schema or schema_of(ddl), **bound),))  # type: ignore[arg-type]


def plan_of(given: Catalog, **policy: object) -> Plan:
    return build_plan(policy_of(policy), given, ["email"], region="US")


def test_keys_and_references_show_and_what_identifies_is_withheld() -> None:
    [step] = plan_of(catalog(), access=["user"]).steps
    identifying = {output.path: output.identifying for output in step.output}
    assert identifying == {"email": True, "friend_id": False, "id": False, "points": False}
    assert {column.name: column.identifying for column in step.columns} == identifying
    assert [output.categories for output in step.output if output.path == "email"] == [("user.contact",)]


def test_catalog_version_sees_what_a_plan_may_read_and_nothing_else() -> None:
    version = catalog().version()
    [table] = schema_of(DDL).tables
    guessed = msgspec.structs.replace(table, estimated_rows=7)
    assert catalog(schema=StoreSchema((guessed,))).version() == version
    assert catalog(f"{DDL} create index e on customer (email);").version() != version
    assert catalog(access="read").version() != version
    assert catalog(disabled=True).version() != version


ODD = "(email GLOB '*[^ -~]*')"


@pytest.mark.parametrize(
    ("index", "served"),
    [
        ("lower(trim(email))", True),
        ("lower(TRIM(BOTH FROM email))", True),
        ("lower(TRIM(BOTH FROM (email)::text))", True),
        ("lower(btrim((email)::character varying(80)))", True),
        ("lower(email)", False),
        ("email", False),
    ],
)
def test_expression_index_serves_canonical_mail_as_each_store_spells_it(index: str, served: bool) -> None:
    [table] = schema_of(DDL).tables
    indexed = StoreSchema((msgspec.structs.replace(table, indexes=(("id",), (index,), (ODD,))),))
    plan = plan_of(catalog(schema=indexed), access=["user"])
    assert plan.steps[0].seeds[0].indexed is served
    assert bool([each for each in plan.warnings if each.code == "scan"]) is not served


def test_namespace_is_the_one_that_the_store_shows() -> None:
    [table] = schema_of(DDL).tables
    [dataset] = load_datasets(DATASETS, name="shop.yml")
    named = msgspec.structs.replace(dataset, schema="sales")

    def table_of(*names: TableName) -> TableName:
        schema = StoreSchema(tuple(msgspec.structs.replace(table, table=name) for name in names))
        plan = plan_of(Catalog((BoundDataset(named, "db", schema=schema),)), access=["user"])
        return plan.steps[0].table

    assert table_of(TableName("customer"), TableName("customer", "sales")) == TableName("customer", "sales")
    assert table_of(TableName("customer")) == TableName("customer")
    with pytest.raises(Refused) as refused:
        table_of(TableName("customer"), TableName("other", "sales"))
    assert refused.value.cause == "missing_table"


class Spoken(NamedTuple):
    address: str
    purpose: str
    text: str


def test_explanation_holds_statements_and_counts_and_survives_json() -> None:
    plan = plan_of(catalog(), access=["user"], erasure=["user.contact"])

    def statements(plan: Plan, segment: Segment) -> list[Spoken]:
        return [Spoken(plan.steps[index].address, "rows", "SELECT\n  1") for index in segment.steps]

    told = explain(plan, statements, {0: {Standing.OWN: 1, Standing.PERSON: 3}})
    assert "  shop:customer: 1 the person's, 3 somebody else's\n" in told.render()
    assert "    rows: SELECT 1\n" in told.render()
    assert msgspec.convert(told.document(), Explanation) == told
    assert explain(plan, counts={}).collections[0].rows == {}


def test_all_problems_are_told_the_first_one_raised() -> None:
    with pytest.raises(Refused) as refused:
        plan_of(catalog("create table customer (id integer primary key);"), erasure=["user"])
    assert [each.where for each in refused.value.problems] == [
        "shop:customer:email",
        "shop:customer:friend_id",
        "shop:customer:points",
    ]
    assert str(refused.value) == str(refused.value.problems[0])


def test_digest_is_made_once_a_plan_and_no_other_plan_inherits_it() -> None:
    plan = plan_of(catalog(), access=["user"])
    assert plan.digest() is plan.digest()
    assert plan.alone is plan.alone
    changed = msgspec.structs.replace(plan, kinds=("phone_number",))
    assert changed.digest() != plan.digest()
    assert Plan.from_json(plan.to_json()).digest() == plan.digest()


def test_thousands_of_collections_are_planned_in_linear_time() -> None:
    """A tree of 5,000: anything quadratic would take minutes, and recursion would end."""
    collections = [Collection("t0", (Field("id", primary_key=True), Field("mail", ("user",), identity="email")))]
    for number in range(1, 5000):
        up = Reference("d", f"t{(number - 1) // 2}.id")
        fields = (Field("id", primary_key=True), Field("up", references=(up,)), Field("note", ("user.content",)))
        collections.append(Collection(f"t{number}", fields))
    chain = [
        Collection(f"c{number}", (Field("id", references=(Reference("d", f"c{number + 1}.id", "to"),)),))
        for number in range(2000)
    ]
    end = Collection("c2000", (Field("id"), Field("note", ("user.content",))))
    head = Collection(
        "c", (Field("mail", (), identity="email"), Field("x", references=(Reference("d", "c0.id", "to"),)))
    )
    dataset = Dataset("d", (*collections, *chain, end, head))
    plan = plan_of(Catalog((BoundDataset(dataset, "db"),)), access=["user"])
    assert len(plan.steps) == 5000 + 2000 + 2
    assert len(plan.segments) == 1


@pytest.mark.parametrize(("database", "refused"), [("shop", False), ("other", True), (None, False)])
def test_the_database_is_the_one_that_the_dataset_names(database: str | None, refused: bool) -> None:
    [dataset] = load_datasets(DATASETS, name="shop.yml")
    named = msgspec.structs.replace(dataset, database_name="shop")
    bound = BoundDataset(named, "db", schema=schema_of(DDL), database=database)
    if refused:
        with pytest.raises(Refused) as found:
            plan_of(Catalog((bound,)), access=["user"])
        assert found.value.cause == "other_database"
        return
    codes = [each.code for each in plan_of(Catalog((bound,)), access=["user"]).warnings]
    assert ("database_name" in codes) is (database is None)
