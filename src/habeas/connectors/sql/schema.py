"""Fingerprints of live tables: what a plan is pinned to, made from names, types, nullability, keys and rules.

The same function serves introspection and the cheap check, so that both agree. Never reads a store.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple


class ColumnFact(NamedTuple):
    """What of a column counts: its name, its type in the store's own spelling, whether NULL is refused."""

    name: str
    type: str
    not_null: bool


class KeyFact(NamedTuple):
    """A key: `primary`, `unique` or `foreign`, its columns, and for a foreign key where it leads and how.

    One of kind `incoming` is another table's foreign key that leads here: its columns, `target` the table that has it.
    """

    kind: str
    columns: tuple[str, ...]
    target: str = ""
    target_columns: tuple[str, ...] = ()
    actions: str = ""


class TableFacts:
    """The facts of one table, gathered in any order."""

    def __init__(self) -> None:
        self.columns: list[ColumnFact] = []
        self.keys: set[KeyFact] = set()
        self.rules: set[tuple[str, ...]] = set()  # what else decides on a write: triggers, checks, privileges

    def fingerprint(self) -> str:
        """Hex SHA-256; the order of keys, columns and rules doesn't count."""
        facts = [sorted(self.columns), sorted(self.keys), sorted(self.rules)]
        return hashlib.sha256(json.dumps(facts, ensure_ascii=False).encode()).hexdigest()

    @property
    def primary(self) -> tuple[str, ...]:
        """The primary key's columns, in order; () without one."""
        return next((key.columns for key in self.keys if key.kind == "primary"), ())

    @property
    def uniques(self) -> tuple[tuple[str, ...], ...]:
        """Columns of the other unique keys, sorted."""
        return tuple(sorted(key.columns for key in self.keys if key.kind == "unique"))
