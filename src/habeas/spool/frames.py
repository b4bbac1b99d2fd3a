"""Sealed frames of a running cohort: rows and keys that one stage leaves for another.

Each frame is sealed with AES-256-GCM under the cohort's data key, bound to cohort and name, so that no
frame passes for another. A frame's name ends with the epoch that wrote it, so that a stale attempt never
writes over a newer one's. Small frames that may be lost stay in memory, so that a lone request writes no
file. The data key is the caller's: destroying it is the purge, deleting files only frees the disk.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import threading
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from habeas.core.errors import HabeasError, Unavailable

KEY_BYTES = 32
MEMORY_BYTES = 1 << 20
_NONCE_BYTES = 12
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_FULL = (errno.ENOSPC, errno.EDQUOT)


class FrameLost(HabeasError):
    """A frame is missing or isn't what was written. Rows can be read again; a frozen set can't."""

    code = "frame_lost"
    retryable = True


class SpoolFull(Unavailable):
    """The disk under the spool is full; nothing of the frame was kept."""

    code = "spool_full"


class Frame(NamedTuple):
    """A written frame. `size` counts the payload's bytes; `digest` is the hex SHA-256 of the sealed bytes,
    which says nothing about the payload.
    """

    name: str
    size: int
    digest: str


def new_data_key() -> bytes:
    """A fresh data key for one cohort."""
    return AESGCM.generate_key(bit_length=KEY_BYTES * 8)


class Spool:
    """The frames of one cohort under `root/<cohort>`. Safe for several threads that write different names."""

    def __init__(self, root: Path, cohort_id: str, epoch: int, data_key: bytes, *, memory: int = MEMORY_BYTES) -> None:
        self._directory = root / _checked(cohort_id)
        self._cohort_id = cohort_id
        self._epoch = epoch
        self._cipher = AESGCM(data_key)
        self._memory: dict[str, bytes] = {}
        self._room = memory
        self._lock = threading.Lock()
        self._rooted = False  # whether the directory's own entry is known to be on disk

    def write(self, name: str, payload: bytes, *, durable: bool) -> Frame:
        """Seal and keep a payload under `<name>.<epoch>`; writing a name again replaces it.

        `durable`: on return the frame outlives a power loss. Otherwise it may be lost with the process.
        Raises SpoolFull or Unavailable, having kept nothing.
        """
        full_name = f"{_checked(name)}.{self._epoch}"
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, payload, self._bound_to(full_name))
        frame = Frame(full_name, len(payload), hashlib.sha256(sealed).hexdigest())
        if durable or not self._keep_in_memory(full_name, sealed):
            self._write_file(full_name, sealed, durable=durable)
        return frame

    def read(self, frame: Frame) -> bytes:
        """The payload; raises FrameLost where the frame is missing, damaged, another's or under another key."""
        sealed = self._memory.get(frame.name)
        if sealed is None:
            sealed = self._read_file(_checked(frame.name))
        if hashlib.sha256(sealed).hexdigest() != frame.digest:
            raise FrameLost("the frame isn't the one that was written", where=frame.name)
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound_to(frame.name))
        except InvalidTag:
            raise FrameLost("the frame can't be opened with this cohort's key", where=frame.name) from None

    def names(self) -> list[str]:
        """Full names of all frames at hand, those of earlier epochs included, in order."""
        with self._lock:
            found = set(self._memory)
        if self._directory.is_dir():
            found.update(entry.name for entry in os.scandir(self._directory) if not entry.name.endswith(_UNDONE))
        return sorted(found)

    def drop(self, frame: Frame) -> None:
        """Forget one frame that nobody reads any more; nothing happens if it is gone."""
        with self._lock:
            self._room += len(self._memory.pop(frame.name, b""))
        (self._directory / _checked(frame.name)).unlink(missing_ok=True)

    def purge(self) -> None:
        """Delete all frames of the cohort, of every epoch; safe to call again."""
        with self._lock:
            self._room += sum(map(len, self._memory.values()))
            self._memory.clear()
        try:
            shutil.rmtree(self._directory)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failure(error, self._cohort_id) from None

    def _bound_to(self, full_name: str) -> bytes:
        return f"{self._cohort_id}/{full_name}".encode()

    def _keep_in_memory(self, full_name: str, sealed: bytes) -> bool:
        with self._lock:
            self._room += len(self._memory.pop(full_name, b""))
            if len(sealed) > self._room:
                return False
            self._memory[full_name] = sealed
            self._room -= len(sealed)
            return True

    def _write_file(self, full_name: str, sealed: bytes, *, durable: bool) -> None:
        path = self._directory / full_name
        undone = path.with_name(full_name + _UNDONE)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(undone, "wb", opener=_open_private) as file:
                file.write(sealed)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            undone.replace(path)
            if durable:
                self._sync_directories()
        except OSError as error:
            with contextlib.suppress(OSError):  # what failed is told below; this only tidies up after it
                undone.unlink()
            raise _failure(error, full_name) from None

    def _sync_directories(self) -> None:
        _sync_directory(self._directory)
        if not self._rooted:
            for directory in (self._directory.parent, self._directory.parent.parent):
                _sync_directory(directory)
            self._rooted = True

    def _read_file(self, full_name: str) -> bytes:
        try:
            return (self._directory / full_name).read_bytes()
        except FileNotFoundError:
            raise FrameLost("the frame is missing", where=full_name) from None
        except OSError as error:
            raise FrameLost(f"the frame can't be read ({error.strerror})", where=full_name) from None


_UNDONE = ".undone"


def _checked(name: str) -> str:
    # Names become file names: only what can't leave the directory.
    if not _NAME.fullmatch(name) or name.endswith(_UNDONE):
        raise ValueError("a name in the spool takes letters, digits, '_', '.' and '-', at most 200")
    return name


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(error: OSError, where: str) -> Unavailable:
    if error.errno in _FULL:
        return SpoolFull("no space left for the spool", where=where, fix="free disk space under the data directory")
    return Unavailable(f"the spool can't be written ({error.strerror})", where=where)
