"""Types of columns: how each store spells them, values that occur once, and what a NOT NULL column gets as its mask.

A type that a store doesn't have isn't used there. Values are as a company's file holds them (see `company`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from truth.company import Column


class Kind(NamedTuple):
    """One type. `make` is a value from a running number; `constants` are the mask's forms in a dump."""

    natives: Mapping[str, str]
    make: Callable[[int], Any]
    constants: tuple[Any, ...] = ()


ENUM = ("low", "middle", "high")
_ENUM = ", ".join(f"'{each}'" for each in ENUM)


def _all(sqlite: str, postgres: str, mariadb: str) -> dict[str, str]:
    return {"sqlite": sqlite, "postgres": postgres, "mariadb": mariadb}


KINDS: dict[str, Kind] = {
    "int": Kind(_all("INTEGER", "integer", "INT"), lambda at: at + 1000, (0,)),
    "bigint": Kind(_all("BIGINT", "bigint", "BIGINT"), lambda at: 9007199254740993 + at, (0,)),
    "smallint": Kind(_all("SMALLINT", "smallint", "SMALLINT"), lambda at: at % 30000 + 1, (0, "0")),
    "uuid": Kind(_all("CHAR(36)", "uuid", "UUID"), lambda at: "", ("00000000-0000-0000-0000-000000000000",)),
    "text": Kind(_all("TEXT", "text", "TEXT"), lambda at: "", ("",)),
    "varchar": Kind({}, lambda at: "", ("",)),
    "char": Kind(_all("CHAR(8)", "char(8)", "CHAR(8)"), lambda at: f"c{at:06}q", ("",)),
    "date": Kind(
        _all("DATE", "date", "DATE"), lambda at: f"19{at % 90 + 10:02}-0{at % 9 + 1}-1{at % 9}", ("1970-01-01",)
    ),
    "time": Kind(_all("TIME", "time", "TIME"), lambda at: f"05:0{at % 9 + 1}:{at % 60:02}", ("00:00:00",)),
    "timestamp": Kind(
        _all("TIMESTAMP", "timestamp", "DATETIME"),
        lambda at: f"2001-02-0{at % 9 + 1} 03:04:{at % 60:02}",
        ("1970-01-01 00:00:00",),
    ),
    "timestamptz": Kind(
        _all("TIMESTAMP", "timestamptz", "TIMESTAMP NULL"),
        lambda at: f"2002-03-0{at % 9 + 1} 04:05:{at % 60:02}+00:00",
        ("1970-01-01 00:00:00+00:00", "1970-01-01 00:00:00+00", "1970-01-01 00:00:00", "1970-01-01 00:00:01+00:00"),
    ),
    "decimal": Kind(
        _all("DECIMAL(12,2)", "numeric(12,2)", "DECIMAL(12,2)"), lambda at: f"{at}.{at % 100:02}", (0, "0.00", "0")
    ),
    "bool": Kind(_all("BOOLEAN", "boolean", "BOOLEAN"), lambda at: at % 2 == 0, (False,)),
    "json": Kind(_all("JSON", "json", "JSON"), lambda at: f'{{"canary": "c{at:04}q", "n": {at}}}', ("{}",)),
    "bytes": Kind(_all("BLOB", "bytea", "BLOB"), lambda at: f"{at:06x}", ("", "\\x")),
    "float": Kind(_all("REAL", "double precision", "DOUBLE"), lambda at: at + 0.5, (0,)),
    "enum": Kind({"postgres": "mood", "mariadb": f"ENUM({_ENUM})"}, lambda at: ENUM[at % 3], (ENUM[0],)),
    "interval": Kind({"postgres": "interval"}, lambda at: f"{at} days", ("00:00:00",)),
    "inet": Kind({"postgres": "inet"}, lambda at: f"10.1.{at % 200}.{at % 250}/32", ("0.0.0.0/32",)),
    "cidr": Kind({"postgres": "cidr"}, lambda at: f"10.{at % 200}.0.0/16", ("0.0.0.0/32",)),
    "macaddr": Kind({"postgres": "macaddr"}, lambda at: f"08:00:2b:01:{at % 90:02}:03", ("00:00:00:00:00:00",)),
    "xml": Kind({"postgres": "xml"}, lambda at: f"<a>c{at:04}q</a>", ("<erased/>",)),
    "tsvector": Kind({"postgres": "tsvector"}, lambda at: f"'c{at:04}q'", ("",)),
    "point": Kind({"postgres": "point"}, lambda at: f"({at},2)", ("(0,0)",)),
    "range": Kind({"postgres": "int4range"}, lambda at: f"[{at},{at + 5})", ("empty",)),
    "bit": Kind({"postgres": "bit(8)"}, lambda at: f"{at % 256:08b}"),
    "money": Kind({"postgres": "money"}, lambda at: f"${at}.50" if at < 1000 else f"${at // 1000},{at % 1000:03}.50"),
    "jsonb": Kind({"postgres": "jsonb"}, lambda at: f'{{"n": {at}, "canary": "c{at:04}q"}}', ("{}",)),
    "texts": Kind({"postgres": "text[]"}, lambda at: f"{{c{at:04}q,more}}", ("{}",)),
    "ints": Kind({"postgres": "integer[]"}, lambda at: f"{{{at},{at + 1}}}", ("{}",)),
    "year": Kind({"mariadb": "YEAR"}, lambda at: str(1990 + at % 40), ("0", "1970", "1901", "0000")),
    "set": Kind({"mariadb": "SET('a','b','c')"}, lambda at: ("a", "a,b", "b,c")[at % 3], ("",)),
    "longtext": Kind({"mariadb": "LONGTEXT"}, lambda at: f"c{at:04}q long", ("",)),
}
ORDINARY = (
    "text",
    "text",
    "varchar",
    "varchar",
    "date",
    "timestamp",
    "timestamptz",
    "decimal",
    "bool",
    "json",
    "bytes",
    "float",
    "int",
)
RARE = tuple(name for name in KINDS if name not in (*ORDINARY, "bigint", "uuid"))
PLAIN = ("int", "bigint", "bool", "float")  # read as they are; all else as the store's own text
TEXTS = ("text", "varchar", "char", "longtext")


def native(column: Column, kind: str) -> str:
    """How a kind of store spells a column's type."""
    if column.type == "varchar":
        spelled = f"varchar({column.length})"
    elif kind == "mariadb" and column.type == "text" and column.unique:
        spelled = "varchar(200)"  # an index needs a limit
    else:
        spelled = KINDS[column.type].natives[kind]
    if kind == "mariadb" and column.type in (*TEXTS, "enum", "set"):
        return f"{spelled} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    return spelled


def rare_kinds(kind: str) -> tuple[str, ...]:
    """Types that a kind of store has besides the ordinary ones."""
    return tuple(name for name in RARE if kind in KINDS[name].natives)
