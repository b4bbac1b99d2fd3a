"""The `encryption_key` form of fidesops: base64(nonce ‖ AES-128-GCM(text) ‖ tag), the nonce as associated data.

Streams: memory doesn't grow with the text. Never keeps or shows a key.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from habeas.core.errors import BadInput

KEY_BYTES = 16
NONCE_BYTES = 12


def check_encryption_key(key: str) -> bytes:
    """The key's bytes; raises BadInput unless they are 16 in UTF-8."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        encoded = b""
    if len(encoded) != KEY_BYTES:
        raise BadInput(
            f"must be {KEY_BYTES} bytes long", where="encryption_key", fix=f"give {KEY_BYTES} ASCII characters"
        )
    return encoded


class SealedText:
    """Seals a text as it is written and passes the base64 on; `finish` must be called once at the end."""

    def __init__(self, write: Callable[[bytes], object], key: str) -> None:
        nonce = os.urandom(NONCE_BYTES)
        self._write = write
        self._encryptor = Cipher(AES(check_encryption_key(key)), GCM(nonce)).encryptor()
        self._encryptor.authenticate_additional_data(nonce)
        self._rest = nonce

    def write(self, data: bytes) -> None:
        """Seal bytes of the text."""
        self._pass_on(self._encryptor.update(data))

    def finish(self) -> None:
        """Write the tag and what base64 still held."""
        self._pass_on(self._encryptor.finalize() + self._encryptor.tag)
        self._write(base64.b64encode(self._rest))

    def _pass_on(self, sealed: bytes) -> None:
        # Base64 takes three bytes at a time; what is left over waits for the next write.
        waiting = self._rest + sealed
        whole = len(waiting) - len(waiting) % 3
        if whole:
            self._write(base64.b64encode(waiting[:whole]))
        self._rest = waiting[whole:]
