"""What a column's name says about the data in it: a guess for a person to confirm, never a decision.

Names are read as words (`ShipPostalCode`, `ship_postal_code`). Values are never looked at.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from habeas.core.schema import TypeFamily

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NOT_THE_VALUE = frozenset(
    (
        "verified", "confirmed", "sent", "count", "opt", "optin", "enabled", "template", "subject", "body", "type",
        "status", "id", "flag", "is", "has", "preference", "preferences", "at", "hash", "valid", "bounced", "last",
        "notifications", "time", "expires", "expiry", "attempts", "failed",
    )
)  # fmt: skip

# words that change nothing after all, by what they stand beside
_FITS = {
    "user.authorization.password": frozenset(("hash", "last")),
    "user.device.ip_address": frozenset(("last",)),
    "user.location.precise": frozenset(("last",)),
}
_MAIL_WORDS = frozenset(("email", "mail"))

# in order: the first whose words all stand in the name. Words joined by | are alternatives.
_RULES = (
    ("user.contact.email", "email|mail"),
    ("user.contact.fax_number", "fax"),
    ("user.contact.phone_number", "phone|telephone|mobile|cell|cellphone|msisdn|tel"),
    ("user.device.ip_address", "ip"),
    ("user.device.ip_address", "ipaddress"),
    ("user.contact.address.postal_code", "zip|postcode|zipcode|postalcode"),
    ("user.contact.address.postal_code", "postal code"),
    ("user.contact.address.street", "street|address1|address2|addr|house"),
    ("user.contact.address.city", "city|town"),
    ("user.contact.address.country", "country"),
    ("user.contact.address.state", "state|province|region"),
    ("user.contact.address.street", "address"),
    ("user.account.username", "username|login|nickname|handle"),
    ("user.account.username", "user name"),
    ("user.name.first", "first|given name"),
    ("user.name.first", "firstname|forename"),
    ("user.name.last", "last|family name"),
    ("user.name.last", "lastname|surname"),
    ("user.name", "fullname"),
    ("user.name", "full|contact|customer|person|display|ship|shipping|bill|billing|recipient|holder name"),
    ("user.name", "holder|cardholder"),
    ("user.device.device_id", "device token|uuid|id|identifier"),
    ("user.device", "user agent"),
    ("user.device", "useragent"),
    ("user.authorization.password", "password|passwd|pwd"),
    ("user.authorization.credentials", "token|secret|apikey"),
    ("user.demographic.date_of_birth", "birth|birthday|birthdate|dob"),
    ("user.demographic.gender", "gender|sex"),
    ("user.demographic.marital_status", "marital"),
    ("user.demographic.language", "language|locale"),
    ("user.demographic.religious_belief", "religion"),
    ("user.demographic.race_ethnicity", "race|ethnicity"),
    ("user.government_id.passport_number", "passport"),
    ("user.government_id.drivers_license_number", "driver|drivers license|licence"),
    ("user.government_id.national_identification_number", "ssn|nin|bsn"),
    ("user.government_id.national_identification_number", "social|national security|insurance|id|identification"),
    ("user.government_id", "vat|tax id|no|nr|number"),
    ("user.financial.credit_card", "ccn|pan|creditcard"),
    ("user.financial.credit_card", "card number|no"),
    ("user.financial.bank_account", "iban|bic"),
    ("user.financial.bank_account", "bank account"),
    ("user.location.precise", "latitude|longitude|lat|lng|lon"),
    ("user.location", "location|geo"),
    ("user.device.cookie_id", "cookie"),
    ("user.device.device_id", "device"),
    ("user.job_title", "job title"),
    ("user.job_title", "jobtitle|occupation|profession"),
    ("user.workplace", "company|employer"),
    ("user.content.self_image", "avatar|photo|portrait"),
    ("user.content", "comment|message|note|notes|feedback|bio"),
    ("user.content", "review|answer|reply text|body"),
    ("user.content", "body"),
)


class Evidence(NamedTuple):
    """A proposed category and the words of the name that speak for it."""

    category: str
    words: tuple[str, ...]


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, lower case."""
    return tuple(word.lower() for word in _WORD.findall(name))


def category_of(name: str, table: str = "") -> Evidence | None:
    """The category that a column's name speaks for, None if nothing does. An address in a table of mails is one of
    e-mail.
    """
    words = words_of(name)
    mail = _first(list(_MAIL_WORDS), words_of(table))
    if mail and words and words[-1] == "address" and not _NOT_THE_VALUE & set(words):
        return Evidence("user.contact.email", (mail, "address"))
    for category, rule in _RULES:
        found = [_first(alternatives.split("|"), words) for alternatives in rule.split(" ")]
        if all(found):
            beside = _NOT_THE_VALUE & set(words) - _allowed(rule) - _FITS.get(category, frozenset())
            return None if beside else Evidence(category, tuple(filter(None, found)))
    return None


def identity_of(name: str, family: TypeFamily, table: str = "") -> str | None:
    """The kind of identity that a column seems to hold; text columns only."""
    evidence = category_of(name, table)
    if evidence is None or family is not TypeFamily.TEXT:
        return None
    return {"user.contact.email": "email", "user.contact.phone_number": "phone_number"}.get(evidence.category)


def _first(alternatives: list[str], words: tuple[str, ...]) -> str | None:
    return next((word for word in alternatives if word in words), None)


def _allowed(rule: str) -> set[str]:
    return set(re.split(r"[| ]", rule))
