"""One item of `POST /privacy-request`, checked: what the caller asks, without what only habeas may say.

Pure. A fault raises BadInput that names the place and never repeats a value. Fields that only habeas sets
are ignored with a warning; unknown fields are ignored (fidesops).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from habeas.core.errors import BadInput
from habeas.core.identity import CONTROL, MAX_LENGTH, Assurance, Identity, check_identity
from habeas.requests.policy_options import MAX_FIELDS, MAX_TEXT
from habeas.requests.sealing import Alternatives

KEY = re.compile(r"[A-Za-z0-9_.-]{1,255}")
KIND = re.compile(r"[A-Za-z0-9_.-]{1,64}")
FIELD = re.compile(r"[A-Za-z0-9_.-]{1,58}")
FIELDS = "custom_privacy_request_fields"
MAX_EXTERNAL_ID = 1024
MAX_ALTERNATIVES = 50
PACKAGE_KEY_BYTES = 16  # AES-128, as fidesops

OURS = (
    "id",
    "created_at",
    "status",
    "stage",
    "outcome",
    "reason",
    "started_processing_at",
    "finished_processing_at",
    "identity_verified_at",
    "reviewed_at",
    "reviewed_by",
    "due_date",
)


class CustomValue(NamedTuple):
    """One custom field as given; its type is the policy's to say."""

    label: str | None
    value: Any


@dataclass(frozen=True)
class Submission:
    """What one item asks for."""

    policy_key: str
    requested_at: datetime
    alternatives: Alternatives = field(repr=False)
    external_id: str | None = field(default=None, repr=False)
    encryption_key: str | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    custom_fields: Mapping[str, CustomValue] = field(default_factory=dict, repr=False)

    @property
    def identities(self) -> tuple[Identity, ...]:
        """All identities, of all alternatives."""
        return tuple(each for group in self.alternatives for each in group)

    @property
    def kinds(self) -> list[str]:
        """The kinds given, sorted, each once."""
        return sorted({each.kind for each in self.identities})


def read_submission(item: object, assurance: Assurance, now: datetime) -> Submission:
    """Check one item; `assurance` is that of the caller. Raises BadInput for the first fault."""
    if not isinstance(item, Mapping):
        raise BadInput("an item must be an object")
    return Submission(
        policy_key=_policy_key(item),
        requested_at=_moment(item.get("requested_at"), now),
        alternatives=_alternatives(item, assurance),
        external_id=_external_id(item.get("external_id")),
        encryption_key=_package_key(item.get("encryption_key")),
        custom_fields=_custom_fields(item.get(FIELDS)),
        warnings=tuple(f"{name} is set by habeas alone; the given one was ignored" for name in OURS if name in item),
    )


def read_identities(given: object, assurance: Assurance, *, where: str = "identity") -> tuple[Identity, ...]:
    """The values of one identity object, in order of kind; empty and null values count as not given."""
    if not isinstance(given, Mapping):
        raise BadInput("must be an object of identity kinds and values", where=where)
    found = []
    for kind in sorted(given, key=str):
        if not (isinstance(kind, str) and KIND.fullmatch(kind)):
            raise BadInput("a kind has up to 64 letters, digits, `.`, `-`, `_`", where=where)
        identity = _identity(kind, given[kind], assurance)
        if identity is not None:
            found.append(identity)
    return tuple(found)


def _identity(kind: str, given: object, assurance: Assurance) -> Identity | None:
    value, label = given, None
    if isinstance(given, Mapping):
        if not set(given) <= {"label", "value"} or "value" not in given:
            raise BadInput("must be a value or {label, value}", where=f"identity.{kind}")
        value, label = given["value"], given.get("label")
        if label is not None:
            label = _text(label, f"identity.{kind}.label", MAX_LENGTH)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, int) and value.bit_length() > MAX_LENGTH * 4:
        raise BadInput(f"is longer than {MAX_LENGTH} characters", where=f"identity.{kind}")
    return Identity(kind, check_identity(kind, value), assurance, label)


def _alternatives(item: Mapping[str, object], assurance: Assurance) -> Alternatives:
    groups = []
    if item.get("identity") is not None:
        groups.append(read_identities(item["identity"], assurance))
    several = item.get("identities")
    if several is not None:
        if not isinstance(several, Sequence) or isinstance(several, str | bytes):
            raise BadInput("must be a list of objects", where="identities")
        if len(several) > MAX_ALTERNATIVES:
            raise BadInput(f"holds more than {MAX_ALTERNATIVES} objects", where="identities")
        groups.extend(read_identities(each, assurance, where="identities") for each in several)
    found = tuple(group for group in groups if group)
    if not found and not item.get(FIELDS):  # which may be identities
        raise BadInput("You must provide at least one identity to process")
    return found


def _custom_fields(given: object) -> dict[str, CustomValue]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or len(given) > MAX_FIELDS:
        raise BadInput(f"must be an object of up to {MAX_FIELDS} fields", where=FIELDS)
    found = {}
    for name in given:
        if not (isinstance(name, str) and FIELD.fullmatch(name)):
            raise BadInput("a field's name has up to 58 letters, digits, `.`, `-`, `_`", where=FIELDS)
        value = _custom_value(given[name], f"{FIELDS}.{name}")
        if value is not None:
            found[name] = value
    return found


def _custom_value(given: object, where: str) -> CustomValue | None:
    """One field; None where it is empty, which with identities too is not given."""
    value, label = given, None
    if isinstance(given, Mapping):
        if not set(given) <= {"label", "value"} or "value" not in given:
            raise BadInput("must be {label, value}", where=where)
        value = given["value"]
        label = None if given.get("label") is None else _text(given["label"], f"{where}.label", MAX_LENGTH)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, Mapping | list):
        raise BadInput("must be a string, a number, true or false", where=where)
    return CustomValue(label, _text(value, where, MAX_TEXT) if isinstance(value, str) else value)


def _policy_key(item: Mapping[str, object]) -> str:
    key = item.get("policy_key")
    if not (isinstance(key, str) and KEY.fullmatch(key)):
        raise BadInput("must be the key of a policy", where="policy_key", fix="see GET /api/v1/policy")
    return key


def _moment(given: object, now: datetime) -> datetime:
    if given is None:
        return now
    if isinstance(given, datetime):
        moment = given
    else:
        try:
            moment = datetime.fromisoformat(given)  # type: ignore[arg-type]  # TypeError is caught below
        except (TypeError, ValueError):
            raise BadInput("is not a time", where="requested_at", fix="write ISO 8601: 2026-01-31T12:00:00Z") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC)
    except OverflowError:
        raise BadInput("is out of range", where="requested_at") from None


def _external_id(given: object) -> str | None:
    return None if given is None else _text(given, "external_id", MAX_EXTERNAL_ID)


def _package_key(given: object) -> str | None:
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given.encode("utf-8", "surrogatepass")) != PACKAGE_KEY_BYTES:
        raise BadInput("Encryption key must be 16 bytes long", where="encryption_key")
    return _text(given, "encryption_key", PACKAGE_KEY_BYTES)


def _text(given: object, where: str, longest: int) -> str:
    if not isinstance(given, str):
        raise BadInput("must be a string", where=where)
    if len(given) > longest:
        raise BadInput(f"is longer than {longest} characters", where=where)
    if CONTROL.search(given):
        raise BadInput("holds control characters", where=where)
    return given
