"""A store of a test's own, a SQLite file, PostgreSQL schema or MariaDB database: described, erased through the whole
flow, looked at by plain SQL.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from conftest import mariadb_connection
from habeas.requests.connections import ConnectionInput, delete_connection, save_connections, set_secrets
from habeas.requests.datasets import save_text
from habeas.requests.installation import Installation
from habeas.requests.policies import PolicyInput, save_policies
from habeas.requests.rules import RuleInput, StrategyInput, TargetInput, save_rules, save_targets
from habeas.requests.service import explain, read_request, receipt, submit
from requestbook import CLIENT, wait_until

ENDED = ("complete", "error", "requires_input")
NAMES = itertools.count()
HOUSES = """
- name: customer
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
  - name: address_id
    fides_meta: {references: [{dataset: db, field: address.id, direction: to}]}
- name: note
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - name: customer_id
    fides_meta: {references: [{dataset: db, field: customer.id, direction: from}]}
  - {name: body, data_categories: [user.content]}
- name: address
  fides_meta: {erase_after: [db.note]}
  fields:
  - {name: id, fides_meta: {primary_key: true}}
  - {name: street, data_categories: [user.contact.address]}
"""
"""Customers, their notes, and the addresses they point to, which are written last."""


class Store:
    """One described store. `key` is its dataset's and its connection's key."""

    def __init__(self, kind: str, installation: Installation, folder: Path, server: str, key: str = "db") -> None:
        self.kind, self.key = kind, key
        self._installation = installation
        self._schema = f"s{next(NAMES)}"
        self._file, self._server = folder / f"{self._schema}.db", server
        self._described = False

    def run(self, statements: str) -> None:
        """Run statements as the store's owner."""
        if self.kind == "sqlite":
            connection = sqlite3.connect(self._file)
            connection.executescript(f"PRAGMA foreign_keys = ON; {statements}")
            connection.close()
            return
        if self.kind == "mariadb":
            with mariadb_connection(self._server) as maria, maria.cursor() as cursor:
                cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'")
                cursor.execute("ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
                # No key is over text without a length there.
                for statement in filter(str.strip, re.sub(r"\btext\b", "varchar(200)", statements).split(";")):
                    cursor.execute(statement)
            return
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
            connection.execute(f"SET search_path = {self._schema}")
            connection.execute(statements)

    def act_after_update(self, table: str, statement: str) -> None:
        """Let a statement run whenever a row of the table was updated, as another application might."""
        if self.kind == "sqlite":
            self.run(f"CREATE TRIGGER meanwhile AFTER UPDATE ON {table} BEGIN {statement}; END")
            return
        if self.kind == "mariadb":
            self.run(f"CREATE TRIGGER meanwhile AFTER UPDATE ON {table} FOR EACH ROW {statement}")
            return
        quoted = statement.replace("'", "''")
        self.run(
            f"CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS "
            f"'BEGIN {quoted}; RETURN new; END'; "
            f"CREATE TRIGGER meanwhile AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION meanwhile()"
        )

    @property
    def schema(self) -> str:
        """Its schema in PostgreSQL."""
        return self._schema

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        if self.kind == "sqlite":
            connection = sqlite3.connect(self._file)
            found = connection.execute(query).fetchall()
            connection.close()
            return found
        if self.kind == "mariadb":
            with mariadb_connection(self._server) as maria, maria.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall())
        with psycopg.connect(self._server, options=f"-c search_path={self._schema}") as connection:
            return connection.execute(query).fetchall()

    def one(self, query: str) -> Any:
        """The only value of a query."""
        [(value,)] = self.rows(query)
        return value

    def describe(self, collections: str, user: str = "") -> None:
        """Connect, as this user of PostgreSQL or the owner, and save the dataset of these collections (YAML, each at
        the left margin).
        """
        given = ConnectionInput(name=self.key, key=self.key, connection_type=self.kind, access="write")
        assert not save_connections(self._installation, CLIENT, [given]).failed
        secrets = (
            {"path": str(self._file)}
            if self.kind == "sqlite"
            else {"url": self._server.replace("postgres@", f"{user}@") if user else self._server}
        )
        self._described = True
        set_secrets(self._installation, CLIENT, self.key, secrets, verify=True)
        head = f"dataset:\n- fides_key: {self.key}\n"
        if self.kind == "postgres":
            head += f"  fides_meta: {{namespace: {{schema: {self._schema}}}}}\n"
        body = "".join(f"  {line}\n" for line in collections.strip("\n").splitlines())
        saved = save_text(self._installation, CLIENT, self.key, f"{head}  collections:\n{body}")
        assert not saved.failed, saved.failed

    def disable(self) -> None:
        """Switch its connection off."""
        given = ConnectionInput(name=self.key, key=self.key, connection_type=self.kind, access="write", disabled=True)
        assert not save_connections(self._installation, CLIENT, [given]).failed

    def lose(self) -> None:
        """Let its connection lead to where nothing is."""
        nowhere = {"path": str(self._file.parent / "gone" / "away.db")}
        secrets = nowhere if self.kind == "sqlite" else {"url": "postgresql://postgres@127.0.0.1:1/gone"}
        set_secrets(self._installation, CLIENT, self.key, secrets, verify=False)

    def submit(self, *identities: Mapping[str, Any], mask: Any = "null_rewrite") -> list[str]:
        """Ask for erasures of all of `user`, at once; their ids."""
        key = policy(self._installation, mask)
        items = [{"policy_key": key, "identity": dict(each)} for each in identities]
        taken = submit(self._installation, items, actor=CLIENT)
        assert not taken.failed
        return [str(each["id"]) for each in taken.succeeded]

    def end(self, request_id: str) -> dict[str, Any]:
        """Wait for a request's end."""
        wait_until(lambda: read_request(self._installation, request_id)["status"] in ENDED, 30.0)
        return read_request(self._installation, request_id)

    def erase(self, email: str = "ada@example.com", mask: Any = "null_rewrite") -> dict[str, Any]:
        """Erase one person; the request when it has ended."""
        [request_id] = self.submit({"email": email}, mask=mask)
        return self.end(request_id)

    def erased(self, email: str = "ada@example.com", mask: Any = "null_rewrite") -> dict[str, dict[str, Any]]:
        """Erase one person, who must be complete; what the receipt says, by collection."""
        ended = self.erase(email, mask)
        assert ended["status"] == "complete", (ended["status"], ended["reason"], ended["reason_detail"])
        return self.receipt(ended["id"])

    def refused(self, email: str = "ada@example.com", mask: Any = "null_rewrite") -> dict[str, Any]:
        """Erase one person, who must be refused; the detail."""
        ended = self.erase(email, mask)
        assert (ended["status"], ended["reason"]) == ("error", "refused"), (ended["status"], ended["reason_detail"])
        return ended["reason_detail"]

    def access(self, email: str = "ada@example.com") -> dict[str, Any]:
        """Access by the policy that is there from the start; the request when it has ended."""
        taken = submit(self._installation, [{"policy_key": "download", "identity": {"email": email}}], actor=CLIENT)
        return self.end(str(taken.succeeded[0]["id"]))

    def receipt(self, request_id: str) -> dict[str, Any]:
        """What the receipt says was erased, by collection."""
        return receipt(self._installation, request_id)["receipt"]["erasure"]

    def preview(self, email: str = "ada@example.com", mask: Any = "null_rewrite") -> dict[str, Any]:
        """The explained parts, by address, with rows counted."""
        return {part.address: part for part in self.explained(email, mask).collections}

    def explained(self, email: str = "ada@example.com", mask: Any = "null_rewrite") -> Any:
        """The explanation of one person's erasure."""
        return explain(self._installation, policy(self._installation, mask), {"email": email}).explanation

    def close(self) -> None:
        """Forget it."""
        if self._described:
            delete_connection(self._installation, CLIENT, self.key)


def policy(installation: Installation, mask: Any) -> str:
    """The key of a policy that erases `user` by a strategy, given by name or with its configuration."""
    chosen = StrategyInput(strategy=mask) if isinstance(mask, str) else StrategyInput(**mask)
    key = f"p_{abs(hash(repr(mask)))}"
    assert not save_policies(installation, CLIENT, [PolicyInput(name=key, key=key)]).failed
    rule = RuleInput(name=key, key=f"{key}_r", action_type="erasure", masking_strategy=chosen)
    assert not save_rules(installation, CLIENT, key, [rule]).failed
    save_targets(installation, CLIENT, key, f"{key}_r", [TargetInput(key=f"{key}_t", data_category="user")])
    return key
