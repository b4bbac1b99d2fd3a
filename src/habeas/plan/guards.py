"""Guards: the ownership tests that a write repeats, so that a row which became somebody else's meanwhile is kept.

Only tests that every way of finding the subject's rows of a step passes, within its store, on plain columns of one
type: a write must never keep a row that was the subject's by another way. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from habeas.plan.draft import Draft
from habeas.plan.model import Guard, Link, Pointing, Step


def guard_writes(draft: Draft) -> Draft:
    """Give written steps their guards."""
    steps = tuple(
        msgspec.structs.replace(step, guards=_guards(draft.steps, step))
        if step.writes and not step.because and step.own_of is None
        else step
        for step in draft.steps
    )
    return replace(draft, steps=steps)


def _guards(steps: tuple[Step, ...], step: Step) -> tuple[Guard, ...]:
    if step.seeds or step.people or step.rekeys or not step.key:
        return ()
    ways = [link for link in step.links if link.ownership in ("auto", "owned")]
    tested = [set(_tests(steps, step, link)) for link in ways]
    common = set.intersection(*tested) if tested else set()
    return tuple(sorted(common, key=lambda each: (str(each.table), each.columns, each.target_columns)))


def _tests(steps: tuple[Step, ...], step: Step, link: Link) -> Iterator[Guard]:
    if link.ownership != "auto":
        return
    for rival in link.rivals:
        people = steps[rival.people]
        if people.connection == step.connection and _alike(people, rival.people_columns, step, rival.columns):
            yield Guard(people.table, rival.people_columns, rival.columns, rival.people)
    if link.points == "to_target":
        near = (each for each in step.pointings if not (each.far or each.typed))
        yield from (_pointed(each) for each in near if _is_known(steps, step, each))


def _pointed(pointing: Pointing) -> Guard:
    return Guard(pointing.table, pointing.columns, pointing.target_columns, pointing.step)


def _is_known(steps: tuple[Step, ...], step: Step, pointing: Pointing) -> bool:
    holder = None if pointing.step is None else steps[pointing.step]
    return holder is None or _alike(holder, pointing.columns, step, pointing.target_columns)


def _alike(holder: Step, columns: tuple[str, ...], step: Step, targets: tuple[str, ...]) -> bool:
    pairs = zip(columns, targets, strict=True)
    ends = ((holder.column(here), step.column(there)) for here, there in pairs)
    return bool(holder.key) and all(
        one.inside is None and two.inside is None and one.type.family is two.type.family for one, two in ends
    )
