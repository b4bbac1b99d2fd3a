"""Routes of policies, rules and targets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel

from habeas.api.access import GuardedRoute, Here, needs
from habeas.api.answers import FIRST_PAGE, PAGE_SIZE, BulkOf, PageNumber, PageOf, PageSize
from habeas.requests import policies, rules
from habeas.requests.bulk import MAX_ITEMS, Bulk, Page
from habeas.requests.clients import Actor
from habeas.requests.policies import PolicyInput
from habeas.requests.rules import RuleInput, TargetInput

router = APIRouter(tags=["Policies"], route_class=GuardedRoute)


class TargetAnswer(BaseModel):
    """A target."""

    key: str
    name: str
    data_category: str


class StrategyAnswer(BaseModel):
    """A masking strategy; its configuration never shows."""

    strategy: str


class StoragePlace(BaseModel):
    """The destination of an access rule."""

    key: str
    name: str
    type: str
    format: str
    details: dict[str, Any]


class RuleAnswer(BaseModel):
    """A rule."""

    id: str
    key: str
    name: str
    action_type: str
    storage_destination: StoragePlace | None
    masking_strategy: StrategyAnswer | None
    targets: list[TargetAnswer]


class PolicyAnswer(BaseModel):
    """A policy with its rules."""

    id: str
    key: str
    name: str
    drp_action: str | None
    execution_timeframe: int | None
    regime: str | None
    partial_identities: str
    verify: str | None
    duplicates: dict[str, Any] | None
    custom_fields: dict[str, dict[str, Any]] | None
    approvals: int | None
    plan_drift: str | None
    retention_days: int | None
    created_at: datetime
    updated_at: datetime
    rules: list[RuleAnswer]


Read = Annotated[Actor, needs("policy:read")]
Write = Annotated[Actor, needs("policy:create_or_update")]
ReadRule = Annotated[Actor, needs("rule:read")]
WriteRule = Annotated[Actor, needs("rule:create_or_update")]
DeleteRule = Annotated[Actor, needs("rule:delete")]


@router.get("/policy", response_model=PageOf[PolicyAnswer])
def get_policies(here: Here, _: Read, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE) -> Page:
    """Policies with their rules, newest first."""
    return policies.list_policies(here, page, size)


@router.get("/policy/{policy_key}", response_model=PolicyAnswer)
def get_policy(policy_key: str, here: Here, _: Read) -> dict[str, Any]:
    """One policy with its rules."""
    return policies.read_policy(here, policy_key)


@router.patch("/policy", response_model=BulkOf[PolicyAnswer])
def create_or_update_policies(
    items: Annotated[list[PolicyInput], Body(max_length=MAX_ITEMS)], here: Here, actor: Write
) -> Bulk:
    """Create or update policies by key."""
    return policies.save_policies(here, actor, items)


@router.delete("/policy/{policy_key}", status_code=204)
def delete_policy(policy_key: str, here: Here, actor: Annotated[Actor, needs("policy:delete")]) -> None:
    """Delete a policy with its rules, unless requests wait for it."""
    policies.delete_policy(here, actor, policy_key)


@router.get("/policy/{policy_key}/rule", response_model=PageOf[RuleAnswer])
def get_rules(
    policy_key: str, here: Here, _: ReadRule, page: PageNumber = FIRST_PAGE, size: PageSize = PAGE_SIZE
) -> Page:
    """The rules of a policy, in order."""
    return rules.list_rules(here, policy_key, page, size)


@router.get("/policy/{policy_key}/rule/{rule_key}", response_model=RuleAnswer)
def get_rule(policy_key: str, rule_key: str, here: Here, _: ReadRule) -> dict[str, Any]:
    """One rule of a policy."""
    return rules.read_rule(here, policy_key, rule_key)


@router.patch("/policy/{policy_key}/rule", response_model=BulkOf[RuleAnswer])
def create_or_update_rules(
    policy_key: str, items: Annotated[list[RuleInput], Body(max_length=MAX_ITEMS)], here: Here, actor: WriteRule
) -> Bulk:
    """Create or update rules of a policy by key."""
    return rules.save_rules(here, actor, policy_key, items)


@router.delete("/policy/{policy_key}/rule/{rule_key}", status_code=204)
def delete_rule(policy_key: str, rule_key: str, here: Here, actor: DeleteRule) -> None:
    """Delete a rule with its targets."""
    rules.delete_rule(here, actor, policy_key, rule_key)


@router.get("/policy/{policy_key}/rule/{rule_key}/target", response_model=PageOf[TargetAnswer])
def get_targets(
    policy_key: str,
    rule_key: str,
    here: Here,
    _: ReadRule,
    page: PageNumber = FIRST_PAGE,
    size: PageSize = PAGE_SIZE,
) -> Page:
    """The targets of a rule, in order."""
    return rules.list_targets(here, policy_key, rule_key, page, size)


@router.get("/policy/{policy_key}/rule/{rule_key}/target/{target_key}", response_model=TargetAnswer)
def get_target(policy_key: str, rule_key: str, target_key: str, here: Here, _: ReadRule) -> dict[str, Any]:
    """One target of a rule."""
    return rules.read_target(here, policy_key, rule_key, target_key)


@router.patch("/policy/{policy_key}/rule/{rule_key}/target", response_model=BulkOf[TargetAnswer])
def create_or_update_targets(
    policy_key: str,
    rule_key: str,
    items: Annotated[list[TargetInput], Body(max_length=MAX_ITEMS)],
    here: Here,
    actor: WriteRule,
) -> Bulk:
    """Create or update targets of a rule by key."""
    return rules.save_targets(here, actor, policy_key, rule_key, items)


@router.delete("/policy/{policy_key}/rule/{rule_key}/target/{target_key}", status_code=204)
def delete_target(policy_key: str, rule_key: str, target_key: str, here: Here, actor: DeleteRule) -> None:
    """Delete a target."""
    rules.delete_target(here, actor, policy_key, rule_key, target_key)
