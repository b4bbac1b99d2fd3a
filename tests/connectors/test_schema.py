"""What introspection says of a live store, and that a plan made for another schema is not run."""

from __future__ import annotations

import pytest

from connectorbook import Harness, PlanBook, by_email
from habeas.connectors.base import Connector
from habeas.core.errors import SchemaChanged
from habeas.core.schema import ForeignKey, TableName, TableSchema, TypeFamily

TABLES = (
    "CREATE TABLE regions (country VARCHAR(2), code INTEGER, name VARCHAR(40) NOT NULL, PRIMARY KEY (country, code))",
    """CREATE TABLE people (
        id INTEGER PRIMARY KEY,
        email VARCHAR(90) NOT NULL UNIQUE,
        country VARCHAR(2) DEFAULT 'DE',
        code INTEGER,
        born DATE,
        seen TIMESTAMP,
        score NUMERIC(8, 2),
        weight DOUBLE PRECISION,
        active BOOLEAN,
        boss INTEGER REFERENCES people (id) ON DELETE SET NULL,
        twice INTEGER GENERATED ALWAYS AS (id * 2) STORED,
        CHECK (weight > 0),
        FOREIGN KEY (country, code) REFERENCES regions (country, code) ON UPDATE CASCADE
    )""",
    "CREATE INDEX people_place ON people (country, code)",
    "CREATE VIEW adults AS SELECT id, email FROM people",
)


EXPRESSION_INDEXES = (
    "CREATE INDEX people_email ON people (lower(trim(email)))",
    "CREATE UNIQUE INDEX people_some ON people (born) WHERE active",
)


@pytest.fixture
def people(harness: Harness, connector: Connector) -> TableSchema:
    harness.run(*TABLES, *(EXPRESSION_INDEXES if harness.expression_indexes else ()))
    found = connector.introspect().find(TableName("people"))
    assert found is not None
    return found


def test_columns_keys_and_types(people: TableSchema) -> None:
    families = {column.name: column.type.family for column in people.columns}
    assert families == {
        "id": TypeFamily.INTEGER,
        "email": TypeFamily.TEXT,
        "country": TypeFamily.TEXT,
        "code": TypeFamily.INTEGER,
        "born": TypeFamily.DATE,
        "seen": TypeFamily.TIMESTAMP,
        "score": TypeFamily.DECIMAL,
        "weight": TypeFamily.FLOAT,
        "active": TypeFamily.BOOLEAN,
        "boss": TypeFamily.INTEGER,
        "twice": TypeFamily.INTEGER,
    }
    assert people.primary_key == ("id",)
    assert people.uniques == (("email",),)
    assert [column.name for column in people.columns if not column.nullable] == ["id", "email"]
    assert [column.name for column in people.columns if column.generated] == ["twice"]
    email = people.column("email")
    assert email is not None
    assert email.type.length == 90
    country = people.column("country")
    assert country is not None
    assert country.default
    assert len(people.checks) == 1
    assert people.writable
    assert people.deletable
    assert not people.is_view


def test_foreign_keys_with_their_actions(harness: Harness, people: TableSchema) -> None:
    late = harness.late_constraints
    assert set(people.foreign_keys) == {
        ForeignKey(("boss",), TableName("people"), ("id",), "SET NULL", "NO ACTION", late),
        ForeignKey(("country", "code"), TableName("regions"), ("country", "code"), "NO ACTION", "CASCADE", late),
    }


def test_indexes_hold_names_or_expressions(harness: Harness, people: TableSchema) -> None:
    assert {("id",), ("email",), ("country", "code")} <= set(people.indexes)
    if not harness.expression_indexes:
        return
    (expression,) = [index[0] for index in people.indexes if index[0] not in {"id", "email", "country"}]
    assert expression.lower().startswith("lower(")
    assert len(people.indexes) == 4


def test_views_and_triggers(harness: Harness, connector: Connector, people: TableSchema) -> None:
    view = connector.introspect().find(TableName("adults"))
    assert view is not None
    assert view.is_view
    assert not view.writable
    assert not people.triggers


def test_fingerprints_agree_with_introspection(harness: Harness, connector: Connector, people: TableSchema) -> None:
    tables = [TableName("people"), TableName("regions"), TableName("adults"), TableName("gone")]
    live = connector.fingerprints(tables)
    assert live == {table.table: table.fingerprint for table in connector.introspect().tables}
    assert len(set(live.values())) == 3
    assert connector.fingerprints([]) == {}


DRIFT = {
    "new column": "ALTER TABLE things ADD COLUMN more INTEGER",
    "column gone": "ALTER TABLE things DROP COLUMN note",
    "renamed": "ALTER TABLE things RENAME COLUMN note TO noted",
    "new key": "CREATE UNIQUE INDEX things_note ON things (note)",
    "new foreign key": "ALTER TABLE things ADD COLUMN other INTEGER REFERENCES things (id)",
    "pointed at": "CREATE TABLE others (id INTEGER PRIMARY KEY, a INTEGER, FOREIGN KEY (a) REFERENCES things (id))",
    "new check": "ALTER TABLE things ADD COLUMN more INTEGER CHECK (more > 0)",
    "table gone": "DROP TABLE things",
}


@pytest.mark.parametrize("change", DRIFT.values(), ids=DRIFT.keys())
def test_a_drifted_schema_is_named_and_not_read(harness: Harness, connector: Connector, change: str) -> None:
    harness.run("CREATE TABLE things (id INTEGER PRIMARY KEY, email VARCHAR(90), note VARCHAR(9))")
    book = PlanBook(connector)
    book.step("things", seeds=by_email())
    with book.reader() as reader:
        assert reader.traverse() == 0
    harness.run(change)
    with pytest.raises(SchemaChanged) as drift, book.reader():
        pass
    assert drift.value.code == "drift"


def test_a_new_trigger_is_drift(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE things (id INTEGER PRIMARY KEY)", "CREATE TABLE others (id INTEGER PRIMARY KEY)")
    tables = [TableName("things"), TableName("others")]
    before = connector.fingerprints(tables)
    harness.run(*harness.trigger)
    after = connector.fingerprints(tables)
    assert after[tables[0]] != before[tables[0]]
    assert after[tables[1]] == before[tables[1]]
    assert after == {table.table: table.fingerprint for table in connector.introspect().tables}


def test_a_table_that_is_asked_for_twice_is_answered_once(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE things (id INTEGER PRIMARY KEY)")
    things = TableName("things")
    assert connector.fingerprints([things, things]) == connector.fingerprints([things])


def test_more_rows_are_no_drift(harness: Harness, connector: Connector) -> None:
    harness.run("CREATE TABLE things (id INTEGER PRIMARY KEY, email VARCHAR(90))")
    before = connector.fingerprints([TableName("things")])
    harness.put("things", [(1, "ada@example.com")])
    harness.run("CREATE INDEX things_email ON things (email)")
    assert connector.fingerprints([TableName("things")]) == before


def test_an_unknown_schema_holds_nothing(connector: Connector) -> None:
    assert connector.introspect("nowhere").tables == ()


def test_a_reserved_word_is_a_name(harness: Harness, connector: Connector) -> None:
    harness.run('CREATE TABLE "select" ("from" INTEGER PRIMARY KEY, "Mixed" VARCHAR(3))')
    (table,) = connector.introspect().tables
    assert (table.table.name, table.primary_key) == ("select", ("from",))
    assert [column.name for column in table.columns] == ["from", "Mixed"]
