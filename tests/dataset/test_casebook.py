"""The case book itself: that its datasets, loaders and digests give the expected rows, by a naive fixpoint."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from casebook import NAMES, Case, Naming, Result, canonical_pks, load_case, named
from habeas.dataset.check import check_datasets
from habeas.dataset.load import dataset_from
from habeas.dataset.model import Dataset

Row = Mapping[str, object]


def reached(dataset: Dataset, identity: Mapping[str, str], table: Callable[[str], list[Row]]) -> dict[str, list[Row]]:
    """Every row found by identity, then by reference, until nothing new comes: the slow and plain way."""
    rows = {each.name: table(each.name) for each in dataset.collections}
    found: dict[str, set[int]] = {name: set() for name in rows}
    for collection in dataset.collections:
        for field in collection.fields:
            if field.identity in identity:
                value = identity[field.identity]
                found[collection.name] |= {
                    at for at, row in enumerate(rows[collection.name]) if row[field.name] == value
                }
    grown = True
    while grown:
        grown = False
        for collection in dataset.collections:
            for field in collection.fields:
                for reference in field.references:
                    values = {rows[collection.name][at][field.name] for at in found[collection.name]} - {None}
                    new = {at for at, row in enumerate(rows[reference.collection]) if row[reference.path] in values}
                    grown = grown or not new <= found[reference.collection]
                    found[reference.collection] |= new
    return {name: [rows[name][at] for at in sorted(found[name])] for name in rows}


def check_result(case: Case, result: Result, table: Callable[[str], list[Row]], naming: Naming) -> None:
    dataset = dataset_from(case.dataset(result.variant, naming=naming), where=case.name)
    found = reached(dataset, result.identity, table)
    for name, expected in result.tables.items():
        got = canonical_pks(found[named(name, naming)], case.primary_key(name, naming))
        assert got == (expected.rows, expected.sha256), name


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_loads_and_has_no_error(name: str) -> None:
    case = load_case(name)
    for variant in case.variants:
        dataset = dataset_from(case.dataset(variant, complete=True), where=name)
        assert [problem for problem in check_datasets([dataset]) if problem.severity == "error"] == []
        assert {each.name for each in dataset.collections} == set(case.tables(variant))
        assert all(field.data_categories for each in dataset.collections for field in each.fields)


def test_chinook_in_sqlite_gives_the_expected_rows(tmp_path: Path) -> None:
    case = load_case("chinook")
    case.load_sqlite(tmp_path / "chinook.db")
    with sqlite3.connect(tmp_path / "chinook.db") as connection:
        connection.row_factory = sqlite3.Row

        def table(name: str) -> list[Row]:
            return [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]

        for variant in case.variants:
            check_result(case, case.results(variant)[0], table, "pascal")
    connection.close()


@pytest.mark.parametrize("name", NAMES)
def test_the_data_in_postgres_gives_the_expected_rows(name: str, postgres_url: str) -> None:
    import psycopg
    from psycopg.rows import dict_row

    case = load_case(name)
    case.load_postgres(postgres_url)
    with psycopg.connect(postgres_url, row_factory=dict_row) as connection:

        def table(name: str) -> Iterable[Row]:
            return connection.execute(f'SELECT * FROM "{name}"').fetchall()

        check_result(case, case.results()[0], table, "snake")
