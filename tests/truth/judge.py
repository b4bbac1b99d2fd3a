"""Compares what habeas did and said with what the oracle knows. Findings are named by kind, worst first.

foreign      a value changed, or was shown, that isn't the subject's
false_green  complete, but something that was targeted is still there or was not shown
status       an outcome, a count, a preview or a receipt that isn't true
refusal      refused without a reason that the company gives
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from truth.company import Column, Company, Row, Rule, Table
from truth.drive import Answer, Outcome
from truth.expected import given_row, mask_problem, row_text, shown_value
from truth.oracle import (
    CONTEXT,
    INTEGERS,
    OWN,
    PERSON,
    SHARED,
    SHARED_ROW,
    TEXTS,
    Judgement,
    RowId,
    Structure,
    World,
    is_identifying,
    is_within,
)
from truth.stores import Dump

KEPT = {SHARED: "shared_row", SHARED_ROW: "shared_row", CONTEXT: "context", PERSON: "person"}
NAMES = {OWN: "own", SHARED: "shared", SHARED_ROW: "shared_row", CONTEXT: "context", PERSON: "person"}


SEEN_IN_ROWS = ("unmaskable", "referenced")  # refusals that only the rows tell, before the first write


class Finding(NamedTuple):
    """Something that isn't as it should be."""

    kind: str
    text: str


class Selected(NamedTuple):
    """What happens to a targeted field: `rule` masks it, `kept` keeps it."""

    column: Column
    rule: Rule | None
    kept: str | None


def examine(company: Company, outcomes: Iterable[Outcome]) -> list[Finding]:
    """All findings of a company's run."""
    found: list[Finding] = []
    erased: set[RowId] = set()
    for outcome in outcomes:
        examiner = _Examiner(company, outcome, erased)
        found += examiner.findings()
    return sorted(
        dict.fromkeys(found), key=lambda each: ("foreign", "false_green", "status", "refusal").index(each.kind)
    )


class _Examiner:
    def __init__(self, company: Company, outcome: Outcome, erased: set[RowId]) -> None:
        self.company = company
        self.outcome = outcome
        self.found: list[Finding] = []
        members = [each.given for each in outcome.answers]
        kinds = {kind for each in members for kind in each}
        self.structure = Structure(company, kinds)
        self.world = World(company, outcome.before)
        self.members = members
        self.alone = Judgement(self.structure, self.world, members, together=False, lineage="graph")
        # Who was refused when the rows were looked at has left the cohort: the others are judged without them.
        left = [each.item["reason"] == "refused" and each.preview is not None for each in outcome.answers]
        self.staying = [number for number, gone in enumerate(left) if not gone] or list(range(len(members)))
        stayed = [members[number] for number in self.staying]
        self.joint = Judgement(self.structure, self.world, stayed, together=True, lineage="graph")
        self.held = self.joint.held_rows({each.id for each in company.tables if self.targets(each)})

    def say(self, kind: str, text: str) -> None:
        self.found.append(Finding(kind, f"{self.outcome.action}: {text}"))

    def findings(self) -> list[Finding]:
        answers = self.outcome.answers
        statuses = {answers[number].item["status"] for number in self.staying}
        if len(statuses) > 1:
            self.say("status", f"members of one cohort ended differently: {sorted(statuses)}")
        for member, answer in enumerate(answers):
            self.check_status(answer)
            if answer.item["status"] == "complete" and self.outcome.action != "erasure":
                self.check_package(member, answer)
            if answer.item["status"] == "complete" and self.outcome.action != "access":
                self.check_counts(self.staying.index(member), answer)
        self.check_preview()
        self.check_stores(all(answers[number].item["status"] == "complete" for number in self.staying))
        return self.found

    # ---- status

    def check_status(self, answer: Answer) -> None:
        item = answer.item
        missing = self.unsearched() if self.outcome.action != "access" else set()
        if item["status"] != "complete":
            self.check_failure(answer, missing)
            return
        if missing:
            self.say("false_green", f"complete, but {sorted(missing)} was targeted and not searched")
        if answer.preview is None:
            self.say("status", "the preview was refused, the request wasn't")

    def check_failure(self, answer: Answer, missing: set[str]) -> None:
        status, reason, detail = (answer.item[each] for each in ("status", "reason", "reason_detail"))
        code = (detail or {}).get("code")
        match status, reason:
            case "requires_input", "not_searched":
                if not missing:
                    self.say("refusal", "asks for an identity that no targeted collection needs")
            case "error", "refused":
                if not self.may_refuse(code):
                    self.say("refusal", f"refused without cause: {code} at {detail}")
                if answer.preview is not None and code not in SEEN_IN_ROWS:
                    self.say("status", f"refused ({code}) although the preview was not")
            case "error", "incomplete" if self.has_checked_target():
                pass  # a CHECK refused the mask, as the preview warned
            case _:
                self.say("status", f"{status} {reason}: {detail}")

    def has_checked_target(self) -> bool:
        """Whether a mask may break a CHECK."""
        tables = self.company.tables
        return any(
            column.check and self.selected(table).get(column.name) for table in tables for column in table.columns
        )

    def unsearched(self) -> set[str]:
        """Targeted collections that the given kinds don't reach."""
        return {
            self.company.address(table)
            for table in self.company.tables
            if table.described and not table.excluded and table.id not in self.structure.hops and self.targets(table)
        }

    def may_refuse(self, code: str | None) -> bool:
        """Whether the company gives a reason for a refusal of this cause."""
        company, structure = self.company, self.structure
        described = [each for each in company.tables if each.described and not each.excluded]
        targeted = [each for each in described if self.targets(each)]
        match code:
            case "ownership":
                return self.is_asked()
            case "natural_key":
                return any(
                    column.category
                    and column.type not in (*INTEGERS, "uuid")
                    and (column.name in structure.reference_columns[table.id] or column.name in table.key)
                    for table in targeted
                    for column in self.targets(table)
                )
            case "no_key":
                return any(each.key_kind == "none" for each in targeted)
            case "unmaskable":
                fields = [each for table in targeted for each in self.targets(table)]
                return any(each.check or (each.unique and not each.nullable) for each in fields)
            case "generated_column":
                return any(column.generated for table in targeted for column in self.targets(table))
            case "referenced" | "erase_after_cycle":
                return any(each.delete for each in targeted)
            case "direction":
                return any(each.flow == "open" and each.holder == each.target for each in company.refs)
            case "unreached":
                return bool({each.id for each in targeted} - structure.reachable())
        return False

    def is_asked(self) -> bool:
        """Whether some ownership is open: a reference without a key, or people on two ways."""
        carrying = [each for each in self.structure.carrying() if each.ownership == "auto"]
        if any(each.points == "neither" for each in carrying):
            return True
        declared: dict[Any, set[str]] = defaultdict(set)
        people: dict[str, set[str]] = defaultdict(set)
        for link in carrying:
            if link.points == "to_source" and self.structure.tables[link.source].people:
                people[link.target].add(link.source)
        for link in self.structure.links:
            declared[link.source, link.source_columns, link.target, link.columns].add(link.ownership)
        return (
            any(len(each) > 1 for each in people.values())
            or any(len(each) > 1 for each in declared.values())
            or self.far_pointers()
        )

    def far_pointers(self) -> bool:
        """Whether rows of another store may point to rows whose ownership depends on who points to them."""
        tables = self.structure.tables
        tested = {
            each.target for each in self.structure.carrying() if each.ownership == "auto" and each.points == "to_target"
        }
        return any(
            each.target in tested and tables[each.holder].store != tables[each.target].store
            for each in self.structure.pointers
        )

    # ---- what is targeted

    def targets(self, table: Table) -> list[Column]:
        """Fields of the table that erasure rules target."""
        every = [category for rule in self.company.rules for category in rule.categories]
        return (
            [each for each in table.columns if is_within(each.category, every)]
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

    # ---- packages

    def check_package(self, member: int, answer: Answer) -> None:
        expected = self.expected_rows(member)
        if answer.package is None:
            self.say("false_green", "complete without a package")
            return
        given = {
            address: Counter(row_text(given_row(self.company, address, row)) for row in rows)
            for address, rows in answer.package.items()
            if ":" in address
        }
        for address in sorted({*expected, *given}):
            true, told = expected.get(address, Counter()), given.get(address, Counter())
            more, less = list(told - true)[:3], list(true - told)[:3]
            if more:
                self.say("foreign", f"package of {answer.given} shows in {address}: {more}; instead of {less}")
            elif less:
                self.say("false_green", f"package of {answer.given} lacks in {address}: {less}")
        self.check_not_searched(answer.package, answer)
        counts = {address: rows.total() for address, rows in expected.items()}
        told_counts = (answer.receipt or {}).get("receipt", {}).get("access", {})
        if not self.found and {each: rows for each, rows in told_counts.items() if rows} != counts:
            self.say("status", f"receipt counts {told_counts}, true are {counts}")
        if self.outcome.action == "access":
            wanted = "delivered" if counts or answer.item["not_searched"] else "nothing_found"
            if answer.item["outcome"] != wanted:
                self.say("status", f"outcome {answer.item['outcome']} instead of {wanted}")

    def expected_rows(self, member: int) -> dict[str, Counter[str]]:
        """By address, the rows of a member's package."""
        expected: dict[str, Counter[str]] = {}
        for (key, position), standing in self.alone.standing[member].items():
            table = self.structure.tables[key]
            shown = [each for each in table.columns if is_within(each.category, self.company.access)]
            if not shown or (standing == PERSON and not table.people):
                continue
            if standing != OWN:
                shown = [each for each in shown if not is_identifying(self.structure, table, each)]
            row = self.outcome.before[key][position]
            text = row_text({each.name: shown_value(each, row[each.name]) for each in shown})
            expected.setdefault(self.company.address(table), Counter())[text] += 1
        return expected

    def check_not_searched(self, package: dict[str, Any], answer: Answer) -> None:
        """What was left out is named, in item and package; and nothing else is."""
        left_out = {
            self.company.address(table)
            for table in self.company.tables
            if table.described
            and table.id not in self.structure.hops
            and any(is_within(each.category, self.company.access) for each in table.columns)
        }
        told = {each["address"] for each in package.get("not_searched", ())}
        shown = {each["address"] for each in answer.item["not_searched"] or ()}
        if told != shown or not left_out <= told or (self.outcome.action == "access" and told != left_out):
            self.say("status", f"not searched {told} in the package, {shown} in the item, true is {left_out}")

    # ---- counts of erasures

    def check_counts(self, member: int, answer: Answer) -> None:
        kept: Counter[str] = Counter()
        frozen: dict[str, int] = {}
        for table in self.company.tables:
            selected = self.selected(table) if table.id in self.structure.hops else {}
            if not selected:
                continue
            standings = Counter(each for (key, _), each in self.joint.standing[member].items() if key == table.id)
            if standings[OWN] and (table.delete or any(each.rule for each in selected.values())):
                frozen[self.company.address(table)] = standings[OWN]
            kept.update(self.kept_rows(member, table, selected, standings))
        if frozen or +kept:  # else nothing was found, and `not_searched` alone tells of them
            kept["excluded"] = self.excluded()
        kept = +kept
        told = Counter(answer.item["kept"] or {})
        if told != kept:
            self.say("status", f"{answer.given} kept {dict(told)}, true is {dict(kept)}")
        receipt = (answer.receipt or {}).get("receipt", {}).get("erasure", {})
        done = {address: each["frozen"] for address, each in receipt.items() if each["frozen"]}
        if done != frozen:
            self.say("status", f"{answer.given} receipt says frozen {done}, true is {frozen}")
        if self.outcome.action == "erasure":
            wanted = "erased_with_kept" if kept else "erased" if frozen else "nothing_found"
            if answer.item["outcome"] != wanted:
                self.say("status", f"outcome {answer.item['outcome']} instead of {wanted}")

    def kept_rows(
        self, member: int, table: Table, selected: dict[str, Selected], standings: Counter[int]
    ) -> Counter[str]:
        """What stays of one table, by reason; a kept field counts once a row."""
        kept: Counter[str] = Counter()
        own = self.joint.standing[member]
        kept["referenced"] = sum(row[0] == table.id and own.get(row) == OWN for row in self.held)
        for standing, rows in standings.items():
            if standing != OWN:
                kept[KEPT[standing]] += rows
        for each in selected.values():
            if each.kept and not table.delete:
                kept[each.kept] += standings[OWN]
        return kept

    def excluded(self) -> int:
        """Targeted collections that are excluded; nobody counts their rows."""
        every = [category for rule in self.company.rules for category in rule.categories]
        return sum(
            each.described and each.excluded and any(is_within(one.category, every) for one in each.columns)
            for each in self.company.tables
        )

    # ---- previews

    def check_preview(self) -> None:
        """A preview is of one request, and shows what its execution would do alone."""
        if self.outcome.action == "access":
            judgement = self.alone
        elif len(self.members) == 1:
            judgement = self.joint
        else:
            return
        for member, answer in enumerate(self.outcome.answers):
            for address, told in (answer.preview or {}).items():
                table = next(each for each in self.company.tables if self.company.address(each) == address)
                true = Counter(NAMES[each] for (key, _), each in judgement.standing[member].items() if key == table.id)
                if Counter(told) != true:
                    self.say("status", f"preview of {answer.given} says {told} in {address}, true is {dict(true)}")

    # ---- stores

    def check_stores(self, complete: bool) -> None:
        before, after = self.outcome.before, self.outcome.after
        erases = self.outcome.action != "access"
        untouched = all(
            each.item["status"] in ("requires_input",) or each.item["reason"] == "refused"
            for each in self.outcome.answers
        )
        own = set() if untouched or not erases else self.joint.anybody()
        masked: dict[tuple[Any, ...], dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for table in self.company.tables:
            selected = self.selected(table) if table.id in self.structure.hops else {}
            written = {position for key, position in own if key == table.id} if selected else set()
            self.check_table(table, selected, written, before, after, complete, masked)
        for place, values in masked.items():
            self.check_equal_masks(place, values)

    def check_table(
        self,
        table: Table,
        selected: dict[str, Selected],
        written: set[int],
        before: Dump,
        after: Dump,
        complete: bool,
        masked: Any,
    ) -> None:
        address = self.company.address(table)
        names = table.key  # its values differ in every row, whether the store says so or not
        left = defaultdict(list)
        for row in after[table.id]:
            left[tuple(row[each] for each in names)].append(row)
        for position, old in enumerate(before[table.id]):
            key = tuple(old[each] for each in names)
            new = left[key].pop() if left[key] else None
            mine = position in written
            if new is None:
                if not (mine and table.delete) or self.is_referenced(table, position):
                    self.say(
                        "foreign",
                        f"{address} {key}: the row is gone, whose standing is {self.standings(table, position)}",
                    )
                continue
            if mine and table.delete and complete and not self.is_referenced(table, position):
                self.say("false_green", f"{address} {key}: the subject's row was not deleted")
            self.check_row(table, selected if mine else {}, position, old, new, complete, masked)
        for key, rows in left.items():
            if rows:
                self.say("foreign", f"{address}: a row {key} appeared")

    def is_referenced(self, table: Table, position: int) -> bool:
        return (table.id, position) in self.held

    def standings(self, table: Table, position: int) -> list[int | None]:
        return [each.get((table.id, position)) for each in self.joint.standing]

    def check_row(
        self,
        table: Table,
        selected: dict[str, Selected],
        position: int,
        old: Row,
        new: Row,
        complete: bool,
        masked: Any,
    ) -> None:
        place = f"{self.company.address(table)} {[old[each] for each in table.key]}"
        changed = any(old[each] != new[each] for each in old)
        for column in table.columns:
            before, after = old[column.name], new[column.name]
            choice = selected.get(column.name)
            if column.name == "rev" or column.generated:
                if before != after and not (selected and changed):
                    self.say("foreign", f"{place}.{column.name} changed by itself")
                continue
            if choice is None or choice.rule is None:
                if type(before) is not type(after) or before != after:
                    whose = self.standings(table, position)
                    self.say("foreign", f"{place}.{column.name}: {before!r} became {after!r}, standings {whose}")
                continue
            if complete or before != after:
                problem = mask_problem(column, choice.rule, before, after)
                if problem:
                    self.say(
                        "false_green" if after == before else "status",
                        f"{place}.{column.name} ({choice.rule.strategy}): {before!r} became {after!r}: {problem}",
                    )
            if (
                complete
                and choice.rule.strategy in ("hash", "hmac")
                and column.type in TEXTS
                and not column.unique
                and before is not None
            ):
                owners = [number for number, each in enumerate(self.joint.own) if (table.id, position) in each]
                first = min(owners, key=self.age)  # rows of several get the lowest request's mask
                masked[first, choice.rule.strategy][before].append(after)

    def age(self, number: int) -> tuple[str, str]:
        """How requests of one cohort are ordered."""
        item = self.outcome.answers[self.staying[number]].item
        return str(item["created_at"]), str(item["id"])

    def check_equal_masks(self, place: tuple[Any, ...], values: dict[Any, list[Any]]) -> None:
        """Equal values mask equally within one request."""
        for found in values.values():
            longest = max(found, key=len)
            if any(not longest.startswith(each) for each in found):
                self.say("status", f"equal values of member {place} were masked differently: {found[:4]}")
