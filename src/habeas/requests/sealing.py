"""What of a request and a cohort is kept sealed, and the search index over identities.

One place that knows purpose, context and form of each sealed column, so that who writes and who reads
agree. Plain values leave it to memory only. Never touches the database.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from habeas.core.identity import Identity, canonical

IDENTITIES, SEED, PACKAGE_KEY, SPOOL_KEY, ANSWER = "identities", "seed", "encryption_key", "spool", "idempotency"

Alternatives = tuple[tuple[Identity, ...], ...]
"""The identity objects of one person in the caller's order; each holds values of different kinds."""

SEED_BYTES = 32

_decoder = msgspec.json.Decoder(Alternatives)
_encoder = msgspec.json.Encoder()


class Seals(Protocol):
    """What is needed of `store.secrets.Vault`."""

    def seal(self, purpose: str, plaintext: bytes, context: str) -> bytes: ...  # noqa: D102 – the vault's own

    def seal_all(self, purpose: str, plaintexts: Sequence[tuple[bytes, str]]) -> list[bytes]: ...  # noqa: D102 – as above

    def open(self, purpose: str, sealed: bytes, context: str) -> bytes: ...  # noqa: D102 – the vault's own

    def seal_json(self, purpose: str, value: object, context: str) -> bytes: ...  # noqa: D102 – as above

    def open_json(self, purpose: str, sealed: bytes, context: str) -> Any: ...  # noqa: D102 – as above

    def blind_index(self, kind: str, canonical: str) -> bytes: ...  # noqa: D102 – the vault's own


def seal_identities(vault: Seals, given: Sequence[tuple[str, Alternatives]]) -> list[bytes]:
    """The sealed columns of requests' identities; `given` by request id."""
    return vault.seal_all(IDENTITIES, [(_encoder.encode(each), request_id) for request_id, each in given])


def open_alternatives(vault: Seals, request_id: str, sealed: bytes) -> Alternatives:
    """A request's identities as the caller grouped them."""
    return _decoder.decode(vault.open(IDENTITIES, sealed, request_id))


def open_identities(vault: Seals, request_id: str, sealed: bytes) -> tuple[Identity, ...]:
    """All identities of a request, of every assurance; only verified and vouched ones may seed."""
    return tuple(each for group in open_alternatives(vault, request_id, sealed) for each in group)


def seal_seeds(vault: Seals, request_ids: Sequence[str]) -> list[bytes]:
    """The sealed columns of new requests' own secrets, drawn here, from which their masking secrets derive."""
    drawn = os.urandom(SEED_BYTES * len(request_ids))
    seeds = [drawn[at : at + SEED_BYTES] for at in range(0, len(drawn), SEED_BYTES)]
    return vault.seal_all(SEED, list(zip(seeds, request_ids, strict=True)))


def open_seed(vault: Seals, request_id: str, sealed: bytes) -> bytes:
    """A request's own secret."""
    return vault.open(SEED, sealed, request_id)


def seal_package_key(vault: Seals, request_id: str, key: str) -> bytes:
    """The sealed column of the `encryption_key` that the caller gave for the package."""
    return vault.seal(PACKAGE_KEY, key.encode(), request_id)


def open_package_key(vault: Seals, request_id: str, sealed: bytes | None) -> str | None:
    """The package's encryption key, None where none was given."""
    return None if sealed is None else vault.open(PACKAGE_KEY, sealed, request_id).decode()


def seal_spool_key(vault: Seals, cohort_id: str, data_key: bytes) -> bytes:
    """The sealed column of a cohort's data key; destroying it is the purge of its spool."""
    return vault.seal(SPOOL_KEY, data_key, cohort_id)


def open_spool_key(vault: Seals, cohort_id: str, sealed: bytes) -> bytes:
    """A cohort's data key."""
    return vault.open(SPOOL_KEY, sealed, cohort_id)


def identity_index(vault: Seals, kind: str, value: str, region: str) -> bytes:
    """The search index of one identity; equal for values that are the same identity."""
    return vault.blind_index(_namespace(kind), canonical(kind, value, region))


def search_indexes(vault: Seals, value: str, region: str) -> Sequence[bytes]:
    """The indexes under which a value of unknown kind would be found."""
    return [identity_index(vault, kind, value, region) for kind in ("email", "phone_number", "")]


def _namespace(kind: str) -> str:
    # Kinds without a canonical form of their own share one namespace, so that search needn't know them all.
    return kind if kind in ("email", "phone_number") else "text"
