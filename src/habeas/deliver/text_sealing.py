"""Sealing one short text as fidesops' encryption helper does: AES-128-GCM, the nonce as associated data and beside it.

For who opens packages, or makes keys for them. Never keeps or shows a key.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from habeas.core.errors import BadInput
from habeas.deliver.sealing import KEY_BYTES, NONCE_BYTES

_HEX_KEY = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}")


class Sealed(NamedTuple):
    """A sealed text and its nonce, both in base64."""

    encrypted_value: str
    nonce: str


def make_key() -> str:
    """A new random key of 16 bytes, as 32 hexadecimal digits."""
    return secrets.token_hex(KEY_BYTES)


def seal_text(text: str, key: str) -> Sealed:
    """Seal under a fresh nonce. `key`: 16 bytes of UTF-8, or 32 hexadecimal digits; raises BadInput otherwise."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(_key_bytes(key)).encrypt(nonce, text.encode(), nonce)
    return Sealed(base64.b64encode(sealed).decode(), base64.b64encode(nonce).decode())


def open_text(encrypted_value: str, key: str, nonce: str) -> str:
    """The text. Raises BadInput that names the part at fault, or that key, nonce and text don't belong together."""
    secret, beside, sealed = _key_bytes(key), _decoded(nonce, "nonce"), _decoded(encrypted_value, "value")
    if len(beside) != NONCE_BYTES:
        raise BadInput(f"must be {NONCE_BYTES} bytes long", where="nonce", fix="give what encrypting answered")
    try:
        return AESGCM(secret).decrypt(beside, sealed, beside).decode()
    except (InvalidTag, UnicodeDecodeError):
        raise BadInput("was not encrypted with this key and nonce", where="value") from None


def _key_bytes(key: str) -> bytes:
    encoded = bytes.fromhex(key) if _HEX_KEY.fullmatch(key) else key.encode()
    if len(encoded) != KEY_BYTES:
        raise BadInput(
            f"must be {KEY_BYTES} bytes long", where="key", fix="give 16 ASCII characters or 32 hexadecimal digits"
        )
    return encoded


def _decoded(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("is not base64", where=where, fix="give what encrypting answered") from None
