"""What somebody is asked of one member of a cohort, and who keeps the questions and their answers.

A question is plain data and personal: it is stored sealed and never logged. Nothing here asks anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from habeas.core.errors import HabeasError

Values = dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """One row to be erased: by what it is known, and what is written to it; `update` None: it is to be deleted."""

    locators: Values
    update: Values | None


class Question(msgspec.Struct, frozen=True):
    """Rows that are asked for by the values that find them, or rows that are to be erased."""

    member: int
    address: str
    action: Literal["access", "erasure"]
    locators: dict[str, list[Any]] = {}
    get: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def shown(self, *, values: bool) -> list[dict[str, Any]]:
        """As fidesops tells what is needed, one entry for the rows asked for or for each row to be erased; without
        `values`, what finds a row is named only.
        """
        if self.action == "access":
            found = {name: each if values else None for name, each in self.locators.items()}
            return [{"locators": found, "get": list(self.get), "update": None}]
        return [
            {
                "locators": {name: value if values else None for name, value in change.locators.items()},
                "get": None,
                "update": change.update if values or change.update is None else dict.fromkeys(change.update),
                "delete": change.update is None,
            }
            for change in self.changes
        ]


class Pending(HabeasError):
    """Somebody has to answer first. Only who runs the request decides what becomes of it meanwhile."""

    status = 409
    code = "pending"

    def __init__(self, question: Question) -> None:
        what = "its rows" if question.action == "access" else "that its rows are erased"
        super().__init__(f"somebody has to tell {what}", where=question.address)
        self.question = question


class Answers(Protocol):
    """The questions of a cohort's members and what was answered, as kept in our own database."""

    def rows(self, question: Question) -> Sequence[Mapping[str, Any]]:
        """The rows that were answered; raises Pending with what is still to be asked."""
        ...

    def unconfirmed(self, question: Question) -> Question | None:
        """The rows of these whose erasure nobody confirmed yet; None where somebody did for all."""
        ...
