"""Reads `dataset/company.txt`, a company's schema with what a privacy engineer would say of it, and makes its DDL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

TEXT = (Path(__file__).parent / "dataset" / "company.txt").read_text(encoding="utf-8")
TYPES = {
    "sqlite": {"int": "integer", "ts": "timestamp", "float": "real", "json": "json"},
    "postgresql": {"int": "integer", "ts": "timestamp", "float": "double precision", "json": "jsonb"},
    "mariadb": {"int": "integer", "ts": "datetime", "float": "double", "json": "json"},
}


@dataclass
class Column:
    """A column and what is true of it."""

    name: str
    type: str
    words: dict[str, str]

    def says(self, word: str) -> str | None:
        """What stands after `word=`; empty for a bare word, None where it isn't said."""
        return self.words.get(word)


@dataclass
class Table:
    """A table, whether its rows are people, and its columns."""

    name: str
    people: bool
    columns: list[Column] = field(default_factory=list)


def read_company() -> list[Table]:
    """All tables in the order of the text."""
    tables: list[Table] = []
    for line in TEXT.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        words = line.split()
        if not line.startswith(" "):
            tables.append(Table(words[0], "people" in words[1:]))
        else:
            said = dict((*word.split("=", 1), "")[:2] for word in words[2:])
            tables[-1].columns.append(Column(words[0], words[1], said))
    return tables


def ddl(dialect: str) -> list[str]:
    """CREATE statements, what is pointed to first. No name needs quotes in any of the stores."""
    made: list[str] = []
    waiting = read_company()
    done: set[str] = set()
    while waiting:
        for table in list(waiting):
            pointed = {each.says("fk").split(".")[0] for each in table.columns if each.says("fk")}  # type: ignore[union-attr]
            if pointed - {table.name} <= done:
                made.append(_create(table, TYPES[dialect]))
                done.add(table.name)
                waiting.remove(table)
    return made


def _create(table: Table, types: dict[str, str]) -> str:
    parts = []
    for column in table.columns:
        kind = types.get(column.type, column.type)
        key = any(column.says(word) is not None for word in ("pk", "not-null"))
        unique = " UNIQUE" if column.says("unique") is not None else ""
        parts.append(f"{column.name} {kind}{' NOT NULL' if key else ''}{unique}")
    keys = [column.name for column in table.columns if column.says("pk") is not None]
    parts.append(f"PRIMARY KEY ({', '.join(keys)})")
    for column in table.columns:
        if target := column.says("fk"):
            other = re.sub(r"\.(\w+)", r" (\1)", target)
            parts.append(f"FOREIGN KEY ({column.name}) REFERENCES {other}")
    return f"CREATE TABLE {table.name} ({', '.join(parts)})"
