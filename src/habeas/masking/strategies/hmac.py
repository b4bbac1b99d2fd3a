"""hmac: the hex HMAC of value and salt under a key, as fidesops computes it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from pydantic import Field

from habeas.core.expression import Column, Concat, Expression, Hmac, Secret
from habeas.masking.base import ALGORITHMS, AlgorithmName, MaskingStrategy, PreservingConfiguration


class HmacConfiguration(PreservingConfiguration):
    """Which digest."""

    algorithm: AlgorithmName = Field("SHA-256", description="SHA-256 or SHA-512")


class HmacStrategy(MaskingStrategy[HmacConfiguration]):
    """Writes hex(HMAC(key, value + salt))."""

    name = "hmac"
    description = "Replaces each value with its keyed hash; equal values stay equal within one request"
    configuration_model = HmacConfiguration
    secret_names = ("key", "salt")

    def expression(self, configuration: HmacConfiguration, column: str, secret_prefix: str) -> Expression:
        """The HMAC of value and salt."""
        salted = Concat((Column(column), Secret(f"{secret_prefix}.salt")))
        keyed = Hmac(ALGORITHMS[configuration.algorithm], Secret(f"{secret_prefix}.key"), salted)
        return configuration.suffixed(keyed)

    def text_masker(
        self, configuration: HmacConfiguration, secrets: Mapping[str, str]
    ) -> Callable[[str, bytes | None], str | None]:
        """The HMAC of value and salt."""
        key, salt, suffix = secrets["key"].encode(), secrets["salt"].encode(), configuration.suffix
        algorithm = ALGORITHMS[configuration.algorithm]
        return lambda value, row_key: hmac.digest(key, value.encode() + salt, algorithm).hex() + suffix
