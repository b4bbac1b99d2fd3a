"""The parts a random company is put together from: names, tables, columns, rows and references between them. Pure."""

from __future__ import annotations

import random
import uuid
from typing import Any

from truth.company import Column, Ref, Row, Store, Table
from truth.kinds import KINDS, ORDINARY, rare_kinds
from truth.people import Person, email_decoy, email_variant, phone_decoy, phone_variant

PLAIN = (
    "orders",
    "ticket",
    "event",
    "address",
    "invoice",
    "message",
    "visit",
    "device",
    "basket",
    "file_entry",
    "parcel",
    "wish",
)
ODD = ("order", "Group", "select", "straße_αβ", "two words", "from", 'quo"te', "table", "user", "x-y", "Ünder", "check")
CONTENT = (
    "user.content",
    "user.content.private",
    "user.name",
    "user.contact.address.street",
    "user.demographic.date_of_birth",
    "user.behavior.purchase_history",
    "user.financial.bank_account",
    "user.location",
    "system.operations",
)
KEYS = ("int", "int", "bigint", "uuid", "text", "composite")


class Builder:
    """Holds what was made so far. The same seed makes the same company."""

    def __init__(self, seed: int, kinds: tuple[str, ...]) -> None:
        self.rng = random.Random(f"truth-{seed}")
        self.seed = seed
        self.kinds = kinds
        self.shapes: set[str] = set()
        self.tables: list[Table] = []
        self.refs: list[Ref] = []
        self.canary = 0
        self.names: list[str] = []
        self.stores: list[Store] = []
        self.people: list[Person] = []
        self.who: dict[str, list[Person | None]] = {}  # per people table, whose each row is

    def chance(self, likely: float, shape: str | None = None) -> bool:
        """A switch; the shape counts as used where it falls."""
        used = self.rng.random() < likely
        if used and shape:
            self.shapes.add(shape)
        return used

    def kind_of(self, table: Table) -> str:
        """The kind of store that a table lies in."""
        return next(each.kind for each in self.stores if each.name == table.store)

    def is_near(self, one: Table, two: Table) -> bool:
        """Whether two tables lie in one system."""
        systems = {each.name: each.connection for each in self.stores}
        return systems[one.store] == systems[two.store]

    # ---- tables

    def new_name(self, wanted: str | None = None) -> str:
        taken = {each.name for each in self.tables}
        if wanted is not None and wanted not in taken and self.rng.random() < 0.7:
            return wanted
        while self.names:
            name = self.names.pop()
            if name not in taken:
                return name
        return f"more_{len(self.tables)}"

    def new_table(self, wanted: str | None = None, store: str | None = None, keys: tuple[str, ...] = KEYS) -> Table:
        rng = self.rng
        kind = rng.choice(keys)
        table = Table(f"t{len(self.tables)}", store or rng.choice(self.stores).name, self.new_name(wanted), [])
        self.shapes.add(f"key {kind}")
        if kind == "composite":
            table.columns = [
                Column("part a" if self.chance(0.2) else "a", "int", nullable=False),
                Column("b", rng.choice(("int", "varchar")), nullable=False, length=20),
            ]
        elif kind == "text":
            table.columns = [Column(self.rng.choice(("id", "code", "Key")), "varchar", nullable=False, length=40)]
        else:
            table.columns = [Column(self.rng.choice(("id", "id", "ID", "key")), kind, nullable=False)]
        table.key = [each.name for each in table.columns]
        if kind != "composite" and self.chance(0.12, "unique instead of primary key"):
            table.key_kind = "unique"
        elif self.chance(0.015, "no key"):
            table.key_kind = "none"
        elif kind == "int" and self.chance(0.15, "identity column"):
            table.columns[0].auto = True
        self.tables.append(table)
        return table

    def add_content(self, table: Table, least: int = 1, most: int = 4) -> None:
        """Columns that carry data; canaries come with the rows."""
        for number in range(self.rng.randint(least, most)):
            rare = rare_kinds(self.kind_of(table))
            kind = self.rng.choice(rare if rare and self.chance(0.12, "rare type") else ORDINARY)
            column = Column(f"{kind}{number}", kind)
            column.category = self.rng.choice(CONTENT) if self.rng.random() < 0.8 else None
            if kind == "varchar":
                column.length = self.rng.choice((4, 12, 30, 80))
                self.shapes.add("length limit")
            self.shapes.add(f"type {kind}")
            if kind != "json" and self.chance(0.2, "not null"):
                column.nullable = False
            if kind == "text" and self.chance(0.12, "unique column"):
                column.unique = True
            if kind == "int" and self.chance(0.2, "check"):
                column.check = "> -1"
            if kind in ("text", "varchar") and self.chance(0.06, "check of a text"):
                column.check = self.rng.choice(("<> 'MASKED'", "<> ''", "LIKE 'c%'"))
            if column.category and self.chance(0.04, "preserve"):
                column.preserve = True
            table.columns.append(column)
        self.add_computed(table)

    def add_computed(self, table: Table) -> None:
        """What the store does by itself: a generated column, a trigger."""
        texts = [each.name for each in table.columns if each.type == "text" and each.category]
        if texts and self.chance(0.08, "generated column"):
            table.columns.append(Column("made", "text", generated=texts[0]))
        if texts and self.chance(0.02, "trigger that restores"):
            table.stubborn = texts[0]
        elif self.chance(0.1, "trigger"):
            table.trigger = True
            table.columns.append(Column("rev", "int", nullable=False))

    def key_values(self, table: Table, number: int) -> Row:
        rng = self.rng
        odd = (0, -1, 1)
        made: Row = {}
        for place, name in enumerate(table.key):
            column = table.column(name)
            if len(table.key) > 1:
                value: Any = (
                    (
                        number // 3
                        if column.type == "int"
                        else ("", "0", "A", "a")[number // 3 % 4] + "x" * (number // 12)
                    )
                    if place == 0
                    else number % 3
                )
                made[name] = str(value) if column.type == "varchar" else value
            elif column.type == "int":
                made[name] = odd[number] if number < 3 else number * 7
            elif column.type == "bigint":
                made[name] = odd[number] if number < 2 else 9007199254740993 + number
            elif column.type == "uuid":
                made[name] = str(uuid.UUID(int=rng.getrandbits(128), version=4))
            else:
                made[name] = ("", "0", "00", "a", "A", " a", "é", "'")[number] if number < 8 else f"k{number}"
        return made

    def value(self, column: Column, number: int) -> Any:
        """A value that occurs once in the company, where its type has so many."""
        if column.generated:
            return None
        if column.nullable and self.rng.random() < 0.15:
            return None
        self.canary += 1
        at = self.canary
        text = f"c{at:04}q {self.rng.choice(('Zoë', 'plain', 'x' * 20, '%_', 'O’Hara', chr(34)))}"
        if column.name == "rev":
            return 0
        if column.type in ("text", "varchar"):
            return text[: column.length]
        return KINDS[column.type].make(at)

    def new_row(self, table: Table, **given: Any) -> Row:
        number = len(table.rows)
        row = self.key_values(table, number)
        row.update(
            {
                each.name: self.value(each, number)
                for each in table.columns
                if each.name not in row and each.name not in given
            }
        )
        row.update(given)
        table.rows.append(row)
        return row

    # ---- identities

    def email_of(self, person: Person, *, decoy: bool) -> str | None:
        """An address of the person's, in some form; or one of somebody else's."""
        if decoy:
            self.shapes.add("decoy")
            return email_decoy(self.rng, person.email)
        if self.chance(0.08, "null identity"):
            return None
        return email_variant(self.rng, person.email) if self.chance(0.35, "e-mail variant") else person.email

    def phone_of(self, person: Person, *, decoy: bool) -> str | None:
        """The same of a number."""
        if decoy or self.rng.random() < 0.1:
            return phone_decoy(self.rng, person.phone)
        return phone_variant(self.rng, person.phone) if self.chance(0.5, "phone variant") else person.phone

    # ---- references

    def refer(self, holder: Table, target: Table, stem: str, *, nullable: bool = True, **more: Any) -> Ref:
        """Add columns to `holder` that point to the key of `target`."""
        columns = []
        for name in target.key:
            pointed = target.column(name)
            kind = pointed.type
            if len(target.key) == 1 and kind == "int" and more.get("fk") is None and self.chance(0.06, "other type"):
                kind = "varchar"
            column = Column(
                f"{stem}_{name}" if len(target.key) > 1 else f"{stem}_id",
                kind,
                nullable=nullable,
                length=40 if kind == "varchar" else None,
            )
            holder.columns.append(column)
            columns.append(column.name)
        ref = Ref(holder.id, columns, target.id, list(target.key), **more)
        same_store = self.is_near(holder, target)
        if len(columns) > 1:
            self.shapes.add("composite reference")
        if not same_store:
            self.shapes.add("cross-store reference")
        alike = all(
            holder.column(one).type == target.column(two).type for one, two in zip(columns, target.key, strict=True)
        )
        if same_store and alike and target.key_kind != "none" and ref.fk is None and self.chance(0.45, "foreign key"):
            ref.fk = "NO ACTION"
            if self.chance(0.25, "foreign key cascade"):
                ref.fk = "CASCADE"
            elif nullable and self.chance(0.2, "foreign key set null"):
                ref.fk = "SET NULL"
        if len(columns) == 1 and ref.flow == "down" and self.chance(0.1, "open direction"):
            ref.flow = "open"
        elif self.chance(0.2, "declared on the target"):
            ref.on_target = True
        self.refs.append(ref)
        return ref

    def pointing(self, ref: Ref, row: Row | None) -> Row:
        """Values of the reference's columns for a row that is pointed to."""
        holder, target = self.find(ref.holder), self.find(ref.target)
        made: Row = {}
        for one, two in zip(ref.columns, ref.target_columns, strict=True):
            value = None if row is None else row[two]
            made[one] = (
                str(value)
                if value is not None and holder.column(one).type == "varchar" and target.column(two).type == "int"
                else value
            )
        return made

    def find(self, key: str) -> Table:
        return next(each for each in self.tables if each.id == key)

    def pick(self, ref: Ref, none: float = 0.12) -> Row:
        """Point to a row at random, or nowhere."""
        rows = self.find(ref.target).rows
        nullable = all(self.find(ref.holder).column(each).nullable for each in ref.columns)
        if not rows or (nullable and self.rng.random() < none):
            return self.pointing(ref, None)
        return self.pointing(ref, self.rng.choice(rows))

    def fill(self, table: Table, *refs: Ref, least: int = 2, most: int = 9) -> None:
        nowhere = any(not self.find(ref.target).rows and not table.column(ref.columns[0]).nullable for ref in refs)
        for _ in range(0 if nowhere else self.rng.randint(least, most)):
            given: Row = {}
            for ref in refs:
                given.update(self.pick(ref))
            self.new_row(table, **given)

    def some_table(self, *, people: bool | None = None) -> Table:
        """A described table that has rows to point to."""
        fit = [
            each
            for each in self.tables
            if each.described and each.rows and not each.view_of and (people is None or each.people is people)
        ]
        return self.rng.choice(fit or self.tables[:1])
