"""Secrets of connections: checked, sealed, and resolved where a connector is built.

A value may be a reference, `env:NAME` or `file:PATH`; it is kept as a reference and read again each time a
connector is built, so that rotating it needs no call. What is read is sent to whatever server the connection
names, so habeas' own settings are refused, and files only from the directories set aside for them
(`HABEAS_SECRETS_DIR`). No error repeats a value.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from habeas.connectors.base import Connector
from habeas.connectors.registry import connector_class
from habeas.core.errors import BadInput, Unavailable
from habeas.core.settings import PREFIX, Settings
from habeas.store.connections import ConnectionRow
from habeas.store.secrets import Vault

MAX_FILE = 64 * 1024

_PURPOSE = "connection-secrets"


def seal_secrets(vault: Vault, connection_id: str, given: Mapping[str, Any]) -> bytes:
    """Secrets as they are stored, references unresolved."""
    return vault.seal_json(_PURPOSE, dict(given), connection_id)


def open_secrets(vault: Vault, row: ConnectionRow) -> dict[str, Any]:
    """A connection's secrets as given, references unresolved; empty where none were set."""
    if row.sealed_secrets is None:
        return {}
    opened = vault.open_json(_PURPOSE, row.sealed_secrets, row.id)
    return dict(opened) if isinstance(opened, dict) else {}


def are_kept(vault: Vault, row: ConnectionRow, given: Mapping[str, Any]) -> bool:
    """Whether a connection's secrets are stored as given, references as references; what can't be opened isn't.

    Takes as long whatever their values are.
    """
    try:
        stored = open_secrets(vault, row)
    except Unavailable:
        return False
    kept, new = (msgspec.json.encode(each, order="sorted") for each in (stored, dict(given)))
    return row.sealed_secrets is not None and hmac.compare_digest(kept, new)


def connector_of(vault: Vault, settings: Settings, row: ConnectionRow) -> Connector:
    """A new connector for a stored connection; the caller closes it.

    Raises BadInput for a kind that isn't installed, for secrets that are missing or no longer valid, and for a
    reference that leads nowhere.
    """
    kind = connector_class(row.connection_type)
    return kind(checked_secrets(kind, open_secrets(vault, row), settings))


def checked_secrets(kind: type[Connector], given: Mapping[str, Any], settings: Settings) -> BaseModel:
    """The secrets of a kind with all references resolved. Raises BadInput naming fields, never values."""
    resolved = {name: _resolved(name, value, settings) for name, value in given.items()}
    try:
        return kind.secrets_model.model_validate(resolved)
    except ValidationError as problem:
        faults = problem.errors(include_url=False, include_input=False, include_context=False)
        told = "; ".join(_told(fault) for fault in faults)
        known = ", ".join(kind.secrets_model.model_fields)
        raise BadInput(f"{kind.label}: {told}", where="secrets", fix=f"the fields are {known}") from None


def _told(fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _resolved(name: str, value: object, settings: Settings) -> object:
    if not isinstance(value, str):
        return value
    scheme, _, rest = value.partition(":")
    if scheme == "env":
        return _from_environment(name, rest)
    if scheme == "file" and not rest.startswith("//"):
        return _from_file(name, Path(rest), settings)
    return value


def _from_environment(name: str, variable: str) -> str:
    if variable.upper().startswith(PREFIX):
        raise BadInput("habeas' own settings can't be sent to another system", where=f"secrets.{name}")
    found = os.environ.get(variable)
    if found is None:
        raise BadInput("the environment variable it names is not set for this process", where=f"secrets.{name}")
    return found


def _from_file(name: str, path: Path, settings: Settings) -> str:
    where = f"secrets.{name}"
    if not path.is_absolute():
        raise BadInput("the file it names must be an absolute path", where=where)
    try:
        real = path.resolve()
        # First of all: what lies elsewhere isn't even looked at, so the answer can't say whether it exists.
        _check_place(real, settings, where)
        if real.stat().st_size > MAX_FILE or not real.is_file():
            raise BadInput(f"the file it names is no regular file of at most {MAX_FILE} bytes", where=where)
        return real.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, RuntimeError) as problem:  # RuntimeError: links in a circle
        reason = problem.strerror if isinstance(problem, OSError) else "links in a circle"
        raise BadInput(f"the file it names can't be read ({reason})", where=where) from None
    except UnicodeDecodeError:
        raise BadInput("the file it names is not UTF-8 text", where=where) from None


def _check_place(real: Path, settings: Settings, where: str) -> None:
    """Refuse a file, all links resolved, that is outside the directories for secrets or within the data directory."""
    allowed = [directory.resolve() for directory in settings.secrets_dir]
    if not any(real.is_relative_to(directory) for directory in allowed):
        raise BadInput(
            "the file it names is not in a directory for secrets",
            where=where,
            fix=f"HABEAS_SECRETS_DIR names them: {', '.join(map(str, settings.secrets_dir)) or 'none'}",
        )
    if real.is_relative_to(settings.data_dir.resolve()):
        raise BadInput("files of habeas' own data directory can't be sent to another system", where=where)
