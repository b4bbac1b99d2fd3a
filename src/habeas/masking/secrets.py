"""Secrets of masks, derived from a privacy request's own seed.

Equal values therefore mask equally within one request, over all stores and in every rerun, and never
across requests. Keeps nothing and draws nothing: the seed is the caller's.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32


def derive_secret(seed: bytes, prefix: str, name: str) -> str:
    """The secret `<prefix>.<name>` of a request: 43 URL-safe characters that stand for 32 bytes (HKDF-SHA256)."""
    info = f"habeas mask secret\x00{prefix}\x00{name}".encode()
    derived = HKDF(algorithm=hashes.SHA256(), length=SECRET_BYTES, salt=None, info=info).derive(seed)
    return base64.urlsafe_b64encode(derived).rstrip(b"=").decode()


def secret_bytes(secret: str) -> bytes:
    """The 32 bytes that a derived secret stands for, where a cipher needs a key and not text."""
    return base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
