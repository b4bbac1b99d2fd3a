"""The `local` destination: files under DATA_DIR/packages, readable by the owner alone."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from habeas.deliver.base import DeliveryFailed, Destination, Model, Sink
from habeas.deliver.disk import sync_directory, sync_files

DIRECTORY = "packages"


class LocalDetails(Model):
    """How files are named: `{request_id}.json` or `.zip`."""

    naming: Literal["request_id"] = "request_id"


class LocalDestination(Destination):
    """A directory of this machine."""

    kind: ClassVar[str] = "local"
    label: ClassVar[str] = "Local directory"
    details_model = LocalDetails

    def __init__(self, key: str, details: LocalDetails, secrets: Any, data_dir: Path) -> None:
        self._key = key
        self._directory = data_dir / DIRECTORY

    @property
    def key(self) -> str:
        """The storage's key."""
        return self._key

    @property
    def place(self) -> str:
        """The directory: every local storage of an installation writes to the same one."""
        return f"local:{self._directory}"

    def create(self, part: str) -> Sink:
        """A file of that name, mode 0600."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _File(self._directory / part, self._key)
        except OSError as error:
            raise _failure(error, self._key) from None

    def sync(self, parts: Sequence[str]) -> None:
        """To disk, by one call where there are many."""
        if not parts:
            return
        try:
            sync_files(self._directory, parts)
            sync_directory(self._directory.parent)
        except OSError as error:
            raise _failure(error, self._key) from None

    def show(self, parts: Sequence[tuple[str, str, str]]) -> None:
        """Rename; where a part is gone, the final file must be the very one."""
        if not parts:
            return
        try:
            for part, name, digest in parts:
                self._rename(part, name, digest)
            sync_directory(self._directory)
        except OSError as error:
            raise _failure(error, self._key) from None

    def discard(self, parts: Sequence[str]) -> None:
        """Unlink."""
        try:
            for part in parts:
                (self._directory / part).unlink(missing_ok=True)
        except OSError as error:
            raise _failure(error, self._key) from None

    def location(self, name: str) -> str:
        """The path below the data directory."""
        return f"{DIRECTORY}/{name}"

    def _rename(self, part: str, name: str, digest: str) -> None:
        shown = self._directory / name
        try:
            os.replace(self._directory / part, shown)
        except FileNotFoundError:
            if not shown.exists() or _digest_of(shown) != digest:
                raise DeliveryFailed(
                    "a written package is gone", where=self._key, fix="retry to write it again"
                ) from None


class _File:
    """A sink that is a file; unbuffered, since parts gather."""

    def __init__(self, path: Path, key: str) -> None:
        self._key = key
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """All bytes; raises DeliveryFailed."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise _failure(error, self._key) from None

    def close(self) -> None:
        """Close the file; raises DeliveryFailed."""
        try:
            os.close(self._descriptor)
        except OSError as error:
            raise _failure(error, self._key) from None


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _failure(error: OSError, key: str) -> DeliveryFailed:
    fix = "free disk space under the data directory" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return DeliveryFailed(f"the package can't be written ({error.strerror})", where=key, fix=fix)
