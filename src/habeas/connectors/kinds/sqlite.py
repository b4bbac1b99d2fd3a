"""SQLite files: secrets and sessions over the `sql` family. A file that doesn't exist is never made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field, model_validator

from habeas.connectors.base import Capabilities, CheckResult
from habeas.connectors.sql.connector import Purpose, SqlConnector
from habeas.connectors.sql.session import Session
from habeas.connectors.sql.sqlite import SqliteDialect
from habeas.core.errors import SourceError, SourceUnreachable
from habeas.core.schema import StoreSchema, TableName

_SCHEME = "sqlite:///"


class SqliteSecrets(BaseModel):
    """Where the file is: `url` (sqlite:///relative or sqlite:////absolute) or `path`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, title="URL", description="sqlite:////path/to/file")
    path: str | None = None
    lock_timeout_seconds: float = Field(5, gt=0, description="how long to wait for the file's lock")
    read_timeout_seconds: float = Field(3600, gt=0, description="of one statement that reads")
    write_timeout_seconds: float = Field(7, gt=0, description="of one statement that writes; a lease lasts 8 s")

    @model_validator(mode="after")
    def _has_place(self) -> SqliteSecrets:
        if not self.url and not self.path:
            raise ValueError("SQLite must be supplied a 'url' or all of: ['path']")
        if self.url and (not self.url.startswith(_SCHEME) or len(self.url) == len(_SCHEME)):
            raise ValueError("the 'url' must be sqlite:///path")
        return self

    def file(self) -> Path:
        """The file."""
        return Path(self.path or unquote((self.url or "").removeprefix(_SCHEME)))


class SqliteConnector(SqlConnector):
    """One SQLite file. Safe to share between threads: each reader and writer has a connection of its own."""

    kind = "sqlite"
    label = "SQLite"
    secrets_model = SqliteSecrets
    capabilities = Capabilities(schemas=False)

    def __init__(self, secrets: BaseModel) -> None:
        self._secrets = cast(SqliteSecrets, secrets)
        self._file = self._secrets.file()
        self._prepare(SqliteDialect())

    @contextmanager
    def _session(self, purpose: Purpose, label: str) -> Iterator[Session]:
        from habeas.connectors.sql.sqlite_session import connect

        if not self._file.is_file():
            raise SourceUnreachable("there is no such file", where=self.label, fix="check the path")
        secrets = self._secrets
        limit = secrets.write_timeout_seconds if purpose == "write" else secrets.read_timeout_seconds
        mode = "rw" if purpose == "write" else "ro"
        uri = f"file:{quote(str(self._file.resolve()))}?mode={mode}"
        session = connect(uri, wait=secrets.lock_timeout_seconds, limit=limit)
        try:
            yield session
        finally:
            session.close()

    def _fingerprints(self, session: Session, tables: Sequence[TableName]) -> Mapping[TableName, str]:
        from habeas.connectors.sql.sqlite_catalog import read_fingerprints

        return read_fingerprints(session, tables)

    def introspect(self, schema: str | None = None) -> StoreSchema:
        """By pragmas. SQLite has one schema, `main`; any other holds nothing."""
        from habeas.connectors.sql.sqlite_catalog import read_schema

        if schema not in (None, "main"):
            return StoreSchema(())
        with self._session("read", "habeas") as session:
            return read_schema(session, self.dialect, writable=os.access(self._file, os.W_OK))

    def check(self) -> CheckResult:
        """By reading the schema's table."""
        try:
            with self._session("read", "habeas") as session:
                session.fetch("SELECT count(*) FROM main.sqlite_master")
                ((version,),) = session.fetch("SELECT sqlite_version()")
        except SourceError as error:
            return CheckResult(False, error.code, str(error))
        return CheckResult(True, version=version)

    def end_sessions(self, prefix: str, keep: str) -> None:
        """Sessions of a dead process are gone with it; one that is writing is awaited by taking the lock."""
        with self._session("write", keep) as session:
            session.begin(writes=True)
            session.rollback()

    def identity(self) -> str:
        """The file's real path."""
        return f"sqlite:{self._file.resolve()}"

    def close(self) -> None:
        """Nothing is kept open between uses."""
