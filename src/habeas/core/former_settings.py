"""fidesops' configuration where it has a counterpart here: `FIDESOPS__SECTION__NAME`, and `fidesops.toml` in the
working directory. Ours win over it. Reads names and values, shows names alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from habeas.core.errors import BadInput, BadSyntax

PREFIX = "FIDESOPS__"
FILE = "fidesops.toml"

# Its database isn't ours: habeas keeps tables of its own, and must never make them among fidesops'.
COUNTERPARTS = {
    "port": "port",
    "security.app_encryption_key": "app_encryption_key",
    "security.oauth_root_client_id": "oauth_root_client_id",
    "security.oauth_root_client_secret": "oauth_root_client_secret",
    "security.oauth_access_token_expire_minutes": "oauth_access_token_expire_minutes",
    "security.cors_origins": "cors_origins",
    "security.log_level": "log_level",
    "redis.identity_verification_code_ttl_seconds": "identity_verification_code_ttl_seconds",
    "execution.subject_identity_verification_required": "subject_identity_verification_required",
    "execution.require_manual_request_approval": "require_manual_request_approval",
    "execution.task_retry_count": "task_retry_count",
    "execution.task_retry_delay": "task_retry_delay",
    "execution.task_retry_backoff": "task_retry_backoff",
    "notifications.send_request_completion_notification": "send_request_completion_notification",
    "notifications.send_request_receipt_notification": "send_request_receipt_notification",
    "notifications.send_request_review_notification": "send_request_review_notification",
}


@dataclass(frozen=True)
class Former:
    """Values by our names, where each was found, and the names that have no counterpart here."""

    values: Mapping[str, Any]
    places: Mapping[str, str]
    without: tuple[str, ...]

    def told(self) -> str | None:
        """What to say of it at a start, in one line; None where there is nothing of fidesops."""
        taken = ", ".join(sorted(self.places.values())) or "nothing"
        without = f"; without counterpart here: {', '.join(self.without)}" if self.without else ""
        return f"taken from fidesops' configuration: {taken}{without}" if self.places or self.without else None


def read_former(environ: Mapping[str, str], file: Path | None = None) -> Former:
    """What fidesops' variables and file say; a variable wins over the file. Raises BadInput or BadSyntax for a file
    that can't be read.
    """
    place = file or Path(FILE)
    found = {path: (value, f"{place}: {path}") for path, value in _flat(_document(place))}
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and environ[name]:
            path = name.upper().removeprefix(PREFIX).lower().replace("__", ".")
            found[path] = (environ[name], name)
    taken = {COUNTERPARTS[path]: each for path, each in found.items() if path in COUNTERPARTS}
    without = tuple(sorted(where for path, (_, where) in found.items() if path not in COUNTERPARTS))
    values = {name: value for name, (value, _) in taken.items()}
    return Former(values, {name: where for name, (_, where) in taken.items()}, without)


def _document(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise BadInput("can't be read", where=str(file)) from None
    except tomllib.TOMLDecodeError:  # its message may quote the file, which may hold secrets
        raise BadSyntax("is not TOML", where=str(file)) from None


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            for inner, each in _flat(value):
                yield f"{name}.{inner}", each
        else:
            yield name, value
