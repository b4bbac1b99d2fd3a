"""A shop whose schema somebody changes while a request is on its way, on SQLite, PostgreSQL and MariaDB.

`customer-1`'s rows are masked and her visits deleted; a desk in a SQLite file of its own is written before the shop.
Neighbours have rows everywhere. Nothing of habeas is imported here. SQLite files are opened by the library that
habeas uses: a second one in the same process would drop the first one's locks (POSIX), and damage the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    from pysqlite3 import dbapi2 as sqlite
except ImportError:  # no wheel for this platform: habeas uses the interpreter's own then
    import sqlite3 as sqlite  # type: ignore[no-redef]

CUSTOMER = "id integer PRIMARY KEY, email varchar(80), name varchar(80), phone varchar(40), city varchar(40)"
SHOP = [
    f"CREATE TABLE customer ({CUSTOMER})",
    "CREATE TABLE visit (id integer PRIMARY KEY, customer_id integer, page varchar(80),"
    " FOREIGN KEY (customer_id) REFERENCES customer (id))",
    "CREATE TABLE photo (id integer PRIMARY KEY, visit_id integer, words varchar(40))",
    "INSERT INTO customer VALUES (1, 'ada@example.com', 'Ada One', '202-555-0101', 'Ghent'),"
    " (2, 'bea@example.com', 'Bea Two', '202-555-0102', 'none')",
    "INSERT INTO visit VALUES (10, 1, 'ada was here'), (11, 2, 'bea was here')",
    "INSERT INTO photo VALUES (100, 10, 'the shop''s own')",
]
TABLES = ("customer", "visit", "photo")
ADA = {"email": "ada@example.com"}
HIS = [
    "(2, 'bea@example.com', 'Bea Two', '202-555-0102', 'none')",
    "(11, 2, 'bea was here')",
    '(100, 10, "the shop\'s own")',
]


def datasets() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The shop's and the desk's dataset documents. The shop is erased after the desk."""

    def field(name: str, category: str | None = None, **meta: Any) -> dict[str, Any]:
        made: dict[str, Any] = {"name": name, "fides_meta": meta}
        return made | ({"data_categories": [category]} if category else {})

    def to(target: str) -> list[dict[str, Any]]:
        return [{"dataset": "shop", "field": target, "direction": "from"}]

    hashed = {"strategy": "hmac", "configuration": {"algorithm": "SHA-256"}}
    constant = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "none"}}
    later = {"erase_after": ["desk:ticket"]}
    customer = [
        field("id", primary_key=True),
        field("email", "user.contact.email", identity="email"),
        field("name", "user.name", masking_strategy_override=hashed),
        field("phone", "user.contact.phone_number"),
        field("city", "user.contact.address.city", masking_strategy_override=constant),
    ]
    visit = [
        field("id", primary_key=True),
        field("customer_id", references=to("customer.id")),
        field("page", "user.behavior"),
    ]
    ticket = [
        field("id", primary_key=True),
        field("customer_id", references=to("customer.id")),
        field("body", "user.content"),
    ]
    note = [field("id", primary_key=True), ticket[1], ticket[2]]
    waits = {"erase_after": ["desk:note"]}
    deletes = {"masking_strategy_override": {"strategy": "delete"}}
    shop = {
        "fides_key": "shop",
        "collections": [
            {"name": "customer", "fields": customer, "fides_meta": later},
            {"name": "visit", "fields": visit, "fides_meta": later | deletes},
        ],
    }
    desk = [{"name": "note", "fields": note}, {"name": "ticket", "fields": ticket, "fides_meta": waits}]
    return shop, {"fides_key": "desk", "collections": desk}


_INTO = ("INSERT INTO", " VALUES (1, 1, 'ada writes')")


class Desk:
    """The support desk, which can hold an erasure back before the shop is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run(
            "CREATE TABLE note (id integer PRIMARY KEY, customer_id integer, body text)",
            "CREATE TABLE ticket (id integer PRIMARY KEY, customer_id integer, body text)",
            "CREATE TABLE switch (held integer)",
            "INSERT INTO switch VALUES (0)",
            "CREATE TRIGGER hold BEFORE UPDATE ON ticket WHEN (SELECT held FROM switch)"
            " BEGIN SELECT RAISE(ABORT, 'held'); END",
        )
        self.fill()

    def fill(self) -> None:
        filled = [f"{do} {table}{end}" for table in ("note", "ticket") for do, end in (("DELETE FROM", ""), _INTO)]
        self.run("UPDATE switch SET held = 0", *filled)

    def run(self, *statements: str) -> None:
        with closing(sqlite.connect(self.path, timeout=20)) as connection:
            for each in statements:
                connection.execute(each)
            connection.commit()

    def hold(self, held: bool) -> None:
        """Let updates of tickets fail, or pass again."""
        self.run(f"UPDATE switch SET held = {int(held)}")

    def bodies(self) -> list[str | None]:
        with closing(sqlite.connect(self.path)) as connection:
            return [body for (body,) in connection.execute("SELECT body FROM note UNION ALL SELECT body FROM ticket")]


@dataclass
class Shop:
    """A shop in one store. `kind` is the connection type."""

    kind: str
    url: str

    def run(self, *statements: str) -> list[Any]:
        """Each in a transaction of its own; the last one's rows."""
        with _connected(self.kind, self.url) as connection:
            found: list[Any] = []
            cursor = connection.cursor()
            for each in statements:
                cursor.execute(each)
                found = list(cursor.fetchall()) if cursor.description else []
                connection.commit()
            return found

    def fill(self) -> None:
        """Begin anew: the tables as they are at first, whatever was done to them."""
        match self.kind:
            case "postgres":
                self.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "GRANT USAGE ON SCHEMA public TO public")
            case "mariadb":
                names = [name for (name,) in self.run("SHOW TABLES")]
                with _connected(self.kind, self.url) as connection, connection.cursor() as cursor:
                    cursor.execute("SET foreign_key_checks = 0")
                    for name in names:
                        cursor.execute(f"DROP TABLE `{name}`")
            case "sqlite":
                names = [name for (name,) in self.run("SELECT name FROM sqlite_schema WHERE type = 'table'")]
                self.run(*(f'DROP TABLE "{name}"' for name in names))
        self.run(*SHOP)

    def rows(self) -> list[str]:
        """All rows of all tables as text, in order."""
        found = []
        for table in TABLES:
            if table in self.tables():
                found += sorted(repr(tuple(row)) for row in self.run(f"SELECT * FROM {table}"))
        return found

    def tables(self) -> set[str]:
        names = {
            "postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
            "mariadb": "SHOW TABLES",
            "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
        }
        return {row[0] for row in self.run(names[self.kind])}


def _connected(kind: str, url: str) -> Any:
    if kind == "sqlite":
        connection = sqlite.connect(url.removeprefix("sqlite:///"), timeout=20)
        return closing(connection)
    if kind == "postgres":
        import psycopg

        return psycopg.connect(url)
    from conftest import mariadb_connection

    return mariadb_connection(url)


@dataclass(frozen=True)
class Mutation:
    """A change of the schema and how it is taken back; by kind of store where they differ. `place` is what it is
    named by where it stops a request.
    """

    name: str
    place: str
    do: Sequence[str] | Mapping[str, Sequence[str]]
    undo: Sequence[str] | Mapping[str, Sequence[str]] | None
    moments: Mapping[str, str]  # by moment: how the erasure ends: `complete`, `refused`, `incomplete`
    access: str = "complete"
    word: str = ""  # that the problem says where the schema is named as its cause

    def statements(self, kind: str) -> Sequence[str] | None:
        """What changes the store, None where it has no such change."""
        if kind == "sqlite" and self.name.startswith("privilege"):
            return None
        return self.do.get(kind) if isinstance(self.do, Mapping) else self.do

    def mending(self, kind: str) -> Sequence[str] | None:
        """What takes it back."""
        return self.undo.get(kind) if isinstance(self.undo, Mapping) else self.undo


def _rebuilt(columns: str, chosen: str) -> list[str]:
    """SQLite's way to alter a table."""
    return [
        f"CREATE TABLE changed ({columns})",
        f"INSERT INTO changed SELECT {chosen} FROM customer",
        "DROP TABLE customer",
        "ALTER TABLE changed RENAME TO customer",
    ]


_AFTER = {"frozen": "incomplete", "half": "incomplete"}
MUTATIONS = (
    Mutation(
        "column dropped",
        "shop:customer",
        ["ALTER TABLE customer DROP COLUMN phone"],
        None,
        {"planned": "refused", **_AFTER},
        access="refused",
        word="the column phone is gone",
    ),
    Mutation(
        "column renamed",
        "shop:customer",
        ["ALTER TABLE customer RENAME COLUMN name TO full_name"],
        ["ALTER TABLE customer RENAME COLUMN full_name TO name"],
        {"planned": "refused", **_AFTER},
        access="refused",
        word="the column name is gone",
    ),
    Mutation(
        "column retyped",
        "shop:customer",
        {
            "postgres": ["ALTER TABLE customer ALTER COLUMN name TYPE integer USING id + 700"],
            "mariadb": ["UPDATE customer SET name = id + 700", "ALTER TABLE customer MODIFY name integer"],
            "sqlite": _rebuilt(
                CUSTOMER.replace("name varchar(80)", "name integer"), "id, email, id + 700, phone, city"
            ),
        },
        {
            "postgres": ["ALTER TABLE customer ALTER COLUMN name TYPE varchar(80)"],
            "mariadb": ["ALTER TABLE customer MODIFY name varchar(80)"],
        },
        {"planned": "complete", **_AFTER},
        word="the column name is ",
    ),
    Mutation(
        "new not null",
        "shop:customer",
        {
            "postgres": ["ALTER TABLE customer ALTER COLUMN phone SET NOT NULL"],
            "mariadb": ["ALTER TABLE customer MODIFY phone varchar(40) NOT NULL"],
            "sqlite": _rebuilt(CUSTOMER.replace("phone varchar(40)", "phone varchar(40) NOT NULL"), "*"),
        },
        {
            "postgres": ["ALTER TABLE customer ALTER COLUMN phone DROP NOT NULL"],
            "mariadb": ["ALTER TABLE customer MODIFY phone varchar(40)"],
            "sqlite": _rebuilt(CUSTOMER, "*"),
        },
        {"planned": "complete", **_AFTER},
        word="the column phone can't be NULL",
    ),
    Mutation(
        "new unique",
        "shop:customer",
        ["CREATE UNIQUE INDEX once ON customer (city)"],
        {kind: ["DROP INDEX once"] for kind in ("postgres", "sqlite")} | {"mariadb": ["DROP INDEX once ON customer"]},
        {"planned": "complete", **_AFTER},
        word="the column city is in a unique key",
    ),
    Mutation(
        "new foreign key with cascade",
        "shop:visit",
        {
            kind: [
                "ALTER TABLE photo ADD CONSTRAINT lies_in"
                " FOREIGN KEY (visit_id) REFERENCES visit (id) ON DELETE CASCADE"
            ]
            for kind in ("postgres", "mariadb")
        }
        | {
            "sqlite": [
                "ALTER TABLE photo RENAME TO former",
                "CREATE TABLE photo (id integer PRIMARY KEY, visit_id integer REFERENCES visit (id) ON DELETE CASCADE,"
                " words varchar(40))",
                "INSERT INTO photo SELECT * FROM former",
                "DROP TABLE former",
            ]
        },
        {
            "postgres": ["ALTER TABLE photo DROP CONSTRAINT lies_in"],
            "mariadb": ["ALTER TABLE photo DROP FOREIGN KEY lies_in"],
            "sqlite": [
                "CREATE TABLE other (id integer PRIMARY KEY, visit_id integer, words varchar(40))",
                "INSERT INTO other SELECT * FROM photo",
                "DROP TABLE photo",
                "ALTER TABLE other RENAME TO photo",
            ],
        },
        {"planned": "complete", **_AFTER},
        word="a foreign key of ",
    ),
    Mutation(
        "new trigger at delete",
        "shop:visit",
        {
            "postgres": [
                "CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN DELETE FROM photo WHERE visit_id = OLD.id; RETURN OLD; END'",
                "CREATE TRIGGER tidies BEFORE DELETE ON visit FOR EACH ROW EXECUTE FUNCTION tidy()",
            ],
            "mariadb": [
                "CREATE TRIGGER tidies BEFORE DELETE ON visit FOR EACH ROW DELETE FROM photo WHERE visit_id = OLD.id"
            ],
            "sqlite": [
                "CREATE TRIGGER tidies BEFORE DELETE ON visit BEGIN DELETE FROM photo WHERE visit_id = OLD.id; END"
            ],
        },
        {"postgres": ["DROP TRIGGER tidies ON visit"]}
        | {kind: ["DROP TRIGGER tidies"] for kind in ("mariadb", "sqlite")},
        {"planned": "complete", **_AFTER},
        word="a trigger runs at a delete",
    ),
    Mutation(
        "table gone",
        "shop:visit",
        ["DROP TABLE visit"],
        None,
        {"planned": "refused", **_AFTER},
        access="refused",
        word="the table is gone",
    ),
    Mutation(
        "privilege to write revoked",
        "shop:customer",
        ["REVOKE UPDATE ON customer FROM {user}"],
        ["GRANT UPDATE ON customer TO {user}"],
        {"planned": "refused", **_AFTER},
        word="may not UPDATE it",
    ),
    Mutation(
        "privilege to read revoked",
        "shop:customer",
        ["REVOKE SELECT ON customer FROM {user}"],
        ["GRANT SELECT ON customer TO {user}"],
        {"planned": "refused", **_AFTER},
        access="refused",
    ),
)  # fmt: skip
