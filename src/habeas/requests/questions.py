"""A request's questions to people and their answers, as the connectors of a cohort ask for them.

Rows once answered are taken from the sealed answer at every later run, and nothing is asked twice: a question that an
earlier one covers in part is asked for the rest only. Once rows are frozen, no more are asked for. Asks nobody itself:
`pausing` lets the request wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from habeas.connectors.answered.question import Pending, Question
from habeas.core.values import canonical_text, decode_json, encode_json
from habeas.requests.installation import Installation
from habeas.store import questions as store
from habeas.store.secrets import Vault

QUESTION, ANSWER = "question", "answer"


class Confirmation(NamedTuple):
    """Somebody's word that rows were erased. Habeas didn't look."""

    address: str
    by: str
    at: str
    rows: int


class _Answered(NamedTuple):
    question: Question
    rows: Sequence[Mapping[str, Any]]


def seal_question(vault: Vault, question_id: str, question: Question) -> bytes:
    """A question as it is stored."""
    return vault.seal(QUESTION, encode_json(msgspec.to_builtins(question)), question_id)


def open_question(vault: Vault, row: Mapping[str, Any]) -> Question:
    """A stored question."""
    return msgspec.convert(decode_json(vault.open(QUESTION, row["sealed_question"], row["id"])), Question)


def seal_rows(vault: Vault, question_id: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Answered rows as they are stored."""
    return vault.seal(ANSWER, encode_json(list(rows)), question_id)


def _open_rows(vault: Vault, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if row["sealed_answer"] is None:
        return []
    return msgspec.convert(decode_json(vault.open(ANSWER, row["sealed_answer"], row["id"])), list[Mapping[str, Any]])


class CohortAnswers:
    """What was answered for the members of one cohort. Answers don't change while a request runs: read once."""

    def __init__(self, installation: Installation, members: Mapping[int, str], *, may_ask: Callable[[], bool]) -> None:
        self._installation = installation
        self._members = members
        self._may_ask = may_ask
        self._known: dict[int, list[dict[str, Any]]] = {}

    def rows(self, question: Question) -> Sequence[Mapping[str, Any]]:
        """The rows that were answered for these values; raises Pending for values that nobody answered for."""
        answered = [each for each in self._answered(question) if set(question.get) <= set(each.question.get)]
        missing = _missing(question, answered)
        if missing and self._may_ask():
            raise Pending(msgspec.structs.replace(question, locators=missing))
        return [row for each in answered if _is_about(each, question) for row in each.rows]

    def unconfirmed(self, question: Question) -> Question | None:
        """The rows of these whose erasure nobody confirmed yet."""
        done = {_mark(change) for each in self._answered(question) for change in each.question.changes}
        left = tuple(change for change in question.changes if _mark(change) not in done)
        return msgspec.structs.replace(question, changes=left) if left else None

    def confirmations(self, member: int) -> list[Confirmation]:
        """Who confirmed which erasures of a member, in order."""
        return [
            Confirmation(
                row["address"], row["answered_by"], f"{row['answered_at']:%Y-%m-%dT%H:%M:%SZ}", row["row_count"]
            )
            for row in self._rows_of(member)
            if row["action"] == "erasure"
        ]

    def forget(self, connection: Connection) -> None:
        """Delete what was asked and answered: the requests have ended well."""
        store.forget(connection, list(self._members.values()))

    def _answered(self, question: Question) -> list[_Answered]:
        vault = self._installation.vault
        return [
            _Answered(open_question(vault, row), _open_rows(vault, row))
            for row in self._rows_of(question.member)
            if (row["address"], row["action"]) == (question.address, question.action)
        ]

    def _rows_of(self, member: int) -> list[dict[str, Any]]:
        if member not in self._known:
            with self._installation.database.read() as connection:
                self._known[member] = store.answered_of(connection, self._members[member])
        return self._known[member]


def _missing(question: Question, answered: Sequence[_Answered]) -> dict[str, list[Any]]:
    """The values for which nobody answered yet, by field."""
    left = {
        name: [value for value in values if not any(_holds(each, name, value) for each in answered)]
        for name, values in question.locators.items()
    }
    return {name: values for name, values in left.items() if values}


def _is_about(answered: _Answered, question: Question) -> bool:
    """Whether rows were answered for one of the values that are asked for."""
    return any(_holds(answered, name, value) for name, values in question.locators.items() for value in values)


def _holds(answered: _Answered, name: str, value: object) -> bool:
    asked = answered.question.locators.get(name, ())
    return canonical_text(value) in {canonical_text(each) for each in asked}


def _mark(change: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(change, builtin_types=()), order="sorted")
