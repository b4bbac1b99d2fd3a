"""Checks what an erasure wrote: nothing left that was targeted, everything else as it was, each row written once."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from truth.case import Case, Selected
from truth.company import Column, Row, Table
from truth.documents import part_problem, problems
from truth.expected import mask_problem
from truth.kinds import TEXTS
from truth.oracle import RowId
from truth.stores import Written
from truth.tables import is_delete_journaled


class WriteCheck:
    """Of one cohort. `complete` says that everybody who stayed is told that all was done."""

    def __init__(self, case: Case, complete: bool) -> None:
        self.case = case
        self.complete = complete
        untouched = all(
            each.item["status"] == "requires_input" or each.item["reason"] == "refused" for each in case.outcome.answers
        )
        self.erases = case.outcome.action != "access" and not untouched
        self.own = case.joint.anybody() if self.erases else set()
        members = range(len(case.joint.members)) if self.erases else ()
        self.own_values = set().union(*(case.own_values(each) for each in members))
        self.masked: dict[tuple[Any, ...], dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))

    def check_stores(self) -> None:
        """Compare the stores before and after, row by row."""
        for table in self.case.company.tables:
            if not table.view_of:
                self.check_table(table, self.selected(table))
        for place, values in self.masked.items():
            self.check_equal_masks(place, values)
        if self.case.outcome.journal is not None:
            self.check_journal(self.case.outcome.journal)
        for each in self.case.outcome.early:
            self.case.say("foreign", f"written before everything was frozen: {each}")

    def selected(self, table: Table) -> dict[str, Selected]:
        """Targeted fields of a table that was searched."""
        return self.case.selected(table) if table.id in self.case.structure.hops else {}

    def check_table(self, table: Table, selected: dict[str, Selected]) -> None:
        """Compare one table."""
        address = self.case.company.address(table)
        left = defaultdict(list)  # by key: its values differ in every row, whether the store says so or not
        for row in self.case.outcome.after[table.id]:
            left[_key(table, row)].append(row)
        for position, old in enumerate(self.case.outcome.before[table.id]):
            key, row_id = _key(table, old), (table.id, position)
            new = left[key].pop() if left[key] else None
            goes = self.erases and row_id in self.case.fates.going
            if new is None and not goes:
                self.case.say(
                    "foreign", f"{address} {key}: the row is gone, whose standing is {self.standings(row_id)}"
                )
            elif new is not None and goes and self.complete:
                self.case.say("false_green", f"{address} {key}: the row was not deleted")
            if new is not None:
                self.check_row(table, selected, row_id, old, new)
        for key, rows in left.items():
            if rows:
                self.case.say("foreign", f"{address}: a row {key} appeared")

    def standings(self, row: RowId) -> list[int | None]:
        """What the row is to each member."""
        return [each.get(row) for each in self.case.joint.standing]

    def check_row(self, table: Table, selected: dict[str, Selected], row: RowId, old: Row, new: Row) -> None:
        """Compare one row that is still there."""
        place = f"{self.case.company.address(table)} {list(_key(table, old))}"
        changed = any(old[each.name] != new[each.name] for each in table.columns if not self.is_derived(each))
        untied = self.case.fates.untied.get(row, set()) if self.erases else set()
        for column in table.columns:
            before, after = old[column.name], new[column.name]
            choice = selected.get(column.name) if row in self.own or (row, column.name) in self.own_values else None
            if column.document and before is not None:
                self.check_document(place, table, column, row, (before, after))
            elif self.is_derived(column):
                if before != after and not (changed or (self.erases and self.may_write(table, row, "UPDATE"))):
                    self.case.say("foreign", f"{place}.{column.name} changed by itself")
                if column.name == "rev" and after - before > self.writes_of(row) and not table.stubborn:
                    self.case.say("status", f"{place} was written {after - before} times")
            elif column.name in untied:
                if after is not None and (self.complete or after != before):
                    self.case.say("false_green", f"{place}.{column.name} points to a deleted row: {after!r}")
            else:
                self.check_value(place, column, choice, row, (before, after))

    def check_value(
        self, place: str, column: Column, choice: Selected | None, row: RowId, values: tuple[Any, Any]
    ) -> None:
        """Compare one value of a row."""
        before, after = values
        if choice is not None and choice.rule is not None:
            self.check_mask(place, column, choice, before, after)
            if row in self.own:
                self.note_mask(row, column, choice, before, after)
        elif type(before) is not type(after) or before != after:
            whose = self.standings(row)
            self.case.say("foreign", f"{place}.{column.name}: {before!r} became {after!r}, standings {whose}")

    def check_document(self, place: str, table: Table, column: Column, row: RowId, values: tuple[str, Any]) -> None:
        """Compare a document: what is targeted is masked, of lists only what is the subject's, all else is the same."""
        before, after = values
        masked = {}
        for name, each in (self.selected(table) if row in self.own else {}).items():
            inside = name == column.name or name.startswith(f"{column.name}.")
            if each.rule is not None and inside:
                wanted = each.rule.configuration.get("rewrite_value")
                masked[name.removeprefix(column.name).removeprefix(".")] = part_problem(each.rule.strategy, wanted)
        joint = self.case.joint
        hers = self.case.is_hers(joint.anybody(), list(joint.members), table, column)
        if self.complete or before != after:
            for problem in problems(column, before, after, masked, hers):
                kind = "foreign" if "became" in problem else "false_green"
                self.case.say(kind, f"{place}.{column.name}: {problem}, standings {self.standings(row)}")

    def is_derived(self, column: Column) -> bool:
        """Whether the store changes the column by itself."""
        return column.name == "rev" or column.generated is not None

    def check_mask(self, place: str, column: Column, choice: Selected, before: Any, after: Any) -> None:
        """Whether a value is the mask that it should be."""
        assert choice.rule is not None
        problem = mask_problem(column, choice.rule, before, after) if self.complete or before != after else None
        if problem:
            self.case.say(
                "false_green" if after == before else "status",
                f"{place}.{column.name} ({choice.rule.strategy}): {before!r} became {after!r}: {problem}",
            )

    def note_mask(self, row: RowId, column: Column, choice: Selected, before: Any, after: Any) -> None:
        """Keep a mask by what it was made of."""
        assert choice.rule is not None
        told = self.complete and choice.rule.strategy in ("hash", "hmac")
        if told and column.type in TEXTS and not column.unique and before is not None:
            owners = [number for number, each in enumerate(self.case.joint.own) if row in each]
            first = min(owners, key=self.age)  # rows of several get the lowest request's mask
            self.masked[first, choice.rule.strategy][before].append(after)

    def age(self, number: int) -> tuple[str, str]:
        """How requests of one cohort are ordered."""
        item = self.case.outcome.answers[self.case.staying[number]].item
        return str(item["created_at"]), str(item["id"])

    def check_equal_masks(self, place: tuple[Any, ...], values: dict[Any, list[Any]]) -> None:
        """Equal values mask equally within one request."""
        for found in values.values():
            longest = max(found, key=len)
            if any(not longest.startswith(each) for each in found):
                self.case.say("status", f"equal values of member {place} were masked differently: {found[:4]}")

    # ---- what triggers noted

    def writes_of(self, row: RowId) -> int:
        """How often a row may be written: once for its masks, once for each column that lets go of a deleted row."""
        untied = self.case.fates.untied.get(row, set()) if self.erases else set()
        return max(1, int(row in self.own) + len(untied))

    def check_journal(self, journal: list[Written]) -> None:
        """Every write was of a row that is to be written, none twice, and every row that goes was seen to go."""
        fates, tables = self.case.fates, self.case.structure.tables
        places = {
            (table.id, tuple(str(each) for each in _key(table, row))): (table.id, position)
            for table in tables.values()
            for position, row in enumerate(self.case.outcome.before[table.id])
        }
        seen: Counter[Written] = Counter(journal)
        for entry, times in seen.items():
            row = places.get((entry.table, entry.key))
            table = tables[entry.table]
            address = f"{self.case.company.address(table)} {list(entry.key)}"
            allowed = row is not None and self.erases and self.may_write(table, row, entry.event)
            if not allowed:
                self.case.say("foreign", f"{address}: {entry.event} that the preview doesn't have")
            elif (
                times > self.writes_of(row)
                and not (table.trigger or table.stubborn)
                and entry.event == "UPDATE"
                and not table.delete
            ):
                self.case.say("status", f"{address}: written {times} times")
        gone = {places.get((each.table, each.key)) for each in journal if each.event == "DELETE"}
        for row in fates.going if self.erases and self.complete else ():
            if is_delete_journaled(tables[row[0]]) and row not in gone and not self.is_silent(tables[row[0]]):
                self.case.say("status", f"{row} went, but no trigger saw it")

    def is_silent(self, table: Table) -> bool:
        """MariaDB's own cascades run no triggers."""
        return self.case.company.store(table.store).kind == "mariadb"

    def may_write(self, table: Table, row: RowId, event: str) -> bool:
        """Whether a row may be written so."""
        fates = self.case.fates
        if event == "DELETE":
            return row in fates.going
        masks = any(each.rule for each in self.selected(table).values())
        known = row in fates.going or row in fates.untied or any(row == each for each, _ in self.own_values)
        return event == "UPDATE" and (known or (masks and row in self.own))


def _key(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[each] for each in table.key)
