"""random_string_rewrite: a text of `[a-z0-9]`, another one for each row.

Drawn from the request's secret and the row's key, so that a rerun writes the same.
"""

from __future__ import annotations

import hashlib
import hmac
import string
from collections.abc import Callable, Iterator, Mapping
from itertools import count, islice

from pydantic import Field

from habeas.core.errors import BadInput
from habeas.core.expression import Expression
from habeas.masking.base import MaskingStrategy, PreservingConfiguration

_ALPHABET = string.ascii_lowercase + string.digits
_FAIR = 256 - 256 % len(_ALPHABET)  # bytes from here on would favour the alphabet's first letters


class RandomStringRewriteConfiguration(PreservingConfiguration):
    """How long the text is."""

    length: int = Field(30, ge=1, le=10_000, description="how many characters to write, without the suffix")


class RandomStringRewrite(MaskingStrategy[RandomStringRewriteConfiguration]):
    """Writes characters drawn per row."""

    name = "random_string_rewrite"
    description = "Replaces each value with random letters and digits, other ones for each row"
    configuration_model = RandomStringRewriteConfiguration
    secret_names = ("key",)
    per_row = True

    def expression(
        self, configuration: RandomStringRewriteConfiguration, column: str, secret_prefix: str
    ) -> Expression | None:
        """None: no expression knows a row's key."""
        return None

    def text_masker(
        self, configuration: RandomStringRewriteConfiguration, secrets: Mapping[str, str]
    ) -> Callable[[str, bytes | None], str | None]:
        """Raises BadInput where no row key is given."""
        secret = secrets["key"].encode()

        def mask(value: str, row_key: bytes | None) -> str:
            if row_key is None:
                raise BadInput("values random per row need the row's key", where=self.name)
            return "".join(islice(_draw(secret, row_key), configuration.length)) + configuration.suffix

        return mask


def _draw(secret: bytes, row_key: bytes) -> Iterator[str]:
    # Each block is keyed by the row and a counter of fixed width, so no two rows share a block.
    for block in count():
        for byte in hmac.digest(secret, row_key + block.to_bytes(4, "big"), hashlib.sha256):
            if byte < _FAIR:
                yield _ALPHABET[byte % len(_ALPHABET)]
