"""Routes of the encryption helper: a key, and a text sealed or opened with one. Stores and logs nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from habeas.api.access import GuardedRoute, needs
from habeas.deliver.text_sealing import Sealed, make_key, open_text, seal_text
from habeas.requests.clients import Actor

router = APIRouter(tags=["Encryption"], route_class=GuardedRoute)

Encrypt = Annotated[Actor, needs("encryption:exec")]


class EncryptInput(BaseModel):
    """A text, and the key to seal it with: 16 bytes, or 32 hexadecimal digits."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"value": "a text", "key": "sixteen-byte-key"}]}, hide_input_in_errors=True
    )

    value: str
    key: Annotated[str, Field(max_length=64)]


class DecryptInput(EncryptInput):
    """What encrypting answered, and the key."""

    model_config = ConfigDict(json_schema_extra={}, hide_input_in_errors=True)

    nonce: Annotated[str, Field(max_length=64)]


class EncryptAnswer(BaseModel):
    """Sealed text with its tag, and the nonce, in base64."""

    encrypted_value: str
    nonce: str


class DecryptAnswer(BaseModel):
    """The text."""

    decrypted_value: str


@router.get("/cryptography/encryption/key")
def get_encryption_key(_: Encrypt) -> str:
    """A new random key: 16 bytes as 32 hexadecimal digits."""
    return make_key()


@router.put("/cryptography/encryption/aes/encrypt", response_model=EncryptAnswer)
def encrypt_text(given: Annotated[EncryptInput, Body()], _: Encrypt) -> Sealed:
    """Seal a text by AES-128-GCM, whose associated data is the nonce."""
    return seal_text(given.value, given.key)


@router.put("/cryptography/encryption/aes/decrypt", response_model=DecryptAnswer)
def decrypt_text(given: Annotated[DecryptInput, Body()], _: Encrypt) -> dict[str, str]:
    """Open a sealed text."""
    return {"decrypted_value": open_text(given.value, given.key, given.nonce)}
