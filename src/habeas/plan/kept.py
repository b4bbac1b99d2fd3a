"""Why rows are kept: which references give them their standing, and what to declare to change it.

Tells what structure tells: where several references can be the reason, all of them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from habeas.plan.model import Link, Plan, Standing, Step

KEPT_BY_STANDING = {
    Standing.SHARED: "shared_row",
    Standing.SHARED_ROW: "shared_row",
    Standing.CONTEXT: "context",
    Standing.PERSON: "person",
}
REFERENCED = "referenced"


class KeptRows(msgspec.Struct, frozen=True):
    """Rows that an erasure leaves, or masks instead of deleting. `because`: the references that make them so."""

    reason: str
    rows: int
    because: tuple[str, ...]
    fix: str

    def lines(self) -> Iterator[str]:
        """The same as text."""
        yield f"    keeps {self.rows} {'row' if self.rows == 1 else 'rows'} ({self.reason}), since"
        yield from (f"      {'or ' if number else ''}{each}" for number, each in enumerate(self.because))
        yield f"      to change it, {self.fix}"


def kept_rows(plan: Plan, step: Step, rows: Mapping[Standing, int], held: int) -> tuple[KeptRows, ...]:
    """What of a written or targeted step's rows stays; () of one that no erasure targets."""
    if not (step.writes or step.kept):
        return ()
    found = [
        KeptRows(reason, rows[standing], tuple(dict.fromkeys(_because(plan, step, standing))), _FIX[standing])
        for standing, reason in KEPT_BY_STANDING.items()
        if rows.get(standing)
    ]
    if held:
        by = (f"{hold.table} ({', '.join(column.name for column in hold.columns)})" for hold in step.holds)
        why = (*dict.fromkeys(by), *(["a trigger runs at a delete"] if step.triggered else []))
        found.append(KeptRows(REFERENCED, held, why, "declare on_referenced (cascade, null or refuse) on the delete"))
    return tuple(found)


_FIX = {
    Standing.SHARED: "declare ownership owned on the reference if the row is the subject's alone",
    Standing.SHARED_ROW: "declare ownership on the reference by which the row is reached: owned if it is the subject's "
    "whoever else points to it",
    Standing.CONTEXT: "declare ownership owned, or none, on the reference if its rows are the subject's",
    Standing.PERSON: "declare ownership owned on the reference if both are one person, or person: false on the "
    "collection if it holds no people",
}


def _because(plan: Plan, step: Step, standing: Standing) -> Iterator[str]:
    for link in step.links:
        by = f"{', '.join(link.columns)} = {plan.steps[link.source].address}:{', '.join(link.source_columns)}"
        said = _declared(step, link, standing)
        yield from [f"{by}{said}"] if said else []
        for rival in (each for each in link.rivals if each.standing is standing):
            yield f"{', '.join(rival.columns)} names another row of {plan.steps[rival.people].address}"
    if standing is Standing.SHARED_ROW:
        yield from _pointed(plan, step)


def _pointed(plan: Plan, step: Step) -> Iterator[str]:
    for pointing in step.pointings:
        table = plan.steps[pointing.step].address if pointing.step is not None else f"table {pointing.table}"
        yield f"another row of {table} points here by {', '.join(pointing.columns)}"


def _declared(step: Step, link: Link, standing: Standing) -> str:
    """How a link by itself gives a standing; "" if it doesn't."""
    if step.people:
        return " finds people, who are somebody else" if standing is Standing.PERSON else ""
    if link.ownership in ("shared", "context") and standing is Standing[link.ownership.upper()]:
        return f", declared {link.ownership}"
    return ", from a row that isn't the subject's alone" if _is_weak(link, standing) else ""


def _is_weak(link: Link, standing: Standing) -> bool:
    return standing is Standing.CONTEXT and link.points == "to_target"
