"""What files declare: data categories, connections, storage, datasets and policies, read from YAML or JSON
into plain values.

The shape of a file is checked here, with the place of each fault; what the parts mean is checked by the API.
Nothing here calls anything.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from habeas.core.errors import BadInput
from habeas.dataset.text import Document, read_text

Body = Mapping[str, Any]

NOUNS = {
    "data_category": "data_categories",
    "data_categories": "data_categories",
    "connection": "connections",
    "connections": "connections",
    "storage": "storage",
    "dataset": "datasets",
    "datasets": "datasets",
    "policy": "policies",
    "policies": "policies",
}
KEYS = {
    "connections": "key",
    "storage": "key",
    "datasets": "fides_key",
    "policies": "key",
    "data_categories": "fides_key",
}
FIELDS = {
    "connections": {"key", "name", "connection_type", "access", "disabled", "description", "secrets", "datasets"},
    "storage": {"key", "name", "type", "format", "details", "secrets"},
    "policies": {
        "key",
        "name",
        "drp_action",
        "execution_timeframe",
        "regime",
        "partial_identities",
        "verify",
        "duplicates",
        "custom_fields",
        "approvals",
        "plan_drift",
        "retention_days",
        "rules",
        "webhooks",
    },
}
WEBHOOK_PHASES = {"pre_execution", "post_execution"}
RULE_FIELDS = {"key", "name", "action_type", "storage_destination_key", "masking_strategy", "targets"}


@dataclass
class Declaration:
    """All that the files declare, by key, in their order. `where` gives each object's file and line."""

    data_categories: dict[str, Body] = field(default_factory=dict)
    connections: dict[str, Body] = field(default_factory=dict)
    storage: dict[str, Body] = field(default_factory=dict)
    datasets: dict[str, Body] = field(default_factory=dict)
    policies: dict[str, Body] = field(default_factory=dict)
    where: dict[tuple[str, str], str] = field(default_factory=dict)

    def connection_of(self, dataset: str) -> str | None:
        """The connection that lists the dataset, else the one that has its key; None if the files name none."""
        for key, body in self.connections.items():
            if dataset in body.get("datasets", ()):
                return key
        return dataset if dataset in self.connections else None


def read_declaration(files: Sequence[Path]) -> Declaration:
    """Read all files as one declaration. Raises BadSyntax or BadInput with file, line and what would be right."""
    found = Declaration()
    for file in files:
        document = read_text(read_file(file), str(file))
        _add(found, document)
    return found


def read_file(file: Path) -> str:
    """The text of a file. Raises BadInput if it can't be read or isn't UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as problem:
        raise BadInput(f"can't be read ({problem.strerror})", where=str(file)) from None
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", where=str(file)) from None


def _add(found: Declaration, document: Document) -> None:
    if not isinstance(document.value, dict):
        raise BadInput("holds no mapping", where=document.name, fix=f"begin with one of {', '.join(sorted(NOUNS))}")
    for word, bodies in document.value.items():
        noun = NOUNS.get(word)
        if noun is None:
            raise _unknown(document, (word,), word, NOUNS)
        listed = bodies if isinstance(bodies, list) else [bodies]
        for index, body in enumerate(listed):
            loc = (word, index) if isinstance(bodies, list) else (word,)
            _add_one(found, document, noun, loc, body)


def _add_one(found: Declaration, document: Document, noun: str, loc: tuple[str | int, ...], body: object) -> None:
    if not isinstance(body, dict):
        raise BadInput(f"one of {noun} is no mapping", where=_place(document, loc))
    for name in body:
        if noun in FIELDS and name not in FIELDS[noun]:
            raise _unknown(document, (*loc, name), name, FIELDS[noun])
    key = body.get(KEYS[noun])
    if not isinstance(key, str) or not key:
        raise BadInput(f"one of {noun} has no {KEYS[noun]}", where=_place(document, loc))
    if (noun, key) in found.where:
        raise BadInput(f"{key} is declared twice", where=_place(document, loc), fix=f"see {found.where[noun, key]}")
    if noun == "policies":
        _check_rules(document, loc, body)
    found.where[noun, key] = _place(document, loc)
    getattr(found, noun)[key] = body


def _check_rules(document: Document, loc: tuple[str | int, ...], body: Body) -> None:
    hooks = body.get("webhooks", {})
    listed = isinstance(hooks, dict) and all(isinstance(each, list) for each in hooks.values())
    if not listed or set(hooks) - WEBHOOK_PHASES:
        fix = f"a list under {' or '.join(sorted(WEBHOOK_PHASES))}"
        raise BadInput("webhooks is no mapping of lists", where=_place(document, (*loc, "webhooks")), fix=fix)
    rules = body.get("rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise BadInput("rules is no list of mappings", where=_place(document, (*loc, "rules")))
    for index, rule in enumerate(rules):
        for name in rule:
            if name not in RULE_FIELDS:
                raise _unknown(document, (*loc, "rules", index, name), name, RULE_FIELDS)
        if not isinstance(rule.get("key"), str):
            raise BadInput("a rule has no key", where=_place(document, (*loc, "rules", index)))


def _unknown(
    document: Document, loc: tuple[str | int, ...], name: object, known: Mapping[str, object] | set[str]
) -> BadInput:
    near = difflib.get_close_matches(str(name), sorted(known), n=1)
    fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return BadInput(f"unknown key {name!r}", where=_place(document, loc), fix=fix)


def _place(document: Document, loc: tuple[str | int, ...]) -> str:
    place = document.place(loc)
    return f"{document.name}:{place.key_line}" if place else document.name
