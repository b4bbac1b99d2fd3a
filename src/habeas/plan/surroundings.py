"""Surroundings: what lies around a table that an erasure would miss or change besides what it writes.

Where the store goes on showing old values, or doesn't show all rows, the erasure is refused; copies that the store
keeps elsewhere, and triggers, are named. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from habeas.core.errors import Refused
from habeas.core.schema import TableSchema
from habeas.plan.deletes import table_of
from habeas.plan.draft import Draft
from habeas.plan.model import Caution, NotSearched, Step
from habeas.policy.model import ActionType


def check_surroundings(draft: Draft) -> Draft:
    """Refuse, or warn of, what the tables' surroundings do; keep columns that the store would change by itself."""
    erases = bool(draft.policy.rules_of(ActionType.ERASURE))
    steps, problems, warnings = [], list(draft.problems), list(draft.warnings)
    hidden: dict[str, NotSearched] = {}
    for step in draft.steps:
        table = table_of(draft, step.connection, step.table)
        steps.append(step if table is None else _steadied(step, table))
        if table is None:
            continue
        if table.row_security and erases:
            problems.append(_hidden(step))
        elif table.row_security:
            detail = "row-level security may show its credentials a part of the rows only"
            hidden[step.address] = NotSearched(step.address, "row_security", detail)
        if step.writes and table.versioned:
            problems.append(_versioned(step, table))
        warnings += _cautions(step, table) if step.writes else ()
    return replace(
        draft,
        steps=tuple(steps),
        problems=tuple(problems),
        warnings=tuple(warnings),
        not_searched=(*draft.not_searched, *hidden.values()),
    )


def _steadied(step: Step, table: TableSchema) -> Step:
    written = {mask.field for mask in step.masks}
    touched = tuple(column.name for column in table.columns if column.touched and column.name not in written)
    return msgspec.structs.replace(step, steady=touched) if touched and step.writes else step


def _hidden(step: Step) -> Refused:
    return Refused(
        "row-level security may show its credentials a part of the rows only, so that others would be missed",
        cause="row_security",
        where=step.address,
        fix="give the connection's role BYPASSRLS, or let it own the table",
    )


def _versioned(step: Step, table: TableSchema) -> Refused:
    return Refused(
        f"{table.table} is system-versioned: the values that are erased would stay readable in its history",
        cause="versioned",
        where=step.address,
        fix="drop its system versioning, or declare the collection excluded with a reason",
    )


def _cautions(step: Step, table: TableSchema) -> Iterator[Caution]:
    if table.update_triggers and (step.masks or step.untie):
        message = (
            "a trigger runs when its rows are updated: what it writes elsewhere, such as old values into an audit "
        )
        message += "table, is neither counted nor verified"
        yield Caution(step.address, "update_trigger", message, "describe and target the tables that it writes to")
    if table.copies:
        message = f"{', '.join(table.copies)} keeps copies of its values, which stay until it is refreshed or rebuilt"
        yield Caution(step.address, "copies", message, "refresh or rebuild it after erasures")
