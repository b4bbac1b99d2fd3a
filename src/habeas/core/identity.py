"""Identities: the values that find a person, their canonical forms, and when two of them are the same.

Pure. E-mail: NFC, trimmed, casefolded. Phone: E.164 with extension where the number is *possible* in its
region (ITU-T E.164, by libphonenumber's tables), else opaque text. Other kinds: the text itself. Errors
never repeat a value.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import lru_cache

import msgspec

from habeas.core.errors import BadInput

MAX_LENGTH = 320  # RFC 3696 errata 1690: 64 + 1 + 255
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters of Unicode's categories Cc and Cs, which no text of ours holds."""


class Assurance(StrEnum):
    """How sure it is that the value is the asking person's. Only the first two seed a traversal."""

    VERIFIED = "verified"
    VOUCHED = "vouched"
    CLAIMED = "claimed"


class Identity(msgspec.Struct, frozen=True):
    """One value of one kind, in the caller's form, with its assurance."""

    kind: str
    value: str
    assurance: Assurance = Assurance.CLAIMED
    label: str | None = None


def check_identity(kind: str, value: object) -> str:
    """The value as text; raises BadInput (naming the kind only) for what intake refuses."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInput("must be a string or an integer", where=f"identity.{kind}")
    text = str(value)
    if not text.strip():
        raise BadInput("is empty", where=f"identity.{kind}", fix="leave the kind out or give a value")
    if len(text) > MAX_LENGTH:
        raise BadInput(f"is longer than {MAX_LENGTH} characters", where=f"identity.{kind}")
    if CONTROL.search(text):
        raise BadInput("holds control characters", where=f"identity.{kind}")
    if kind == "email" and "@" not in text:
        raise BadInput("is not an e-mail address: it has no @", where=f"identity.{kind}")
    return text


def canonical(kind: str, value: str, region: str) -> str:
    """The comparable form of a value. Equal forms are the same identity; never raises."""
    if kind == "email":
        return canonical_email(value)
    if kind == "phone_number":
        return canonical_phone(value, region)
    return value


def canonical_email(value: str) -> str:
    """NFC, trimmed, casefolded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).strip().casefold())


def is_telling(kind: str, form: str) -> bool:
    """Whether a canonical form can't be mistaken for something else in a field that isn't said to hold its kind: an
    address, an E.164 number, a text that isn't a bare number.
    """
    if kind == "phone_number":
        return form.startswith("+")
    return kind == "email" or not form.strip().isdigit()


@lru_cache(maxsize=8192)
def canonical_phone(value: str, region: str) -> str:
    """`+E164` or `+E164;ext=N` (RFC 3966) where possible in the region, else `opaque:` and the trimmed text."""
    import phonenumbers  # 3 MB of tables: loaded by the first phone number, not by every command

    text = value.strip()
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return f"opaque:{text}"
    if not phonenumbers.is_possible_number(number):
        return f"opaque:{text}"
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{e164};ext={number.extension}" if number.extension else e164
