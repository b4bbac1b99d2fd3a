"""What a request would do, without doing it: the plan explained with its statements and the rows it finds.

Reads the very plan that execution reads, and counts rows by running its traversal. Nothing is written to a
source, and nothing is kept: the spool of a count is purged at its end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import msgspec

from habeas.connectors.base import SeedValue, Statement
from habeas.core.address import CollectionAddress
from habeas.core.errors import BadInput, NotFound
from habeas.core.identity import Assurance, Identity, canonical
from habeas.dataset.model import Dataset
from habeas.execute.held import HeldRows
from habeas.execute.traversal import Traversal, count_rows
from habeas.plan.explain import Explanation
from habeas.plan.explain import explain as explain_plan
from habeas.plan.model import Caution, Plan, Segment, Standing
from habeas.policy.model import ActionType, Policy, Rule
from habeas.requests.attempt import erased_rows
from habeas.requests.installation import Installation
from habeas.requests.submission import read_identities
from habeas.spool.frames import Spool, new_data_key

Counting = Literal["exact", "estimate"]
Given = Mapping[str, object] | Sequence[Mapping[str, object]]

PREVIEW = "preview_"  # how the spools of previews are called
_FRESH = 5.0  # seconds: a preview shows the stores as they are
_EVERYTHING = ("system", "user")


@dataclass(frozen=True)
class Preview:
    """An explained plan. `estimates` are the stores' own guesses of whole tables' rows, by address; empty where
    rows were counted.
    """

    explanation: Explanation
    estimates: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """As mappings, lists, strings and numbers; each collection with `estimated_table_rows`."""
        document = self.explanation.document()
        if not isinstance(document, dict):
            raise TypeError("an explanation is a mapping")
        for part in document["collections"]:
            part["estimated_table_rows"] = self.estimates.get(part["address"])
        return document


class NoTraversal(BadInput):
    """The stored datasets can't be traversed together."""

    status = 400


def explain(installation: Installation, policy_key: str, identities: Given, counts: Counting = "exact") -> Preview:
    """Explain what a request of an authorised client would read and write.

    `identities` is one identity object or a list of alternatives, as in a request; with `estimate` their values
    aren't used. Raises NotFound for the policy, BadInput, Refused with the place, SourceError.
    """
    given = _given(identities)
    _, plan = installation.planner.plan(policy_key, {each.kind for each in given}, max_age=_FRESH)
    found, held = _count(installation, plan, given) if counts == "exact" else (None, None)
    estimates = _estimate(installation, plan)
    explained = explain_plan(plan, _compiler(installation), found, held)
    warnings = (*(_sized(each, estimates) for each in explained.warnings), *_answered(installation, plan))
    sized = msgspec.structs.replace(explained, warnings=warnings)
    return Preview(sized, estimates if counts == "estimate" else {})


def _answered(installation: Installation, plan: Plan) -> Iterator[Caution]:
    """Collections for which somebody answers: what they hold can't be counted."""
    for step in plan.steps:
        if not installation.sources.connector(step.connection).capabilities.holds_rows:
            what = "a person answers: its rows, and what only they lead to, aren't counted here"
            yield Caution(step.address, "answered", what, "the request pauses until it is answered")


def _sized(caution: Caution, estimates: Mapping[str, int]) -> Caution:
    """A scan with the store's guess of the table's rows. The plan can't hold it: it changes by itself."""
    rows = estimates.get(caution.address, 0)
    if caution.code != "scan" or rows <= 0:
        return caution
    return msgspec.structs.replace(caution, message=f"{caution.message} (about {rows} rows)")


def preview(installation: Installation, dataset_keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """fidesops' preview: per collection in order of traversal `{collectionAddress, query}`, as if every kind of
    identity were given; `query` is None where the collection isn't asked by a statement.

    Raises NotFound for an unknown dataset or where there is none, NoTraversal for datasets that refer to
    others that aren't among them, Refused where they can't be searched.
    """
    bound = installation.planner.describe().bound
    wanted = _wanted({dataset.fides_key for _, dataset in bound}, dataset_keys)
    chosen = [(binding, dataset) for binding, dataset in bound if dataset.fides_key in wanted]
    _check_references([dataset for _, dataset in chosen], wanted)
    kinds = {field.identity for _, dataset in chosen for field in _fields(dataset) if field.identity}
    plan = installation.planner.plan_for(_access_to_everything(), kinds, chosen)
    queries = _statements(installation, plan)
    return [
        {"collectionAddress": CollectionAddress.parse(step.address)._asdict(), "query": queries.get(step.address)}
        for step in plan.steps
    ]


def _wanted(known: set[str], keys: Sequence[str] | None) -> set[str]:
    for key in keys or ():
        if key not in known:
            raise NotFound(f"No dataset with id '{key}'")
    wanted = known if keys is None else set(keys)
    if not wanted:
        raise NotFound("No datasets could be found", fix="add a dataset to a connection first")
    return wanted


def _given(identities: Given) -> list[Identity]:
    groups = [identities] if isinstance(identities, Mapping) else identities
    given = [each for group in groups for each in read_identities(group, Assurance.VOUCHED)]
    if not given:
        raise BadInput("You must provide at least one identity to process")
    return given


def _count(
    installation: Installation, plan: Plan, given: Iterable[Identity]
) -> tuple[Mapping[int, Mapping[Standing, int]], Mapping[int, int]]:
    """Rows by step and standing, and those by step that are held back from deletion."""
    region = installation.settings.phone_region
    seeds = [SeedValue(0, each.kind, each.value, canonical(each.kind, each.value, region)) for each in given]
    name = f"{PREVIEW}{uuid4()}"
    spool = Spool(installation.settings.data_dir / "spool", name, 0, new_data_key())
    try:
        traversal = Traversal(
            plan,
            installation.sources.connector,
            spool,
            seeds=seeds,
            own=seeds,
            label=f"habeas/{name}/0",
            erased=erased_rows(installation),
        )
        holding = HeldRows(plan, installation.sources.connector, spool)
        found = count_rows(traversal, plan, holding.take)
        held = holding.count(f"habeas/{name}/0")
    finally:
        spool.purge()
    counts: dict[int, Counter[Standing]] = defaultdict(Counter)
    for index, rows in found.items():
        for (_, standing), count in rows.items():
            counts[index][Standing(standing)] += count
    return counts, held


def _estimate(installation: Installation, plan: Plan) -> dict[str, int]:
    estimates = {}
    for step in plan.steps:
        if installation.sources.connector(step.connection).capabilities.introspects:
            table = installation.sources.schema(step.connection, step.table.schema).find(step.table)
            if table is not None:
                estimates[step.address] = table.estimated_rows
    return estimates


def _compiler(installation: Installation) -> Callable[[Plan, Segment], Sequence[Statement]]:
    def statements(plan: Plan, segment: Segment) -> Sequence[Statement]:
        return installation.sources.connector(segment.connection).statements(plan, segment)

    return statements


def _statements(installation: Installation, plan: Plan) -> dict[str, str]:
    """Per address, the statements that find its rows, in order."""
    texts: dict[str, list[str]] = defaultdict(list)
    for segment in plan.segments:
        for each in installation.sources.connector(segment.connection).statements(plan, segment):
            if each.purpose in ("seed", "follow"):
                texts[each.address].append(each.text)
    return {address: ";\n".join(found) for address, found in texts.items()}


def _access_to_everything() -> Policy:
    return Policy("preview", (Rule("preview", ActionType.ACCESS, _EVERYTHING, storage_key="preview"),))


def _fields(dataset: Dataset) -> Iterable[Any]:
    return (field for collection in dataset.collections for _, field in collection.leaves())


def _check_references(datasets: Sequence[Dataset], wanted: set[str]) -> None:
    for dataset in datasets:
        named = {reference.dataset for field in _fields(dataset) for reference in field.references}
        for missing in sorted(named - wanted):
            raise NoTraversal(
                f"refers to dataset {missing}, which isn't among them",
                where=dataset.fides_key,
                fix="preview both together",
            )
