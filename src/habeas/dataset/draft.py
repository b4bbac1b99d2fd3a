"""A first dataset from a live schema: keys, references and types as facts, identities and categories as proposals.

The text is YAML that loads at once; what was guessed says from what, in comments, for a person to confirm.
Reads the schema only, never a row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from habeas.core.schema import ColumnSchema, ForeignKey, StoreSchema, TableSchema, TypeFamily
from habeas.dataset.evidence import category_of, identity_of
from habeas.dataset.guess import Guess, Guesses, guess_references, holds_people

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
_DATA_TYPES = {
    TypeFamily.INTEGER: "integer",
    TypeFamily.FLOAT: "float",
    TypeFamily.TEXT: "string",
    TypeFamily.BOOLEAN: "boolean",
    TypeFamily.JSON: "object",
}


def draft_dataset(key: str, schema: StoreSchema, *, namespace: str | None = None, connection: str | None = None) -> str:
    """The YAML text of a dataset that describes the tables of one schema (None: the session's default one).

    Views and names that can't be addressed are left out, and named in comments. `connection` is named only.
    """
    tables = [table for table in schema.tables if table.table.schema == namespace]
    lines = [*_head(key, connection, namespace)]
    described = {table.table.name for table in tables if not table.is_view and _addressable(table.table.name)}
    if not described:
        return "\n".join([*lines, "    collections: []", ""])
    lines.append("    collections:")
    known = [table for table in tables if table.table.name in described]
    for table in tables:
        if table.table.name in described:
            lines += _collection(key, table, described, namespace, guess_references(table, known))
        else:
            reason = "a view: describe it only if its rows are stored nowhere else" if table.is_view else "its name"
            lines.append(f"      # left out: {_quoted(table.table.name)} ({reason})")
    return "\n".join([*lines, ""])


def _head(key: str, connection: str | None, namespace: str | None) -> Iterator[str]:
    yield f"# Drafted from the schema{f' of connection {_quoted(connection)}' if connection else ''}."
    yield "# Keys, types, lengths and references without a comment are the store's. What has a comment is guessed"
    yield "# from a name: confirm or correct each, and give the fields without a category theirs."
    yield "dataset:"
    yield f"  - fides_key: {_scalar(key)}"
    if namespace is not None:
        yield "    fides_meta:"
        yield f"      namespace: {{schema: {_scalar(namespace)}}}"


def _collection(
    key: str, table: TableSchema, described: set[str], namespace: str | None, guesses: Guesses
) -> Iterator[str]:
    yield f"      - name: {_scalar(table.table.name)}"
    if not table.primary_key:
        yield f"        # no primary key{_unique(table)}"
    columns = [column for column in table.columns if _addressable(column.name)]
    people = holds_people(table)
    if not people and any(identity_of(column.name, column.type.family, table.table.name) for column in columns):
        yield "        fides_meta: {person: false}  # its rows seem to be about people, not people themselves"
    yield "        fields:" if columns else "        fields: []"
    references = _references(key, table, described, namespace, guesses)
    for column in table.columns:
        if column in columns:
            yield from _field(table, column, references.get(column.name, ()), people=people)
        else:
            yield f"          # left out: {_quoted(column.name)} (its name can't be part of an address)"


def _unique(table: TableSchema) -> str:
    nullable = {column.name for column in table.columns if column.nullable}
    keys = [unique for unique in table.uniques if unique and not nullable & set(unique)]
    if not keys:
        return " and no other unique key: its rows can't be masked by key"
    return f"; the unique key ({', '.join(_quoted(name) for name in keys[0])}) serves as one"


def _field(table: TableSchema, column: ColumnSchema, references: Sequence[str], *, people: bool) -> Iterator[str]:
    yield f"          - name: {_scalar(column.name)}"
    proposal = _category(table, column, references, people=people)
    if proposal:
        yield f"            data_categories: [{proposal[0]}]  # {proposal[1]}"
    meta = [*_meta(table, column, references)]
    if meta:
        yield "            fides_meta:"
        yield from (f"              {line}" for line in meta)


def _category(
    table: TableSchema, column: ColumnSchema, references: Sequence[str], *, people: bool
) -> tuple[str, str] | None:
    """The proposed category and what speaks for it."""
    evidence = category_of(column.name, table.table.name)
    if evidence:
        return evidence.category, f"the name says: {', '.join(evidence.words)}"
    if people and column.name.casefold() == "name":
        return "user.name", "the name of somebody with an identity"
    if people and (column.name,) == table.primary_key:
        return "user.unique_id", "the key of somebody with an identity"
    if column.name in table.primary_key or references:
        return "system.operations", "a key"
    return None


def _meta(table: TableSchema, column: ColumnSchema, references: Sequence[str]) -> Iterator[str]:
    if column.name in table.primary_key:
        yield "primary_key: true"
    kind = identity_of(column.name, column.type.family, table.table.name)
    if kind:
        yield f"identity: {kind}  # rows are looked up by it"
    data_type = _DATA_TYPES.get(column.type.family)
    # a type that our words don't name exactly stays the store's own: the YAML would override it
    if data_type:
        yield f"data_type: {data_type}"
    else:
        yield f"# the store's type: {_quoted(column.type.native)}"
    if column.type.length and column.type.family is TypeFamily.TEXT:
        yield f"length: {column.type.length}"
    if column.type.family is TypeFamily.JSON:
        yield "# list what lies in it under `fields`, or give it a category to take it whole"
    if column.generated:
        yield "read_only: true  # computed by the store"
    yield from _reference_lines(references)


def _reference_lines(references: Sequence[str]) -> Iterator[str]:
    live = [line for line in references if not line.startswith("# ")]
    if live:
        yield "references:"
        yield from (f"  - {line}" for line in live)
    yield from (line for line in references if line.startswith("# "))


def _references(
    key: str, table: TableSchema, described: set[str], namespace: str | None, guesses: Guesses
) -> Mapping[str, tuple[str, ...]]:
    """Per column, its references as flow mappings; those that can't be followed as they are, as comments."""
    found: dict[str, list[str]] = {}
    for number, foreign in enumerate(table.foreign_keys, 1):
        tuple_key = f", key: fk{number}" if len(foreign.columns) > 1 else ""
        for column, target in zip(foreign.columns, foreign.target_columns, strict=True):
            path = f"{foreign.table.name}.{target}"
            line = f"{{dataset: {_scalar(key)}, field: {_scalar(path)}{tuple_key}}}"
            found.setdefault(column, []).append(_comment(table, foreign, line, described, namespace) or line)
    for column, guess in guesses.references.items():
        if _addressable(guess.column):
            found.setdefault(column, []).append(_guessed(key, guess))
    for column, question in guesses.questions.items():
        found.setdefault(column, []).append(f"# a reference? {question}")
    return {column: tuple(dict.fromkeys(lines)) for column, lines in found.items()}


def _guessed(key: str, guess: Guess) -> str:
    """A reference that only its name speaks for, with what it says."""
    path = _scalar(f"{guess.table}.{guess.column}")
    context = ", direction: from, ownership: context" if guess.handles else ""
    return f"{{dataset: {_scalar(key)}, field: {path}{context}}}  # {guess.evidence}"


def _comment(
    table: TableSchema, foreign: ForeignKey, line: str, described: set[str], namespace: str | None
) -> str | None:
    if (
        foreign.table.schema != namespace
        or foreign.table.name not in described
        or not all(map(_addressable, foreign.target_columns))
    ):
        return f"# references {_quoted(str(foreign.table))}, which this dataset doesn't describe"
    if foreign.table == table.table:
        return f"# references itself: add a direction to follow it. - {line}"
    return None


def _addressable(name: str) -> bool:
    return bool(name) and not set(name) & set(".:")


def _scalar(text: str) -> str:
    return text if _PLAIN.match(text) and text.casefold() not in _RESERVED else _quoted(text)


def _quoted(text: str) -> str:
    """Double-quoted, for YAML and comments alike: one line, whatever the name holds."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)
