"""The indexes that a plan advises are those that spare reading the whole table; no fewer silence the advice."""

from __future__ import annotations

import pytest

from connectorbook import Harness, SqliteHarness
from habeas.connectors.base import Connector
from habeas.dataset.load import dataset_from
from habeas.plan.build import build_plan
from habeas.plan.graph import BoundDataset, Catalog
from habeas.plan.model import Plan
from planbook import policy_of

ROWS = 50_000
CATEGORIES = {"email": "user.contact.email", "phone_number": "user.contact.phone_number"}


def _plan(connector: Connector, kind: str) -> Plan:
    field = {"name": "Value", "data_categories": [CATEGORIES[kind]], "fides_meta": {"identity": kind}}
    fields = [{"name": "id", "fides_meta": {"primary_key": True}}, field]
    document = {"fides_key": "shop", "collections": [{"name": "people", "fields": fields}]}
    bound = BoundDataset(dataset_from(document, where="shop"), "store", "write", False, connector.introspect(), None)
    return build_plan(policy_of({"access": ["user"]}), Catalog((bound,)), (kind,), region="US")


def _advice(plan: Plan) -> list[str]:
    return [each.fix or "" for each in plan.warnings if each.code == "scan"]


def _scans(harness: Harness, connector: Connector, plan: Plan) -> bool:
    [statement] = [each.text for each in connector.statements(plan, plan.segments[0]) if each.purpose == "seed"]
    if isinstance(harness, SqliteHarness):
        told = harness.rows("EXPLAIN QUERY PLAN " + statement.replace(":values", "'[\"x\"]'"))
        return any("SCAN t" in str(row) for row in told)
    return "Seq Scan" in str(harness.rows("EXPLAIN " + statement.replace("%(values)s", "ARRAY['x']")))


@pytest.mark.parametrize("kind", CATEGORIES)
def test_the_advised_indexes_spare_the_whole_table(harness: Harness, connector: Connector, kind: str) -> None:
    value = "person%d@example.com" if kind == "email" else "+1 202 %07d"
    harness.run('CREATE TABLE people (id INTEGER PRIMARY KEY, "Value" VARCHAR(90))')
    harness.put("people", [(number, value % number) for number in range(ROWS)])
    plan = _plan(connector, kind)
    [advice] = _advice(plan)
    assert _scans(harness, connector, plan)
    first, second = advice.split("; ")
    harness.run(first)
    assert _advice(_plan(connector, kind))
    harness.run(second, "ANALYZE")
    plan = _plan(connector, kind)
    assert _advice(plan) == []
    assert not _scans(harness, connector, plan)
