"""Policies: saved, read, deleted, and as the value that plans are made from; the default objects of a new installation.

Rules and their targets are `rules`. A policy's version is the digest of its value, so that requests know
what they were planned with. Answers never show a masking configuration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from pydantic import Field, field_validator, model_validator
from sqlalchemy import Connection

from habeas.core.clock import Clock
from habeas.core.deadline import load_regimes
from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.dataset.model import StrategyChoice
from habeas.policy.model import ActionType, Policy, Rule
from habeas.requests.bulk import Bulk, Page, key_from, save_each
from habeas.requests.clients import Actor
from habeas.requests.inputs import Body, Key, Name, without_answer_fields
from habeas.requests.means import Means
from habeas.requests.model import Status
from habeas.requests.policy_options import MAX_FIELDS, CustomField, DuplicateRule, FieldName
from habeas.store import audit, destinations
from habeas.store import policies as store
from habeas.store.secrets import Vault
from habeas.store.session import new_id

DRP_ACTIONS = ("access", "deletion")
DRP_ACTIONS_NOT_SUPPORTED = ("sale:opt_out", "sale:opt_in", "access:categories", "access:specific")

WAITING = (
    Status.IDENTITY_UNVERIFIED,
    Status.PENDING,
    Status.APPROVED,
    Status.IN_PROCESSING,
    Status.REQUIRES_INPUT,
    Status.PAUSED,
)

_SEALED = "masking_strategy"


class PolicyInput(Body):
    """A policy as given. What is left out of a policy that exists stays as it is."""

    name: Name
    key: Key | None = None
    drp_action: str | None = None
    execution_timeframe: int | None = Field(default=None, ge=0, le=36_500, description="days until a request is due")
    regime: str | None = Field(
        default=None, max_length=64, description="a law or own rule that says when requests are due"
    )
    partial_identities: Literal["ask", "accept"] = "ask"
    verify: Literal["always"] | None = Field(default=None, description="always: a code is asked whoever hands it in")
    duplicates: DuplicateRule | None = Field(default=None, description="null: as the settings say")
    custom_fields: dict[FieldName, CustomField] | None = Field(default=None, max_length=MAX_FIELDS)
    approvals: Literal[1, 2] | None = Field(
        default=None, description="people who must approve; null: as the settings say"
    )
    plan_drift: Literal["ask"] | None = Field(
        default=None, description="ask: an approval holds only for the plan it was given for"
    )
    retention_days: int | None = Field(
        default=None, ge=1, le=36_500, description="days after the end until what is held of the person is purged"
    )

    @model_validator(mode="before")
    @classmethod
    def _sent_back(cls, value: Any) -> Any:
        return without_answer_fields(value, "rules")

    @field_validator("drp_action")
    @classmethod
    def _known_action(cls, value: str | None) -> str | None:
        known = (*DRP_ACTIONS, *DRP_ACTIONS_NOT_SUPPORTED)
        if value is not None and value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value


@dataclass(frozen=True)
class StoredPolicy:
    """A policy as a value, with what a request keeps of it."""

    id: str
    policy: Policy
    version: str


def save_policies(means: Means, actor: Actor, items: Sequence[PolicyInput]) -> Bulk:
    """Create or update policies by key. Rules are left as they are."""
    return save_each(items, lambda item: _save(means, actor, item))


def _save(means: Means, actor: Actor, item: PolicyInput) -> dict[str, Any]:
    key = item.key or key_from(item.name)
    if item.drp_action in DRP_ACTIONS_NOT_SUPPORTED:
        raise BadInput(f"{item.drp_action} action is not supported at this time.")
    with means.database.begin() as connection:
        known = store.find_policy(connection, key)
        check_name(connection, "policy", item.name, key)
        if item.drp_action is not None:
            holder = store.holder_of_drp_action(connection, item.drp_action)
            if holder not in (None, key):
                raise Conflict(f"DRP action {item.drp_action} is already answered by policy {holder}")
        given = item.model_dump(exclude_unset=True, exclude={"key"})
        _check_deadline(means, item, known)
        if known is None:
            identity = {"id": new_id("pol"), "key": key, "client_id": actor.client_id}
            # What was left out of an object within stays out, so that the policy reads as it was given.
            values = item.model_dump(exclude={"key"}) | given
            store.add(connection, "policy", values | identity, means.clock.now())
        else:
            store.change(connection, "policy", known.id, given, means.clock.now())
        audit.append(connection, means.clock, actor.client_id, "policy.saved", key, {"fields": sorted(given)})
        return _describe(connection, means.vault, [_found(connection, key)])[0]


def _check_deadline(means: Means, item: PolicyInput, known: store.PolicyRow | None) -> None:
    """Raises BadInput for a regime that isn't known, or beside a timeframe, also one that is stored."""
    given = item.model_fields_set
    regime = known.regime if known is not None and "regime" not in given else item.regime
    days = known.execution_timeframe if known is not None and "execution_timeframe" not in given else None
    days = item.execution_timeframe if "execution_timeframe" in given else days
    if regime is None:
        return
    load_regimes(means.settings.regimes_file).find(regime)
    if days is not None:
        raise BadInput("stands beside an execution_timeframe", where="regime", fix="set one of them to null")


def list_policies(means: Means, page: int, size: int) -> Page:
    """Policies with their rules, newest first."""
    with means.database.read() as connection:
        rows, total = store.list_policies(connection, offset=(page - 1) * size, limit=size)
        return Page(_describe(connection, means.vault, rows), total, page, size)


def read_policy(means: Means, key: str) -> dict[str, Any]:
    """One policy with its rules; raises NotFound."""
    with means.database.read() as connection:
        return _describe(connection, means.vault, [_found(connection, key)])[0]


def delete_policy(means: Means, actor: Actor, key: str) -> None:
    """Delete a policy with its rules; raises NotFound, or Conflict while requests wait for it."""
    with means.database.begin() as connection:
        row = _found(connection, key)
        waiting = store.count_requests(connection, row.id, WAITING)
        if waiting:
            raise Conflict(f"{waiting} privacy requests of policy {key} are not ended", fix="cancel them or wait")
        store.remove(connection, "policy", row.id)
        audit.append(connection, means.clock, actor.client_id, "policy.deleted", key, None)


def stored_policy(connection: Connection, vault: Vault, key: str) -> StoredPolicy | None:
    """The policy of that key as a value with its version, None if there is none. Three statements."""
    row = store.find_policy(connection, key)
    if row is None:
        return None
    rules = tuple(rule_value(vault, each) for each in store.rules_of(connection, [row.id]).get(row.id, ()))
    partial: Literal["ask", "accept"] = "accept" if row.partial_identities == "accept" else "ask"
    policy = Policy(row.key, rules, row.name, row.execution_timeframe, partial)
    digest = hashlib.sha256(msgspec.json.encode(policy, order="sorted")).hexdigest()
    return StoredPolicy(row.id, policy, digest)


def rule_value(vault: Vault, row: store.RuleRow) -> Rule:
    """A stored rule as a value."""
    targets = tuple(target.data_category for target in row.targets)
    choice = None
    if row.sealed_masking_strategy is not None:
        opened = vault.open_json(_SEALED, row.sealed_masking_strategy, row.id)
        choice = msgspec.convert(opened, StrategyChoice)
    return Rule(row.key, ActionType(row.action_type), targets, row.storage_key, choice, row.name)


def seal_strategy(vault: Vault, rule_id: str, choice: StrategyChoice) -> bytes:
    """A rule's masking strategy as it is stored."""
    return vault.seal_json(_SEALED, msgspec.to_builtins(choice), rule_id)


def check_name(connection: Connection, kind: str, name: str, key: str) -> None:
    """Raises Conflict if another `policy`, `rule` or `target` has the name."""
    if store.holder_of_name(connection, kind, name) not in (None, key):
        raise Conflict(
            f"Name {name} already exists in {kind.capitalize()}.", fix="choose another name, or name its key"
        )


def _found(connection: Connection, key: str) -> store.PolicyRow:
    row = store.find_policy(connection, key)
    if row is None:
        raise NotFound(f"No Policy found for key {key}.")
    return row


def _describe(connection: Connection, vault: Vault, rows: Sequence[store.PolicyRow]) -> list[dict[str, Any]]:
    rules = store.rules_of(connection, [row.id for row in rows])
    wanted = {rule.storage_key for each in rules.values() for rule in each if rule.storage_key}
    places = destinations.find_many(connection, wanted)
    return [
        {
            "id": row.id,
            "key": row.key,
            "name": row.name,
            "drp_action": row.drp_action,
            "execution_timeframe": row.execution_timeframe,
            "regime": row.regime,
            "partial_identities": row.partial_identities,
            "verify": row.verify,
            "duplicates": row.duplicates,
            "custom_fields": row.custom_fields,
            "approvals": row.approvals,
            "plan_drift": row.plan_drift,
            "retention_days": row.retention_days,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "rules": [describe_rule(vault, rule, places) for rule in rules.get(row.id, ())],
        }
        for row in rows
    ]


def describe_rule(
    vault: Vault, row: store.RuleRow, places: Mapping[str, destinations.DestinationRow]
) -> dict[str, Any]:
    """A rule as answers show it: of its masking strategy the name alone."""
    place = places.get(row.storage_key or "")
    strategy = rule_value(vault, row).masking_strategy
    return {
        "id": row.id,
        "key": row.key,
        "name": row.name,
        "action_type": row.action_type,
        "storage_destination": None if place is None else place.described(),
        "masking_strategy": None if strategy is None else {"strategy": strategy.strategy},
        "targets": [{"key": each.key, "name": each.name, "data_category": each.data_category} for each in row.targets],
    }


def make_defaults(connection: Connection, clock: Clock, vault: Vault) -> None:
    """Make the default objects where their keys are free: a local destination, policies `download` and `delete`.

    Once per installation: the caller asks `setting` whether it was done. Safe to call again.
    """
    now = clock.now()
    if not destinations.find_many(connection, [DEFAULT_STORAGE]):
        destinations.add(
            connection,
            {
                "id": new_id("sto"),
                "key": DEFAULT_STORAGE,
                "name": "Local packages",
                "type": "local",
                "format": "json",
                "details": {"naming": "request_id"},
            },
            now,
        )
    _make_policy(connection, clock, vault, "download", "Download my data", ActionType.ACCESS)
    _make_policy(connection, clock, vault, "delete", "Delete my data", ActionType.ERASURE)


DEFAULT_STORAGE = "local_packages"


def _make_policy(connection: Connection, clock: Clock, vault: Vault, key: str, name: str, action: ActionType) -> None:
    """A policy of one rule on everything about the subject, unless key, names or action are taken."""
    now = clock.now()
    drp_action = "access" if action is ActionType.ACCESS else "deletion"
    rule_key = f"{key}_rule"
    taken = (
        store.find_policy(connection, key)
        or store.holder_of_name(connection, "policy", name)
        or store.holder_of_drp_action(connection, drp_action)
        or store.find_rule(connection, rule_key)
    )
    if taken:
        return
    policy_id, rule_id = new_id("pol"), new_id("rul")
    described = {"id": policy_id, "key": key, "name": name, "drp_action": drp_action, "partial_identities": "ask"}
    store.add(connection, "policy", described, now)
    masks = action is ActionType.ERASURE
    sealed = (
        seal_strategy(vault, rule_id, StrategyChoice("string_rewrite", {"rewrite_value": "MASKED"})) if masks else None
    )
    rule = {"id": rule_id, "key": rule_key, "name": f"{name}: everything", "policy_id": policy_id, "position": 0}
    rule |= {"action_type": action.value, "sealed_masking_strategy": sealed}
    rule |= {"storage_key": None if masks else DEFAULT_STORAGE}
    store.add(connection, "rule", rule, now)
    target = {"id": new_id("rul"), "key": f"{key}_target", "name": f"{name}: user", "rule_id": rule_id}
    store.add(connection, "target", target | {"data_category": "user"}, now)
