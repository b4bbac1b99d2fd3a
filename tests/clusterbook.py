"""A PostgreSQL server of a test's own, with passwords, to be stopped and started. Nothing of habeas is imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from serving import free_port

PASSWORD = "right-password-of-the-tests"


class Cluster:
    """A server on a free loopback port; user `postgres` needs `PASSWORD`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self.port = free_port()
        secret = folder / "password"
        secret.write_text(PASSWORD)
        self._own(secret)
        self._run(
            "initdb",
            "-D",
            str(folder / "data"),
            "-U",
            "postgres",
            f"--pwfile={secret}",
            "--no-sync",
            "-A",
            "scram-sha-256",
        )

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = PASSWORD) -> str:
        """Where a database of it is."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start and wait until it takes connections."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run(
            "pg_ctl", "-D", str(self._folder / "data"), "-w", "-o", options, "-l", str(self._folder / "log"), "start"
        )

    def stop(self) -> None:
        """Stop at once, as a crash would."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.getuid() == 0 else None
        subprocess.run(
            [str(self._programs / program), *arguments],
            user=user,
            cwd=self._folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )

    def _own(self, path: Path) -> None:
        if os.getuid() == 0:
            shutil.chown(path, "postgres")


@contextmanager
def clustered() -> Iterator[Cluster]:
    """A started server in a folder of its own, both gone at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("n/a: PostgreSQL's own programs aren't installed here")
    folder = Path(tempfile.mkdtemp(prefix="habeas-cluster-"))  # pytest's folders are closed to the server's user
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    try:
        cluster = Cluster(folder, found[-1].parent)
        cluster.start()
        try:
            yield cluster
        finally:
            with suppress(subprocess.CalledProcessError):  # it may be stopped already
                cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
