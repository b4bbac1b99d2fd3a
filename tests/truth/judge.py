"""Compares what habeas did and said with what the oracle knows. Findings are named by kind, worst first.

foreign      a value changed, or was shown, that isn't the subject's
false_green  complete, but something that was targeted is still there or was not shown
status       an outcome, a count, a preview, a log or a receipt that isn't true
refusal      refused without a reason that the company gives
crash        this machine, or habeas in a way that it doesn't foresee, came to a stop (see `prove`)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from truth.case import Case, Finding, Left
from truth.company import Company
from truth.counts import CountCheck
from truth.drive import Answer, Outcome
from truth.kinds import KINDS
from truth.oracle import INTEGERS
from truth.packages import PackageCheck
from truth.writes import WriteCheck

SEEN_IN_ROWS = ("unmaskable", "referenced")  # refusals that only the rows tell, before the first write
ORDER = ("foreign", "false_green", "status", "refusal", "crash")


def examine(company: Company, outcomes: Iterable[Outcome]) -> list[Finding]:
    """All findings of a company's run."""
    found: list[Finding] = []
    left: Left = {}
    for outcome in outcomes:
        case = Case(company, outcome, left)
        found += _examine(case)
        left |= case.leaves()
    return sorted(dict.fromkeys(found), key=lambda each: ORDER.index(each.kind))


def _examine(case: Case) -> list[Finding]:
    answers = case.outcome.answers
    statuses = {answers[number].item["status"] for number in case.staying}
    if len(statuses) > 1:
        case.say("status", f"members of one cohort ended differently: {sorted(statuses)}")
    packages, counts = PackageCheck(case), CountCheck(case)
    for member, answer in enumerate(answers):
        _StatusCheck(case).check_status(answer)
        if answer.item["status"] == "complete" and case.outcome.action != "erasure":
            packages.check_package(member, answer)
        if answer.item["status"] == "complete" and case.outcome.action != "access":
            counts.check_counts(case.staying.index(member), answer)
    counts.check_previews()
    counts.check_logs()
    WriteCheck(case, all(answers[number].item["status"] == "complete" for number in case.staying)).check_stores()
    return case.found


class _StatusCheck:
    def __init__(self, case: Case) -> None:
        self.case = case

    # ---- status

    def check_status(self, answer: Answer) -> None:
        item = answer.item
        missing = self.unsearched() if self.case.outcome.action != "access" else set()
        if item["status"] != "complete":
            self.check_failure(answer, missing)
            return
        if missing:
            self.case.say("false_green", f"complete, but {sorted(missing)} was targeted and not searched")
        if answer.preview is None:
            self.case.say("status", "the preview was refused, the request wasn't")

    def check_failure(self, answer: Answer, missing: set[str]) -> None:
        status, reason, detail = (answer.item[each] for each in ("status", "reason", "reason_detail"))
        code = (detail or {}).get("code")
        match status, reason:
            case "requires_input", "not_searched":
                if not missing:
                    self.case.say("refusal", "asks for an identity that no targeted collection needs")
            case "error", "refused":
                if not self.may_refuse(code):
                    self.case.say("refusal", f"refused without cause: {code} at {detail}")
                if answer.preview is not None and code not in SEEN_IN_ROWS:
                    self.case.say("status", f"refused ({code}) although the preview was not")
            case "error", "incomplete" if self.has_checked_target() or self.has_stubborn_target():
                pass  # a CHECK refused the mask, as the preview warned, or a trigger restores what was masked
            case _:
                self.case.say("status", f"{status} {reason}: {detail}")

    def has_checked_target(self) -> bool:
        """Whether a mask may break a CHECK."""
        tables = self.case.company.tables
        return any(
            column.check and self.case.selected(table).get(column.name) for table in tables for column in table.columns
        )

    def has_stubborn_target(self) -> bool:
        """Whether a trigger restores what is masked."""
        tables = [each for each in self.case.company.tables if each.stubborn]
        return any(each.stubborn in self.case.selected(each) for each in tables)

    def unsearched(self) -> set[str]:
        """Targeted collections that the given kinds don't reach."""
        return {
            self.case.company.address(table)
            for table in self.case.company.tables
            if table.described
            and not table.excluded
            and table.id not in self.case.structure.hops
            and self.case.targets(table)
        }

    def may_refuse(self, code: str | None) -> bool:
        """Whether the company gives a reason for a refusal of this cause."""
        company, structure = self.case.company, self.case.structure
        described = [each for each in company.tables if each.described and not each.excluded]
        targeted = [each for each in described if self.case.targets(each)]
        match code:
            case "ownership":
                return self.is_asked()
            case "natural_key":
                return any(
                    column.category
                    and column.type not in (*INTEGERS, "uuid")
                    and (column.name in structure.reference_columns[table.id] or column.name in table.key)
                    for table in targeted
                    for column in self.case.targets(table)
                )
            case "no_key":
                return any(each.key_kind == "none" for each in (company.tables if self.takes_along() else targeted))
            case "unmaskable":
                fields = [each for table in targeted for each in self.case.targets(table)]
                return any(
                    each.check or (not each.nullable and (each.unique or not KINDS[each.type].constants))
                    for each in fields
                )
            case "no_privilege":
                along = company.tables if self.takes_along() else targeted
                return any(each.view_of for each in along)
            case "generated_column":
                return any(column.generated for table in targeted for column in self.case.targets(table))
            case "referenced" | "erase_after_cycle" | "foreign_key_cycle":
                return any(each.delete for each in targeted)
            case "direction":
                return any(each.flow == "open" and each.holder == each.target for each in company.refs)
            case "unreached":
                return bool({each.id for each in targeted} - structure.reachable())
        return False

    def takes_along(self) -> bool:
        """Whether rows go, or let go, with deleted ones."""
        return any(each.delete and each.on_referenced in ("cascade", "null") for each in self.case.company.tables)

    def is_asked(self) -> bool:
        """Whether some ownership is open: a reference without a key, or people on two ways."""
        carrying = [each for each in self.case.structure.carrying() if each.ownership == "auto"]
        if any(each.points == "neither" for each in carrying):
            return True
        declared: dict[Any, set[str]] = defaultdict(set)
        people: dict[str, set[str]] = defaultdict(set)
        for link in carrying:
            if link.points == "to_source" and self.case.structure.tables[link.source].people:
                people[link.target].add(link.source)
        for link in self.case.structure.links:
            declared[link.source, link.source_columns, link.target, link.columns].add(link.ownership)
        return (
            any(len(each) > 1 for each in people.values())
            or any(len(each) > 1 for each in declared.values())
            or self.far_pointers()
        )

    def far_pointers(self) -> bool:
        """Whether rows of another store may point to rows whose ownership depends on who points to them."""
        tested = {
            each.target
            for each in self.case.structure.carrying()
            if each.ownership == "auto" and each.points == "to_target"
        }
        return any(each.target in tested and self.case.structure.is_far(each) for each in self.case.structure.pointers)
