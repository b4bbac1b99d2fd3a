"""How a stored value looks once it is masked, and in a package. Written from the design's text; knows no habeas."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

from truth.company import Column, Company, Rule
from truth.kinds import KINDS, TEXTS


def mask_problem(column: Column, rule: Rule, before: Any, after: Any) -> str | None:
    if before is None:
        return None if after is None else "NULL must stay NULL"
    text = column.type in TEXTS
    if rule.strategy == "null_rewrite" and column.nullable:
        return None if after is None else "must be NULL"
    if text and rule.strategy != "null_rewrite" and not (column.unique and rule.strategy == "string_rewrite"):
        return _text_problem(column, rule, before, after)
    if column.nullable:
        return None if after is None else "must be NULL, the type's substitute"
    if column.unique:
        return None if after != before and after is not None else "must be random"
    return None if after in KINDS[column.type].constants else f"must be one of {KINDS[column.type].constants}"


def _text_problem(column: Column, rule: Rule, before: Any, after: Any) -> str | None:
    if after is None:
        return "must not be NULL"
    if column.length is not None and len(after) > column.length:
        return "is too long"
    if rule.strategy == "string_rewrite":
        wanted = rule.configuration["rewrite_value"][: column.length]
        return None if after == wanted else f"must be {wanted}"
    return None if after != before else "is unchanged"


def row_text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)


def _number(value: Any) -> Any:
    return format(Decimal(str(value)).normalize(), "f")


def shown_value(column: Column, value: Any) -> Any:
    """A stored value as a package holds it, in a form that compares."""
    if value is None:
        return None
    match column.type:
        case "int" | "bigint" | "float" | "decimal" | "smallint" | "year":
            return _number(value)
        case "bool":
            return int(value)
        case "json" | "jsonb":
            return json.loads(value)
        case "texts" | "ints":
            inside = value[1:-1].split(",") if value != "{}" else []
            return [int(each) for each in inside] if column.type == "ints" else inside
        case "bytes":
            return base64.b64encode(bytes.fromhex(value.removeprefix("\\x"))).decode()
        case "timestamp":
            return value.replace(" ", "T")
        case "timestamptz":
            return value.replace(" ", "T").replace("+00:00", "Z").replace("+00", "Z")
    return value


def given_row(company: Company, address: str, row: dict[str, Any]) -> dict[str, Any]:
    """A package's row in the same form."""
    table = next((each for each in company.tables if company.address(each) == address), None)
    if table is None:
        return row
    made = {}
    for name, value in row.items():
        column = table.column(name)
        if value is None or column.document:
            made[name] = value
        elif column.type in ("int", "bigint", "float", "decimal", "smallint", "year"):
            made[name] = _number(value)
        elif column.type == "bool":
            made[name] = int(value)
        elif column.type in ("timestamp", "timestamptz"):
            made[name] = value.replace(" ", "T").replace("+00:00", "Z")
        else:
            made[name] = value
    return made
