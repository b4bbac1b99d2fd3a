"""The real cases: their identity graphs as datasets, their data in a database, their expected results.

A case lies in the folder of cases (`HABEAS_CASES`, else `../shared/cases` beside the project): `graph.json`,
`expected.json` and `data/`. The expected rows were found by hand-written SQL, before habeas existed; the graphs
match identities exactly and follow every reference, so the datasets made here say `identity_match: exact`,
`ownership: owned` and `person: false`.

    case = load_case("chinook")
    case.load_postgres(url)
    document = case.dataset("core")                       # what a PATCH of datasets takes
    for result in case.results("core"):                   # result.identity, result.tables["customer"].sha256
        count, sha = canonical_pks(rows, case.primary_key("customer"))
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pytest

NAMES = ("chinook", "northwind", "fidesops_example")
EVERYTHING = ("user", "system")
"""Targets of an access policy that takes every field of `dataset(…, complete=True)`."""

Naming = Literal["snake", "pascal"]


@dataclass(frozen=True)
class Expected:
    """What is reached in one table: the number of rows and the digest of their primary keys."""

    rows: int
    sha256: str
    pks: list[list[Any]] | None


@dataclass(frozen=True)
class Result:
    """One person's expected rows under one variant, by the table's name in graph.json."""

    variant: str
    identity: Mapping[str, str]
    tables: Mapping[str, Expected]
    total_rows: int


@dataclass(frozen=True)
class Case:
    """One case. `naming="pascal"` gives names as chinook's SQLite database has them (`InvoiceLine`)."""

    name: str
    folder: Path

    @cached_property
    def graph(self) -> dict[str, Any]:
        """graph.json."""
        return json.loads((self.folder / "graph.json").read_text(encoding="utf-8"))

    @cached_property
    def _expected(self) -> dict[str, Any]:
        return json.loads((self.folder / "expected.json").read_text(encoding="utf-8"))

    @property
    def variants(self) -> list[str]:
        """The variants that have results."""
        return list(self.graph["variants"])

    def tables(self, variant: str) -> list[str]:
        """The tables of a variant."""
        return self.graph["variants"][variant]["tables"]

    def results(self, variant: str | None = None) -> list[Result]:
        """All expected results, or one variant's."""
        return [
            Result(
                variant=each["variant"],
                identity=each["identity"],
                tables={
                    table: Expected(found["rows"], found["sha256"], found.get("pks"))
                    for table, found in each["tables"].items()
                },
                total_rows=each["total_rows"],
            )
            for each in self._expected["results"]
            if variant in (None, each["variant"])
        ]

    def find_results(self, variant: str, url: str, *phones: str) -> list[Result]:
        """What the query of a variant of northwind finds in the loaded database of PostgreSQL at `url`, for the phone
        numbers that the variant core has results for, and for `phones`. For the variant that expected.json leaves out.
        """
        asked = dict.fromkeys([*(each.identity["phone_number"] for each in self.results("core")), *phones])
        return [self._find_result(variant, url, phone) for phone in asked]

    def _find_result(self, variant: str, url: str, phone: str) -> Result:
        import psycopg
        from psycopg import sql

        query = (Path(__file__).parent / "e2e" / f"{self.name}_{variant}.sql").read_text(encoding="utf-8")
        tables = {}
        with psycopg.connect(url) as connection:  # the temporary tables go with it
            given = sql.Literal(phone).as_string(connection)
            connection.execute(query.replace(":'phone'", given).encode())
            for table in self.tables(variant):
                key = sql.SQL(", ").join(map(sql.Identifier, self.primary_key(table)))
                found = sql.SQL("SELECT {} FROM {}").format(key, sql.Identifier(f"o_{table}"))
                tables[table] = Expected(*canonical_pks(connection.execute(found), self.primary_key(table)), None)
        return Result(variant, {"phone_number": phone}, tables, sum(each.rows for each in tables.values()))

    def primary_key(self, table: str, naming: Naming = "snake") -> list[str]:
        """The primary key's columns, in the order of the digests."""
        return [named(column, naming) for column in self.graph["tables"][table]["primary_key"]]

    def dataset(
        self, variant: str, *, key: str | None = None, naming: Naming = "snake", complete: bool = False
    ) -> dict[str, Any]:
        """The variant's graph as one dataset document; `key` defaults to the case's name.

        `complete` gives fields without a category `system.operations`, so that a policy on EVERYTHING takes all.
        """
        key = key or self.name
        references = self._references(variant, key, naming)
        identities = {each["field"]: each["key"] for each in self._of(variant, "identity")}
        collections = []
        for table in self.tables(variant):
            fields = [
                self._field(table, column, references, identities, naming, complete=complete)
                for column in self.graph["tables"][table]["columns"]
            ]
            collections.append({"name": named(table, naming), "fides_meta": {"person": False}, "fields": fields})
        return {"fides_key": key, "name": self.name, "collections": collections}

    def _of(self, variant: str, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.graph[kind] if {"*", variant} & set(each["variants"])]

    def _references(self, variant: str, key: str, naming: Naming) -> dict[str, list[dict[str, str]]]:
        found: dict[str, list[dict[str, str]]] = {}
        for each in self._of(variant, "references"):
            table, _, column = each["to"].partition(".")
            field = f"{named(table, naming)}.{named(column, naming)}"
            reference = {"dataset": key, "field": field, "direction": "to", "ownership": "owned"}
            found.setdefault(each["from"], []).append(reference)
        return found

    def _field(
        self,
        table: str,
        column: dict[str, Any],
        references: dict[str, list[dict[str, str]]],
        identities: dict[str, str],
        naming: Naming,
        *,
        complete: bool,
    ) -> dict[str, Any]:
        address = f"{table}.{column['name']}"
        field: dict[str, Any] = {"name": named(column["name"], naming)}
        category = column["data_category"] or ("system.operations" if complete else None)
        if category:
            field["data_categories"] = [category]
        meta: dict[str, Any] = {}
        if column["name"] in self.graph["tables"][table]["primary_key"]:
            meta["primary_key"] = True
        if address in identities:
            meta |= {"identity": identities[address], "identity_match": "exact"}
        if address in references:
            meta["references"] = references[address]
        return {**field, "fides_meta": meta} if meta else field

    def load_postgres(self, url: str) -> None:
        """Load the data into an empty PostgreSQL database."""
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(self._sql("postgres"))

    def load_sqlite(self, path: Path) -> None:
        """Load the data into a new SQLite file (chinook only; names are pascal)."""
        connection = sqlite3.connect(path)
        try:
            # without a journal: the file is new, and thrown away if this fails
            connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;")
            connection.executescript(self._sql("sqlite"))
            connection.commit()
        finally:
            connection.close()

    def _sql(self, engine: str) -> str:
        (file,) = (self.folder / "data").glob(f"*{engine}*.sql.gz")
        return gzip.decompress(file.read_bytes()).decode("utf-8-sig")


def cases_folder() -> Path | None:
    """Where the cases lie, None if they aren't here."""
    given = os.environ.get("HABEAS_CASES")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "cases"
    return folder if (folder / "facts.json").is_file() else None


def load_case(name: str) -> Case:
    """The case of that name; skips the test where the folder of cases isn't here."""
    folder = cases_folder()
    if folder is None:
        pytest.skip("the folder of cases isn't here; HABEAS_CASES names it")
    return Case(name, folder / name)


def load_facts(*topics: str) -> list[dict[str, Any]]:
    """The facts of these topics; empty where the folder of cases isn't here."""
    folder = cases_folder()
    if folder is None:
        return []
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))["facts"]
    return [fact for fact in facts if fact["topic"] in topics]


def canonical_pks(rows: Iterable[Mapping[str, Any] | Sequence[Any]], pk: Sequence[str]) -> tuple[int, str]:
    """The number of rows and the digest of their primary keys, as expected.json has it.

    Rows are mappings (of a package or a cursor), or sequences of just the key in its order.
    """
    elements = []
    for row in rows:
        values = [row[column] for column in pk] if isinstance(row, Mapping) else list(row)
        text = json.dumps([_json_value(value) for value in values], separators=(",", ":"), ensure_ascii=False)
        elements.append(text.encode())
    elements.sort()
    return len(elements), hashlib.sha256(b"[" + b",".join(elements) + b"]").hexdigest()


def named(name: str, naming: Naming) -> str:
    """A snake_case name in the wanted form."""
    return name if naming == "snake" else "".join(part.capitalize() for part in name.split("_"))


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value
