"""Blocks of a random company that need more than one table or one kind of store: deletes with what points to them,
views, partitions, people with very many rows. Pure.
"""

from __future__ import annotations

import json

from truth.builder import CONTENT, Builder
from truth.company import Column, Ref, Table

MANY = 20_000


class Blocks(Builder):
    """More blocks."""

    def maybe_delete(self, table: Table, likely: float = 0.15) -> None:
        """Let the collection delete its rows."""
        if not self.chance(likely, "row deletion"):
            return
        table.delete = True
        if self.chance(0.05, "trigger on deletion"):
            table.delete_trigger = True
        elif self.chance(0.5, "on_referenced declared"):
            table.on_referenced = self.rng.choice(("mask", "cascade", "cascade", "null", "refuse"))
            self.shapes.add(f"on_referenced {table.on_referenced}")

    def add_family(self) -> None:
        """Rows that are deleted, with rows that point to them over several levels."""
        above = self.some_table()
        self.shapes.add("rows that point to deleted ones")
        for level in range(self.rng.randint(2, 3)):
            table = self.new_table(store=above.store, keys=("int", "uuid", "bigint", "composite"))
            ref = self.refer(table, above, f"up{level}", nullable=self.rng.random() < 0.85)
            self.add_content(table, 1, 2)
            self.fill(table, ref, least=3, most=10)
            self.maybe_delete(table, 0.7 if level == 0 else 0.3)
            above = table

    def add_view(self) -> None:
        """A view of a table, described beside it."""
        base = self.some_table()
        taken = any(each.name == f"{base.name} seen" for each in self.tables)
        if taken or base.view_of or base.key_kind == "none" or any(each.identity for each in base.columns):
            return
        self.shapes.add("view")
        view = Table(f"t{len(self.tables)}", base.store, f"{base.name} seen", [], key=list(base.key), view_of=base.id)
        pointing = [
            each for each in self.refs if each.holder == base.id and each.declared and "." not in each.columns[0]
        ]
        names = {*base.key, *(name for ref in pointing for name in ref.columns)}
        shown = [each for each in base.columns if each.name in names or each.type in ("int", "text", "varchar", "date")]
        for each in shown:
            kept = each.name in names or each.name == "rev" or self.rng.random() < 0.8
            category = "system.operations" if kept or each.category else None
            view.columns.append(Column(each.name, each.type, True, length=each.length, category=category))
        view.rows = [{each.name: row.get(each.name) for each in view.columns} for row in base.rows]
        self.tables.append(view)
        for ref in pointing:
            self.refs.append(Ref(view.id, ref.columns, ref.target, ref.target_columns, "down", ownership="owned"))

    def add_document(self) -> None:
        """A column with documents: of fields only, of messages by several people, of addresses."""
        people = self.some_table(people=True)
        form = self.rng.choice(("flat", "thread", "thread", "mails"))
        if len(people.key) > 1:
            return
        self.shapes |= {"nested", f"nested {form}"}
        table = self.new_table(store=people.store if self.rng.random() < 0.7 else None, keys=("int", "bigint", "uuid"))
        column = Column("doc", "json", document=form)
        if form == "mails":
            table.person = False
            column.identity, column.category = "email", "user.contact.email"
        else:
            paths = ("contact.mail", "contact.city", "n") if form == "flat" else ("title", "messages.text")
            column.parts = {path: self.rng.choice(CONTENT) for path in paths if self.rng.random() < 0.8}
        ref = None
        if form == "thread":
            column.whole = self.chance(0.2, "return_all_elements")
            owned = "owned" if self.rng.random() < 0.7 else "auto"
            self.refs.append(Ref(table.id, ["doc.messages.author"], people.id, list(people.key), ownership=owned))
        elif form == "flat":
            ref = self.refer(table, people, "of")
        table.columns.append(column)
        self.add_content(table, 0, 2)
        for _ in range(self.rng.randint(3, 9)):
            given = self.pick(ref) if ref else {}
            self.new_row(table, doc=self.document(form, people), **given)

    def document(self, form: str, people: Table) -> str:
        """A document of a form; its texts are canaries."""
        if form == "mails":
            who = [self.rng.choice(self.people) for _ in range(self.rng.randint(0, 3))]
            return json.dumps([self.email_of(each, decoy=self.rng.random() < 0.2) or "" for each in who])
        if form == "flat":
            contact = {"mail": self.text(), "city": self.text() if self.rng.random() < 0.8 else None}
            return json.dumps({"contact": contact, "n": self.canary, "other": self.text()}, ensure_ascii=False)
        authors = [row[people.key[0]] for row in people.rows]
        count = self.rng.randint(0, 4)
        messages = [{"author": self.rng.choice(authors), "text": self.text()} for _ in range(count)]
        return json.dumps({"title": self.text(), "messages": messages}, ensure_ascii=False)

    def text(self) -> str:
        """A text that occurs once."""
        self.canary += 1
        return f"c{self.canary:04}q é"

    def maybe_partition(self, table: Table) -> None:
        """Cut a table in two, where its store can."""
        kind = self.kind_of(table)
        plain = table.key_kind == "primary" and not table.view_of and not any(each.unique for each in table.columns)
        keyed = any(ref.fk and table.id in (ref.holder, ref.target) for ref in self.refs)
        fits = kind == "postgres" or (kind == "mariadb" and not keyed)
        if plain and fits and not any(each.auto for each in table.columns) and self.chance(0.1, "partitions"):
            table.partitioned = True

    def add_many_rows(self) -> None:
        """Very many rows of one person."""
        people = next(each for each in self.tables if each.people and each.rows)
        self.shapes.add("20,000 rows of one person")
        table = self.new_table("clicks", store=people.store, keys=("int",))
        ref = self.refer(table, people, "of", nullable=False, fk=None)
        table.columns.append(Column("note", "text", category="user.content"))
        rows = self.rng.sample(people.rows, min(2, len(people.rows)))
        for number in range(MANY):
            self.new_row(table, **self.pointing(ref, rows[number % 50 == 0 and len(rows) > 1]))
