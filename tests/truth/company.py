"""A company as data: stores, tables with rows, references, datasets, rules and requests. JSON in and out.

Rows hold what JSON holds; a column's type says what the store gets (`uuid`, `decimal`, `date`, `timestamp`,
`timestamptz`, `bytes` as hex, `json` as text). A reference always names the side that *holds* it (points).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Row = dict[str, Any]
Flow = Literal["down", "up", "open"]  # from the target to the holder, from the holder to the target, not declared


class Column(msgspec.Struct):
    """One column. `check` is an SQL condition; `generated` the column it is computed from."""

    name: str
    type: str
    nullable: bool = True
    unique: bool = False
    length: int | None = None
    category: str | None = None
    identity: str | None = None
    exact: bool = False
    check: str | None = None
    generated: str | None = None
    preserve: bool = False
    auto: bool = False  # an identity column: the store numbers new rows
    document: str | None = None  # a form of `documents`
    parts: dict[str, str] = {}  # of a document: categories by path
    whole: bool = False  # of a document's list: all of it belongs to whoever the row belongs to


class Table(msgspec.Struct):
    """One table and, if `described`, its collection."""

    id: str
    store: str
    name: str
    columns: list[Column]
    key: list[str] = []
    key_kind: Literal["primary", "unique", "none"] = "primary"
    person: bool | None = None
    delete: bool = False
    described: bool = True
    excluded: bool = False
    trigger: bool = False  # counts updates of a row in its column `rev`
    on_referenced: str | None = None  # of a collection whose rows are deleted
    delete_trigger: bool = False  # something runs when a row is deleted
    stubborn: str | None = None  # a column whose old value a trigger restores
    partitioned: bool = False
    view_of: str | None = None  # a view with the columns and rows of another table
    rows: list[Row] = []

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(each for each in self.columns if each.name == name)

    def fields(self) -> list[Column]:
        """What can be targeted: columns, and in the place of a document its parts."""
        return [
            field
            for each in self.columns
            for field in (
                [
                    Column(f"{each.name}.{path}", "int" if path == "n" else "text", category=category)
                    for path, category in each.parts.items()
                ]
                if each.parts
                else [each]
            )
        ]

    @property
    def people(self) -> bool:
        """Whether rows are people, by the design's rule."""
        return self.described and self.person is not False and any(each.identity for each in self.columns)


class Ref(msgspec.Struct):
    """Rows of `holder` point to rows of `target`: declared in a dataset, a foreign key in the store, or both."""

    holder: str
    columns: list[str]
    target: str
    target_columns: list[str]
    flow: Flow = "down"
    on_target: bool = False  # the declaration stands on the target's fields
    ownership: str = "auto"
    declared: bool = True
    fk: str | None = None  # the action on delete


class Store(msgspec.Struct):
    """One system, or one more schema of the system `beside`; its dataset has the same name."""

    name: str
    kind: str
    beside: str | None = None

    @property
    def connection(self) -> str:
        """The system that it is a schema of."""
        return self.beside or self.name


class Rule(msgspec.Struct):
    """An erasure rule."""

    categories: list[str]
    strategy: str
    configuration: dict[str, Any] = {}


class Company(msgspec.Struct):
    """Everything. `phases` are cohorts of erasure requests, one after the other; each request is identities by kind."""

    seed: int
    stores: list[Store]
    tables: list[Table]
    refs: list[Ref]
    access: list[str]
    rules: list[Rule]
    phases: list[list[dict[str, Any]]]
    combined: bool = False
    again: bool = False  # everybody asks again in the end, when what found them may be gone
    journal: bool = False  # triggers note every write in the stores
    taken_over: bool = False  # another executor takes each erasure over where masking begins
    batches: int | None = None  # rows at once, where habeas takes many
    shapes: list[str] = []

    def table(self, key: str) -> Table:
        """The table of that id."""
        return next(each for each in self.tables if each.id == key)

    def store(self, name: str) -> Store:
        """The store of that name."""
        return next(each for each in self.stores if each.name == name)

    def is_near(self, one: Table, two: Table) -> bool:
        """Whether two tables lie in one system, be it in two schemas."""
        return self.store(one.store).connection == self.store(two.store).connection

    def address(self, table: Table) -> str:
        """`dataset:collection`."""
        return f"{table.store}:{table.name}"

    def to_json(self) -> bytes:
        """The company as a reproducer keeps it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> Company:
        """What `to_json` wrote."""
        return msgspec.json.decode(data, type=cls)


def datasets(company: Company, schemas: dict[str, str]) -> dict[str, dict[str, Any]]:
    """By store, its dataset's document. `schemas` names the schema of stores that are one of a system's."""
    documents = {}
    for store in company.stores:
        collections = [
            _collection(company, each) for each in company.tables if each.store == store.name and each.described
        ]
        document: dict[str, Any] = {"fides_key": store.name, "name": store.name, "collections": collections}
        if store.name in schemas:
            document["fides_meta"] = {"namespace": {"schema": schemas[store.name]}}
        documents[store.name] = document
    return documents


def _collection(company: Company, table: Table) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    if table.person is not None:
        meta["person"] = table.person
    if table.delete:
        meta["masking_strategy_override"] = {"strategy": "delete"}
        if table.on_referenced:
            meta["masking_strategy_override"]["configuration"] = {"on_referenced": table.on_referenced}
    if table.excluded:
        meta["excluded"] = {"reason": "kept by law"}
    fields = [_field(company, table, each) for each in table.columns]
    return {"name": table.name, "fields": fields} | ({"fides_meta": meta} if meta else {})


def _field(company: Company, table: Table, column: Column) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    references = [each for ref in company.refs if ref.declared for each in _references(company, ref, table, column)]
    if references:
        meta["references"] = references
    if column.name in table.key and (table.key_kind == "primary" or table.view_of):
        meta["primary_key"] = True
    if column.identity:
        meta["identity"] = column.identity
        if column.exact:
            meta["identity_match"] = "exact"
    if column.preserve:
        meta["masking_strategy_override"] = {"strategy": "preserve", "configuration": {"reason": "kept by law"}}
    field: dict[str, Any] = {"name": column.name}
    if column.document:
        return _document(company, table, column, field)
    if column.category:
        field["data_categories"] = [column.category]
    return field | ({"fides_meta": meta} if meta else {})


def _document(company: Company, table: Table, column: Column, field: dict[str, Any]) -> dict[str, Any]:
    if column.document == "mails":
        meta = {"data_type": "string[]", "identity": "email"}
        return field | {"data_categories": [column.category], "fides_meta": meta}
    below: dict[str, dict[str, Any]] = {}
    fields: list[dict[str, Any]] = []
    for path, category in column.parts.items():
        first, _, rest = path.rpartition(".")
        kind = {"data_type": "integer"} if path == "n" else {"data_type": "string"}
        part = {"name": rest, "data_categories": [category], "fides_meta": kind}
        if first:
            below.setdefault(first, {"name": first, "fides_meta": {"data_type": "object"}, "fields": []})
            below[first]["fields"].append(part)
        else:
            fields.append(part)
    if column.document == "thread":
        ref = next(each for each in company.refs if each.holder == table.id and "." in each.columns[0])
        author = Column(ref.columns[0], "int")
        listed = below.setdefault("messages", {"name": "messages", "fields": []})
        listed["fides_meta"] = {"data_type": "object[]"} | ({"return_all_elements": True} if column.whole else {})
        references = _references(company, ref, table, author)
        listed["fields"].append({"name": "author", "fides_meta": {"references": references}})
    return field | {"fides_meta": {"data_type": "object"}, "fields": [*fields, *below.values()]}


def _references(company: Company, ref: Ref, table: Table, column: Column) -> list[dict[str, Any]]:
    here, there, other = ref.columns, ref.target_columns, company.table(ref.target)
    direction = {"down": "from", "up": "to", "open": None}[ref.flow]
    if ref.on_target:
        here, there, other = ref.target_columns, ref.columns, company.table(ref.holder)
        direction = {"down": "to", "up": "from", "open": None}[ref.flow]
    if table.id != (ref.target if ref.on_target else ref.holder) or column.name not in here:
        return []
    found = {"dataset": other.store, "field": f"{other.name}.{there[here.index(column.name)]}"}
    if direction:
        found["direction"] = direction
    if len(here) > 1:
        found["key"] = f"k{company.refs.index(ref)}"
    if ref.ownership != "auto":
        found["ownership"] = ref.ownership
    return [found]
