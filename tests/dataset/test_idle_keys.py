"""Keys that do nothing where they stand are named, and the dataset is saved all the same."""

from __future__ import annotations

import pytest

from habeas.dataset.load import read_datasets

BODY = """
dataset:
- fides_key: app
  collections:
  - name: person
    fides_meta: {person: PERSON}
    fields:
    - {name: id, fides_meta: {primary_key: true}}
    - FIELD
"""
NOTHING = "{name: a}"


@pytest.mark.parametrize(
    ("person", "field", "named"),
    [
        ("true", NOTHING, "person"),
        ("true", "{name: a, fides_meta: {identity: email}}", None),
        ("false", NOTHING, None),
        ("false", "{name: a, fides_meta: {region: DE}}", "region"),
        ("false", "{name: a, fides_meta: {identity: email, region: DE}}", "region"),
        ("false", "{name: a, fides_meta: {identity: phone_number, region: DE}}", None),
        ("false", "{name: a, fides_meta: {length: 3, data_type: integer}}", "length"),
        ("false", "{name: a, fides_meta: {length: 3}, fields: [{name: b}]}", "length"),
        ("false", "{name: a, fides_meta: {length: 3, data_type: string}}", None),
        ("false", "{name: a, fides_meta: {length: 3}}", None),
    ],
)
def test_a_key_that_does_nothing_is_named(person: str, field: str, named: str | None) -> None:
    loaded = read_datasets(BODY.replace("PERSON", person).replace("FIELD", field), name="app.yml")
    assert loaded.datasets
    assert [str(problem.loc[-1]) for problem in loaded.warnings] == ([named] if named else [])
    assert all(problem.severity == "warning" for problem in loaded.warnings)
