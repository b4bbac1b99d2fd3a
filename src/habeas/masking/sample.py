"""The masking API's two questions: what would these values become, and which strategies are there.

Pure: the seed is the caller's, who draws a new one for every call, so that the API is no oracle for
the masks of real requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from habeas.core.errors import BadInput
from habeas.dataset.model import StrategyChoice
from habeas.masking.registry import strategies, strategy
from habeas.masking.secrets import derive_secret


def mask_values(values: Sequence[str | None], chain: Sequence[StrategyChoice], seed: bytes) -> list[str | None]:
    """Mask each value by every strategy of the chain in turn; a value's position stands for its row's key.

    Raises BadInput for an unknown strategy, a bad configuration, or text that isn't valid Unicode.
    """
    _check_text(values)
    masked = list(values)
    for choice in chain:
        chosen = strategy(choice.strategy)
        secrets = {name: derive_secret(seed, chosen.name, name) for name in chosen.secret_names}
        mask = chosen.masker(chosen.configure(choice.configuration), secrets)
        masked = [mask(value, str(position).encode()) for position, value in enumerate(masked)]
    return masked


def describe() -> list[dict[str, Any]]:
    """Every strategy with its settings: `{name, description, configurations: [{key, optional, description}]}`."""
    return [
        {
            "name": each.name,
            "description": each.description,
            "configurations": [
                {"key": key, "optional": not field.is_required(), "description": field.description}
                for key, field in each.configuration_model.model_fields.items()
            ],
        }
        for each in strategies()
    ]


def _check_text(values: Sequence[str | None]) -> None:
    for position, value in enumerate(values):
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            raise BadInput("is not valid Unicode text", where=f"values[{position}]") from None
