"""The vault: seals what our database must not show, keys what must be comparable, signs receipts.

Envelope: the app key (`HABEAS_APP_ENCRYPTION_KEY`, else `DATA_DIR/app.key`) gives one key a purpose by
HKDF-SHA256; sealing is AES-256-GCM, bound to its purpose and context, so that a sealed value can't be moved
to another row. The app key may list several keys: the first seals, all open. That is rotation without
downtime. The receipt signing key is a file of its own, `DATA_DIR/keys/receipt.pem`. Nothing here reads or
writes the database, and no error repeats a secret.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from habeas.core.errors import BadInput, Unavailable
from habeas.store.receipt_format import key_id_of

APP_KEY_FILE = "app.key"
SIGNING_KEY_FILE = "receipt.pem"
SHORTEST_APP_KEY = 32  # characters

_FORMAT = b"\x01"  # format 1: this byte, 4 bytes of key id, 12 bytes of nonce, ciphertext with tag
_ID, _NONCE = 4, 12


class VaultSettings(Protocol):
    """The two settings that the vault needs."""

    @property
    def data_dir(self) -> Path:
        """Where key files are."""
        ...

    @property
    def app_encryption_key(self) -> str | None:
        """The app key, or several, parted by commas or spaces; None: the file's."""
        ...


def open_vault(settings: VaultSettings) -> Vault:
    """Read the app key, making its file (mode 0600) where there is none; safe with several processes at once.

    Raises BadInput for a key that is too short, Unavailable for a file that can't be read or made.
    """
    file = settings.data_dir / APP_KEY_FILE
    text = settings.app_encryption_key
    where = str(file) if text is None else "app_encryption_key"
    if text is None:
        text = _read_or_make(file, lambda: secrets.token_urlsafe(32).encode() + b"\n").decode("utf-8", "replace")
    keys = tuple(key for key in re.split(r"[\s,]+", text) if key)
    if not keys or any(len(key) < SHORTEST_APP_KEY for key in keys):
        raise BadInput(
            f"an app key has fewer than {SHORTEST_APP_KEY} characters",
            where=where,
            fix="make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return Vault(keys, settings.data_dir / "keys")


def public_keys_in(data_dir: Path) -> dict[str, bytes]:
    """The raw public keys by id that lie in a data directory, as `Vault.public_keys`; empty where it has none.

    Makes nothing and needs no app key.
    """
    keys_dir = data_dir / "keys"
    return Vault((), keys_dir).public_keys() if (keys_dir / SIGNING_KEY_FILE).exists() else {}


class Vault:
    """Seals, keys and signs for one installation; made by `open_vault`. Safe to share between threads."""

    def __init__(self, app_keys: tuple[str, ...], keys_dir: Path) -> None:
        self._rings = tuple(_Ring(key) for key in app_keys)
        self._by_id = {ring.key_id: ring for ring in self._rings}
        self._keys_dir = keys_dir
        self._signing_key: Ed25519PrivateKey | None = None

    @property
    def key_id(self) -> str:
        """The public name of the app key that seals now; it says nothing about the key."""
        return self._rings[0].key_id.hex()

    def seal(self, purpose: str, plaintext: bytes, context: str) -> bytes:
        """Encrypt, bound to `purpose` and `context` (such as a row's id). Differs at every call."""
        ring = self._rings[0]
        header, nonce = _FORMAT + ring.key_id, os.urandom(_NONCE)
        return header + nonce + ring.cipher(purpose).encrypt(nonce, plaintext, _bound(header, purpose, context))

    def seal_all(self, purpose: str, plaintexts: Sequence[tuple[bytes, str]]) -> list[bytes]:
        """`seal` of many (plaintext, context), their nonces from one draw."""
        ring = self._rings[0]
        header, cipher, drawn = _FORMAT + ring.key_id, ring.cipher(purpose), os.urandom(_NONCE * len(plaintexts))
        nonces = [drawn[at : at + _NONCE] for at in range(0, len(drawn), _NONCE)]
        return [
            header + nonce + cipher.encrypt(nonce, plaintext, _bound(header, purpose, context))
            for nonce, (plaintext, context) in zip(nonces, plaintexts, strict=True)
        ]

    def open(self, purpose: str, sealed: bytes, context: str) -> bytes:
        """Decrypt what `seal` made with the same purpose and context.

        Raises Unavailable for another app key, purpose or context, and for damage.
        """
        header, body = sealed[: 1 + _ID], sealed[1 + _ID + _NONCE :]
        nonce = sealed[1 + _ID : 1 + _ID + _NONCE]
        if header[:1] != _FORMAT or len(nonce) != _NONCE:
            raise _unreadable(purpose, "is not in a form that this version reads")
        ring = self._by_id.get(header[1:])
        if ring is None:
            raise _unreadable(purpose, f"was sealed with app key {header[1:].hex()}, the one given is {self.key_id}")
        try:
            return ring.cipher(purpose).decrypt(nonce, body, _bound(header, purpose, context))
        except InvalidTag:
            raise _unreadable(purpose, "is damaged, or not from where it is read") from None

    def seal_json(self, purpose: str, value: object, context: str) -> bytes:
        """`seal` of a value as JSON."""
        return self.seal(purpose, msgspec.json.encode(value), context)

    def open_json(self, purpose: str, sealed: bytes, context: str) -> Any:
        """The value that `seal_json` took. Raises as `open`."""
        return msgspec.json.decode(self.open(purpose, sealed, context))

    def blind_index(self, kind: str, canonical: str) -> bytes:
        """A keyed digest (32 bytes) of an identity's canonical form: equal values, equal digests, nothing else."""
        return _blind(self._rings[0], kind, canonical)

    def blind_indexes(self, kind: str, canonical: str) -> list[bytes]:
        """`blind_index` under every app key, for a search while keys are being rotated; the present one first."""
        return [_blind(ring, kind, canonical) for ring in self._rings]

    def key(self, purpose: str) -> bytes:
        """The present 32-byte key of a purpose, for keyed digests that others compute."""
        return self._rings[0].key(purpose)

    def keys(self, purpose: str) -> list[bytes]:
        """A purpose's key under every app key, the present one first: digests written before a rotation."""
        return [ring.key(purpose) for ring in self._rings]

    def signing_key(self) -> Ed25519PrivateKey:
        """The key that signs receipt heads; made (mode 0600) at first use. Raises Unavailable, BadInput."""
        if self._signing_key is None:
            self._signing_key = _read_signing_key(self._keys_dir / SIGNING_KEY_FILE)
        return self._signing_key

    def public_keys(self) -> dict[str, bytes]:
        """The raw public keys by id: the signing key's, and those of `keys/*.pub.pem`, kept from earlier ones."""
        found = [self.signing_key().public_key()]
        for file in sorted(self._keys_dir.glob("*.pub.pem")):
            found.append(_read_public_key(file))
        raw = [key.public_bytes_raw() for key in found]
        return {key_id_of(key): key for key in raw}


class _Ring:
    """The keys that one app key gives, each derived once."""

    def __init__(self, app_key: str) -> None:
        material = app_key.encode()

        @cache
        def derive(purpose: str) -> bytes:
            return HKDF(SHA256(), 32, salt=b"habeas", info=purpose.encode()).derive(material)

        self.key = derive
        self.cipher = cache(lambda purpose: AESGCM(derive(f"seal:{purpose}")))
        self.key_id = derive("key id")[:_ID]


def _blind(ring: _Ring, kind: str, canonical: str) -> bytes:
    return hmac.digest(ring.key("blind index"), f"{kind}\0{canonical}".encode(), "sha256")


def _bound(header: bytes, purpose: str, context: str) -> bytes:
    return header + purpose.encode() + b"\0" + context.encode()


def _unreadable(purpose: str, problem: str) -> Unavailable:
    return Unavailable(
        problem, where=f"sealed {purpose}", fix="set HABEAS_APP_ENCRYPTION_KEY to the key this database was used with"
    )


def _read_signing_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(_read_or_make(file, _new_signing_key), password=None)
    except (ValueError, TypeError):
        raise BadInput("is not an unencrypted private key in PEM form", where=str(file)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput("is not an Ed25519 key", where=str(file))
    return key


def _read_public_key(file: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except (OSError, ValueError):
        raise BadInput("is not a readable public key in PEM form", where=str(file)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput("is not an Ed25519 key", where=str(file))
    return key


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_or_make(file: Path, make: Callable[[], bytes]) -> bytes:
    """The file's content. Where it is missing it is written whole before it gets its name: of several
    processes that start at once, all read what the first one made.
    """
    try:
        if file.exists():
            return file.read_bytes()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        try:
            _write_durably(draft, make())
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
        _sync_directory(file.parent)
        return file.read_bytes()
    except OSError as error:
        raise Unavailable(f"can't be read or made: {error.strerror}", where=str(file)) from None


def _write_durably(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
