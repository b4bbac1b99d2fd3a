"""A spool in a local directory: one private file a frame, under one directory a cohort.

A durable frame is synced, file and directories. A file that wasn't written to its end is never seen.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from habeas.core.errors import Unavailable
from habeas.spool.medium import Frame, FrameLost, SpoolFull, is_name

UNDONE = ".undone"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Directory:
    """Implements `medium.Medium` under `root`, which is made with the first frame."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rooted: set[str] = set()  # cohorts whose directory's own entry is known to be on disk

    def put(self, cohort_id: str, frame: Frame, sealed: bytes, *, durable: bool) -> None:
        """As `Medium.put`; without `durable` the file may be lost with the machine."""
        path = self._root / cohort_id / frame.name
        undone = path.with_name(frame.name + UNDONE)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(undone, "wb", opener=_open_private) as file:
                file.write(sealed)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            undone.replace(path)
            if durable:
                self._sync_directories(cohort_id)
        except OSError as error:
            with contextlib.suppress(OSError):  # what failed is told below; this only tidies up after it
                undone.unlink()
            raise _failure(error, "written", frame.name) from None

    def get(self, cohort_id: str, frame: Frame) -> bytes:
        """As `Medium.get`; a file that can't be read is lost."""
        try:
            return (self._root / cohort_id / frame.name).read_bytes()
        except FileNotFoundError:
            raise FrameLost("the frame is missing", where=frame.name) from None
        except OSError as error:
            raise FrameLost(f"the frame can't be read ({error.strerror})", where=frame.name) from None

    def names(self, cohort_id: str) -> set[str]:
        """As `Medium.names`."""
        try:
            found = os.listdir(self._root / cohort_id)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise _failure(error, "read", cohort_id) from None
        return {name for name in found if not name.endswith(UNDONE)}

    def drop(self, cohort_id: str, frame: Frame) -> None:
        """As `Medium.drop`."""
        try:
            (self._root / cohort_id / frame.name).unlink(missing_ok=True)
        except OSError as error:
            raise _failure(error, "written", frame.name) from None

    def clear(self, cohort_id: str) -> None:
        """As `Medium.clear`."""
        directory = self._root / cohort_id
        try:
            for name in os.listdir(directory):
                (directory / name).unlink(missing_ok=True)
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failure(error, "written", cohort_id) from None
        finally:
            self._rooted.discard(cohort_id)

    def cohorts_with_frames(self) -> list[str]:
        """As `Medium.cohorts_with_frames`."""
        try:
            with os.scandir(self._root) as entries:
                return sorted(
                    each.name for each in entries if each.is_dir(follow_symlinks=False) and is_name(each.name)
                )
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failure(error, "read", None) from None

    def idle_since(self, moment: float, prefix: str) -> list[str]:
        """Names that begin so, of which nothing was written or deleted since a moment (of `time.time`), in order."""
        try:
            with os.scandir(self._root) as entries:
                return sorted(
                    each.name
                    for each in entries
                    if each.name.startswith(prefix) and is_name(each.name) and each.stat().st_mtime < moment
                )
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failure(error, "read", None) from None

    def _sync_directories(self, cohort_id: str) -> None:
        _sync_directory(self._root / cohort_id)
        if cohort_id not in self._rooted:
            for directory in (self._root, self._root.parent):
                _sync_directory(directory)
            self._rooted.add(cohort_id)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(error: OSError, verb: str, where: str | None) -> Unavailable:
    if error.errno in _FULL:
        return SpoolFull("no space left for the spool", where=where, fix="free disk space where the spool lies")
    return Unavailable(f"the spool can't be {verb} ({error.strerror})", where=where)
