"""Checks numbers: what receipts, logs and items count, and what previews foretold."""

from __future__ import annotations

from collections import Counter
from typing import Any

from truth.case import Case, Selected
from truth.company import Table
from truth.drive import Answer
from truth.oracle import CONTEXT, OWN, PERSON, SHARED, SHARED_ROW, RowId, is_within

KEPT = {SHARED: "shared_row", SHARED_ROW: "shared_row", CONTEXT: "context", PERSON: "person"}
NAMES = {OWN: "own", SHARED: "shared", SHARED_ROW: "shared_row", CONTEXT: "context", PERSON: "person"}


class CountCheck:
    """Of one cohort."""

    def __init__(self, case: Case) -> None:
        self.case = case

    # ---- erasures

    def check_counts(self, member: int, answer: Answer) -> None:
        """Compare what one member's item and receipt say with the truth. `member` counts who stayed."""
        frozen, kept = self.frozen(member), self.kept(member)
        if frozen or kept:  # else nothing was found, and `not_searched` alone tells of them
            kept["excluded"] = self.excluded()
        kept = +kept
        told = Counter(answer.item["kept"] or {})
        if told != kept:
            self.case.say("status", f"{answer.given} kept {dict(told)}, true is {dict(kept)}")
        receipt = (answer.receipt or {}).get("receipt", {}).get("erasure", {})
        done = {self.case.place(place): each["frozen"] for place, each in receipt.items() if each["frozen"]}
        if done != frozen:
            self.case.say("status", f"{answer.given} receipt says frozen {done}, true is {frozen}")
        for address, each in receipt.items():
            self.check_sum(address, each, member, answer)
        if self.case.outcome.action == "erasure":
            wanted = "erased_with_kept" if kept else "erased" if frozen else "nothing_found"
            if answer.item["outcome"] != wanted:
                self.case.say("status", f"outcome {answer.item['outcome']} instead of {wanted}")

    def check_sum(self, address: str, told: dict[str, Any], member: int, answer: Answer) -> None:
        """Masked, deleted and vanished are all that was frozen, and rows went where the oracle says they go."""
        done = sum(told.get(each, 0) for each in ("masked", "deleted", "vanished"))
        if done != told["frozen"] or told["verified"] != told["frozen"]:
            self.case.say("status", f"{answer.given} receipt of {address} doesn't add up: {told}")
        if "deleted" not in told:
            return
        along = address.endswith("#cascade")
        table = self.case.table_at(address.partition("#")[0])
        fates = self.case.fates
        rows = self.along(member) if along else {row for row in self.case.joint.own[member] if row[0] == table.id}
        gone = {row for row in rows if row[0] == table.id and row in (fates.along if along else fates.own - fates.held)}
        if told["deleted"] != len(gone - fates.own if along else gone):
            self.case.say("status", f"{answer.given} receipt of {address} says {told}, true is {len(gone)} deleted")

    def frozen(self, member: int) -> dict[str, int]:
        """By the receipt's place, how many rows of the member are written; rows that come with deletes apart."""
        found: Counter[str] = Counter()
        fates = self.case.fates
        for table in self.case.company.tables:
            address = self.case.company.address(table)
            selected = self.selected(table)
            if selected and (table.delete or any(each.rule for each in selected.values())):
                found[address] = sum(row[0] == table.id for row in self.case.joint.own[member])
            goes = {row for row in self.along(member) if row[0] == table.id}
            found[f"{address}#cascade"] = len(goes - (fates.own - fates.held))
            lets_go = [row for row, _ in self.lets_go(member) if row[0] == table.id]
            found[f"{address}#null"] = sum(row not in fates.going for row in lets_go)
        for row, name in self.case.own_values(member):
            found[f"{self.case.company.address(self.case.structure.tables[row[0]])}#own:{name}"] += 1
        return dict(+found)

    def along(self, member: int) -> set[RowId]:
        """Rows that are deleted with the member's."""
        fates = self.case.fates
        return fates.closure((fates.own - fates.held) & self.case.joint.own[member])

    def lets_go(self, member: int) -> set[tuple[RowId, tuple[str, ...]]]:
        """Rows whose reference becomes NULL with the member's deletion."""
        fates = self.case.fates
        return fates.lets_go((fates.own - fates.held) & self.case.joint.own[member])

    def selected(self, table: Table) -> dict[str, Selected]:
        """Targeted fields of a table that was searched."""
        return self.case.selected(table) if table.id in self.case.structure.hops else {}

    def kept(self, member: int) -> Counter[str]:
        """What stays of the member's rows, by reason; a kept field counts once a row."""
        kept: Counter[str] = Counter()
        for table in self.case.company.tables:
            selected = self.selected(table)
            if not selected:
                continue
            standings = self.standings(table, self.case.joint.standing[member])
            own = self.case.joint.own[member]
            kept["referenced"] += sum(row[0] == table.id and row in own for row in self.case.fates.held)
            for name in ("shared", "shared_row", "context", "person"):
                kept["shared_row" if name == "shared" else name] += standings[name]
            for each in selected.values():
                if each.kept and not table.delete:
                    kept[each.kept] += standings["own"]
        return +kept

    def standings(self, table: Table, standing: dict[RowId, int]) -> Counter[str]:
        """Rows of a table by the name of their standing."""
        return Counter(NAMES[each] for (key, _), each in standing.items() if key == table.id)

    def excluded(self) -> int:
        """Targeted collections that are excluded; nobody counts their rows."""
        every = [category for rule in self.case.company.rules for category in rule.categories]
        return sum(
            each.described and each.excluded and any(is_within(one.category, every) for one in each.fields())
            for each in self.case.company.tables
        )

    # ---- previews and logs

    def check_previews(self) -> None:
        """A preview is of one request, and shows what its execution would do alone."""
        if self.case.outcome.action == "access":
            judgement = self.case.alone
        elif len(self.case.members) == 1:
            judgement = self.case.joint
        else:
            return
        for member, answer in enumerate(self.case.outcome.answers):
            for place, told in (answer.preview or {}).items():
                address, _, because = place.partition("#")
                table = self.case.table_at(address)
                if because:
                    self.check_along(member, table, because, told)
                    continue
                true = self.standings(table, judgement.standing[member])
                if Counter(told) != true:
                    self.case.say("status", f"preview of {answer.given} says {told} in {place}, true is {dict(true)}")

    def check_along(self, member: int, table: Table, because: str, told: dict[str, int]) -> None:
        """What a preview says of rows that come with deletes; before rows are held, so of all roots."""
        fates = self.case.fates
        rows = [row for row, _ in fates.lets_go(fates.own)]
        if because == "cascade":
            rows = list(fates.closure(fates.own))
        elif because != "null":
            rows = [row for row, name in self.case.own_values(member) if because == f"own:{name}"]
        true = sum(row[0] == table.id for row in rows)
        if told.get("own", 0) != true:
            self.case.say("status", f"preview says {told} of {table.name} ({because}), true is {true}")

    def check_logs(self) -> None:
        """The log of a cohort that is complete counts the rows of all its members."""
        answers = [self.case.outcome.answers[number] for number in self.case.staying]
        if any(each.item["status"] != "complete" for each in answers):
            return
        told = [_completed(each) for each in answers]
        if any(each != told[0] for each in told):
            self.case.say("status", f"members of one cohort have different logs: {told}")
        true: Counter[str] = Counter()
        action = "access" if self.case.outcome.action == "access" else "erasure"
        for member, answer in enumerate(answers):
            shown = (answer.receipt or {}).get("receipt", {}).get("access", {})
            for place, rows in (shown if action == "access" else self.frozen(member)).items():
                true[place.partition("#")[0]] += rows
        logged: Counter[str] = Counter()
        for (done, address), rows in told[0].items():
            logged[self.case.place(address)] += rows if done == action else 0
        if +logged != +true and len(self.case.outcome.answers) == len(answers):
            self.case.say("status", f"logs of {action} say {dict(+logged)}, true is {dict(+true)}")


def _completed(answer: Answer) -> Counter[tuple[str, str]]:
    """Rows by action and address that the log says were done."""
    found: Counter[tuple[str, str]] = Counter()
    for each in answer.logs:
        if each["status"] == "complete":
            counts = each["counts"] or {}
            rows = counts.get("frozen", counts.get("rows", 0))
            found[each["action_type"], f"{each['dataset_name']}:{each['collection_name']}"] += rows
    return found
