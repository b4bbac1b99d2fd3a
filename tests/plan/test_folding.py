"""Collations for which accents don't count are named before anything runs, each where it decides on who is found."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from habeas.connectors.sql.mariadb_types import folds_accents
from habeas.plan.explain import explain
from planbook import Example, read_example

TEXT = """Texts that are compared by the column's collation.
--- datasets
- fides_key: d
  collections:
  - name: person
    fields:
    - {name: id, fides_meta: {primary_key: true}}
    - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
    - {name: login, fides_meta: {identity: login, identity_match: exact}}
  - name: note
    fields:
    - {name: id, fides_meta: {primary_key: true}}
    - {name: login, fides_meta: {references: [{dataset: d, field: person.login, direction: from}]}}
    - {name: words, data_categories: [user.content]}
--- policy
access: [user]
--- given
email login
--- store db
create table person (id integer primary key, email text, login text);
create table note (id integer primary key, login text, words text);
--- plan
"""


def example(tmp_path: Path, *, folds: bool) -> Example:
    path = tmp_path / "folding.txt"
    path.write_text(TEXT)
    found, _ = read_example(path)
    [bound] = found.catalog.datasets
    assert bound.schema is not None
    tables = tuple(
        msgspec.structs.replace(
            table, columns=tuple(msgspec.structs.replace(each, folds_accents=folds) for each in table.columns)
        )
        for table in bound.schema.tables
    )
    schema = msgspec.structs.replace(bound.schema, tables=tables)
    catalog = msgspec.structs.replace(found.catalog, datasets=(msgspec.structs.replace(bound, schema=schema),))
    return Example(found.title, found.policy, catalog, found.kinds)


def test_exact_identities_and_references_are_named(tmp_path: Path) -> None:
    plan = example(tmp_path, folds=True).build()
    named = [each.address for each in plan.warnings if each.code == "folds_accents"]
    assert named == ["d:note:login", "d:person:login"]  # canonical e-mail is confirmed letter by letter
    assert "é and e may be one letter" in explain(plan).render()


def test_nothing_is_said_where_accents_count(tmp_path: Path) -> None:
    plan = example(tmp_path, folds=False).build()
    assert not [each for each in plan.warnings if each.code == "folds_accents"]


@pytest.mark.parametrize(
    ("collation", "folds"),
    [
        ("utf8mb4_general_ci", True),
        ("utf8mb4_unicode_ci", True),
        ("utf8mb4_uca1400_ai_ci", True),
        ("utf8mb4_0900_ai_ci", True),
        ("utf8mb4_uca1400_as_ci", False),
        ("utf8mb4_bin", False),
        ("ascii_general_ci", False),
        ("", False),
    ],
)
def test_collations_by_name(collation: str, folds: bool) -> None:
    assert folds_accents(collation) == folds
