"""Routes of the masking API: the strategies there are, and what they make of given values."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field

from habeas.api.access import GuardedRoute, needs
from habeas.core.errors import BadInput, NotFound
from habeas.dataset.model import StrategyChoice
from habeas.masking import sample
from habeas.masking.registry import UnknownStrategy
from habeas.requests.clients import Actor
from habeas.requests.rules import StrategyInput

router = APIRouter(tags=["Masking"], route_class=GuardedRoute)

MOST_VALUES = 1000

Mask = Annotated[Actor, needs("masking:exec")]


class MaskInput(BaseModel):
    """Values, and a strategy or several to apply one after the other."""

    values: Annotated[list[str | None], Field(max_length=MOST_VALUES)]
    masking_strategy: StrategyInput | Annotated[list[StrategyInput], Field(min_length=1, max_length=10)]


class MaskAnswer(BaseModel):
    """The values, and what became of them."""

    plain: list[str | None]
    masked_values: list[str | None]


class SettingAnswer(BaseModel):
    """A setting of a strategy."""

    key: str
    optional: bool
    description: str | None


class StrategyAnswer(BaseModel):
    """A masking strategy."""

    name: str
    description: str
    configurations: list[SettingAnswer]


class BadConfiguration(BadInput):
    """A strategy doesn't take this configuration (fidesops answers 400 here)."""

    status = 400
    code = "bad_configuration"


@router.put("/masking/mask", response_model=MaskAnswer)
def mask_values(given: Annotated[MaskInput, Body()], _: Mask) -> dict[str, Any]:
    """Mask values with fresh secrets, so that this tells nothing of the masks of real requests."""
    specs = given.masking_strategy if isinstance(given.masking_strategy, list) else [given.masking_strategy]
    chain = [StrategyChoice(spec.strategy, spec.configuration) for spec in specs]
    try:
        masked = sample.mask_values(given.values, chain, os.urandom(32))
    except UnknownStrategy as problem:
        raise NotFound(problem.message) from None
    except BadInput as problem:
        raise BadConfiguration(problem.message, where=problem.where, fix=problem.fix) from None
    return {"plain": given.values, "masked_values": masked}


@router.get("/masking/strategy", response_model=list[StrategyAnswer])
def get_masking_strategies(_: Mask) -> list[dict[str, Any]]:
    """The strategies with their settings."""
    return sample.describe()
