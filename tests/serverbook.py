"""Database servers of a test's own, to be killed and started again, and a link to one that can be dropped. Nothing of
habeas is imported.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from serving import free_port

START_SECONDS = 90.0


class OwnServer(Protocol):
    """A database server that may be killed."""

    port: int

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        ...

    def kill(self) -> None:
        """kill -9 of the server; its data stay."""
        ...

    def remove(self) -> None:
        """Kill it and delete its data."""
        ...

    def url(self, database: str) -> str:
        """Where a database of it is, made if need be."""
        ...


class _Server:
    def __init__(self, prefix: str, user: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))  # pytest's folders are closed to the server's user
        self.port = free_port()
        self._user = user if os.getuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, *command: str) -> None:
        subprocess.run(
            command, user=self._user, cwd=self.folder, check=True, capture_output=True, timeout=START_SECONDS
        )

    def _begin(self, *command: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._user, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the server doesn't answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        raise NotImplementedError

    def kill(self) -> None:
        """kill -9 of the server and all its processes; its data stay."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)

    def remove(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class OwnPostgres(_Server):
    """PostgreSQL, made by initdb; user `postgres`, no password."""

    def __init__(self) -> None:
        super().__init__("habeas-own-pg-", "postgres")
        self._listens = "127.0.0.1"
        self._programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self._run(str(self._programs / "initdb"), "-D", "data", "-U", "postgres", "-A", "trust", "--no-sync")

    def open_to(self, network: str) -> None:
        """Let clients of a network in, from the next start on."""
        with (self.folder / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {network} trust\n")
        self._listens = "*"

    def start(self) -> None:
        """Start, and wait until it takes connections. What it told a client is on disk, as in production."""
        options = ("-k", str(self.folder), "-c", f"listen_addresses={self._listens}", "-c", "max_connections=200")
        self._begin(str(self._programs / "postgres"), "-D", "data", "-p", str(self.port), *options)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def url(self, database: str) -> str:
        """Where a database of it is, made if need be."""
        import psycopg

        with psycopg.connect(self._url("postgres"), autocommit=True) as admin, suppress(psycopg.Error):
            admin.execute(f"CREATE DATABASE {database}")
        return self._url(database)


class OwnMariadb(_Server):
    """MariaDB, made by mariadb-install-db; user `root`, no password."""

    def __init__(self) -> None:
        super().__init__("habeas-own-maria-", "mysql")
        options = ("--auth-root-authentication-method=normal", "--skip-test-db")
        self._run("mariadb-install-db", "--no-defaults", f"--datadir={self.folder}/data", *options)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self._begin(
            "mariadbd",
            "--no-defaults",
            f"--datadir={self.folder}/data",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder}/socket",
            "--innodb-buffer-pool-size=32M",
        )

    def _answers(self) -> bool:
        import pymysql

        try:
            self._connect().close()
        except pymysql.OperationalError:
            return False
        return True

    def _connect(self) -> object:
        import pymysql

        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)

    def url(self, database: str) -> str:
        """Where a database of it is, made if need be."""
        import pymysql

        with pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True) as admin:
            admin.cursor().execute(f"CREATE DATABASE IF NOT EXISTS {database}")
        return f"mariadb://root@127.0.0.1:{self.port}/{database}"


class Link:
    """A TCP link to a local port, all of whose connections can be dropped at once. Ends with the process."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._held: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self) -> int:
        """Cut every connection, with a reset; how many."""
        with self._guard:
            cut, self._held = list(self._held), set()
        for each in cut:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                each.shutdown(socket.SHUT_RDWR)
        return len(cut) // 2

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                near.close()
                continue
            with self._guard:
                self._held |= {near, far}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            with self._guard:
                self._held.discard(each)
