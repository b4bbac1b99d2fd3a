"""Reading the audit trail: who decided and saw what, newest first, and whether its chain still holds. Reads only."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from habeas.deliver.csv_package import guarded
from habeas.requests.bulk import Page
from habeas.requests.installation import Installation
from habeas.store import audit

AT_ONCE = 1_000
EXPORTED = ("id", "created_at", "actor", "action", "subject", "detail", "previous", "digest")


@dataclass(frozen=True)
class TrailFilter:
    """What a list of entries is narrowed by; None narrows nothing. `action` is a prefix, the others are exact; times
    without a zone are UTC, `since` is inclusive, `until` isn't.
    """

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def entries(installation: Installation, wanted: TrailFilter, *, page: int, size: int) -> Page:
    """One page of entries, newest first."""
    with installation.database.read() as connection:
        rows, total = audit.page(
            connection,
            actor=wanted.actor,
            action=wanted.action,
            subject=wanted.subject,
            since=_aware(wanted.since),
            until=_aware(wanted.until),
            offset=(page - 1) * size,
            limit=size,
        )
    return Page(rows, total, page, size)


def export_jsonl(installation: Installation) -> Iterator[bytes]:
    """The whole trail, a line an entry, oldest first, and a last line that says whether each follows the one before, as
    `check` does. In a stream; what is appended meanwhile may be in it.
    """
    return _exported(installation, lambda lines: b"".join(msgspec.json.encode(each) + b"\n" for each in lines))


def export_csv(installation: Installation) -> Iterator[bytes]:
    """The same as CSV; its last row has the word `chain` for an id. Texts that a spreadsheet takes for a formula are
    prefixed with `'`.
    """

    def rows(lines: Sequence[Mapping[str, Any]]) -> bytes:
        text = io.StringIO()
        for each in lines:
            if "verified" in each:
                values = [
                    "chain",
                    "",
                    "",
                    "verified" if each["verified"] else "broken",
                    each["broken_at"],
                    each["entries"],
                ]
            else:
                detail = None if each["detail"] is None else msgspec.json.encode(each["detail"]).decode()
                values = [each[name] for name in ("id", "created_at", "actor", "action", "subject")] + [detail]
            shown = [
                "" if value is None else guarded(str(value))
                for value in (*values, each.get("previous"), each["digest"])
            ]
            csv.writer(text).writerow(shown)
        return text.getvalue().encode()

    yield (",".join(EXPORTED) + "\r\n").encode()
    yield from _exported(installation, rows)


def _exported(installation: Installation, written: Callable[[Sequence[Mapping[str, Any]]], bytes]) -> Iterator[bytes]:
    previous, count, last, broken = audit.FIRST, 0, 0, None
    while True:
        with installation.database.read() as connection:
            rows = audit.follow(connection, last, AT_ONCE)
        for row in rows:
            if broken is None and not audit.follows(previous, row):
                broken = row["id"]
            count += broken is None
            previous, last = row["digest"], row["id"]
            row |= {"previous": row["previous"].hex(), "digest": row["digest"].hex()}
        if rows:
            yield written([{name: row[name] for name in EXPORTED} for row in rows])
        if len(rows) < AT_ONCE:
            break
    end = {"verified": broken is None, "entries": count, "broken_at": broken, "digest": previous.hex()}
    yield written([end])


def check(installation: Installation) -> dict[str, Any]:
    """Go over the whole chain: how many entries follow one another, the first that doesn't, and the last digest, to be
    kept elsewhere: a dropped end shows only against it.
    """
    with installation.database.read() as connection:
        report = audit.verify_chain(connection)
        digest = audit.last_digest(connection)
    return {
        "verified": report.broken_at is None,
        "entries": report.entries,
        "broken_at": report.broken_at,
        "digest": digest.hex(),
    }


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
