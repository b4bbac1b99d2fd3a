"""The family of kinds for which somebody answers: no store, no session, no schema; questions and answers instead.

Until it is given a cohort's answers it knows none: a preview shows what would be asked and finds no rows.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

from habeas.connectors.answered.question import Answers
from habeas.connectors.answered.reader import AnsweredReader
from habeas.connectors.answered.writer import AnsweredWriter
from habeas.connectors.base import Capabilities, Connector, Fence, Reader, Statement, Writer
from habeas.core.errors import NotOffered
from habeas.core.schema import StoreSchema, TableName
from habeas.plan.model import Plan, Segment, Step


class AnsweredConnector(Connector):
    """Asks through the answers it was given. Safe to share between threads."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        introspects=False, snapshot=False, pushes_masks=False, schemas=False, holds_rows=False
    )
    _answers: Answers | None = None

    def with_answers(self, answers: Answers) -> Connector:
        """The same connector for one cohort."""
        bound = copy.copy(self)
        bound._answers = answers
        return bound

    def introspect(self, schema: str | None = None) -> StoreSchema:
        """There is nothing to look at."""
        raise NotOffered("nobody can tell its schema", fix="write the dataset by hand")

    def fingerprints(self, tables: Sequence[TableName]) -> Mapping[TableName, str]:
        """There are none."""
        return {}

    @contextmanager
    def reader(self, plan: Plan, segment: Segment, label: str) -> Iterator[Reader]:
        """Rows as they are answered; none before there are answers."""
        answers = self._answers
        yield AnsweredReader(plan, segment, answers.rows if answers is not None else lambda _: ())

    @contextmanager
    def writer(self, label: str, fence: Fence) -> Iterator[Writer]:
        """Erases by asking."""
        answers = self._answers
        yield AnsweredWriter(answers.unconfirmed if answers is not None else lambda question: question)

    def end_sessions(self, prefix: str, keep: str) -> None:
        """There are none."""

    def statements(self, plan: Plan, segment: Segment) -> Sequence[Statement]:
        """What will be asked, in fidesops' form, values as `?`."""
        steps = [plan.steps[index] for index in segment.steps]
        return [_asked(step) for step in steps] + [_erased(step) for step in steps if step.writes]

    def close(self) -> None:
        """Nothing is kept open."""


def _asked(step: Step) -> Statement:
    finding = [seed.column for seed in step.seeds] + [name for link in step.links for name in link.columns]
    text = _text(finding, get=[each.name for each in step.stored], update=None)
    return Statement(step.address, "follow" if step.links else "seed", text)


def _erased(step: Step) -> Statement:
    update = None if step.delete else dict.fromkeys((mask.field for mask in step.masks), "?")
    return Statement(step.address, "delete" if step.delete else "mask", _text(step.key, get=None, update=update))


def _text(locators: Sequence[str], get: list[str] | None, update: Mapping[str, str] | None) -> str:
    return json.dumps({"locators": dict.fromkeys(locators, "?"), "get": get, "update": update})
