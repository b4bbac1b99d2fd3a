"""aes_encrypt: AES-256-GCM under a key that is thrown away with the request, as fidesops computes it.

The nonce is derived from the value, so that equal values stay equal; it isn't part of the result.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from typing import Literal

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field

from habeas.core.expression import Expression
from habeas.masking.base import MaskingStrategy, PreservingConfiguration
from habeas.masking.secrets import secret_bytes

NONCE_BYTES = 12


class AesEncryptConfiguration(PreservingConfiguration):
    """Which mode."""

    mode: Literal["GCM"] = Field("GCM", description="GCM, the only mode")


class AesEncryptStrategy(MaskingStrategy[AesEncryptConfiguration]):
    """Writes base64(AES-GCM(key, nonce, value)), tag included, with the nonce as associated data."""

    name = "aes_encrypt"
    description = "Replaces each value with its ciphertext; equal values stay equal within one request"
    configuration_model = AesEncryptConfiguration
    secret_names = ("key", "key_hmac", "salt_hmac")

    def expression(self, configuration: AesEncryptConfiguration, column: str, secret_prefix: str) -> Expression | None:
        """None: the algebra has no cipher."""
        return None

    def text_masker(
        self, configuration: AesEncryptConfiguration, secrets: Mapping[str, str]
    ) -> Callable[[str, bytes | None], str | None]:
        """The ciphertext; `key` is 32 bytes in URL-safe base64, the other secrets are text."""
        cipher = AESGCM(secret_bytes(secrets["key"]))
        nonce_key, nonce_salt, suffix = secrets["key_hmac"], secrets["salt_hmac"], configuration.suffix

        def mask(value: str, row_key: bytes | None) -> str:
            nonce = nonce_of(value, nonce_key, nonce_salt)
            return base64.b64encode(cipher.encrypt(nonce, value.encode(), nonce)).decode() + suffix

        return mask


def nonce_of(value: str, key: str, salt: str) -> bytes:
    """The first 12 bytes of HMAC-SHA256(key, value + salt)."""
    return hmac.digest(key.encode(), (value + salt).encode(), "sha256")[:NONCE_BYTES]
