"""Which rows that are to be deleted are referred to from other stores, or from inside columns, by rows that stay.

Their values go to the store that may refer to them, and what it refers to comes back, in sealed, undurable frames.
Reads only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from habeas.connectors.base import Reader, at
from habeas.execute.context import CohortContext
from habeas.execute.freeze import Freezer
from habeas.execute.traversal import Exchange
from habeas.plan.model import FarHold, Link, Plan, Segment, Step

_GIVEN, _HOLDER, _HELD = 0, 1, 2  # the steps of the question; then those that delete rows of the holder's table


@contextmanager
def far_held(context: CohortContext, freezer: Freezer, step: Step, far: FarHold) -> Iterator[tuple[Reader, Step]]:
    """A reader that tells, by `set_aside` of the yielded step, which rows are referred to by rows that stay."""
    going = [each for each in context.plan.steps if _deletes_rows_of(each, far.holder)]
    plan = _question(context.plan, step, far, going)
    exchange = Exchange(context.spool, f"far-{step.index}")
    given, holder, held = plan.steps[_GIVEN], plan.steps[_HOLDER], plan.steps[_HELD]
    with _open(context, plan, _GIVEN) as reader:
        _load(freezer, reader, step, given)
        exchange.depart("given", reader.departures(holder.links[0]))
    with _open(context, plan, _HOLDER, *range(_HELD + 1, len(plan.steps))) as reader:
        for other, asked in zip(going, plan.steps[_HELD + 1 :], strict=True):
            _load(freezer, reader, other, asked)
        reader.land(holder.links[0], exchange.arrivals("given"))
        reader.traverse()
        for asked in plan.steps[_HELD + 1 :]:
            reader.leave_out(holder, asked)
        exchange.depart("held", reader.departures(held.links[0]))
    with _open(context, plan, _HELD) as reader:
        reader.land(held.links[0], exchange.arrivals("held"))
        reader.traverse()
        reader.hold_back()  # all that was found
        yield reader, held


def _deletes_rows_of(step: Step, holder: Step) -> bool:
    same = (step.connection, step.table) == (holder.connection, holder.table)
    return same and step.delete and (bool(step.alike) or step.key == holder.key)


def _question(plan: Plan, step: Step, far: FarHold, going: list[Step]) -> Plan:
    asks = Link(
        id=0,
        source=_GIVEN,
        source_columns=far.target_columns,
        columns=far.columns,
        points="to_source",
        ownership="owned",
        compare=far.compare,
    )
    answers = Link(
        id=1,
        source=_HOLDER,
        source_columns=far.columns,
        columns=far.target_columns,
        points="to_target",
        ownership="owned",
        compare=far.compare,
    )
    alike = next((each for each in going if each.alike), None)
    holder = far.holder
    if alike is not None:
        known = {column.name for column in holder.columns}
        lacking = tuple(alike.column(name) for name in alike.alike if name not in known)
        holder = msgspec.structs.replace(holder, alike=alike.alike, columns=(*holder.columns, *lacking))
    steps = (
        step.bare(_GIVEN),
        msgspec.structs.replace(holder, index=_HOLDER, links=(asks,)),
        msgspec.structs.replace(step.bare(_HELD), links=(answers,), delete=True, triggered=True),
        *(each.bare(_HELD + 1 + place) for place, each in enumerate(going)),
    )
    return msgspec.structs.replace(plan, steps=steps, segments=())


@contextmanager
def _open(context: CohortContext, plan: Plan, *indices: int) -> Iterator[Reader]:
    first = plan.steps[indices[0]]
    segment = Segment(first.connection, indices)
    with at(first), context.connector(first.connection).reader(plan, segment, context.label) as reader:
        yield reader


def _load(freezer: Freezer, reader: Reader, step: Step, asked: Step) -> None:
    for chunk in freezer.going(step.index):
        chunk.step = asked.index
        reader.load(chunk)
