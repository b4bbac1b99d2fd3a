"""Transactions: bounded waits, value-free errors, recovery after the database was locked or gone."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from habeas.core.errors import BadInput, Conflict, HabeasError, NotFound, Unavailable
from habeas.store.session import Database, default_url, new_id
from habeas.store.tables import setting

SECRET = "jane@example.com"


def insert(database: Database, name: str = "a", value: object = 1) -> None:
    with database.begin() as connection:
        row = {"name": name, "value": value, "updated_at": sa.func.current_timestamp()}
        connection.execute(sa.insert(setting).values(row))


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(setting)).scalar_one())


def test_ids_have_their_prefix_and_differ() -> None:
    assert new_id("pri").startswith("pri_")
    assert len(new_id("pri")) == 40
    assert new_id("pri") != new_id("pri")


def empty_then_fail(connection: sa.Connection) -> None:
    connection.execute(sa.delete(setting))
    raise NotFound("on purpose")


def test_a_transaction_commits_whole_or_not_at_all(database: Database) -> None:
    insert(database)
    with pytest.raises(NotFound), database.begin() as connection:
        empty_then_fail(connection)
    assert count(database) == 1


def test_a_violated_key_is_a_conflict_without_its_values(database: Database) -> None:
    insert(database, SECRET)
    with pytest.raises(Conflict) as caught:
        insert(database, SECRET)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_faulty_statement_is_named_without_its_values(database: Database) -> None:
    with pytest.raises(HabeasError, match="nowhere") as caught, database.begin() as connection:
        connection.execute(sa.text("SELECT * FROM nowhere WHERE a = :a"), {"a": SECRET})
    assert SECRET not in str(caught.value)


def test_reads_can_not_see_half_a_write_and_need_no_lock(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(sa.text("INSERT INTO setting VALUES ('b', '1', CURRENT_TIMESTAMP)"))
        assert count(database) == 0
    assert count(database) == 1


def test_sqlite_locked_by_another_process_is_waited_for_then_unavailable(tmp_path: Path) -> None:
    mine = Database.open(default_url(tmp_path), wait_seconds=0.5)
    other = Database.open(default_url(tmp_path), wait_seconds=0.5)
    mine.migrate()
    with other.begin():
        started = time.monotonic()
        with pytest.raises(Unavailable):
            insert(mine)
        assert 0.4 < time.monotonic() - started < 3
        assert count(mine) == 0
    insert(mine)


def test_sqlite_writers_of_one_process_take_turns(tmp_path: Path) -> None:
    database = Database.open(default_url(tmp_path), wait_seconds=20)
    database.migrate()
    threads = [threading.Thread(target=insert, args=(database, f"n{number}")) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database) == 20


def test_postgresql_lock_is_waited_for_then_unavailable(postgres_url: str) -> None:
    database = Database.open(postgres_url, wait_seconds=0.5)
    database.migrate()
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE setting")
        with pytest.raises(Unavailable):
            insert(database)
    insert(database)
    database.close()


def test_postgresql_sessions_ended_by_the_server_are_replaced(postgres_url: str) -> None:
    database = Database.open(postgres_url, wait_seconds=2)
    database.migrate()

    def end_sessions() -> None:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"  # returns once they have ended
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

    def end_inside() -> None:
        with database.begin() as connection:
            end_sessions()
            connection.execute(sa.delete(setting))

    end_sessions()
    insert(database)
    with pytest.raises(Unavailable):
        end_inside()
    assert count(database) == 1
    database.close()


class Gate:
    """A port that hands connections on to the PostgreSQL server while it is open."""

    def __init__(self) -> None:
        self._listener: socket.socket | None = None
        self._sockets: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        for each in [self._listener, *self._sockets]:
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._sockets.clear()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", 5432))
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            return


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.close()


def test_postgresql_gone_is_waited_for_then_unavailable_and_comes_back(postgres_url: str, gate: Gate) -> None:
    database = Database.open(postgres_url.replace("5432", str(gate.port)), wait_seconds=1)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        database.migrate()
    assert time.monotonic() - started < 4
    gate.open()
    database.migrate()
    gate.close()
    with pytest.raises(Unavailable):
        insert(database)
    threading.Timer(0.3, gate.open).start()
    insert(database)
    assert count(database) == 1
    database.close()


def test_sqlite_file_moved_away_is_unavailable_and_comes_back(tmp_path: Path) -> None:
    database = Database.open(default_url(tmp_path), wait_seconds=0.3)
    database.migrate()
    file, away = tmp_path / "habeas.sqlite", tmp_path / "away"
    os.rename(file, away)
    with pytest.raises(Unavailable):
        insert(database)
    assert not file.exists()
    os.rename(away, file)
    insert(database)
    assert count(database) == 1


def test_sqlite_file_is_private_full_synchronous_and_journals_ahead(tmp_path: Path) -> None:
    database = Database.open(default_url(tmp_path / "new"))
    assert (tmp_path / "new" / "habeas.sqlite").stat().st_mode & 0o777 == 0o600
    with database.read() as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for pragma in asked]
    assert found == ["wal", 2, 1]


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(BadInput):
        Database.open(url)


def test_a_database_that_does_not_exist_is_refused_at_once(postgres_url: str) -> None:
    started = time.monotonic()
    with pytest.raises(BadInput), Database.open(postgres_url + "_not").begin():
        pass
    assert time.monotonic() - started < 2


def test_a_directory_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        Database.open(default_url(tmp_path / "file" / "below"))


def test_urls_for_others_are_plain(database: Database) -> None:
    assert database.url.startswith(("sqlite:////", "postgresql://"))
    again = Database.open(database.url)
    assert again.dialect == database.dialect
    again.close()
