"""Masks: how each field that an erasure targets is made unreadable, or why it stays.

The policy's strategy where it fits the column, else the type's substitute; what can be done in neither way
is refused. Columns that identify rows stay, or are refused, never broken. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import msgspec

from habeas.core.address import CollectionAddress
from habeas.core.errors import BadInput, Refused
from habeas.core.expression import Constant, Expression, Null, Truncate, reads_column
from habeas.core.schema import ColumnType, TypeFamily
from habeas.dataset.model import Field, StrategyChoice
from habeas.masking.registry import AnyStrategy, strategy
from habeas.plan.assemble import reference_columns
from habeas.plan.draft import Draft
from habeas.plan.graph import Node
from habeas.plan.model import Caution, Kept, Mask, Standing, Step, base_of
from habeas.plan.own import can_be_shared, own_steps
from habeas.plan.parts import is_part, keep_part, part_mask, refuse_delete, refuse_part, unite_parts
from habeas.plan.rekey import carriers, carries_of, leaders, why_not_rekeyed
from habeas.plan.substitutes import CONSTANT, NULL, RANDOM, RANDOM_VALUE, constant_of, random_of
from habeas.policy.model import Rule
from habeas.policy.select import Selected

DELETE = "delete"
KEY_FAMILIES = frozenset({TypeFamily.INTEGER, TypeFamily.UUID})  # keys that aren't personal data by themselves


def choose_masks(draft: Draft) -> Draft:
    """Give every step its masks, what it keeps and whether its rows are deleted."""
    rules = {rule.key: rule for rule in draft.policy.rules}
    prepare = _Preparer()
    steps, problems, warnings = [], [], []
    own: list[Step] = []
    for step in draft.steps:
        address = CollectionAddress.parse(step.address)
        erasures = draft.selection(address).erasures
        if not erasures:
            steps.append(step)
            continue
        chooser = _Chooser(draft, draft.graph.nodes[address], step, rules, prepare)
        masked, found = chooser.step(erasures, draft.standings.get(address))
        steps.append(masked)
        problems += found
        if can_be_shared(draft, step):
            own += chooser.own(erasures)
            problems += chooser.problems
        warnings += chooser.warnings
    return replace(
        draft,
        steps=tuple(steps),
        own=tuple(own),
        problems=(*draft.problems, *problems),
        warnings=(*draft.warnings, *warnings),
    )


def kept_standing(standing: Standing | None) -> str | None:
    """Why no row of a collection can be written, in the outcome's word; None if some row can be the subject's."""
    if standing is Standing.OWN:
        return None
    if standing in (Standing.SHARED, Standing.SHARED_ROW):
        return "shared_row"
    return "context" if standing is Standing.CONTEXT else "person"


class _Prepared(NamedTuple):
    """A strategy with its checked configuration."""

    choice: StrategyChoice
    strategy: AnyStrategy
    configuration: Any

    def expression(self, column: str) -> Expression | None:
        """The mask of a column; secrets go by the strategy's name, so that equal values mask equally everywhere."""
        expression: Expression | None = self.strategy.expression(self.configuration, column, self.strategy.name)
        return expression


class _Preparer:
    """Checks each choice of a policy or dataset once."""

    def __init__(self) -> None:
        self._prepared: dict[int, _Prepared] = {}

    def __call__(self, choice: StrategyChoice) -> _Prepared:
        """The choice, checked; raises BadInput for an unknown strategy or a bad configuration."""
        if id(choice) not in self._prepared:  # holding the choice keeps its id from being given to another
            chosen = strategy(choice.strategy)
            self._prepared[id(choice)] = _Prepared(choice, chosen, chosen.configure(choice.configuration))
        return self._prepared[id(choice)]


@dataclass(frozen=True)
class _Target:
    """One field to mask, with what its column allows."""

    selected: Selected
    where: str
    type: ColumnType
    nullable: bool
    unique: bool


class _Follows(NamedTuple):
    """A foreign key column that gets its new value from the key it points to."""

    field: str


_Decision = Mask | Kept | Refused | _Follows


class _Chooser:
    """Masks for the fields of one step."""

    def __init__(self, draft: Draft, node: Node, step: Step, rules: Mapping[str, Rule], prepare: _Preparer) -> None:
        graph = draft.graph
        self._prepare = prepare
        self._draft = draft
        self._graph = graph
        self._node = node
        self._step = step
        self._rules = rules
        override = node.collection.masking_strategy_override
        self._delete = override is not None and override.strategy == DELETE
        self._override = None if self._delete else override
        self._types = {column.name: column.type for column in step.columns}
        table = node.table
        self._keys = frozenset((*step.key, *node.declared_key, *(table.primary_key if table else ())))
        self._references = reference_columns(graph, node)
        own = (key.columns for key in table.foreign_keys) if table else ()
        self._foreign: frozenset[str] = frozenset().union(*own)
        pointed = (each.key.target_columns for each in graph.pointing_at(node))
        self._pointed: frozenset[str] = frozenset().union(*pointed)
        self._unique: frozenset[str] = frozenset().union(*((*table.uniques, table.unique_parts) if table else ()))
        self._checks = table.checks if table else ()
        self.warnings: list[Caution] = []
        self.problems: list[Refused] = []

    def step(self, erasures: tuple[Selected, ...], standing: Standing | None) -> tuple[Step, list[Refused]]:
        """The step with masks and kept fields, and what is refused."""
        reason = kept_standing(standing)
        if reason is not None:
            kept = tuple(Kept(each.path, reason) for each in erasures)
            return msgspec.structs.replace(self._step, kept=kept), []
        decided = [self._decide(each) for each in erasures]
        masks = unite_parts(self._step, (each for each in decided if isinstance(each, Mask)))
        problems = [each for each in decided if isinstance(each, Refused)]
        if self._delete:  # masks are what happens to a row that can't be deleted
            return self._deleting(masks, problems)
        kept = tuple(each for each in decided if isinstance(each, Kept))
        step = msgspec.structs.replace(self._step, masks=masks, kept=kept, checks=self._named(masks))
        return self._carrying(step), problems

    def _carrying(self, step: Step) -> Step:
        """The step with who follows its new keys; of one that deletes, those of rows that are masked instead."""
        fields = [mask.field for mask in step.masks if mask.field in step.key]
        return msgspec.structs.replace(step, carries=carries_of(self._graph, self._node, fields)) if fields else step

    def own(self, erasures: tuple[Selected, ...]) -> Iterator[Step]:
        """The steps that mask the subject's own fields in shared rows. A field that can't be masked is a problem where
        it is said to hold an identity.
        """
        masks = []
        for each in erasures:
            decided = self._decide(each)
            if isinstance(decided, Mask):
                masks.append(decided)
            elif isinstance(decided, Refused) and self._node.fields[each.path].identity in self._draft.kinds:
                self.problems.append(decided)
        for step in own_steps(self._step, self._node, unite_parts(self._step, masks), self._draft):
            yield msgspec.structs.replace(step, checks=self._named(step.masks))

    def _deleting(self, masks: tuple[Mask, ...], unmasked: list[Refused]) -> tuple[Step, list[Refused]]:
        refused = refuse_delete(self._step, self._node)
        barred = tuple(each.where or "" for each in unmasked)
        step = msgspec.structs.replace(
            self._step, masks=masks, delete=True, checks=self._named(masks), unmaskable=barred
        )
        return self._carrying(step), [refused] if refused else []

    def _named(self, masks: tuple[Mask, ...]) -> tuple[str, ...]:
        """CHECKs that name a masked column."""
        return tuple(check for check in self._checks if any(_names(check, mask.field) for mask in masks))

    def _decide(self, selected: Selected) -> _Decision | None:
        node, path = self._node, selected.path
        where = f"{node.address}:{path}"
        live = node.live.get(base_of(path))
        if node.table is not None and live is None:
            return None  # a missing column is refused already
        try:
            prepared = self._prepare(self._choice(selected))
        except BadInput as error:
            return Refused(error.message, cause="strategy", where=where, fix=error.fix)
        if prepared.strategy.keeps:
            return Kept(path, str(getattr(prepared.configuration, "reason", "preserved")))
        if (barred := self._read_only(path)) is not None:
            fix = "declare masking_strategy_override preserve on the field, which keeps it, or remove read_only"
            lies = "is read_only but" if barred == path else f"lies in {barred}, which is read_only, but is"
            message = f"{lies} targeted by an erasure"
            return Refused(message, cause="read_only_field", where=where, fix=fix)
        if is_part(self._step, path):
            return self._decide_part(selected, where, prepared)
        target = _Target(selected, where, self._types[path], live.nullable if live else True, path in self._unique)
        return self._decide_key(target, prepared.choice) or self._decide_column(target, prepared)

    def _decide_part(self, selected: Selected, where: str, prepared: _Prepared) -> Mask | Kept | Refused:
        refused = refuse_part(self._node, selected.path, where)
        kept = keep_part(self._graph, self._node, selected.path)
        return refused or kept or part_mask(self._node, selected, prepared.choice, prepared.strategy)

    def _around(self, path: str) -> Iterator[tuple[str, Field]]:
        """A field and the objects it lies in, the nearest first: what is declared on an object holds for all in it."""
        names = path.split(".")
        prefixes = (".".join(names[:end]) for end in range(len(names), 0, -1))
        return ((prefix, self._node.fields[prefix]) for prefix in prefixes)

    def _read_only(self, path: str) -> str | None:
        """The path of the field, or else the nearest object around it, that says it is never written."""
        return next((around for around, field in self._around(path) if field.read_only), None)

    def _choice(self, selected: Selected) -> StrategyChoice:
        overrides = (field.masking_strategy_override for _, field in self._around(selected.path))
        own = next((override for override in overrides if override is not None), None)
        choice = own or self._override or self._rules[selected.rules[0]].masking_strategy
        if choice is None:
            raise BadInput(f"rule {selected.rules[0]} has no masking strategy", fix="give the rule a masking_strategy")
        return choice

    def _decide_key(self, target: _Target, choice: StrategyChoice) -> _Decision | None:
        """What happens to columns that identify or join rows; None where they are masked like others."""
        path = target.selected.path
        if path in self._keys | self._references and target.type.family in KEY_FAMILIES:
            return Kept(path, "key_kept")
        # A foreign key may become NULL; any other mask of it would point nowhere.
        nulled = choice.strategy == NULL and target.nullable
        if path in self._foreign and not nulled:
            return self._follow(target)
        if path in self._references - self._keys and not nulled and (led := leaders(self._draft, self._node, path)):
            self.warnings.append(Caution(target.where, "follows", f"gets the new key of {', '.join(led)}"))
            return _Follows(path)
        if path in self._keys | self._pointed:
            why = why_not_rekeyed(self._graph, self._node, path)
            return self._rekey(target) if why is None else _natural_key(target, why)
        return None

    def _follow(self, target: _Target) -> _Decision:
        leading = carriers(self._draft, self._node, target.selected.path)
        if not leading:
            return _natural_key(target, "the key it points to doesn't change with it")
        message = f"gets the new key of {', '.join(leading)} by ON UPDATE CASCADE"
        self.warnings.append(Caution(target.where, "follows", message))
        return _Follows(target.selected.path)

    def _rekey(self, target: _Target) -> Mask:
        drawn = random_of(target.type) or StrategyChoice(RANDOM)
        unique = replace(target, unique=True)
        return _mask(unique, drawn, strategy(drawn.strategy), None, "natural_key")

    def _decide_column(self, target: _Target, prepared: _Prepared) -> Mask | Refused:
        live = self._node.live.get(target.selected.path)
        if live is not None and live.generated:
            fix = "target the columns it is computed from, and declare preserve on this field"
            message = "is computed by the store and can't be written"
            return Refused(message, cause="generated_column", where=target.where, fix=fix)
        prepared = self._sized(target, prepared)
        expression = prepared.expression(target.selected.path)
        unfit = _unfit(target, prepared.strategy, expression)
        if unfit is None:
            mask = _mask(target, prepared.choice, prepared.strategy, expression, None)
        else:
            substitute = _substitute(target, unfit)
            if isinstance(substitute, Refused):
                return substitute
            mask = substitute
        if any(_names(check, target.selected.path) for check in self._checks):
            message = "a CHECK names this column; whether it takes the masked values is tried before the first write"
            fix = "if it doesn't, give the field a masking_strategy_override that the CHECK allows"
            self.warnings.append(Caution(target.where, "check", message, fix))
        return mask

    def _sized(self, target: _Target, prepared: _Prepared) -> _Prepared:
        """A strategy that draws values of the column's type, with that type's limits."""
        drawn = random_of(target.type) if prepared.strategy.name == RANDOM_VALUE else None
        return prepared if drawn is None else self._prepare(drawn)


def _natural_key(target: _Target, why: str) -> Refused:
    return Refused(
        f"is a key that holds personal data and can't be re-keyed: {why}",
        cause="natural_key",
        where=target.where,
        fix="declare masking_strategy_override delete on the collection, or preserve on the field",
    )


def _names(check: str, column: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", check, re.IGNORECASE) is not None


def _unfit(target: _Target, chosen: AnyStrategy, expression: Expression | None) -> str | None:
    """Why the column can't hold what the strategy writes, None if it can."""
    if not chosen.fits(target.type.family) or (chosen.name == RANDOM_VALUE and random_of(target.type) is None):
        return "type"
    if isinstance(expression, Null) and not target.nullable:
        return "not_null"
    return "unique" if isinstance(expression, Constant) and target.unique else None


def _mask(
    target: _Target,
    choice: StrategyChoice,
    chosen: AnyStrategy,
    expression: Expression | None,
    substituted: str | None,
) -> Mask:
    length = target.type.length if target.type.family is TypeFamily.TEXT else None
    return Mask(
        field=target.selected.path,
        rule=target.selected.rules[0],
        strategy=chosen.name,
        form=_form(expression),
        expression=_cut(expression, length),
        configuration=choice.configuration,
        categories=tuple(sorted(target.selected.categories)),
        length=None if isinstance(expression, Null) else length,
        substituted=substituted,
        per_row=chosen.per_row,
        unique=target.unique,
    )


def _form(expression: Expression | None) -> Literal["constant", "pushed", "computed"]:
    if expression is None:
        return "computed"
    return "pushed" if reads_column(expression) else "constant"


def _cut(expression: Expression | None, length: int | None) -> Expression | None:
    if length is None or expression is None or isinstance(expression, Null):
        return expression
    if isinstance(expression, Constant):
        return Constant(expression.value[:length]) if isinstance(expression.value, str) else expression
    return Truncate(expression, length)


def _substitute(target: _Target, unfit: str) -> Mask | Refused:
    """What the column's type takes where the policy's strategy doesn't fit."""
    if target.nullable:
        return _mask(target, StrategyChoice(NULL), strategy(NULL), Null(), unfit)
    drawn = random_of(target.type) if target.unique else None
    if drawn is not None:
        return _mask(target, drawn, strategy(drawn.strategy), None, unfit)
    constant = constant_of(target.type)
    if not target.unique and constant is not None:
        choice = StrategyChoice(CONSTANT, {"rewrite_value": constant})
        return _mask(target, choice, strategy(CONSTANT), Constant(constant), unfit)
    limits = f"NOT NULL{' and UNIQUE' if target.unique else ''} of type {target.type.native or 'unknown'}"
    return Refused(
        f"is {limits}: habeas has no mask that fits",
        cause="unmaskable",
        where=target.where,
        fix="declare masking_strategy_override on the field (preserve keeps it) or delete on the collection",
    )
