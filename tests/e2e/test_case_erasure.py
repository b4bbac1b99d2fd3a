"""Erasure over the real cases: what was targeted is gone from the subject's rows, and nothing else has changed.

Each case is run twice: `declared`, with the case's own graph, which says that every row reached is the subject's
(the rows are those of the case's own result); and `judged`, with nothing declared, where habeas' rules decide.
Whose rows they are is worked out here, over the raw rows, by the few of those rules that matter in these cases.
Full dumps before and after are compared cell by cell; on PostgreSQL no other row was even rewritten.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from casebook import Case, Naming, Result, load_case, named
from conftest import fresh_database
from rowbook import Dump, Row, dump_postgres, dump_sqlite, keep_postgres, restore_postgres
from serving import Server, serving

KEPT_BY_ORDER = {"strategy": "preserve", "configuration": {"reason": "customer_number"}}
DELETED = {"strategy": "delete"}

Key = tuple[str | None, ...]


class Subject(NamedTuple):
    """A person of a case, and how her values are masked."""

    variant: str
    identity: Mapping[str, str]
    strategy: str


@dataclass(frozen=True)
class Trial:
    """A case with its subjects. `overrides`: what the author of the datasets has to say about keys that hold
    personal data, by table or table.column, since such keys are never broken in silence.
    """

    case: str
    subjects: tuple[Subject, ...]
    overrides: Mapping[str, Mapping[str, Any]]


TRIALS = {
    "chinook": Trial(
        "chinook",
        (
            Subject("core", {"email": "luisg@embraer.com.br"}, "string_rewrite"),
            Subject("cyclic", {"email": "hholy@gmail.com"}, "hmac"),
            Subject("core", {"email": "jane@chinookcorp.com"}, "null_rewrite"),
            Subject("core", {"phone_number": "+1 (403) 262-3443"}, "random_string_rewrite"),
            Subject("m2m", {"email": "nancy@chinookcorp.com", "phone_number": "+55 (12) 3923-5555"}, "hash"),
        ),
        {},
    ),
    "northwind": Trial(
        "northwind",
        (
            Subject("core", {"phone_number": "030-0074321"}, "string_rewrite"),
            Subject("third_party", {"phone_number": "(5) 555-4729"}, "hash"),
            Subject("core", {"phone_number": "91.24.45.40"}, "null_rewrite"),
            Subject("third_party", {"phone_number": "(71) 555-4848"}, "hmac"),
            Subject("core", {"phone_number": "(171) 555-2222"}, "random_string_rewrite"),
            Subject("cyclic", {"phone_number": "(71) 555-7773"}, "string_rewrite"),  # two bosses, one above the other
        ),
        dict.fromkeys(
            ("customers.customer_id", "orders.customer_id", "customer_demographics.customer_type_id"), KEPT_BY_ORDER
        ),
    ),
    "fidesops_example": Trial(
        "fidesops_example",
        (
            Subject("core", {"email": "customer-1@example.com"}, "string_rewrite"),
            Subject("core", {"email": "customer-2@example.com"}, "hash"),
            Subject("core", {"email": "jane@example.com"}, "null_rewrite"),
            Subject("core", {"email": "employee-1@example.com"}, "hmac"),
            Subject("core", {"email": "admin-account@example.com"}, "random_string_rewrite"),
        ),
        {"visit": DELETED},
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("erasure") / "data") as running:
        yield running


@dataclass(frozen=True)
class Place:
    """A fresh copy of a case's database."""

    kind: str
    naming: Naming
    secrets: Mapping[str, str]
    dump: Callable[[], Dump]


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[[str, str], Place]]:
    """Gives a case's database on an engine, as it was loaded; each is made once and then restored."""
    folder = tmp_path_factory.mktemp("places")
    with ExitStack() as stack:
        loaded: dict[str, Path | str] = {}

        def place(name: str, kind: str) -> Place:
            case, key = load_case(name), f"{name}.{kind}"
            if kind == "sqlite":
                if key not in loaded:
                    loaded[key] = folder / key
                    case.load_sqlite(folder / key)
                return _sqlite_place(folder / key)
            if key in loaded:
                restore_postgres(str(loaded[key]), targeted_tables(case))
            else:
                server, worker = (request.getfixturevalue(each) for each in ("postgres_server", "worker_name"))
                loaded[key] = stack.enter_context(fresh_database(server, worker))
                case.load_postgres(str(loaded[key]))
                keep_postgres(str(loaded[key]))
            return _postgres_place(str(loaded[key]))

        yield place


def _sqlite_place(template: Path) -> Place:
    path = template.with_suffix(".copy")
    shutil.copyfile(template, path)
    return Place("sqlite", "pascal", {"url": f"sqlite:///{path}"}, lambda: dump_sqlite(path))


def _postgres_place(url: str) -> Place:
    return Place("postgres", "snake", {"url": url}, lambda: dump_postgres(url))


def targeted_tables(case: Case) -> list[str]:
    """Tables that hold a field of the subject: the others were just shown to be as they were."""
    tables = case.graph["tables"]
    return [name for name in tables if any(is_targeted(each) for each in tables[name]["columns"])]


def is_targeted(column: Mapping[str, Any]) -> bool:
    return (column["data_category"] or "").split(".")[0] == "user"


@pytest.mark.parametrize("judged", [False, True], ids=["declared", "judged"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [("chinook", "sqlite"), ("chinook", "postgres"), ("northwind", "postgres"), ("fidesops_example", "postgres")],
)
def test_only_the_subjects_rows_are_erased(
    server: Server, places: Callable[[str, str], Place], name: str, kind: str, judged: bool
) -> None:
    for number, subject in enumerate(TRIALS[name].subjects):
        key = f"{name}_{kind}_{'judged' if judged else 'declared'}_{number}"
        _Erasure(server, places(name, kind), key, TRIALS[name], subject, judged=judged).check()


class _Erasure:
    """One erasure of one subject on one fresh copy, and all that must be true after it."""

    def __init__(self, server: Server, place: Place, key: str, trial: Trial, subject: Subject, *, judged: bool) -> None:
        self.server = server
        self.place = place
        self.key = key
        self.trial = trial
        self.subject = subject
        self.judged = judged
        self.case = load_case(trial.case)
        self.tables = self.case.tables(subject.variant)
        self.before = place.dump()
        self.rows = {table: self.before.rows[self.name(table)] for table in self.tables}
        self.expected = None if judged else self.find_expected()

    def find_expected(self) -> Result:
        """Her result, before anything is erased."""
        variant, identity = self.subject.variant, dict(self.subject.identity)
        results = self.case.results(variant)
        if not results:
            results = self.case.find_results(variant, self.place.secrets["url"], identity["phone_number"])
        (found,) = [each for each in results if dict(each.identity) == identity]
        return found

    def name(self, name: str) -> str:
        return named(name, self.place.naming)

    def check(self) -> None:
        item = self.erase()
        reach = _Reach(self)
        if self.expected:
            reach.agrees_with(self.expected)
        after = self.place.dump()
        assert set(after.rows) == set(self.before.rows)
        for table in after.rows:
            if table not in map(self.name, self.tables):
                assert after.rows[table] == self.before.rows[table], table
        for table in self.tables:
            self.compare(table, reach.own[table], after)
        expected = reach.kept()
        found = sum(map(len, reach.own.values()))
        outcome = "erased_with_kept" if expected else "erased" if found else "nothing_found"
        told = (item["status"], item["outcome"], item["kept"] or {})
        assert told == ("complete", outcome, expected), self.subject

    def erase(self) -> dict[str, Any]:
        """Configure, submit, await; what the request says of itself in the end."""
        api, key = self.server.api, self.key
        api.connect(key, self.place.kind, self.place.secrets)
        api.describe(key, self.document())
        rewrite = {"rewrite_value": "MASKED"} if self.subject.strategy == "string_rewrite" else {}
        api.erasure_policy(key, ["user"], {"strategy": self.subject.strategy, "configuration": rewrite})
        try:
            item = api.run(key, self.subject.identity)
            assert item["status"] == "complete", item["reason_detail"]
            return item
        finally:
            api.call("DELETE", f"/connection/{key}")

    def document(self) -> dict[str, Any]:
        """The variant's graph as a dataset; `judged`: without anything that says whose rows are."""
        document = self.case.dataset(self.subject.variant, key=self.key, naming=self.place.naming)
        for table, collection in zip(self.tables, document["collections"], strict=True):
            if self.judged:
                collection["fides_meta"] = {}
            if table in self.trial.overrides:
                collection["fides_meta"]["masking_strategy_override"] = self.trial.overrides[table]
            for column, field in zip(self.case.graph["tables"][table]["columns"], collection["fields"], strict=True):
                self.complete(field, self.trial.overrides.get(f"{table}.{column['name']}"))
        return document

    def complete(self, field: dict[str, Any], override: Mapping[str, Any] | None) -> None:
        meta = field.setdefault("fides_meta", {})
        if self.judged:
            meta.pop("identity_match", None)
            for reference in meta.get("references", ()):
                del reference["ownership"]
        if override:
            meta["masking_strategy_override"] = override

    def compare(self, table: str, own: set[Key], after: Dump) -> None:
        """The subject's rows are masked where they are targeted, every other cell is as it was."""
        name, key = self.name(table), self.case.primary_key(table, self.place.naming)
        old, new = self.before.by_key(name, key), after.by_key(name, key)
        if table in self.trial.overrides:
            assert new == {each: row for each, row in old.items() if each not in own}, table
            return
        assert set(new) == set(old), table
        masked = set(self.masked(table))
        for each, row in old.items():
            if each not in own:
                assert new[each] == row, (table, each)
                continue
            for column, value in row.items():
                if column in masked:
                    self.compare_masked(name, column, value, new[each][column])
                elif column != "xmin":
                    assert new[each][column] == value, (table, each, column)

    def compare_masked(self, table: str, column: str, old: str | None, new: str | None) -> None:
        where = f"{table}.{column}: {old!r} became {new!r} under {self.subject.strategy}"
        text = (table, column) in self.before.lengths
        length = self.before.lengths.get((table, column))
        if old is None:
            assert new is None, where
        elif text and self.subject.strategy != "null_rewrite":
            shape = SHAPES[self.subject.strategy]
            assert new is not None, where
            assert re.fullmatch(shape, new) if length is None or length > 128 else len(new) <= length, where
            assert length is None or len(new) <= length, where
            assert new != old, where
        elif (table, column) in self.before.nullable:
            assert new is None, where
        else:
            assert new in CONSTANTS, where

    def targeted(self, table: str) -> list[str]:
        """Columns that the policy targets, by their names in graph.json."""
        columns = self.case.graph["tables"][table]["columns"]
        return [each["name"] for each in columns if is_targeted(each)]

    def is_kept(self, table: str, column: str) -> str | None:
        """Why a targeted column stays, None where it is masked."""
        override = self.trial.overrides.get(f"{table}.{column}")
        if override:
            return str(override["configuration"]["reason"])
        joins = {f"{table}.{name}" for name in self.case.graph["tables"][table]["primary_key"]}
        joins |= {each[end] for each in self.references() for end in ("from", "to")}
        if f"{table}.{column}" not in joins:
            return None
        if (self.name(table), self.name(column)) in self.before.lengths:
            return None
        return "key_kept"

    def masked(self, table: str) -> list[str]:
        return [self.name(each) for each in self.targeted(table) if not self.is_kept(table, each)]

    def references(self) -> list[dict[str, str]]:
        return self.of_variant("references")

    def of_variant(self, kind: str) -> list[dict[str, str]]:
        return [each for each in self.case.graph[kind] if {"*", self.subject.variant} & set(each["variants"])]


SHAPES = {
    "string_rewrite": "MASKED",
    "hash": "[0-9a-f]{64}",
    "hmac": "[0-9a-f]{64}",
    "random_string_rewrite": "[A-Za-z0-9]{30}",
}
CONSTANTS = {"0", "0.00", "0.0", "", "1970-01-01 00:00:00", "1970-01-01"}


class _Reach:
    """Whose rows are which, by a naive fixpoint over the raw rows. Tables and columns by their names in graph.json."""

    def __init__(self, erasure: _Erasure) -> None:
        self.erasure = erasure
        self.case = erasure.case
        self.own: dict[str, set[Key]] = {table: set() for table in erasure.tables}
        self.weak: dict[str, set[Key]] = {table: set() for table in erasure.tables}
        self.people = {each["field"].split(".")[0] for each in erasure.of_variant("identity")}
        for each in erasure.of_variant("identity"):
            table, column = each["field"].split(".")
            wanted = erasure.subject.identity.get(each["key"])
            for row in erasure.rows[table]:
                if wanted is not None and row[erasure.name(column)] == wanted:
                    self.own[table].add(self.key(table, row))
        while any([self.follow(each) for each in erasure.references()]):
            pass

    def key(self, table: str, row: Row) -> Key:
        return tuple(row[column] for column in self.case.primary_key(table, self.erasure.place.naming))

    def values(self, end: str, keys: set[Key]) -> set[str]:
        table, column = end.split(".")
        rows = self.erasure.rows[table]
        found = {row[self.erasure.name(column)] for row in rows if self.key(table, row) in keys}
        return {each for each in found if each is not None}

    def rows_at(self, end: str, values: set[str]) -> set[Key]:
        table, column = end.split(".")
        return {self.key(table, row) for row in self.erasure.rows[table] if row[self.erasure.name(column)] in values}

    def follow(self, reference: Mapping[str, str]) -> bool:
        """One round of one reference; whether it found anything."""
        source, target = reference["from"], reference["to"]
        here, there = source.split(".")[0], target.split(".")[0]
        reached = self.rows_at(target, self.values(source, self.own[here]))
        own, weak = reached, set[Key]()
        if self.erasure.judged:
            points_to_target = self.case.graph["tables"][there]["primary_key"] == [target.split(".")[1]]
            if there in self.people:
                own, weak = set(), reached
            elif points_to_target:
                own = reached - self.rows_at(target, self.strangers_at(target))
                weak = reached - own
            if points_to_target and here not in self.people:
                weak |= self.rows_at(target, self.values(source, self.weak[here]))
        grown = not own <= self.own[there] or not weak <= self.weak[there]
        self.own[there] |= own
        self.weak[there] |= weak
        return grown

    def strangers_at(self, end: str) -> set[str]:
        """Values with which rows point to this end that aren't the subject's."""
        found = set()
        for each in self.erasure.references():
            holder = each["from"].split(".")[0]
            if each["to"] == end:
                everybody = {self.key(holder, row) for row in self.erasure.rows[holder]}
                found |= self.values(each["from"], everybody - self.own[holder])
        return found

    def agrees_with(self, expected: Result) -> None:
        """The rows found here are those of the case's own result."""
        erasure = self.erasure
        for table, keys in self.own.items():
            assert len(keys) == expected.tables[table].rows, table
            if all((erasure.name(table), column) not in erasure.before.lengths for column in self.columns(table)):
                elements = sorted(json.dumps([int(part or 0) for part in key], separators=(",", ":")) for key in keys)
                assert sha256(f"[{','.join(elements)}]".encode()).hexdigest() == expected.tables[table].sha256, table

    def columns(self, table: str) -> list[str]:
        return self.case.primary_key(table, self.erasure.place.naming)

    def kept(self) -> dict[str, int]:
        """Counts of what stays, by reason: rows that aren't the subject's, and the subject's fields that are keys."""
        erasure = self.erasure
        kept: Counter[str] = Counter()
        for table in erasure.tables:
            targeted = erasure.targeted(table)
            weak = self.weak[table] - self.own[table]
            if targeted and weak:
                kept["person" if table in self.people else "shared_row"] += len(weak)
            for column in targeted if table not in erasure.trial.overrides else ():
                reason = erasure.is_kept(table, column)
                if reason:
                    kept[reason] += len(self.own[table])
        return {reason: count for reason, count in kept.items() if count}
