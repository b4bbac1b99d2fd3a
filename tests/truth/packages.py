"""Checks packages: the rows, fields and values of the right person, all of them and no others."""

from __future__ import annotations

from collections import Counter
from typing import Any

from truth.case import Case
from truth.company import Column, Row, Table
from truth.documents import show
from truth.drive import Answer
from truth.expected import given_row, row_text, shown_value
from truth.oracle import OWN, PERSON, SHARED, SHARED_ROW, is_identifying, is_own_value, is_within


class PackageCheck:
    """Of one cohort."""

    def __init__(self, case: Case) -> None:
        self.case = case

    # ---- packages

    def check_package(self, member: int, answer: Answer) -> None:
        """Compare one member's package with what should be in it."""
        expected = self.expected_rows(member)
        if answer.package is None:
            self.case.say("false_green", "complete without a package")
            return
        given = {
            address: Counter(row_text(given_row(self.case.company, address, row)) for row in rows)
            for address, rows in answer.package.items()
            if ":" in address
        }
        for address in sorted({*expected, *given}):
            true, told = expected.get(address, Counter()), given.get(address, Counter())
            more, less = list(told - true)[:3], list(true - told)[:3]
            if more:
                self.case.say("foreign", f"package of {answer.given} shows in {address}: {more}; instead of {less}")
            elif less:
                self.case.say("false_green", f"package of {answer.given} lacks in {address}: {less}")
        self.check_not_searched(answer.package, answer)
        counts = {address: rows.total() for address, rows in expected.items()}
        told_counts = (answer.receipt or {}).get("receipt", {}).get("access", {})
        if not self.case.found and {each: rows for each, rows in told_counts.items() if rows} != counts:
            self.case.say("status", f"receipt counts {told_counts}, true are {counts}")
        if self.case.outcome.action == "access":
            wanted = "delivered" if counts or answer.item["not_searched"] else "nothing_found"
            if answer.item["outcome"] != wanted:
                self.case.say("status", f"outcome {answer.item['outcome']} instead of {wanted}")

    def expected_rows(self, member: int) -> dict[str, Counter[str]]:
        """By address, the rows of a member's package."""
        expected: dict[str, Counter[str]] = {}
        for (key, position), standing in self.case.alone.standing[member].items():
            table = self.case.structure.tables[key]
            shown = [each for each in table.fields() if is_within(each.category, self.case.company.access)]
            if not shown or (standing == PERSON and not table.people):
                continue
            row = self.case.outcome.before[key][position]
            if standing != OWN:
                shown = [each for each in shown if self.is_shown(member, standing, table, each, row)]
            text = row_text(self.shown_row(member, table, shown, row))
            expected.setdefault(self.case.company.address(table), Counter())[text] += 1
        return expected

    def is_shown(self, member: int, standing: int, table: Table, column: Column, row: Row) -> bool:
        """Whether a field of a row that isn't the subject's is shown: in shared rows her own values are."""
        if not is_identifying(self.case.structure, table, column):
            return True
        given = self.case.alone.members[member]
        return (
            standing in (SHARED, SHARED_ROW)
            and "." not in column.name
            and is_own_value(column, row[column.name], given)
        )

    def shown_row(self, member: int, table: Table, shown: list[Column], row: Row) -> dict[str, Any]:
        """A row as a package has it; `shown` are its fields."""
        names = {each.name for each in shown}
        made: dict[str, Any] = {}
        for column in table.columns:
            paths = {name.removeprefix(f"{column.name}.") for name in names if name.startswith(f"{column.name}.")}
            if column.document and (paths or column.name in names):
                alone = self.case.alone
                hers = self.case.is_hers(alone.own[member], [alone.members[member]], table, column)
                made[column.name] = show(column, row[column.name], paths, hers)
            elif column.name in names:
                made[column.name] = shown_value(column, row[column.name])
        return made

    def check_not_searched(self, package: dict[str, Any], answer: Answer) -> None:
        """What was left out is named, in item and package; and nothing else is."""
        left_out = {
            self.case.company.address(table)
            for table in self.case.company.tables
            if table.described
            and table.id not in self.case.structure.hops
            and any(is_within(each.category, self.case.company.access) for each in table.fields())
        }
        told = {each["address"] for each in package.get("not_searched", ())}
        shown = {each["address"] for each in answer.item["not_searched"] or ()}
        if told != shown or not left_out <= told or (self.case.outcome.action == "access" and told != left_out):
            self.case.say("status", f"not searched {told} in the package, {shown} in the item, true is {left_out}")
