"""A list of requests as CSV, as fidesops offers it, or as JSON lines: all that match, in a stream, however many.

Goes on by the last row it wrote, a thousand rows a transaction, so that a slow reader holds no snapshot: each
request is told once, as it is when its turn comes. Holds identities, as its caller may see them. Reads only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from habeas.core.errors import BadQueryInput
from habeas.deliver.csv_package import guarded
from habeas.requests.answer import identities_of
from habeas.requests.clients import Actor
from habeas.requests.disclosure import REVEALED, note_disclosed
from habeas.requests.installation import Installation
from habeas.requests.sealing import open_identities
from habeas.requests.search import RequestFilter, items_of, narrow, revealed_of
from habeas.store import request_search as store
from habeas.store.request_search import Wanted

HEADER = (
    "Time received",
    "Subject identity",
    "Policy key",
    "Request status",
    "Reviewer",
    "Time approved/denied",
    "Denial reason",
)
AT_ONCE = 1_000


def export_csv(
    installation: Installation, wanted: RequestFilter, *, sort_field: str, sort_direction: str, revealed_to: Actor
) -> Iterator[bytes]:
    """UTF-8 text by and by, its header first; texts that a spreadsheet takes for a formula are prefixed with `'`.

    That the identities are revealed is written to the audit trail before each part is given.

    Raises BadQueryInput for an order other than by `created_at`, BadQuery as `search.find`, before anything is given.
    """
    if sort_field != "created_at":
        raise BadQueryInput("a CSV is in order of created_at", where="sort_field", fix="sort the file, or read pages")
    return _export(installation, narrow(installation, wanted), sort_direction == "desc", revealed_to)


def export_jsonl(
    installation: Installation, wanted: RequestFilter, *, sort_direction: str, revealed_to: Actor | None
) -> Iterator[bytes]:
    """The items of lists, a line each, by age; with identities where they are `revealed_to` somebody, audited as above.

    Raises BadQuery as `search.find`, before anything is given.
    """
    return _export_items(installation, narrow(installation, wanted), sort_direction == "desc", revealed_to)


def _export_items(
    installation: Installation, wanted: Wanted, descending: bool, revealed_to: Actor | None
) -> Iterator[bytes]:
    last: tuple[Any, str] | None = None
    while True:
        with installation.database.read() as connection:
            rows = store.page_beyond(connection, wanted, last, descending=descending, limit=AT_ONCE)
            items = items_of(installation, connection, rows)
        if revealed_to is not None and rows:
            note_disclosed(installation, revealed_to, REVEALED, {row["id"]: {"kinds": row["kinds"]} for row in rows})
            for item, row in zip(items, rows, strict=True):
                item |= revealed_of(installation, row)
        if rows:
            yield b"".join(msgspec.json.encode(item) + b"\n" for item in items)
            last = rows[-1]["created_at"], rows[-1]["id"]
        if len(rows) < AT_ONCE:
            return


def _export(installation: Installation, wanted: Wanted, descending: bool, revealed_to: Actor) -> Iterator[bytes]:
    yield _encoded([HEADER])
    last: tuple[Any, str] | None = None
    while True:
        with installation.database.read() as connection:
            rows = store.page_beyond(connection, wanted, last, descending=descending, limit=AT_ONCE)
            denied = [row["id"] for row in rows if row["status"] == "denied"]
            reasons = _reasons(store.decisions_about(connection, denied)) if denied else {}
        if rows:
            note_disclosed(installation, revealed_to, REVEALED, {row["id"]: {"kinds": row["kinds"]} for row in rows})
            yield _encoded([_line(installation, row, reasons.get(row["id"])) for row in rows])
            last = rows[-1]["created_at"], rows[-1]["id"]
        if len(rows) < AT_ONCE:
            return


def _reasons(decisions: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """By request, why it was denied last."""
    denials = (each for each in decisions if each["action"] == "privacy_request.denied")
    return {each["subject"]: (each["detail"] or {}).get("reason") for each in denials}


def _line(installation: Installation, row: Mapping[str, Any], reason: str | None) -> list[str]:
    identities = identities_of(open_identities(installation.vault, row["id"], row["sealed_identities"]))
    values = (
        row["created_at"],
        identities,
        row["policy_key"],
        row["status"],
        row["reviewed_by"],
        row["reviewed_at"],
        reason,
    )
    return ["" if value is None else guarded(str(value)) for value in values]


def _encoded(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()
