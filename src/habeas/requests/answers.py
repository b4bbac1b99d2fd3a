"""What people answered, as rows of a cohort's packages: one collection a connection, under its key, unfiltered.

Read and opened a few members at a time, so that memory stays flat. Where nobody was asked nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from habeas.core.values import encode_json
from habeas.deliver.base import EncodedRows, StepRows
from habeas.requests.attempt import Attempt
from habeas.requests.manual_webhooks import opened
from habeas.store import manual_webhooks as store

AT_ONCE = 200


def answer_rows(attempt: Attempt) -> list[StepRows]:
    """The answers to be put into the packages, in order of connection."""
    asked = _asked(attempt)
    keys: set[str] = set()
    for some in _some(asked):
        with attempt.installation.database.read() as connection:
            keys.update(store.answered_connections(connection, some))
    return [StepRows(key, (), _rows_of(attempt, asked, key)) for key in sorted(keys)]


def members_answered(attempt: Attempt) -> frozenset[int]:
    """The members for whom somebody found something."""
    found: set[int] = set()
    asked = _asked(attempt)
    for some in _some(asked):
        with attempt.installation.database.read() as connection:
            rows = store.answers_of(connection, some)
        filled = {row.privacy_request_id for row in rows if any(opened(attempt.installation, row).values())}
        found.update(asked[each] for each in some if each in filled)
    return frozenset(found)


def _some(asked: dict[str, int]) -> Iterator[list[str]]:
    ids = list(asked)
    return (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE))


def _asked(attempt: Attempt) -> dict[str, int]:
    """The members that people were asked about: their index by request, in order."""
    return {each.request_id: each.index for each in attempt.members if each.asked}


def _rows_of(attempt: Attempt, asked: dict[str, int], key: str) -> Iterator[EncodedRows]:
    for some in _some(asked):
        with attempt.installation.database.read() as connection:
            found = {row.privacy_request_id: row for row in store.answers_of(connection, some, key)}
        for each in some:
            if each in found:
                yield asked[each], encode_json(opened(attempt.installation, found[each])), 1
