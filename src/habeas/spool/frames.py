"""Sealed frames of a running cohort: rows and keys that one stage leaves for another.

Each frame is sealed with AES-256-GCM under the cohort's data key, bound to cohort and name, so that no
frame passes for another. A frame's name ends with the epoch that wrote it, so that a stale attempt never
writes over a newer one's. Small frames that may be lost stay in memory, so that a lone request writes no
file. The data key is the caller's: destroying it is the purge, deleting frames only frees the place.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from habeas.core.errors import Unavailable
from habeas.core.log import get_logger
from habeas.spool.directory import UNDONE, Directory
from habeas.spool.medium import Frame, FrameLost, Medium, SpoolFull, is_name

__all__ = ["Frame", "FrameLost", "Spool", "SpoolFull", "new_data_key"]

KEY_BYTES = 32
MEMORY_BYTES = 1 << 20
_NONCE_BYTES = 12


def new_data_key() -> bytes:
    """A fresh data key for one cohort."""
    return AESGCM.generate_key(bit_length=KEY_BYTES * 8)


class Spool:
    """The frames of one cohort in a medium; a path is a local directory. Safe for several threads that write
    different names.
    """

    def __init__(
        self, place: Medium | Path, cohort_id: str, epoch: int, data_key: bytes, *, memory: int = MEMORY_BYTES
    ) -> None:
        self._medium: Medium = Directory(place) if isinstance(place, Path) else place
        self._cohort_id = _checked(cohort_id)
        self._epoch = epoch
        self._cipher = AESGCM(data_key)
        self._memory: dict[str, bytes] = {}
        self._room = memory
        self._lock = threading.Lock()
        self._put = epoch > 1  # whether the medium may hold frames: a first attempt finds none

    def write(self, name: str, payload: bytes, *, durable: bool) -> Frame:
        """Seal and keep a payload under `<name>.<epoch>`; writing a name again takes the earlier one's place.

        `durable`: on return the frame outlives a power loss. Otherwise it may be lost with the process.
        Raises SpoolFull or Unavailable, having kept nothing.
        """
        full_name = f"{_checked(name)}.{self._epoch}"
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, payload, self._bound_to(full_name))
        frame = Frame(full_name, len(payload), hashlib.sha256(sealed).hexdigest())
        self._forget(full_name)
        if durable or not self._keep_in_memory(full_name, sealed):
            self._put = True
            self._medium.put(self._cohort_id, frame, sealed, durable=durable)
        return frame

    def read(self, frame: Frame) -> bytes:
        """The payload; raises FrameLost where the frame is missing, damaged, another's or under another key,
        Unavailable where the medium is out of reach.
        """
        sealed = self._memory.get(frame.name)
        if sealed is None:
            _checked(frame.name)
            sealed = self._medium.get(self._cohort_id, frame)
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
        return sorted(found | self._medium.names(self._cohort_id))

    def drop(self, frame: Frame) -> None:
        """Forget one frame that nobody reads any more; nothing happens if it is gone."""
        _checked(frame.name)
        if not self._forget(frame.name):
            self._medium.drop(self._cohort_id, frame)

    def purge(self) -> None:
        """Delete all frames of the cohort, of every epoch; safe to call again.

        Never fails: what a medium out of reach keeps is noise once the key is destroyed. A warning tells of it,
        and `Medium.cohorts_with_frames` still shows it.
        """
        with self._lock:
            self._room += sum(map(len, self._memory.values()))
            self._memory.clear()
        if not self._put:
            return
        try:
            self._medium.clear(self._cohort_id)
        except Unavailable as error:
            get_logger(__name__).warning("spool.left", cohort_id=self._cohort_id, code=error.code, reason=error.message)

    def _bound_to(self, full_name: str) -> bytes:
        return f"{self._cohort_id}/{full_name}".encode()

    def _forget(self, full_name: str) -> bool:
        with self._lock:
            kept = self._memory.pop(full_name, None)
            self._room += len(kept or b"")
        return kept is not None

    def _keep_in_memory(self, full_name: str, sealed: bytes) -> bool:
        with self._lock:
            if len(sealed) > self._room:
                return False
            self._memory[full_name] = sealed
            self._room -= len(sealed)
            return True


def _checked(name: str) -> str:
    # Names become file names and keys: only what can't leave its place.
    if not is_name(name) or name.endswith(UNDONE):
        raise ValueError("a name in the spool takes letters, digits, '_', '.' and '-', at most 200")
    return name
