"""One cohort's run beside what is true of it: who may be written, what is targeted, and what was found to be wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from truth.company import Column, Company, Row, Rule, Table
from truth.drive import Outcome
from truth.fates import Fates
from truth.oracle import INTEGERS, SHARED, Judgement, RowId, Structure, World, canonical, is_own_value, is_within


class Finding(NamedTuple):
    """Something that isn't as it should be."""

    kind: str
    text: str


class Selected(NamedTuple):
    """What happens to a targeted field: `rule` masks it, `kept` keeps it."""

    column: Column
    rule: Rule | None
    kept: str | None


Left = dict[tuple[str, tuple[Any, ...]], Row]
"""By table and key, rows as erasures left them."""


class Case:
    """What all checks look at. `left` are rows that earlier erasures left: as long as nobody writes them they are
    nobody's, and hold nothing back.
    """

    def __init__(self, company: Company, outcome: Outcome, left: Left) -> None:
        self.company = company
        self.outcome = outcome
        self.found: list[Finding] = []
        members = [each.given for each in outcome.answers]
        kinds = {kind for each in members for kind in each}
        self.structure = Structure(company, kinds)
        self.world = World(company, outcome.before)
        self.members = members
        nobodys = frozenset(
            (table.id, position)
            for table in company.tables
            for position, row in enumerate(outcome.before[table.id])
            if left.get((table.id, tuple(row[each] for each in table.key))) == row
        )
        self.alone = Judgement(self.structure, self.world, members, nobodys, together=False)
        # Who was refused when the rows were looked at has left the cohort: the others are judged without them.
        left = [each.item["reason"] == "refused" and each.preview is not None for each in outcome.answers]
        self.staying = [number for number, gone in enumerate(left) if not gone] or list(range(len(members)))
        stayed = [members[number] for number in self.staying]
        self.joint = Judgement(self.structure, self.world, stayed, nobodys, together=True)
        deleting = {each.id for each in company.tables if each.delete and self.targets(each)}
        self.fates = Fates(self.structure, self.world, self.joint, deleting)

    def leaves(self) -> Left:
        """The rows that this cohort erased and left in their place."""
        complete = all(self.outcome.answers[number].item["status"] == "complete" for number in self.staying)
        if self.outcome.action == "access" or not complete:
            return {}
        after = {
            (table.id, tuple(row[each] for each in table.key)): row
            for table in self.company.tables
            for row in self.outcome.after[table.id]
        }
        found: Left = {}
        for key, position in self.joint.anybody() - self.fates.going:
            table = self.structure.tables[key]
            at = (key, tuple(self.outcome.before[key][position][each] for each in table.key))
            masked = any(each.rule for each in self.selected(table).values())
            if masked and at in after and table.key_kind != "none":
                found[at] = after[at]
        return found

    def say(self, kind: str, text: str) -> None:
        """Note a finding."""
        self.found.append(Finding(kind, f"{self.outcome.action}: {text}"))

    def own_values(self, member: int) -> set[tuple[RowId, str]]:
        """Targeted values of the member's in rows that are declared shared: they equal an identity that she gave."""
        given = self.joint.members[member]
        shared = [row for row, standing in self.joint.standing[member].items() if standing == SHARED]
        whole = self.joint.anybody()
        return {
            (row, name)
            for row in shared
            if row not in whole
            for name, each in self.selected(self.structure.tables[row[0]]).items()
            if each.rule is not None and "." not in name and name not in self.structure.tables[row[0]].key
            if is_own_value(each.column, self.outcome.before[row[0]][row[1]][name], given)
        }

    def is_hers(
        self, own: set[RowId], given: list[dict[str, Any]], table: Table, column: Column
    ) -> Callable[[Any], bool]:
        """Of what leads to rows inside a document, an author or an address, whether it is the subject's."""
        if column.document == "mails":
            wanted = {canonical("email", each["email"]) for each in given if "email" in each}
            return lambda address: canonical("email", address) in wanted
        refs = [each for each in self.company.refs if each.holder == table.id and "." in each.columns[0]]
        keys = {
            self.outcome.before[row[0]][row[1]][ref.target_columns[0]]
            for ref in refs
            for row in own
            if row[0] == ref.target
        }
        return lambda author: author in keys

    def table_at(self, address: str) -> Table:
        """The table of an address. A table in no dataset goes by the dataset of what its rows come with."""
        found = [each for each in self.company.tables if self.company.address(each) == address]
        name = address.partition(":")[2]
        found += [each for each in self.company.tables if not each.described and each.name == name]
        assert found, f"{address} is in no dataset and no store"
        return found[0]

    def place(self, told: str) -> str:
        """A place as the company has it: `dataset:collection`, with what stands behind it."""
        address, mark, because = told.partition("#")
        return f"{self.company.address(self.table_at(address))}{mark}{because}"

    # ---- what is targeted

    def targets(self, table: Table) -> list[Column]:
        """Fields of the table that erasure rules target."""
        every = [category for rule in self.company.rules for category in rule.categories]
        return (
            [each for each in table.fields() if is_within(each.category, every)]
            if table.described and not table.excluded
            else []
        )

    def selected(self, table: Table) -> dict[str, Selected]:
        """By name, what becomes of each targeted field of an own row."""
        found = {}
        for column in self.targets(table):
            rule = next(each for each in self.company.rules if is_within(column.category, each.categories))
            kept = None
            if column.preserve:
                kept = "kept by law"
            elif (
                column.name in self.structure.reference_columns[table.id] or column.name in table.key
            ) and column.type in (*INTEGERS, "uuid"):
                kept = "key_kept"
            found[column.name] = Selected(column, None if kept else rule, kept)
        return found
