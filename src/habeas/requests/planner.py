"""Plans for policies as they are stored now: the catalog from datasets, connections and live schemas.

Plans are cached by the stamp of the configuration and the generation of the sources, for a minute, so that the
next request of the same policy plans nothing; what changes in a store before that is noticed by its readers. A
refusal is never cached: once more is asked with schemas read anew before it stands. Never runs a plan.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy.engine import Connection

from habeas.core.errors import HabeasError, NotFound, Refused
from habeas.core.schema import StoreSchema
from habeas.dataset.load import dataset_from
from habeas.dataset.model import Dataset
from habeas.plan.build import build_plan
from habeas.plan.graph import BoundDataset, Catalog
from habeas.plan.model import Plan
from habeas.policy.model import Policy
from habeas.requests.policies import stored_policy
from habeas.requests.sources import FRESH_SECONDS, SchemaKey, Sources
from habeas.store import bindings as store
from habeas.store import categories, claims, plans
from habeas.store.bindings import Binding
from habeas.store.secrets import Vault
from habeas.store.session import Database

_KEPT_PLANS = 64

K = TypeVar("K")
V = TypeVar("V")

Key = tuple[str, tuple[str, ...], str, int]


class Described(NamedTuple):
    """A policy and all datasets with their connections, as stored at one moment, with the stamp of that moment."""

    policy: Policy | None
    bound: Sequence[tuple[Binding, Dataset]]
    stamp: str


class Planner:
    """Plans of one installation. Safe to share between threads."""

    def __init__(self, database: Database, vault: Vault, sources: Sources, region: str) -> None:
        self._database = database
        self._vault = vault
        self._sources = sources
        self._region = region
        self._guard = threading.Lock()
        self._plans: OrderedDict[Key, tuple[float, str, Plan]] = OrderedDict()  # with the moment it was planned
        self._made: OrderedDict[str, Plan] = OrderedDict()  # by digest
        self._stored: OrderedDict[str, Plan] = OrderedDict()
        self._datasets: dict[tuple[str, str], Dataset] = {}  # by key and version

    def cached(self, policy_key: str, kinds: Collection[str], stamp: str) -> tuple[str, Plan] | None:
        """Digest and plan made for this configuration less than FRESH_SECONDS ago, if nothing it rests on was
        forgotten meanwhile.
        """
        with self._guard:
            known = self._plans.get(self._key(policy_key, kinds, stamp))
        if known is None or time.monotonic() - known[0] > FRESH_SECONDS:
            return None
        return known[1:]

    def made(self, digest: str) -> Plan | None:
        """A plan by its digest, if it is in memory."""
        with self._guard:
            return self._made.get(digest)

    def keep(self, digest: str, plan: Plan) -> None:
        """Keep a plan in memory by its digest."""
        with self._guard:
            _keep(self._made, digest, plan)

    def plan(self, policy_key: str, kinds: Collection[str], *, max_age: float = FRESH_SECONDS) -> tuple[str, Plan]:
        """Digest and plan of a stored policy for identity kinds; schemas older than `max_age` seconds are read again.

        Raises NotFound for the policy, Refused where it can't be answered.
        """
        moment = time.monotonic()
        described = self.describe(policy_key)
        if described.policy is None:
            raise NotFound(f"Policy with key {policy_key} does not exist")
        plan = self._build(described.policy, kinds, described.bound, max_age)
        digest = plan.digest()
        with self._guard:
            _keep(self._plans, self._key(policy_key, kinds, described.stamp), (moment, digest, plan))
            _keep(self._made, digest, plan)
        return digest, plan

    def stored(self, connection: Connection, digest: str) -> Plan:
        """The frozen plan of a digest, as a cohort runs it; read once. Raises NotFound."""
        with self._guard:
            plan = self._stored.get(digest)
        if plan is None:
            plan = plans.get(connection, digest)
            with self._guard:
                self._stored[digest] = plan
                while len(self._stored) > _KEPT_PLANS:
                    self._stored.popitem(last=False)
        return plan

    def plan_for(self, policy: Policy, kinds: Collection[str], bound: Sequence[tuple[Binding, Dataset]]) -> Plan:
        """The plan of a policy that isn't stored, over these datasets. Not cached. Raises Refused."""
        return self._build(policy, kinds, bound, FRESH_SECONDS)

    def describe(self, policy_key: str | None = None) -> Described:
        """What is stored now; the policy is None where there is none of that key."""
        with self._database.read() as connection:
            stored = None if policy_key is None else stored_policy(connection, self._vault, policy_key)
            found = store.list_bindings(connection)
            stamp = claims.configuration_stamp(connection)
            with self._guard:
                known = dict(self._datasets)
            unread = [each.fides_key for each in found if (each.fides_key, each.version) not in known]
            bodies = store.bodies_of(connection, unread) if unread else {}
            own = categories.keys(connection) if unread else frozenset()
        datasets = {
            (each.fides_key, each.version): dataset_from(
                bodies[each.fides_key], where=f"dataset {each.fides_key}", own=own
            )
            if each.fides_key in bodies
            else known[each.fides_key, each.version]
            for each in found
        }
        with self._guard:
            self._datasets = datasets
        bound = [(each, datasets[each.fides_key, each.version]) for each in found]
        return Described(None if stored is None else stored.policy, bound, stamp)

    def catalog(self, bound: Sequence[tuple[Binding, Dataset]], *, max_age: float = FRESH_SECONDS) -> Catalog:
        """Datasets with their connections and live schemas; a schema that can't be read says so in `problem`."""
        self._sources.observe({each.connection_key: each.connection_version for each, _ in bound})
        wanted = [(each.connection_key, dataset.schema) for each, dataset in bound if not each.disabled]
        schemas = self._sources.schemas(wanted, max_age=max_age)
        return Catalog(
            tuple(_bound(each, dataset, schemas, self._database_of(each, dataset)) for each, dataset in bound)
        )

    def _database_of(self, binding: Binding, dataset: Dataset) -> str | None:
        """The connected database, asked only where the dataset names one; a connector that can't be built has none."""
        if dataset.database_name is None or binding.disabled:
            return None
        try:
            return self._sources.connector(binding.connection_key).database(dataset.schema)
        except HabeasError:
            return None  # what is wrong with it is the schema's `problem`

    def _build(
        self, policy: Policy, kinds: Collection[str], bound: Sequence[tuple[Binding, Dataset]], max_age: float
    ) -> Plan:
        try:
            return build_plan(policy, self.catalog(bound, max_age=max_age), kinds, region=self._region)
        except Refused:
            if max_age <= 0:
                raise
        # What was refused may have been mended since the schemas were read.
        return build_plan(policy, self.catalog(bound, max_age=0), kinds, region=self._region)

    def _key(self, policy_key: str, kinds: Collection[str], stamp: str) -> Key:
        return policy_key, tuple(sorted(kinds)), stamp, self._sources.generation


def _keep(cache: OrderedDict[K, V], key: K, value: V) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > _KEPT_PLANS:
        cache.popitem(last=False)


def _bound(
    binding: Binding,
    dataset: Dataset,
    schemas: Mapping[SchemaKey, StoreSchema | HabeasError | None],
    database: str | None,
) -> BoundDataset:
    found = schemas.get((binding.connection_key, dataset.schema))
    return BoundDataset(
        dataset=dataset,
        connection=binding.connection_key,
        access="write" if binding.access == "write" else "read",
        disabled=binding.disabled,
        schema=None if isinstance(found, HabeasError) else found,
        problem=str(found) if isinstance(found, HabeasError) else None,
        database=database,
    )
