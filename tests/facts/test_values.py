"""Facts about types of values that look rows up. Groups: type_coercion, typed_query_values, is_valid_type."""

from __future__ import annotations

from typing import Any

import pytest

from casebook import load_facts
from habeas.connectors.sql.values import as_type
from habeas.core.schema import TypeFamily
from habeas.core.values import canonical_text
from habeas.dataset.load import load_datasets
from habeas.dataset.problem import DatasetProblems

Fact = dict[str, Any]
FAMILIES = {"integer": TypeFamily.INTEGER, "float": TypeFamily.FLOAT, "boolean": TypeFamily.BOOLEAN}


def facts(*topics: str) -> Any:
    return pytest.mark.parametrize("fact", load_facts(*topics), ids=lambda fact: fact["id"])


# A float's text is the one that stores compare by: 1.0 is `1` there (design §5.3).
AS_STORES_WRITE = {"F0382": "1"}


# Object ids belong to MongoDB, which isn't built yet.
OBJECT_IDS = {"F0391", "F0393"}
COERCIONS = [fact for fact in load_facts("type_coercion") if fact["id"] not in OBJECT_IDS]


@pytest.mark.parametrize("fact", COERCIONS, ids=lambda fact: fact["id"])
def test_a_value_becomes_the_columns_type_or_finds_nothing(fact: Fact) -> None:
    given = fact["input"]
    family = FAMILIES.get(given["type"])
    found = as_type(given["value"], family) if family else canonical_text(given["value"])
    expected = AS_STORES_WRITE.get(fact["id"], fact["expect"]["equals"])
    assert (found, type(found)) == (expected, type(expected))


@facts("typed_query_values")
def test_values_are_typed_as_the_column(fact: Fact) -> None:
    given = fact["input"]
    found = {
        name: [as_type(value, TypeFamily.TEXT) for value in values]
        for name, values in given["values"].items()
        if name in given["query_fields"] and values
    }
    assert found == fact["expect"]["equals"]


@facts("is_valid_type")
def test_names_of_types(fact: Fact) -> None:
    name = fact["input"]["name"]
    text = f"fides_key: d\ncollections: [{{name: c, fields: [{{name: f, fides_meta: {{data_type: {name}}}}}]}}]"
    if fact["expect"]["equals"]:
        load_datasets(text, name="d.yml")
        return
    with pytest.raises(DatasetProblems, match="data_type"):
        load_datasets(text, name="d.yml")
