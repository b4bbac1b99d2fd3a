"""The settings of an installation: one typed, frozen model with flat names. Pure but for reading its sources.

Sources in order: the environment (`HABEAS_<FIELD>`), `habeas.toml`, fidesops' own (`former_settings`), the
defaults. An unknown key in the file is refused with its line and the nearest right one; an unknown `HABEAS_*`
variable is a warning, since other programs may share the prefix. Messages name settings, never their values: some
are secrets. Nothing here opens a database, makes a directory or is read again after the start.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from habeas.core.errors import BadInput, BadSyntax
from habeas.core.former_settings import PREFIX as FORMER_PREFIX
from habeas.core.former_settings import read_former

PREFIX = "HABEAS_"
CONFIG_FILE = "habeas.toml"

_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})*")
_SERVER = r"(\[[0-9A-Fa-f:.]+\]|[\w.-]*)(:[0-9]+)?"
_DATABASE_PLACE = re.compile(rf"[a-z+0-9]+://([^@/?#\[\]\s]*@)?{_SERVER}(,{_SERVER})*(/[^@/?#\s]*)?(\?[^@#\s]*)?")
_ORIGIN = re.compile(rf"https?://({_HOST_NAME.pattern}|\[[0-9a-f:]+\])(:[0-9]{{1,5}})?")

# The command line's own variables: they say where and as whom it calls, and are no settings of a server.
CLIENT_VARIABLES = frozenset({"HABEAS_CONFIG", "HABEAS_SERVER", "HABEAS_CLIENT_ID", "HABEAS_CLIENT_SECRET"})


def default_data_dir() -> Path:
    """The data directory when none is set: the user's own, independent of the working directory."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "habeas"


class Settings(BaseSettings):
    """All settings. Build it by `load_settings`; secrets never show in its repr."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, env_ignore_empty=True
    )

    data_dir: Path = Field(default_factory=default_data_dir)
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    metrics_bind: str | None = None
    database_url: str | None = Field(default=None, repr=False)
    oauth_root_client_id: str | None = None
    oauth_root_client_secret: str | None = Field(default=None, repr=False)
    app_encryption_key: str | None = Field(default=None, repr=False)
    oauth_access_token_expire_minutes: int = Field(default=60, ge=1, le=24 * 60)
    public_url: str | None = None
    phone_region: str = "US"
    secrets_dir: Annotated[tuple[Path, ...], NoDecode] = (Path("/run/secrets"),)
    egress_allow: Annotated[tuple[str, ...], NoDecode] = ()
    spool_url: str | None = Field(default=None, repr=False)
    spool_retention_days: int = Field(default=30, ge=0, le=3650)
    request_retention_days: int = Field(default=0, ge=0, le=36500)
    event_retention_days: int = Field(default=30, ge=1, le=3650)
    outbox_retention_days: int = Field(default=30, ge=1, le=3650)
    workflow_retention_days: int = Field(default=7, ge=0, le=3650)
    cohort_pairs: int = Field(default=1_000_000, ge=1, le=1_000_000_000)
    task_retry_count: int = Field(default=2, ge=0, le=20)
    task_retry_delay: float = Field(default=0.5, ge=0, le=60)
    task_retry_backoff: float = Field(default=2.0, ge=0, le=10)
    erasure_verification_hours: int = Field(default=7 * 24, ge=0, le=45 * 24)
    regimes_file: Path | None = None
    duplicate_window_days: int = Field(default=0, ge=0, le=3660)
    duplicate_identities: Annotated[tuple[str, ...], NoDecode] = ()
    duplicate_actions: Annotated[tuple[Literal["access", "erasure"], ...], NoDecode] = ("access", "erasure")
    duplicate_then: Literal["ask", "close"] = "ask"
    require_manual_request_approval: bool = False
    subject_identity_verification_required: bool = False
    identity_verification_code_ttl_seconds: int = Field(default=600, ge=60, le=24 * 3600)
    privacy_request_delay_timeout: int = Field(default=7 * 24 * 3600, ge=60, le=366 * 24 * 3600)
    webhook_attempts: int = Field(default=8, ge=1, le=50)
    send_request_receipt_notification: bool = False
    send_request_review_notification: bool = False
    send_request_completion_notification: bool = False
    message_language: Literal["en", "de"] = "en"
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str | None = None
    smtp_password: str | None = Field(default=None, repr=False)
    smtp_from: str | None = None
    smtp_starttls: bool = True
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("log_level", "phone_region", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("phone_region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        if value == "US":  # the default, without loading the tables
            return value
        from phonenumbers import SUPPORTED_REGIONS

        if value not in SUPPORTED_REGIONS:
            near = "; did you mean GB?" if value == "UK" else _nearest(value, SUPPORTED_REGIONS)
            raise ValueError(f"give a region of ISO 3166 as two letters{near}")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_base(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
            raise ValueError("give https://host, under which people reach this habeas")
        return value.rstrip("/")

    @field_validator("secrets_dir", mode="before")
    @classmethod
    def _directories(cls, value: object) -> tuple[Path, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ValueError("give absolute directories, separated by commas")
        found = tuple(Path(str(part).strip()) for part in parts if str(part).strip())
        if any(not each.is_absolute() or each == Path(each.anchor) for each in found):
            raise ValueError("give absolute directories, separated by commas, and never the root of all")
        return found

    @field_validator("duplicate_identities", "duplicate_actions", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(each.strip() for each in value.split(",") if each.strip()) if isinstance(value, str) else value

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ValueError("give networks like 10.0.0.0/8 or host names, separated by commas")
        return tuple(_network_or_name(str(part).strip()) for part in parts if str(part).strip())

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> tuple[str, ...]:
        parts = value.strip("[] ").replace('"', "").split(",") if isinstance(value, str) else value  # fidesops: JSON
        fault = "give origins like https://privacy.example.com, separated by commas, and no wildcard"
        if not isinstance(parts, list | tuple):
            raise ValueError(fault)
        found = tuple(str(part).strip().lower().removesuffix("/") for part in parts if str(part).strip())
        if not all(_ORIGIN.fullmatch(each) for each in found):
            raise ValueError(fault)
        return found

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ValueError("give networks like 10.0.0.0/8, separated by commas")
        return tuple(str(ipaddress.ip_network(str(part).strip())) for part in parts if str(part).strip())

    @field_validator("metrics_bind")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None:
            split_bind(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"(sqlite|postgresql|postgres)(\+\w+)?://", value):
            raise ValueError("give postgresql://user@host/database or sqlite:///path")
        if value is not None and not value.startswith("sqlite") and not _DATABASE_PLACE.fullmatch(value):
            # Read otherwise than meant, a part of the password would be the host, which messages name.
            raise ValueError("escape @ : / ? # [ ] % and spaces in user and password, as %40 for @")
        return value


def split_bind(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[IPv6]:port` or `:port` (of this machine alone); raises ValueError."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise ValueError("give an address and a port, such as 127.0.0.1:9464 or [::1]:9464")
    return host.strip("[]") or "127.0.0.1", int(port)


def load_settings(config_file: Path | None = None) -> Settings:
    """Read the settings: environment, then `config_file` (`habeas.toml` of the working directory if None and
    present), then defaults. Raises BadSyntax or BadInput that name the file, line and setting, never a value.
    """
    file = config_file if config_file is not None else _default_file()
    document = _read_file(file) if file is not None else {}
    former = read_former(os.environ)
    places = {**former.places, **{key: f"{file}: {key}" for key in document}}
    given = {name.upper() for name, value in os.environ.items() if value}
    values = {**former.values, **document}
    for key, place in former.places.items():
        if place.upper().startswith(FORMER_PREFIX):  # any variable wins over any file
            values[key], places[key] = former.values[key], place
    try:
        return Settings(**{key: value for key, value in values.items() if PREFIX + key.upper() not in given})
    except ValidationError as problem:
        raise _named(problem, places, given) from None


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """One warning for each `HABEAS_*` variable that is no setting, with the nearest right one. Sorted."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    unknown = sorted(name for name in environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [f"{name} is no setting of habeas and has no effect{_nearest(name.upper(), known)}" for name in unknown]


def _network_or_name(text: str) -> str:
    """An entry as written in its plain form: a network has a slash, a colon or a number at its end."""
    if "/" in text or ":" in text or text.rpartition(".")[2].isdigit():
        return str(ipaddress.ip_network(text))
    if not _HOST_NAME.fullmatch(text.lower()):
        raise ValueError("give networks like 10.0.0.0/8 or host names, separated by commas")
    return text.lower()


def _default_file() -> Path | None:
    named = os.environ.get("HABEAS_CONFIG")
    if named:
        return Path(named)
    return Path(CONFIG_FILE) if Path(CONFIG_FILE).is_file() else None


def _read_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as problem:
        raise BadInput(f"can't be read ({problem.strerror})", where=str(file)) from None
    except UnicodeDecodeError:
        raise BadSyntax("is not UTF-8 text", where=str(file)) from None
    except tomllib.TOMLDecodeError as problem:
        raise BadSyntax(f"is not TOML ({_position(problem)})", where=str(file)) from None
    for key in document:
        if key not in Settings.model_fields:
            where = f"{file}:{_line_of(text, key)}"
            fix = _nearest(key, Settings.model_fields).lstrip("; ") or "README.md lists the settings"
            raise BadInput(f"unknown setting {key!r}", where=where, fix=fix)
    return document


def _line_of(text: str, key: str) -> int:
    pattern = re.compile(rf"""[ \t]*\[*[ \t]*["']?{re.escape(key)}["']?[ \t]*[=.\]]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _position(problem: tomllib.TOMLDecodeError) -> str:
    """Line and column alone: the parser's message may quote the file, which may hold secrets."""
    match = re.search(r"\(at (.*)\)\s*$", str(problem))
    return match.group(1) if match else "syntax"


def _nearest(key: str, known: Mapping[str, object] | frozenset[str] | set[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _named(problem: ValidationError, places: Mapping[str, str], given: set[str]) -> BadInput:
    error = problem.errors(include_input=False, include_url=False, include_context=False)[0]
    name = str(error["loc"][0])
    variable = PREFIX + name.upper()
    where = variable if variable in given else places.get(name, variable)
    return BadInput(error["msg"].removeprefix("Value error, "), where=where)
