"""Reads plan fixtures: datasets, a policy, given kinds and stores as DDL, with the plan expected of them.

The DDL is run by SQLite in memory and read back, so that a fixture's schema is one a store would accept.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from habeas.core.errors import Refused
from habeas.core.schema import (
    ColumnSchema,
    ColumnType,
    ForeignKey,
    StoreSchema,
    TableName,
    TableSchema,
    TypeFamily,
)
from habeas.dataset.load import load_datasets
from habeas.dataset.model import StrategyChoice
from habeas.plan.build import build_plan
from habeas.plan.explain import explain
from habeas.plan.graph import BoundDataset, Catalog
from habeas.plan.model import Plan
from habeas.policy.model import ActionType, Policy, Rule

FAMILIES = {
    "integer": TypeFamily.INTEGER,
    "bigint": TypeFamily.INTEGER,
    "text": TypeFamily.TEXT,
    "varchar": TypeFamily.TEXT,
    "numeric": TypeFamily.DECIMAL,
    "boolean": TypeFamily.BOOLEAN,
    "date": TypeFamily.DATE,
    "timestamp": TypeFamily.TIMESTAMP,
    "uuid": TypeFamily.UUID,
    "json": TypeFamily.JSON,
}
NOT_NULL_INTEGER = ColumnType(TypeFamily.INTEGER, "integer")


@dataclass(frozen=True)
class Example:
    """One fixture: what is compiled."""

    title: str
    policy: Policy
    catalog: Catalog
    kinds: tuple[str, ...]

    def build(self) -> Plan:
        """The plan; raises Refused."""
        return build_plan(self.policy, self.catalog, self.kinds, region="US")

    def outcome(self) -> str:
        """The plan as text, or all that refuses it."""
        try:
            return explain(self.build()).render()
        except Refused as refused:
            lines = (f"refused ({each.cause}) {each}" for each in refused.problems)
            return "\n".join(lines) + "\n"


def read_example(path: Path) -> tuple[Example, str]:
    """An example and the outcome expected of it."""
    title, *rest = re.split(r"^--- (.*)\n", path.read_text(), flags=re.M)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    bindings = yaml.safe_load(sections.get("connections", "{}"))
    schemas = {
        name.removeprefix("store "): schema_of(text) for name, text in sections.items() if name.startswith("store ")
    }
    datasets = load_datasets(sections["datasets"], name=path.name)
    catalog = Catalog(tuple(_bound(each, bindings.get(each.fides_key, {}), schemas) for each in datasets))
    policy = policy_of(yaml.safe_load(sections["policy"]))
    return Example(title, policy, catalog, tuple(sections["given"].split())), sections.get("plan", "")


def write_outcome(path: Path, outcome: str) -> None:
    """Replace the expected outcome of a fixture."""
    head, _, _ = path.read_text().partition("--- plan\n")
    path.write_text(f"{head}--- plan\n{outcome}")


def _bound(dataset: Any, binding: Mapping[str, Any], schemas: Mapping[str, StoreSchema]) -> BoundDataset:
    connection = binding.get("connection", "db")
    problem = binding.get("problem")
    return BoundDataset(
        dataset=dataset,
        connection=connection,
        access=binding.get("access", "write"),
        disabled=binding.get("disabled", False),
        schema=None if problem else schemas.get(connection),
        problem=problem,
    )


def policy_of(document: Mapping[str, Any]) -> Policy:
    """A policy from `{access: [targets], erasure: [targets], mask: strategy or {strategy, configuration}}`; also
    `destination` (null: none) and `second_erasure: [targets]`, of another rule.
    """
    rules = []
    if document.get("access"):
        rules.append(Rule("access", ActionType.ACCESS, tuple(document["access"]), document.get("destination", "local")))
    if document.get("erasure"):
        mask = document.get("mask", "null_rewrite")
        choice = StrategyChoice(mask) if isinstance(mask, str) else StrategyChoice(**mask)
        rules.append(Rule("erasure", ActionType.ERASURE, tuple(document["erasure"]), None, choice))
        if document.get("second_erasure"):
            rules.append(Rule("second", ActionType.ERASURE, tuple(document["second_erasure"]), None, choice))
    return Policy("example", tuple(rules), partial_identities=document.get("partial_identities", "ask"))


def schema_of(ddl: str) -> StoreSchema:
    """The schema that a script of CREATE statements makes. A table or column comment isn't needed: DDL says all.

    `-- read only: a, b` in the script takes the privilege to write these tables.
    """
    store = sqlite3.connect(":memory:")
    store.executescript(ddl)
    locked = {name for line in re.findall(r"-- read only: (.*)", ddl) for name in re.split(r",\s*", line)}
    names = store.execute(
        "select name, type from sqlite_master where type in ('table', 'view') and name not like 'sqlite_%' order by 1"
    )
    tables = tuple(_table(store, name, kind == "view", name in locked) for name, kind in names.fetchall())
    store.close()
    return StoreSchema(tables, documents=(TypeFamily.JSON, TypeFamily.ARRAY))


def _table(store: sqlite3.Connection, name: str, view: bool, locked: bool) -> TableSchema:
    rows = store.execute(f'pragma table_xinfo("{name}")').fetchall()
    columns = tuple(_column(row) for row in rows)
    primary = tuple(row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5])
    uniques, indexes = [], [(primary[0],)] if primary else []
    for _, index, unique, _, partial in store.execute(f'pragma index_list("{name}")').fetchall():
        names = tuple(row[2] or _expression(store, index) for row in store.execute(f'pragma index_info("{index}")'))
        indexes += [] if partial else [(names[0],)]
        if unique and not partial and names != primary:
            uniques.append(names)
    [ddl] = store.execute("select sql from sqlite_master where name = ?", [name]).fetchone()
    return TableSchema(
        table=TableName(name),
        columns=columns,
        primary_key=primary,
        uniques=tuple(sorted(uniques)),
        foreign_keys=_foreign_keys(store, name),
        indexes=tuple(sorted(indexes)),
        checks=tuple(re.findall(r"check\s*\((.*)\)", ddl, flags=re.I)),
        is_view=view,
        writable=not locked,
        deletable=not locked,
        fingerprint=f"fp-{name}",
    )


def _column(row: tuple[Any, ...]) -> ColumnSchema:
    _, name, declared, not_null, default, primary, hidden = row
    word, length = re.fullmatch(r"(\w*)(?:\((\d+)\))?.*", declared.lower()).groups()  # type: ignore[union-attr]
    kind = ColumnType(FAMILIES.get(word, TypeFamily.OTHER), declared.lower(), int(length) if length else None)
    return ColumnSchema(name, kind, not (not_null or primary), default is not None, hidden in (2, 3))


def _expression(store: sqlite3.Connection, index: str) -> str:
    [ddl] = store.execute("select sql from sqlite_master where name = ?", [index]).fetchone()
    return re.search(r"\((.*)\)", ddl)[1]  # type: ignore[index]


def _foreign_keys(store: sqlite3.Connection, name: str) -> tuple[ForeignKey, ...]:
    groups: dict[int, list[tuple[Any, ...]]] = {}
    for row in store.execute(f'pragma foreign_key_list("{name}")').fetchall():
        groups.setdefault(row[0], []).append(row)
    keys = [
        ForeignKey(tuple(r[3] for r in rows), TableName(rows[0][2]), tuple(r[4] for r in rows), rows[0][6], rows[0][5])
        for rows in groups.values()
    ]
    return tuple(sorted(keys, key=lambda key: (key.columns, str(key.table))))
