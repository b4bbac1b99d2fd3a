"""Consent: a person proves an e-mail address by a code, sees her preferences, and changes them, with history.

A code works for looking and changing until it expires, five wrong answers end it, and it works for its consent request
alone. Preferences belong to the proven address; a telephone number given besides is kept sealed and proves nothing.
Whether anybody ever asked can't be told from an answer. Preferences are kept, and told to systems by nobody yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import Field, StrictBool, StringConstraints
from sqlalchemy import Connection

from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.core.identity import canonical, check_identity
from habeas.deliver.messages.base import check_recipient
from habeas.requests.bulk import MAX_ITEMS, Page
from habeas.requests.codes import Verdict, answer_code, raise_for, send_code
from habeas.requests.inputs import Body, Description
from habeas.requests.means import Means
from habeas.requests.messages import open_messenger
from habeas.requests.verification import DATA_SUBJECT
from habeas.store import audit
from habeas.store import consent as store
from habeas.store.session import new_id

NAME = "consent_code"
_SEALED = "consent-identity"

DataUse = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.-]+$")]


class ConsentRequestInput(Body):
    """Who asks."""

    email: str | None = Field(default=None, max_length=320)
    phone_number: str | None = Field(default=None, max_length=320)


class Wish(Body):
    """Whether data may be used for something."""

    data_use: DataUse
    data_use_description: Description | None = None
    opt_in: StrictBool


class VerificationOff(Conflict):
    """Identities aren't verified here, so nobody could prove whose preferences these are."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "verification_off"


class NoAddress(BadInput):
    """A consent request without an e-mail address (fidesops answers 400)."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "no_address"


class _Asked(msgspec.Struct):
    email: str
    phone_number: str | None = None


def ask_consent(means: Means, given: ConsentRequestInput) -> str:
    """Take in a consent request and send its code; its id. Raises VerificationOff, NoAddress, or BadInput."""
    if not means.settings.subject_identity_verification_required:
        raise VerificationOff("identity verification is off", fix="set HABEAS_SUBJECT_IDENTITY_VERIFICATION_REQUIRED")
    if not (given.email and given.email.strip()):
        raise NoAddress("An email is required", where="email")
    address = check_recipient(check_identity("email", given.email))
    phone = check_identity("phone_number", given.phone_number) if given.phone_number else None
    request_id, now = new_id("con"), means.clock.now()
    sealed = means.vault.seal(_SEALED, msgspec.json.encode(_Asked(address, phone)), request_id)
    row = {"id": request_id, "blind_index": _index(means, "email", address), "sealed_identity": sealed}
    with means.database.begin() as connection:
        open_messenger(means, connection)
        store.add_request(connection, row, now)
        send_code(connection, means, request_id, address, NAME)
    return request_id


def verify_consent(means: Means, request_id: str, code: str) -> list[dict[str, Any]] | None:
    """The person's preferences for a right code, None where there are none. Raises NotFound, CodeExpired, WrongCode."""
    with means.database.begin() as connection:
        row, verdict = _answered(connection, means, request_id, code)
        if verdict is Verdict.RIGHT:
            store.mark_verified(connection, request_id, means.clock.now())
        found = store.preferences_of(connection, [row["blind_index"]]) if verdict is Verdict.RIGHT else []
    raise_for(verdict, request_id)
    return _shown(found)


def save_consent(means: Means, request_id: str, code: str, wishes: Sequence[Wish]) -> list[dict[str, Any]] | None:
    """Let wishes hold, one a data use, all or none; all preferences then. Raises as `verify_consent`, and BadInput."""
    if len(wishes) > MAX_ITEMS:
        raise BadInput(f"more than {MAX_ITEMS} preferences", where="consent", fix=f"send {MAX_ITEMS} at a time")
    if len({wish.data_use for wish in wishes}) < len(wishes):
        raise BadInput("names a data use twice", where="consent")
    now = means.clock.now()
    with means.database.begin() as connection:
        row, verdict = _answered(connection, means, request_id, code)
        found: list[dict[str, Any]] = []
        if verdict is Verdict.RIGHT:
            store.mark_verified(connection, request_id, now)
            given = [wish.model_dump() for wish in wishes]
            changed = store.save(connection, row["blind_index"], request_id, given, now)
            found = store.preferences_of(connection, [row["blind_index"]])
            if changed:
                audit.append(connection, means.clock, DATA_SUBJECT, "consent.changed", request_id, {"changes": changed})
    raise_for(verdict, request_id)
    return _shown(found)


def find_consent(means: Means, given: ConsentRequestInput) -> list[dict[str, Any]] | None:
    """The preferences of a person, for a client. Raises NotFound where nobody proved that identity and has some."""
    with means.database.read() as connection:
        found = store.preferences_of(connection, _indexes(means, given))
    if not found:
        raise NotFound("Identity not found")
    return _shown(found)


def consent_history(means: Means, given: ConsentRequestInput, page: int, size: int) -> Page:
    """How a person's preferences changed, newest first."""
    with means.database.read() as connection:
        rows, total = store.history_of(connection, _indexes(means, given), (page - 1) * size, size)
    return Page(rows, total, page, size)


def _answered(connection: Connection, means: Means, request_id: str, code: str) -> tuple[dict[str, Any], Verdict]:
    row = store.find_request(connection, request_id)
    if row is None:
        raise NotFound(f"No consent request found with id '{request_id}'")
    asked = msgspec.json.decode(means.vault.open(_SEALED, row["sealed_identity"], request_id), type=_Asked)
    return row, answer_code(connection, means, request_id, asked.email, code, once=False)


def _index(means: Means, kind: str, value: str) -> bytes:
    return means.vault.blind_index(kind, canonical(kind, value, means.settings.phone_region))


def _indexes(means: Means, given: ConsentRequestInput) -> list[bytes]:
    region = means.settings.phone_region
    values = [("email", given.email), ("phone_number", given.phone_number)]
    found = [(kind, check_identity(kind, value)) for kind, value in values if value and value.strip()]
    if not found:
        raise NoAddress("an email or a phone_number is required", where="email")
    return [index for kind, value in found for index in means.vault.blind_indexes(kind, canonical(kind, value, region))]


def _shown(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
    names = ("data_use", "data_use_description", "opt_in")
    return [{name: row[name] for name in names} for row in rows] or None
