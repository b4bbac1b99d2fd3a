"""Stores of documents for tests: SQLite files, PostgreSQL schemas and MariaDB
databases, described and run through the whole flow."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg

from conftest import fresh_mariadb, mariadb_connection
from constraintbook import policy
from habeas.requests.connections import ConnectionInput, delete_connection, save_connections, set_secrets
from habeas.requests.datasets import save_text
from habeas.requests.installation import Installation
from habeas.requests.service import read_request, receipt, submit
from requestbook import CLIENT, wait_until

NAMES = itertools.count()


class Documents:
    """One store, described as the dataset `key` behind the connection `key`. `servers` has URLs by kind: of a database
    of PostgreSQL, of a server of MariaDB.
    """

    def __init__(
        self, kind: str, key: str, installation: Installation, folder: Path, servers: Mapping[str, str]
    ) -> None:
        self.kind, self.key = kind, key
        self.installation = installation
        self._resources = ExitStack()
        self._schema = f"n{next(NAMES)}"
        self._file, self._url = folder / f"{self._schema}.db", servers.get(kind, "")
        if kind == "postgres":
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute(f"CREATE SCHEMA {self._schema}")
        elif kind == "mariadb":
            self._url = self._resources.enter_context(fresh_mariadb(self._url, self._schema))

    def _mariadb(self) -> Any:
        connection = mariadb_connection(self._url)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'")
        return connection

    def run(self, statements: str) -> None:
        """Run statements as the owner; JSON stands for the store's type of documents."""
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self._file)) as connection:
                connection.executescript(statements)
            return
        if self.kind == "mariadb":
            with self._mariadb() as connection, connection.cursor() as cursor:
                cursor.execute(statements)
            return
        with psycopg.connect(self._url, options=f"-c search_path={self._schema}", autocommit=True) as connection:
            connection.execute(statements.replace(" JSON", " jsonb"))

    def document(self, query: str) -> Any:
        """The only value of a query, a document."""
        [(value,)] = self.rows(query)
        return json.loads(value) if isinstance(value, str) else value

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self._file)) as connection:
                return connection.execute(query).fetchall()
        if self.kind == "mariadb":
            with self._mariadb() as connection, connection.cursor() as cursor:
                cursor.execute(query.replace(" AS TEXT)", " AS CHAR)"))
                return list(cursor.fetchall())
        with psycopg.connect(self._url, options=f"-c search_path={self._schema}") as connection:
            return connection.execute(query).fetchall()

    def describe(self, collections: str) -> None:
        """Connect, and save the dataset of these collections (YAML at the left margin)."""
        given = ConnectionInput(name=self.key, key=self.key, connection_type=self.kind, access="write")
        assert not save_connections(self.installation, CLIENT, [given]).failed
        secrets = {"path": str(self._file)} if self.kind == "sqlite" else {"url": self._url}
        set_secrets(self.installation, CLIENT, self.key, secrets, verify=True)
        head = f"dataset:\n- fides_key: {self.key}\n"
        if self.kind == "postgres":
            head += f"  fides_meta: {{namespace: {{schema: {self._schema}}}}}\n"
        body = "".join(f"  {line}\n" for line in collections.strip("\n").splitlines())
        saved = save_text(self.installation, CLIENT, self.key, f"{head}  collections:\n{body}")
        assert not saved.failed, saved.failed

    def ask(self, policy_key: str, identity: Mapping[str, Any]) -> dict[str, Any]:
        """One request; the item when it has ended."""
        [item] = self.ask_all(policy_key, identity)
        return item

    def ask_all(self, policy_key: str, *identities: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Requests taken at once; the items when all have ended."""
        items = [{"policy_key": policy_key, "identity": dict(each)} for each in identities]
        taken = submit(self.installation, items, actor=CLIENT)
        assert not taken.failed, taken.failed
        ids = [str(each["id"]) for each in taken.succeeded]
        ended = ("complete", "error", "requires_input")
        wait_until(lambda: all(read_request(self.installation, each)["status"] in ended for each in ids), 30.0)
        return [read_request(self.installation, each) for each in ids]

    def access(self, **identity: Any) -> dict[str, list[dict[str, Any]]]:
        """The package, by collection without the dataset; the request must be complete."""
        item = self.ask("download", identity)
        assert item["status"] == "complete", (item["reason"], item["reason_detail"])
        path = self.installation.settings.data_dir / "packages" / f"{item['id']}.json"
        return {name.partition(":")[2]: rows for name, rows in json.loads(path.read_bytes()).items()}

    def erase(self, mask: Any = "null_rewrite", **identity: Any) -> dict[str, Any]:
        """Erase all of `user`; the item, with the receipt's part on erasure under `erasure` if complete."""
        item = self.ask(policy(self.installation, mask), identity)
        if item["status"] == "complete":
            item["erasure"] = receipt(self.installation, str(item["id"]))["receipt"]["erasure"]
        return item

    def erased(self, mask: Any = "null_rewrite", **identity: Any) -> dict[str, Any]:
        """Erase, which must be complete; the item."""
        item = self.erase(mask, **identity)
        assert item["status"] == "complete", (item["reason"], item["reason_detail"])
        return item

    def close(self) -> None:
        """Forget it."""
        delete_connection(self.installation, CLIENT, self.key)
        self._resources.close()
