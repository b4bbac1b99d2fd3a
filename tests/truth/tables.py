"""The statements that make a company's tables, in the language of each kind of store. Text only; runs nothing."""

from __future__ import annotations

from collections.abc import Iterator

from truth.company import Company, Ref, Store, Table
from truth.kinds import PLAIN, native

JOURNAL = "zz journal"


def quoted(name: str, kind: str) -> str:
    """An identifier."""
    mark = "`" if kind == "mariadb" else '"'
    return mark + name.replace(mark, mark * 2) + mark


class Language:
    """How one store is spoken to. `schema` is where its tables lie, None for a file."""

    def __init__(self, company: Company, store: Store, schemas: dict[str, str]) -> None:
        self.company = company
        self.store = store
        self.kind = store.kind
        self.schemas = schemas

    def quote(self, name: str) -> str:
        """An identifier."""
        return quoted(name, self.kind)

    def place(self, table: Table) -> str:
        """A table's full name."""
        return self.within(table.store, table.name)

    def within(self, store: str, name: str) -> str:
        """The full name of something in a store's schema."""
        return f"{self.schemas[store]}.{self.quote(name)}" if store in self.schemas else self.quote(name)

    def select(self, table: Table) -> str:
        """All rows, as a dump has them."""
        columns = []
        for each in table.columns:
            name = self.quote(each.name)
            if self.kind == "sqlite" or each.type in PLAIN:
                columns.append(name)
            elif self.kind == "postgres":
                columns.append(f"{name}::text")
            elif each.type == "bytes":
                columns.append(f"LOWER(HEX({name}))")
            else:
                text = f"CAST({name} AS CHAR)"
                columns.append(f"CONCAT({text}, '+00:00')" if each.type == "timestamptz" else text)
        return f"SELECT {', '.join(columns)} FROM {self.place(table)}"

    def create(self, table: Table) -> str:
        """CREATE TABLE, or CREATE VIEW."""
        if table.view_of:
            names = ", ".join(self.quote(each.name) for each in table.columns)
            base = self.place(self.company.table(table.view_of))
            return f"CREATE VIEW {self.place(table)} AS SELECT {names} FROM {base}"
        parts = list(self._columns(table))
        if self.kind == "sqlite":
            parts += (self.foreign_key(ref) for ref in self.foreign_keys(table))
        text = f"CREATE TABLE {self.place(table)} ({', '.join(parts)})"
        if table.partitioned:
            by = self.quote(table.key[0])
            text += (
                f" PARTITION BY HASH ({by})" if self.kind == "postgres" else f" PARTITION BY KEY ({by}) PARTITIONS 2"
            )
        return text

    def partitions(self, table: Table) -> Iterator[str]:
        """What a partitioned table needs besides."""
        for number in range(2 if table.partitioned and self.kind == "postgres" else 0):
            name = self.within(table.store, f"{table.name} p{number}")
            values = f"FOR VALUES WITH (MODULUS 2, REMAINDER {number})"
            yield f"CREATE TABLE {name} PARTITION OF {self.place(table)} {values}"

    def foreign_keys(self, table: Table) -> list[Ref]:
        """The foreign keys that a table holds."""
        return [ref for ref in self.company.refs if ref.fk and ref.holder == table.id]

    def foreign_key(self, ref: Ref) -> str:
        """A constraint."""
        here, there = (", ".join(map(self.quote, names)) for names in (ref.columns, ref.target_columns))
        target = self.place(self.company.table(ref.target))
        return f"FOREIGN KEY ({here}) REFERENCES {target} ({there}) ON DELETE {ref.fk}"

    def _columns(self, table: Table) -> Iterator[str]:
        for column in table.columns:
            name = self.quote(column.name)
            text = f"{name} {native(column, self.kind)}"
            if column.type == "enum" and self.kind == "postgres":
                text = f"{name} {self.schemas[table.store]}.mood"
            if column.generated:
                yield f"{text} GENERATED ALWAYS AS (upper({self.quote(column.generated)})) STORED"
                continue
            if not column.nullable:
                text += " NOT NULL"
            if column.auto:
                text += {
                    "postgres": " GENERATED ALWAYS AS IDENTITY",
                    "mariadb": " AUTO_INCREMENT",
                    "sqlite": " PRIMARY KEY AUTOINCREMENT",
                }[self.kind]
            if column.unique:
                text += " UNIQUE"
            if column.check:
                text += f" CHECK ({name} {column.check})"
            yield text
        inline = self.kind == "sqlite" and any(each.auto for each in table.columns)
        if table.key_kind != "none" and not inline:
            kind = "PRIMARY KEY" if table.key_kind == "primary" else "UNIQUE"
            yield f"{kind} ({', '.join(map(self.quote, table.key))})"

    # ---- triggers

    def triggers(self, table: Table) -> Iterator[str]:
        """Statements after which the store notes writes, counts updates, or does something when rows go."""
        if table.view_of:
            return
        if table.trigger:
            yield from self._counting(table)
        if table.delete_trigger:
            yield from self._on_delete(table)
        if table.stubborn:
            yield self._restoring(table, self.quote(table.stubborn))
        if self.company.journal:
            for event in ("INSERT", "UPDATE", "DELETE"):
                if event != "DELETE" or is_delete_journaled(table):
                    yield from self._noting(table, event)

    def _counting(self, table: Table) -> Iterator[str]:
        place = self.place(table)
        if self.kind == "sqlite":
            same = " AND ".join(f"{self.quote(each)} IS NEW.{self.quote(each)}" for each in table.key)
            yield (
                f"CREATE TRIGGER {self.quote(f'tr {table.id}')} AFTER UPDATE ON {place} WHEN NEW.rev = OLD.rev "
                f"BEGIN UPDATE {place} SET rev = rev + 1 WHERE {same}; END"
            )
        elif self.kind == "mariadb":
            name = self.within(table.store, f"tr_{table.id}")
            yield f"CREATE TRIGGER {name} BEFORE UPDATE ON {place} FOR EACH ROW SET NEW.rev = OLD.rev + 1"
        else:
            name = f"{self.schemas[table.store]}.tr_{table.id}"
            body = "BEGIN NEW.rev := OLD.rev + 1; RETURN NEW; END"
            yield f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
            yield f"CREATE TRIGGER tr BEFORE UPDATE ON {place} FOR EACH ROW EXECUTE FUNCTION {name}()"

    def _restoring(self, table: Table, column: str) -> str:
        place, title = self.place(table), f"re_{table.id}"
        if self.kind == "sqlite":
            same = " AND ".join(f"{self.quote(each)} IS NEW.{self.quote(each)}" for each in table.key)
            return (
                f"CREATE TRIGGER {self.quote(title)} AFTER UPDATE ON {place} WHEN NEW.{column} IS NOT OLD.{column} "
                f"BEGIN UPDATE {place} SET {column} = OLD.{column} WHERE {same}; END"
            )
        if self.kind == "mariadb":
            name = self.within(table.store, title)
            return f"CREATE TRIGGER {name} BEFORE UPDATE ON {place} FOR EACH ROW SET NEW.{column} = OLD.{column}"
        name = f"{self.schemas[table.store]}.{title}"
        body = f"BEGIN NEW.{column} := OLD.{column}; RETURN NEW; END"
        return (
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$;"
            f"CREATE TRIGGER {title} BEFORE UPDATE ON {place} FOR EACH ROW EXECUTE FUNCTION {name}()"
        )

    def _on_delete(self, table: Table) -> Iterator[str]:
        """A trigger that only notes the deletion: nobody can see from outside that it harms nobody."""
        yield from self._noting(table, "DELETE", "del")

    def _noting(self, table: Table, event: str, stem: str = "jn") -> Iterator[str]:
        place, log, row = self.place(table), self.within(table.store, JOURNAL), "NEW" if event == "INSERT" else "OLD"
        title = f"{stem}_{table.id}_{event.lower()}"
        if self.kind == "postgres":
            name = f"{self.schemas[table.store]}.{title}"
            keys = ", ".join(f"({row}.{self.quote(each)})::text" for each in table.key)
            body = (
                f"BEGIN INSERT INTO {log} VALUES ('{table.id}', '{event}', json_build_array({keys})::text);"
                " RETURN NULL; END"
            )
            yield f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
            yield f"CREATE TRIGGER {title} AFTER {event} ON {place} FOR EACH ROW EXECUTE FUNCTION {name}()"
            return
        cast = "CHAR" if self.kind == "mariadb" else "TEXT"
        keys = ", ".join(f"CAST({row}.{self.quote(each)} AS {cast})" for each in table.key)
        insert = f"INSERT INTO {log} VALUES ('{table.id}', '{event}', JSON_ARRAY({keys}))"
        if self.kind == "mariadb":
            name = self.within(table.store, title)
            yield f"CREATE TRIGGER {name} AFTER {event} ON {place} FOR EACH ROW {insert}"
        else:
            yield f"CREATE TRIGGER {self.quote(title)} AFTER {event} ON {place} BEGIN {insert}; END"


def is_delete_journaled(table: Table) -> bool:
    """A trigger on deletion changes what habeas may delete, so it stands only where that isn't so."""
    return not table.delete or table.on_referenced in ("cascade", "null")
