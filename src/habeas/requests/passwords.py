"""Passwords of users: the one place where they are judged, hashed (argon2id) and compared.

Whoever sets a password, at creation, by a reset or with an invitation, goes through `hash_password`, so none escapes
the rules. Nothing here keeps or logs one.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable

from habeas.core.errors import BadInput

MOST_CHARACTERS = 256

# What OWASP advises for argon2id. Few at a time, so that a flood of attempts can't take the memory of the process.
_TIME_COST, _MEMORY_KIB, _LANES = 2, 19 * 1024, 1
_turns = threading.BoundedSemaphore(4)

# The hash of nothing anybody can give: compared with where there is no user, so that the answer takes as long.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$EpW6nWHMYoPwYdpwVeUzLA$I51ZlrennN5p4Oq7BKPrfvigefhpoqi94Rmatt5Xy04"

_RULES: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda text: len(text) >= 8, "Password must have at least eight characters."),
    (lambda text: any(each.isdigit() for each in text), "Password must have at least one number."),
    (lambda text: any(each.isupper() for each in text), "Password must have at least one capital letter."),
    (lambda text: any(each.islower() for each in text), "Password must have at least one lowercase letter."),
    (lambda text: any(not each.isalnum() for each in text), "Password must have at least one symbol."),
)


def read_password(given: str) -> str:
    """The password as meant: fidesops' clients send it in base64, others as it is. One text always means the same."""
    try:
        decoded = base64.b64decode(given, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return given
    return decoded if decoded.isprintable() and decoded else given


def hash_password(given: str, *, username: str, where: str) -> str:
    """The hash to keep. Raises BadInput, which never repeats the password, for one that breaks a rule (fideslib's)."""
    text = read_password(given)
    for holds, message in _RULES:
        if not holds(text):
            raise BadInput(message, where=where)
    if len(text) > MOST_CHARACTERS:
        raise BadInput(f"Password must have at most {MOST_CHARACTERS} characters.", where=where)
    if len(username) > 3 and username.casefold() in text.casefold():
        raise BadInput("Password must not hold the username.", where=where)
    from argon2 import PasswordHasher

    with _turns:
        return PasswordHasher(_TIME_COST, _MEMORY_KIB, _LANES).hash(text)


def is_password(given: str, stored: str | None) -> bool:
    """Whether this is the password of that hash. Takes as long where there is none, and is then False."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = PasswordHasher(_TIME_COST, _MEMORY_KIB, _LANES)
    with _turns:
        try:
            return hasher.verify(stored or _NOBODY, read_password(given)) and stored is not None
        except (VerificationError, InvalidHashError):
            return False
