"""Which fields of a collection a policy's rules take, and what contradicts itself in a policy.

Pure look-ups over a policy and datasets. Never decides what is reached, or how a value is masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from habeas.core.errors import BadInput
from habeas.core.taxonomy import check_category, current, is_within
from habeas.dataset.model import Collection, Dataset, Field
from habeas.dataset.problem import Loc, Problem
from habeas.policy.model import ActionType, Policy, Rule


class Selected(msgspec.Struct, frozen=True):
    """A field that rules take. `path` is dotted, `categories` are the field's after inheritance, `rules` are the
    keys of the rules that take it, in the policy's order. A selected object stands for all that is in it.
    """

    path: str
    categories: tuple[str, ...]
    rules: tuple[str, ...]


def fields_of(policy: Policy, action: ActionType, dataset: Dataset, collection: Collection) -> list[Selected]:
    """The fields that the policy's rules of one action take from a collection, by path.

    Categories given on an object, collection or dataset are inherited by the fields in it that have none. A
    category matches a target that is it or lies above it, at a dot. An object whose category matches is taken
    whole, unless something in it has categories of its own that don't match: then only its parts that match are.
    Nor does an erasure take an object whole in which something declares how it is masked, or that it is read-only.
    """
    inherited = collection.data_categories or dataset.data_categories
    taken: dict[str, Selected] = {}
    for rule in policy.rules_of(action):
        targets = today_of(rule.targets)
        writes = action is ActionType.ERASURE
        for path, categories in _take(collection.fields, targets, inherited, "", writes):
            before = taken[path].rules if path in taken else ()
            taken[path] = Selected(path, categories, (*before, rule.key))
    return [taken[path] for path in sorted(taken)]


def today_of(targets: Sequence[str]) -> tuple[str, ...]:
    """Targets by today's keys; a key that the taxonomy doesn't know stays as it is."""
    return tuple(current(target) or target for target in targets)


def _take(
    fields: Sequence[Field], targets: Sequence[str], inherited: tuple[str, ...], prefix: str, writes: bool
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in fields:
        categories = field.data_categories or inherited
        path = f"{prefix}{field.name}"
        parted = writes and _any_declares(field.fields)
        if _matches(categories, targets) and not parted and _all_match(field.fields, targets):
            yield path, categories
        else:
            yield from _take(field.fields, targets, categories, f"{path}.", writes)


def _matches(categories: Sequence[str], targets: Sequence[str]) -> bool:
    return any(is_within(category, target) for category in categories for target in targets)


def _all_match(fields: Sequence[Field], targets: Sequence[str]) -> bool:
    """Whether nothing in these fields has own categories outside the targets."""
    return all(
        (not field.data_categories or _matches(field.data_categories, targets)) and _all_match(field.fields, targets)
        for field in fields
    )


def _any_declares(fields: Sequence[Field]) -> bool:
    """Whether something in these fields says how it is masked, or that it is read-only: not to be ignored."""
    return any(
        field.read_only or field.masking_strategy_override is not None or _any_declares(field.fields)
        for field in fields
    )


def check_policy(policy: Policy, own: frozenset[str] = frozenset()) -> list[Problem]:
    """What contradicts itself or is missing in a policy, errors and warnings. `loc` begins at the policy. `own` are the
    data categories that a target may name beside those of the taxonomy.

    A policy without rules, or a rule without targets, is not an error: both are filled in later calls.
    """
    problems = [problem for index, rule in enumerate(policy.rules) for problem in _check_rule(rule, index, own)]
    keys = [rule.key for rule in policy.rules]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            problems.append(_problem(f"the rule {key!r} stands here a second time", ("rules", index, "key"), key))
    return [*problems, *_check_overlaps(policy)]


def _problem(message: str, loc: Loc, rule: str, fix: str | None = None) -> Problem:
    return Problem(message=message, path=f"rule {rule}", loc=loc, fix=fix)


def _check_rule(rule: Rule, index: int, own: frozenset[str]) -> Iterator[Problem]:
    loc: Loc = ("rules", index)
    if rule.action is ActionType.ACCESS and not rule.storage_key:
        fix = "give a storage_destination_key"
        yield _problem("Access Rules must have a storage destination.", (*loc, "storage_key"), rule.key, fix)
    if rule.action is ActionType.ERASURE and rule.masking_strategy is None:
        fix = "give a masking_strategy"
        yield _problem("Erasure Rules must have masking strategies.", (*loc, "masking_strategy"), rule.key, fix)
    if rule.action is ActionType.ERASURE and rule.storage_key:
        problem = _problem("Erasure Rules have no storage destination; it is not used", (*loc, "storage_key"), rule.key)
        yield msgspec.structs.replace(problem, severity="warning")
    today = today_of(rule.targets)
    for position, target in enumerate(rule.targets):
        yield from _check_target(rule, target, (*loc, "targets", position), own)
        if today[position] in today[:position]:
            message = f"DataCategory {target} is already specified on Rule {rule.key}"
            yield _problem(message, (*loc, "targets", position), rule.key, "keep one of them")


def _check_target(rule: Rule, target: str, loc: Loc, own: frozenset[str]) -> Iterator[Problem]:
    try:
        _, warning = check_category(target, own)
    except BadInput as error:
        yield _problem(error.message, loc, rule.key, error.fix)
        return
    if warning:
        yield msgspec.structs.replace(_problem(warning, loc, rule.key), severity="warning")


def _check_overlaps(policy: Policy) -> Iterator[Problem]:
    """Erasure targets of which one is, or lies within, another: the same field would be masked twice."""
    seen: list[tuple[str, str]] = []
    for index, rule in enumerate(policy.rules):
        if rule.action is not ActionType.ERASURE:
            continue
        for position, target in enumerate(today_of(rule.targets)):
            other = next((each for each in seen if conflicts(target, each[0]) and each != (target, rule.key)), None)
            if other:
                yield _overlap(rule, target, other, ("rules", index, "targets", position))
            seen.append((target, rule.key))


def conflicts(category: str, other: str) -> bool:
    """Whether two erasure targets overlap: equal, or one within the other."""
    return is_within(category, other) or is_within(other, category)


def _overlap(rule: Rule, target: str, other: tuple[str, str], loc: Loc) -> Problem:
    child, ancestor = (target, other[0]) if is_within(target, other[0]) else (other[0], target)
    return _problem(
        "Policy rules are invalid, action conflict in erasure rules detected for categories "
        f"{child} and {ancestor} (rules {other[1]} and {rule.key})",
        loc,
        rule.key,
        "target each category in one erasure rule only",
    )
