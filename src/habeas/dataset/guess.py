"""What names of tables and columns say about references that nobody declared, and about which tables hold people.

Guesses with their evidence, for a person to confirm. Reads the schema only; a name that fits two tables fits none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from habeas.core.schema import ColumnSchema, TableSchema
from habeas.dataset.evidence import category_of, identity_of, words_of

_KEY_WORDS = frozenset(("id", "no", "nr", "num", "number", "key", "ref", "code", "uuid", "guid", "fk"))
_PREFIXES = frozenset(("tbl", "tab", "t", "app", "fk", "id"))
_KINDS = ("type", "kind", "class", "table")
_CUSTOMERS = frozenset(
    (
        "customer", "client", "member", "user", "person", "contact", "subscriber", "patient", "guest", "passenger",
        "student", "donor", "player", "lead",
    )
)  # fmt: skip
_STAFF = frozenset(("staff", "employee", "agent", "operator", "admin", "rep", "representative", "worker", "personnel"))
_OF_CUSTOMERS = frozenset(
    ("requester", "buyer", "purchaser", "payer", "client", "customer", "member", "user", "subscriber")
)
_OF_STAFF = frozenset(("owner", "assignee", "agent", "manager", "handler", "approver", "operator", "rep"))
_OTHERS = frozenset(("author", "creator", "sender", "receiver", "recipient"))
_DONE_BY = "by"  # changed_by, processed_by
_SHORTEST = 3  # letters of an abbreviation, such as cust


class Guess(NamedTuple):
    """A reference that a name speaks for. `handles`: the person it leads to works on the row, it isn't theirs."""

    table: str
    column: str
    evidence: str
    handles: bool = False


class Guesses(NamedTuple):
    """By column: references, and questions that only a person can answer."""

    references: Mapping[str, Guess]
    questions: Mapping[str, str]


def noun_of(name: str) -> tuple[str, ...]:
    """The words of a table's name in the singular, without prefixes such as `tbl`."""
    words = [_singular(word) for word in words_of(name)]
    while len(words) > 1 and words[0] in _PREFIXES:
        del words[0]
    return tuple(words)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes", "uses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def holds_people(table: TableSchema) -> bool:
    """Whether a table's rows seem to be persons: its name says so, or it has an identity beside a person's own name."""
    if not any(identity_of(column.name, column.type.family, table.table.name) for column in table.columns):
        return False
    noun = noun_of(table.table.name)
    if noun and noun[-1] in _CUSTOMERS | _STAFF:
        return True
    names = {"user.name.first", "user.name.last"}
    return any((found := category_of(column.name)) and found.category in names for column in table.columns)


def guess_references(table: TableSchema, tables: Sequence[TableSchema]) -> Guesses:
    """What the names of a table's columns say, but for those with a declared reference."""
    declared = {column for key in table.foreign_keys for column in key.columns}
    references: dict[str, Guess] = {}
    questions: dict[str, str] = {}
    for column in table.columns:
        if column.name in declared or (column.name,) == table.primary_key:
            continue
        found = _read(table, column, tables)
        if isinstance(found, Guess):
            references[column.name] = found
        elif found:
            questions[column.name] = found
    return Guesses(references, questions)


def _read(table: TableSchema, column: ColumnSchema, tables: Sequence[TableSchema]) -> Guess | str | None:
    words = _phrase(column.name)
    if not words:
        return None
    names = {each.name.casefold() for each in table.columns}
    kind = next((each for each in _siblings(column.name) if each.casefold() in names), None)
    if kind:
        return f"with {kind} it names rows of several tables, which can't be followed"
    return _fitting(table, column, words, tables)


def _last(name: str) -> str:
    words = words_of(name)
    return words[-1] if words else ""


def _siblings(name: str) -> Iterable[str]:
    """Names beside which a column names rows of several tables: commentable_type for commentable_id."""
    stem = name[: -len(_last(name))]
    yield from (f"{stem}{each}" for each in _KINDS)
    if name.casefold() in ("row_id", "record_id", "object_id", "entity_id"):
        yield from ("table_name", "object_type", "entity", "entity_type")


def _phrase(name: str) -> tuple[str, ...]:
    """What a key column's name is about: (`billing`, `address`) of billing_address_id; () if it is no key's name."""
    words = [*words_of(name)]
    if len(words) > 1 and words[-1] == _DONE_BY:
        return tuple(words)
    if len(words) > 1 and words[-1] in _KEY_WORDS:
        words.pop()
    elif len(words) > 1 and words[0] in ("id", "fk"):
        del words[0]
    else:
        return ()
    return tuple(_singular(word) for word in words)


def _fits_whole(words: tuple[str, ...], noun: tuple[str, ...]) -> bool:
    return noun == words


def _fits_head(words: tuple[str, ...], noun: tuple[str, ...]) -> bool:
    return noun[-1:] == words[-1:]


def _abbreviates(words: tuple[str, ...], noun: tuple[str, ...]) -> bool:
    return len(words) == 1 and len(words[0]) >= _SHORTEST and len(noun) == 1 and noun[0].startswith(words[0])


_TESTS = (
    ("the name says {0}", _fits_whole),
    ("the name ends in {0}", _fits_head),
    ("the name is short for {0}", _abbreviates),
)


def _fitting(
    table: TableSchema, column: ColumnSchema, words: tuple[str, ...], tables: Sequence[TableSchema]
) -> Guess | str | None:
    """The one table that a phrase fits best; a question where several do, or it is a person in an unclear role."""
    for evidence, fits in _TESTS:
        fitting = [each for each in tables if fits(words, noun_of(each.table.name))]
        if table in fitting:
            return None  # the row's own number
        guesses = [guess for each in fitting if (guess := _guess(column, each, evidence))]
        if guesses:
            several = f"it fits several tables: {', '.join(guess.table for guess in guesses)}"
            return guesses[0] if len(guesses) == 1 else several
    return _role(column, words, tables)


def _guess(column: ColumnSchema, table: TableSchema, evidence: str, *, handles: bool = False) -> Guess | None:
    target = _target(column, table)
    return None if target is None else Guess(table.table.name, target, evidence.format(table.table.name), handles)


def _target(column: ColumnSchema, table: TableSchema) -> str | None:
    """The key column that the column's values can be those of: the primary key, else the only unique one."""
    families = {each.name: each.type.family for each in table.columns}
    singles = [key[0] for key in (table.primary_key, *table.uniques) if len(key) == 1]
    fitting = [name for name in dict.fromkeys(singles) if families[name] == column.type.family]
    if table.primary_key[:1] and table.primary_key[0] in fitting:
        return table.primary_key[0]
    return fitting[0] if len(fitting) == 1 else None


def _role(column: ColumnSchema, words: tuple[str, ...], tables: Sequence[TableSchema]) -> Guess | str | None:
    """People by what they do: assignee_id, changed_by. Only where one table of such people is there."""
    last = words[-1]
    handles = last in _OF_STAFF or last == _DONE_BY
    if not handles and last not in _OF_CUSTOMERS | _OTHERS:
        return None
    wanted = _STAFF if handles else _CUSTOMERS - {"lead"}
    people = [each for each in tables if holds_people(each) and noun_of(each.table.name)[-1] in wanted]
    if len(people) == 1 and last not in _OTHERS:
        evidence = "the name says who of {0} does it" if handles else "the name says which of {0}"
        return _guess(column, people[0], evidence, handles=handles)
    return "it names a person: of which table?"
