"""Rules of a policy and their targets: saved, read, deleted, and checked against the rest of the policy when saved.

A rule belongs to one policy and a target to one rule; through another's path neither is found. What would
make a policy contradict itself is refused here, not when a request comes. Strategies and their configurations
are checked by the strategies themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator
from sqlalchemy import Connection

from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.core.taxonomy import check_category, escaped
from habeas.dataset.model import StrategyChoice
from habeas.masking.registry import strategy
from habeas.policy.model import ActionType, Policy
from habeas.policy.select import check_policy
from habeas.requests.bulk import Bulk, Page, key_from, save_each
from habeas.requests.clients import Actor
from habeas.requests.inputs import Body, Category, Key, Name, without_answer_fields
from habeas.requests.means import Means
from habeas.requests.policies import check_name, describe_rule, rule_value, seal_strategy
from habeas.store import audit, categories, destinations
from habeas.store import policies as store
from habeas.store.session import new_id

ACTIONS = ("access", "erasure", "consent", "update")


class StrategyInput(Body):
    """A masking strategy by name, with its settings."""

    strategy: Name
    configuration: dict[str, Any] = Field(default_factory=dict)

    @field_validator("configuration", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value


class RuleInput(Body):
    """A rule as given. What is left out of a rule that exists stays as it is."""

    name: Name
    key: Key | None = None
    action_type: str
    storage_destination_key: Key | None = None
    masking_strategy: StrategyInput | None = None

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_answer_fields(value, "targets", "storage_destination")

    @field_validator("action_type")
    @classmethod
    def _known_action(cls, value: str) -> str:
        if value not in ACTIONS:
            raise ValueError(f"must be one of {', '.join(ACTIONS)}")
        return value


class TargetInput(Body):
    """A target as given; the name defaults to rule and category."""

    name: Name | None = None
    key: Key | None = None
    data_category: Category

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_answer_fields(value)


def save_rules(means: Means, actor: Actor, policy_key: str, items: Sequence[RuleInput]) -> Bulk:
    """Create or update rules of a policy by key; raises NotFound for the policy."""
    with means.database.read() as connection:
        _policy(connection, policy_key)
    return save_each(items, lambda item: _save_rule(means, actor, policy_key, item))


def _save_rule(means: Means, actor: Actor, policy_key: str, item: RuleInput) -> dict[str, Any]:
    key = item.key or key_from(item.name)
    if item.action_type not in tuple(ActionType):
        raise BadInput(f"{item.action_type} Rules are not supported at this time.")
    with means.database.begin() as connection:
        policy = _policy(connection, policy_key)
        known = store.find_rule(connection, key)
        if known is not None and known.policy_id != policy.id:
            raise Conflict(f"Rule with identifier {key} belongs to another policy.")
        check_name(connection, "rule", item.name, key)
        rule_id = known.id if known is not None else new_id("rul")
        values = _rule_columns(means, connection, rule_id, item, known)
        before = _value(means, connection, policy)
        if known is None:
            position = store.next_position(connection, policy.id)
            identity = {"id": rule_id, "key": key, "policy_id": policy.id, "position": position}
            store.add(connection, "rule", values | identity, means.clock.now())
        else:
            store.change(connection, "rule", rule_id, values, means.clock.now())
        _refuse_contradiction(connection, before, _value(means, connection, policy))
        audit.append(connection, means.clock, actor.client_id, "rule.saved", key, {"policy": policy_key})
        return _described(means, connection, policy, key)


def _rule_columns(
    means: Means, connection: Connection, rule_id: str, item: RuleInput, known: store.RuleRow | None
) -> dict[str, Any]:
    """The columns of a rule; what the item leaves out is taken from the known rule of the same action."""
    same = known if known is not None and known.action_type == item.action_type else None
    values: dict[str, Any] = {"name": item.name, "action_type": item.action_type}
    if item.action_type == ActionType.ACCESS:
        place = item.storage_destination_key or (same.storage_key if same else None)
        if place is None:
            raise BadInput("Access Rules must have a storage destination.", fix="give storage_destination_key")
        if destinations.find(connection, place) is None:
            raise BadInput(f"A StorageConfig with key {place} does not exist")
        return values | {"storage_key": place, "sealed_masking_strategy": None}
    sealed = same.sealed_masking_strategy if same else None
    if item.masking_strategy is not None:
        choice = check_strategy(item.masking_strategy)
        sealed = seal_strategy(means.vault, rule_id, choice)
    if sealed is None:
        raise BadInput("Erasure Rules must have masking strategies.", fix="GET /api/v1/masking/strategy lists them")
    return values | {"storage_key": None, "sealed_masking_strategy": sealed}


def check_strategy(given: StrategyInput) -> StrategyChoice:
    """The choice, if the strategy exists and takes the configuration; raises BadInput."""
    strategy(given.strategy).configure(given.configuration)
    return StrategyChoice(given.strategy, given.configuration)


def list_rules(means: Means, policy_key: str, page: int, size: int) -> Page:
    """A policy's rules in order; raises NotFound for the policy."""
    with means.database.read() as connection:
        rules = _described_rules(means, connection, _policy(connection, policy_key))
    return Page(rules[(page - 1) * size : page * size], len(rules), page, size)


def read_rule(means: Means, policy_key: str, rule_key: str) -> dict[str, Any]:
    """One rule; raises NotFound for the policy, or a rule that isn't its own."""
    with means.database.read() as connection:
        return _described(means, connection, _policy(connection, policy_key), rule_key)


def delete_rule(means: Means, actor: Actor, policy_key: str, rule_key: str) -> None:
    """Delete a rule with its targets; raises NotFound as `read_rule`."""
    with means.database.begin() as connection:
        rule = _rule(connection, _policy(connection, policy_key), rule_key)
        store.remove(connection, "rule", rule.id)
        audit.append(connection, means.clock, actor.client_id, "rule.deleted", rule_key, {"policy": policy_key})


def save_targets(means: Means, actor: Actor, policy_key: str, rule_key: str, items: Sequence[TargetInput]) -> Bulk:
    """Create or update targets of a rule by key; raises NotFound for policy or rule, BadInput
    for a category that nobody knows. Former categories warn.
    """
    with means.database.read() as connection:
        _rule(connection, _policy(connection, policy_key), rule_key)
        own = categories.keys(connection)
    for index, item in enumerate(items):
        _check_known(item.data_category, own, f"{index}.data_category")
    warnings: list[str] = []
    bulk = save_each(items, lambda item: _save_target(means, actor, policy_key, rule_key, item, warnings.append))
    bulk.warnings = warnings
    return bulk


def _save_target(
    means: Means, actor: Actor, policy_key: str, rule_key: str, item: TargetInput, warn: Callable[[str], None]
) -> dict[str, Any]:
    with means.database.begin() as connection:
        category, former = check_category(item.data_category, categories.hold(connection))
        name = item.name or f"{rule_key}-{category}"
        key = item.key or key_from(name.replace(".", "_"))
        policy = _policy(connection, policy_key)
        rule = _rule(connection, policy, rule_key)
        known = store.find_target(connection, key)
        if known is not None and known.rule_id != rule.id:
            raise Conflict(f"RuleTarget with identifier {key} belongs to another rule.")
        check_name(connection, "target", name, key)
        before = _value(means, connection, policy)
        present = {each.data_category: each.key for each in _targets(connection, policy, rule)}
        if present.get(category, key) != key:
            raise Conflict(f"DataCategory {category} is already specified on Rule with ID {rule.id}")
        values = {"name": name, "data_category": category}
        if known is None:
            identity = {"id": new_id("rul"), "key": key, "rule_id": rule.id}
            store.add(connection, "target", values | identity, means.clock.now())
        else:
            store.change(connection, "target", known.id, values, means.clock.now())
        _refuse_contradiction(connection, before, _value(means, connection, policy))
        detail = {"policy": policy_key, "rule": rule_key, "data_category": category}
        audit.append(connection, means.clock, actor.client_id, "target.saved", key, detail)
    if former is not None:
        left = escaped(item.data_category)
        warn(f"{former}; it no longer covers {', '.join(left)}" if left else former)
    return {"key": key, "name": name, "data_category": category}


def _check_known(category: str, own: Collection[str], where: str) -> None:
    try:
        check_category(category, own)
    except BadInput as problem:
        raise BadInput(problem.message, where=where, fix=problem.fix) from None


def list_targets(means: Means, policy_key: str, rule_key: str, page: int, size: int) -> Page:
    """A rule's targets in order; raises NotFound as `read_rule`."""
    targets = read_rule(means, policy_key, rule_key)["targets"]
    return Page(targets[(page - 1) * size : page * size], len(targets), page, size)


def read_target(means: Means, policy_key: str, rule_key: str, target_key: str) -> dict[str, Any]:
    """One target; raises NotFound unless it is this rule's, and the rule this policy's."""
    targets: list[dict[str, Any]] = read_rule(means, policy_key, rule_key)["targets"]
    for target in targets:
        if target["key"] == target_key:
            return target
    raise NotFound(f"No RuleTarget found for key {target_key} on Rule {rule_key}.")


def delete_target(means: Means, actor: Actor, policy_key: str, rule_key: str, target_key: str) -> None:
    """Delete a target; raises NotFound as `read_target`."""
    with means.database.begin() as connection:
        rule = _rule(connection, _policy(connection, policy_key), rule_key)
        target = store.find_target(connection, target_key)
        if target is None or target.rule_id != rule.id:
            raise NotFound(f"No RuleTarget found for key {target_key} on Rule {rule_key}.")
        store.remove(connection, "target", target.id)
        detail = {"policy": policy_key, "rule": rule_key}
        audit.append(connection, means.clock, actor.client_id, "target.deleted", target_key, detail)


def _policy(connection: Connection, key: str) -> store.PolicyRow:
    row = store.find_policy(connection, key)
    if row is None:
        raise NotFound(f"No Policy found for key {key}.")
    return row


def _rule(connection: Connection, policy: store.PolicyRow, key: str) -> store.RuleRow:
    row = store.find_rule(connection, key)
    if row is None or row.policy_id != policy.id:
        raise NotFound(f"No Rule found for key {key} on Policy {policy.key}.")
    return row


def _targets(connection: Connection, policy: store.PolicyRow, rule: store.RuleRow) -> Sequence[store.TargetRow]:
    rules = store.rules_of(connection, [policy.id]).get(policy.id, ())
    return next((each.targets for each in rules if each.id == rule.id), ())


def _value(means: Means, connection: Connection, policy: store.PolicyRow) -> Policy:
    rules = store.rules_of(connection, [policy.id]).get(policy.id, ())
    return Policy(policy.key, tuple(rule_value(means.vault, each) for each in rules), policy.name)


def _described_rules(means: Means, connection: Connection, policy: store.PolicyRow) -> list[dict[str, Any]]:
    rules = store.rules_of(connection, [policy.id]).get(policy.id, ())
    places: Mapping[str, destinations.DestinationRow] = destinations.find_many(
        connection, {rule.storage_key for rule in rules if rule.storage_key}
    )
    return [describe_rule(means.vault, rule, places) for rule in rules]


def _described(means: Means, connection: Connection, policy: store.PolicyRow, key: str) -> dict[str, Any]:
    for rule in _described_rules(means, connection, policy):
        if rule["key"] == key:
            return rule
    raise NotFound(f"No Rule found for key {key} on Policy {policy.key}.")


def _refuse_contradiction(connection: Connection, before: Policy, after: Policy) -> None:
    """Raises BadInput for an error that this change brings in; a policy still being built may have others."""
    own = categories.keys(connection)
    present = {each.message for each in check_policy(before, own)}
    for problem in check_policy(after, own):
        if problem.severity == "error" and problem.message not in present:
            raise BadInput(problem.message, fix=problem.fix)
