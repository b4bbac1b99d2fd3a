"""hash: the hex digest of value and salt, as fidesops computes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from pydantic import Field

from habeas.core.expression import Column, Concat, Digest, Expression, Secret
from habeas.masking.base import ALGORITHMS, AlgorithmName, MaskingStrategy, PreservingConfiguration


class HashConfiguration(PreservingConfiguration):
    """Which digest."""

    algorithm: AlgorithmName = Field("SHA-256", description="SHA-256 or SHA-512")


class HashStrategy(MaskingStrategy[HashConfiguration]):
    """Writes hex(digest(value + salt))."""

    name = "hash"
    description = "Replaces each value with its salted hash; equal values stay equal within one request"
    configuration_model = HashConfiguration
    secret_names = ("salt",)

    def expression(self, configuration: HashConfiguration, column: str, secret_prefix: str) -> Expression:
        """The digest of value and salt."""
        salted = Concat((Column(column), Secret(f"{secret_prefix}.salt")))
        return configuration.suffixed(Digest(ALGORITHMS[configuration.algorithm], salted))

    def text_masker(
        self, configuration: HashConfiguration, secrets: Mapping[str, str]
    ) -> Callable[[str, bytes | None], str | None]:
        """The digest of value and salt."""
        salt, suffix = secrets["salt"].encode(), configuration.suffix
        algorithm = getattr(hashlib, ALGORITHMS[configuration.algorithm])
        return lambda value, row_key: algorithm(value.encode() + salt).hexdigest() + suffix
