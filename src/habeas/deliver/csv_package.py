"""A package as a ZIP of one CSV file a collection, `dataset:collection.csv`, for people and spreadsheets, and an
`index.json` where fields were withheld or identity kinds weren't given.

Rows are flattened: nested names are dotted, arrays are JSON in one cell, NULL is an empty cell. A text that
a spreadsheet would take for a formula is prefixed with `'`; JSON packages are the exact ones. Rows are gone
through twice, since only all of them know the columns; beyond a bound they wait in a sealed spool of their
own, so that memory stays flat.
"""

from __future__ import annotations

import csv
import io
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from habeas.core.values import canonical_text, decode_json, encode_json
from habeas.deliver.base import PackageMember, Part
from habeas.deliver.merge import StepCursor
from habeas.deliver.sealing import SealedText
from habeas.spool.frames import Frame, Spool, new_data_key

FORMULA = ("=", "+", "-", "@", "\t", "\r")
_EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)  # no clock: the same rows make the same archive
_WAITING_BYTES = 8 << 20
_ZIP64_FROM = 1 << 30  # an entry of 4 GiB needs it; one GiB of JSON may grow to that
_UNSAFE_IN_NAME = re.compile(r"[\x00-\x1f\x7f/\\]")


def write_csv(part: Part, member: PackageMember, index: int, cursors: Iterable[StepCursor]) -> None:
    """Write one member's package; each entry sealed by itself where the member has an encryption key."""
    taken: set[str] = set()
    with ZipFile(part, "w", ZIP_DEFLATED) as archive:
        for cursor in cursors:
            _write_step(archive, cursor, index, member, taken)
        if member.not_searched:
            with WaitingRows() as told:
                told.add(encode_json([each.shown() for each in member.not_searched])[1:-1])
                _write_entry(archive, _entry_name("not_searched", taken), member, told)
        if member.withheld or member.absent_kinds:
            _write_index(archive, member, encode_json(member.told()))


def _write_index(archive: ZipFile, member: PackageMember, data: bytes) -> None:
    info = ZipInfo("index.json", _EPOCH_OF_ZIP)  # no entry of rows ends so
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    with archive.open(info, "w") as entry:
        sealed = SealedText(entry.write, member.encryption_key) if member.encryption_key is not None else None
        (sealed.write if sealed else entry.write)(data)
        if sealed:
            sealed.finish()


def _write_step(archive: ZipFile, cursor: StepCursor, index: int, member: PackageMember, taken: set[str]) -> None:
    with WaitingRows() as rows:
        for data in cursor.rows_of(index):
            rows.add(data)
        if rows.size:
            _write_entry(archive, _entry_name(cursor.address, taken), member, rows)


def guarded(text: str) -> str:
    """The text as a spreadsheet may see it: prefixed with `'` where it would begin a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


class WaitingRows:
    """Encoded rows that can be gone through several times: small ones in memory, more in a sealed spool."""

    def __init__(self) -> None:
        self._spool = Spool(
            Path(tempfile.gettempdir()),
            f"habeas-{secrets.token_hex(16)}",
            0,
            new_data_key(),
            memory=_WAITING_BYTES,
        )
        self._frames: list[Frame] = []
        self.size = 0

    def __enter__(self) -> WaitingRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.purge()

    def add(self, data: bytes) -> None:
        """Take rows as JSON objects joined by commas."""
        self._frames.append(self._spool.write(f"rows-{len(self._frames)}", data, durable=False))
        self.size += len(data)

    def groups(self) -> Iterator[list[dict[str, object]]]:
        """The rows as they were added, flattened."""
        for frame in self._frames:
            rows: Any = decode_json(b"[" + self._spool.read(frame) + b"]")
            yield [flatten(row) for row in rows]


def flatten(row: dict[str, Any]) -> dict[str, object]:
    """Nested objects as dotted names, in order; a name that is already taken gets a `_` behind it."""
    if dict not in map(type, row.values()):
        return row
    flat: dict[str, object] = {}
    for name, value in _leaves(row, ""):
        free = name
        while free in flat:
            free += "_"
        flat[free] = value
    return flat


def _leaves(row: dict[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _write_entry(archive: ZipFile, name: str, member: PackageMember, rows: WaitingRows) -> None:
    info = ZipInfo(name, _EPOCH_OF_ZIP)
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    with archive.open(info, "w", force_zip64=rows.size >= _ZIP64_FROM) as entry:
        sealed = SealedText(entry.write, member.encryption_key) if member.encryption_key is not None else None
        _write_rows(sealed.write if sealed else entry.write, rows)
        if sealed:
            sealed.finish()


def _write_rows(write: Callable[[bytes], object], rows: WaitingRows) -> None:
    header = list(dict.fromkeys(name for group in rows.groups() for row in group for name in row))
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow([guarded(name) for name in header])
    for group in rows.groups():
        lines.writerows([_cell(row.get(name)) for name in header] for row in group)
        write(text.getvalue().encode())
        text.seek(0)
        text.truncate()


def _cell(value: object) -> str:
    if type(value) is str:
        return guarded(value)
    return "" if value is None else canonical_text(value) or ""


def _entry_name(address: str, taken: set[str]) -> str:
    # Names come from datasets: nothing that leaves the directory into which somebody unpacks.
    name = _UNSAFE_IN_NAME.sub("_", address).lstrip(".") or "_"
    while name in taken:
        name += "_"
    taken.add(name)
    return f"{name}.csv"
