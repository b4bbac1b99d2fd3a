"""A dataset drafted from a live schema: facts as facts, guesses with their evidence, and text that loads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.schema import ColumnSchema, ColumnType, ForeignKey, StoreSchema, TableName, TableSchema, TypeFamily
from habeas.dataset.check import check_datasets
from habeas.dataset.draft import draft_dataset
from habeas.dataset.evidence import category_of, identity_of, words_of
from habeas.dataset.load import load_datasets


def column(name: str, family: TypeFamily = TypeFamily.TEXT, length: int | None = None, **more: bool) -> ColumnSchema:
    return ColumnSchema(name, ColumnType(family, family.value, length), **more)


def table(name: str, *columns: ColumnSchema, schema: str | None = None, **more: object) -> TableSchema:
    return TableSchema(TableName(name, schema), columns, **more)  # type: ignore[arg-type]


ID = column("id", TypeFamily.INTEGER, nullable=False)
SHOP = StoreSchema(
    (
        table(
            "customer",
            ID,
            column("name"),
            column("EmailAddress", length=254),
            column("email_verified", TypeFamily.BOOLEAN),
            column("no"),
            column("born", TypeFamily.DATE),
            column("lower_email", generated=True),
            column("referred_by", TypeFamily.INTEGER),
            primary_key=("id",),
            foreign_keys=(ForeignKey(("referred_by",), TableName("customer"), ("id",)),),
        ),
        table(
            "order",
            column("shop", TypeFamily.INTEGER, nullable=False),
            column("no", TypeFamily.INTEGER, nullable=False),
            column("customer_id", TypeFamily.INTEGER),
            column("odd.name"),
            uniques=(("shop", "no"),),
            foreign_keys=(ForeignKey(("customer_id",), TableName("customer"), ("id",)),),
        ),
        table(
            "line",
            column("shop", TypeFamily.INTEGER),
            column("order_no", TypeFamily.INTEGER),
            column("tax", TypeFamily.INTEGER),
            foreign_keys=(
                ForeignKey(("shop", "order_no"), TableName("order"), ("shop", "no")),
                ForeignKey(("tax",), TableName("rate", "law"), ("id",)),
            ),
        ),
        table("recent", ID, is_view=True),
        table("rate", ID, schema="law", primary_key=("id",)),
    )
)


def test_a_draft_loads_and_says_what_the_schema_says() -> None:
    text = draft_dataset("shop", SHOP, connection="shop_db")
    (dataset,) = load_datasets(text, name="shop.yml")
    assert [each.name for each in dataset.collections] == ["customer", "order", "line"]
    customer, order, line = (dict(each.leaves()) for each in dataset.collections)
    assert customer["id"].primary_key
    assert (customer["id"].data_type, customer["id"].data_categories) == ("integer", ("user.unique_id",))
    assert customer["EmailAddress"].identity == "email"
    assert (customer["EmailAddress"].length, customer["name"].data_categories) == (254, ("user.name",))
    assert (customer["email_verified"].identity, customer["email_verified"].data_categories) == (None, ())
    assert customer["born"].data_type is None  # `string` would override the store's date
    assert customer["lower_email"].read_only
    assert customer["referred_by"].references == ()  # a question, left as a comment
    assert [(each.dataset, each.field, each.key) for each in order["customer_id"].references] == [
        ("shop", "customer.id", None)
    ]
    assert [each.references[0].key for each in (line["shop"], line["order_no"])] == ["fk1", "fk1"]
    assert line["tax"].references == ()
    assert [problem for problem in check_datasets([dataset]) if problem.severity == "error"] == []


@pytest.mark.parametrize(
    "comment",
    [
        'of connection "shop_db"',
        "data_categories: [user.contact.email]  # the name says: email",
        "# references itself: add a direction to follow it",
        '# no primary key; the unique key ("shop", "no") serves as one',
        "# no primary key and no other unique key",
        '# left out: "odd.name"',
        '# left out: "recent" (a view',
        '# references "law.rate", which this dataset doesn\'t describe',
        '# the store\'s type: "date"',
    ],
)
def test_a_draft_shows_its_evidence_and_its_gaps(comment: str) -> None:
    assert comment in draft_dataset("shop", SHOP, connection="shop_db")


def test_one_draft_describes_one_schema() -> None:
    (dataset,) = load_datasets(draft_dataset("law", SHOP, namespace="law"), name="law.yml")
    assert (dataset.schema, [each.name for each in dataset.collections]) == ("law", ["rate"])
    (empty,) = load_datasets(draft_dataset("none", SHOP, namespace="none"), name="none.yml")
    assert empty.collections == ()


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("email", "user.contact.email"),
        ("alt_email", "user.contact.email"),
        ("E-Mail", "user.contact.email"),
        ("homePhone", "user.contact.phone_number"),
        ("FAX", "user.contact.fax_number"),
        ("ShipPostalCode", "user.contact.address.postal_code"),
        ("shipping_address", "user.contact.address.street"),
        ("firstName", "user.name.first"),
        ("last_name", "user.name.last"),
        ("birth_date", "user.demographic.date_of_birth"),
        ("password_hash", "user.authorization.password"),
        ("passwd", "user.authorization.password"),
        ("address_id", None),
        ("email_verified_at", None),
        ("last_login", None),
        ("ip", "user.device.ip_address"),
        ("shipped", None),
        ("quantity", None),
    ],
)
def test_names_are_read_as_words(name: str, category: str | None) -> None:
    evidence = category_of(name)
    assert (evidence.category if evidence else None) == category


def test_only_text_columns_are_proposed_as_identities() -> None:
    assert identity_of("email", TypeFamily.TEXT) == "email"
    assert identity_of("mobile", TypeFamily.TEXT) == "phone_number"
    assert identity_of("email", TypeFamily.INTEGER) is None
    assert words_of("HTTPServerName2") == ("http", "server", "name", "2")


names = st.text(min_size=1, max_size=12).filter(lambda name: not any(0xD800 <= ord(sign) <= 0xDFFF for sign in name))


@given(st.lists(names, min_size=1, max_size=4, unique=True), st.sampled_from(list(TypeFamily)))
def test_whatever_the_names_the_text_loads(found: list[str], family: TypeFamily) -> None:
    keys = (ForeignKey((found[0],), TableName(found[-1]), (found[0],)),)
    tables = [table(name, *(column(each, family) for each in found), foreign_keys=keys) for name in found]
    (dataset,) = load_datasets(draft_dataset("shop", StoreSchema(tuple(tables)), connection=found[0]), name="x.yml")
    kept = [name for name in found if not {".", ":"} & set(name)]
    assert [each.name for each in dataset.collections] == kept
    assert all([field.name for field in each.fields] == kept for each in dataset.collections)
