"""Policies, rules and targets as values. Where they are stored or checked is elsewhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from habeas.dataset.model import StrategyChoice


class ActionType(StrEnum):
    """What a rule does."""

    ACCESS = "access"
    ERASURE = "erasure"


class Rule(msgspec.Struct, frozen=True):
    """One action on the data of `targets` (data categories). Access rules name where packages go,
    erasure rules how values are masked.
    """

    key: str
    action: ActionType
    targets: tuple[str, ...]
    storage_key: str | None = None
    masking_strategy: StrategyChoice | None = None
    name: str | None = None


class Policy(msgspec.Struct, frozen=True):
    """A named set of rules. `partial_identities: accept` lets an erasure go on although a targeted
    collection needs an identity kind that wasn't given.
    """

    key: str
    rules: tuple[Rule, ...]
    name: str | None = None
    execution_timeframe: int | None = None
    partial_identities: Literal["ask", "accept"] = "ask"

    def rules_of(self, action: ActionType) -> tuple[Rule, ...]:
        """The rules of one action, in order."""
        return tuple(rule for rule in self.rules if rule.action == action)
