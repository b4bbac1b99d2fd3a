"""Runs habeas on companies, in this process: its services take everything in, its dispatcher and engine execute.

One installation serves many companies; what one brought is deleted before the next. Nothing is mocked.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from habeas.connectors.sql import reader, seeds
from habeas.core.errors import HabeasError
from habeas.core.settings import Settings
from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.execute import access, erasure
from habeas.requests import connections, datasets, destinations, policies, rules
from habeas.requests.attempt import FRESH_SECONDS
from habeas.requests.clients import Actor
from habeas.requests.dispatch import COHORT_WORKFLOW, Dispatcher
from habeas.requests.flow import cohort_workflow
from habeas.requests.installation import Installation, open_installation
from habeas.requests.recovery import Recovery
from habeas.requests.service import explain, logs, read_request, receipt, submit
from habeas.store import cohorts
from truth.company import Company
from truth.company import datasets as documents_of
from truth.stores import Dump, Stores, Written

ACTOR = Actor("truth", frozenset({"privacy-request:create"}))
FINAL = {"complete", "error", "requires_input", "canceled", "denied"}
PATIENCE = 180.0


@dataclass
class Answer:
    """What habeas says of one request. `preview` is rows by address and standing; None where it was refused."""

    given: dict[str, Any]
    item: dict[str, Any]
    preview: dict[str, dict[str, int]] | None
    package: dict[str, list[dict[str, Any]]] | None = None
    receipt: dict[str, Any] | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Outcome:
    """One cohort: the stores before and after, and the answers. `action` is access, erasure or both."""

    action: str
    answers: list[Answer]
    before: Dump
    after: Dump
    journal: list[Written] | None = None  # what triggers noted, None where there are none
    early: list[Written] = field(default_factory=list)  # what they had noted before masking began


class Habeas:
    """An opened installation with a running engine."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.installation: Installation = open_installation(Settings(data_dir=data_dir))
        self.engine = DbosEngine(engine_url(self.installation.database, data_dir), "exe_truth")
        self.dispatcher = Dispatcher(self.installation, self.engine, "exe_truth")
        self.engine.register(
            COHORT_WORKFLOW, self.dispatcher.announcing(cohort_workflow(self.installation, "exe_truth"))
        )
        self.engine.launch()
        self._must(
            destinations.save_destinations(
                self.installation, ACTOR, [destinations.DestinationInput(name="truth", key="truth", type="local")]
            )
        )
        self._companies = 0
        self.recovery = Recovery(self.installation, self.engine, self.dispatcher, "exe_truth")
        self._early: list[Written] = []
        self._taken_over = False
        self._watched: Stores | None = None
        self._reach = erasure.reach
        vars(erasure)["reach"] = self._watch

    def _watch(self, boundary: str) -> None:
        """Pass a boundary; where masking begins, nothing may have been written yet. There another executor may take
        the cohort over, after which the attempt that was stopped here must write nothing.
        """
        if boundary == "mask.before" and self._watched is not None:
            self._early += self._watched.read_journal()
            if self._watched.company.taken_over and not self._taken_over:
                self._taken_over = True
                with self.installation.database.read() as connection:
                    running = cohorts.unfinished(connection, ["exe_truth"])
                with self.installation.database.begin() as connection:
                    for each in running:
                        cohorts.take_epoch(connection, each["id"], "exe_other", self.installation.clock.now())
                time.sleep(2 * FRESH_SECONDS)
        self._reach(boundary)

    def _go_on(self) -> None:
        """What another executor took over comes back, once the attempt before has ended."""
        if self._taken_over:
            self.recovery.take_over(["exe_other"])

    def close(self) -> None:
        """Stop the engine and close everything."""
        vars(erasure)["reach"] = self._reach
        self.engine.shutdown(5)
        self.installation.close()

    def run(self, company: Company, stores: Stores) -> list[Outcome]:
        """Access for every subject, then erasure, cohort by cohort; the stores are dumped between."""
        self._companies += 1
        keys = [each.name for each in company.stores if not each.beside]
        try:
            _set_batches(company.batches)
            self._describe(company, stores)
            outcomes = []
            everybody = [each for phase in company.phases for each in phase]
            again = ("access", self._policy(company, "access"))
            if not company.combined:
                outcomes.append(self._cohort(*again, everybody, stores))
            erasure = self._policy(company, "both" if company.combined else "erasure")
            for phase in company.phases:
                outcomes.append(self._cohort("both" if company.combined else "erasure", erasure, phase, stores))
            if company.again:
                outcomes.append(self._cohort(*again, everybody, stores))
                outcomes.append(self._cohort("both" if company.combined else "erasure", erasure, everybody, stores))
            return outcomes
        finally:
            _set_batches(None)
            for key in keys:
                connections.delete_connection(self.installation, ACTOR, key)

    def _describe(self, company: Company, stores: Stores) -> None:
        documents = documents_of(company, stores.schemas())
        for store in (each for each in company.stores if not each.beside):
            kind = connections.ConnectionInput(
                name=store.name, key=store.name, connection_type=store.kind, access="write"
            )
            self._must(connections.save_connections(self.installation, ACTOR, [kind]))
            connections.set_secrets(self.installation, ACTOR, store.name, stores.secrets(store), verify=False)
        for store in (each for each in company.stores if not each.beside):
            beside = [documents[each.name] for each in company.stores if each.connection == store.name]
            given = [each for each in beside if each["collections"]]
            if given:
                self._must(datasets.save_documents(self.installation, ACTOR, store.name, given))

    def _policy(self, company: Company, action: str) -> str:
        key = f"p{self._companies}_{action}"
        installation = self.installation
        self._must(policies.save_policies(installation, ACTOR, [policies.PolicyInput(name=key, key=key)]))
        if action in ("access", "both"):
            self._rule(key, f"{key}_a", company.access, action_type="access", storage_destination_key="truth")
        if action in ("erasure", "both"):
            for number, rule in enumerate(company.rules):
                strategy = {"strategy": rule.strategy, "configuration": rule.configuration}
                self._rule(key, f"{key}_e{number}", rule.categories, action_type="erasure", masking_strategy=strategy)
        return key

    def _rule(self, policy: str, key: str, categories: Sequence[str], **more: Any) -> None:
        given = rules.RuleInput.model_validate({"name": key, "key": key, **more})
        self._must(rules.save_rules(self.installation, ACTOR, policy, [given]))
        targets = [
            rules.TargetInput(name=f"{key} {each}", key=f"{key}_{each}", data_category=each) for each in categories
        ]
        self._must(rules.save_targets(self.installation, ACTOR, policy, key, targets))

    def _must(self, bulk: Any) -> None:
        assert not bulk.failed, bulk.failed

    def _cohort(self, action: str, policy: str, members: Sequence[dict[str, Any]], stores: Stores) -> Outcome:
        before = stores.dump()
        self._early, self._watched, self._taken_over = [], stores, False
        previews = [self._preview(policy, each) for each in members]
        items = [{"policy_key": policy, "identity": each} for each in members]
        bulk = submit(self.installation, items, actor=ACTOR)
        self._must(bulk)
        ids = [each["id"] for each in bulk.succeeded]
        answers = [
            self._answer(request_id, given, preview)
            for request_id, given, preview in zip(self._wait(ids), members, previews, strict=True)
        ]
        return Outcome(action, answers, before, stores.dump(), stores.take_journal(), self._early)

    def _wait(self, ids: Sequence[str]) -> Sequence[str]:
        deadline = time.monotonic() + PATIENCE
        while any(read_request(self.installation, each)["status"] not in FINAL for each in ids):
            self.dispatcher.run_once()
            self._go_on()
            assert time.monotonic() < deadline, "a request doesn't end"
            time.sleep(0.002)
        return ids

    def _preview(self, policy: str, given: Mapping[str, Any]) -> dict[str, dict[str, int]] | None:
        try:
            document = explain(self.installation, policy, given).document()
        except HabeasError:
            return None
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for each in document["collections"]:
            notes = " ".join(each["delete_notes"])
            along = next((f"#{how}" for how in ("cascade", "null") if f"(on_referenced {how})" in notes), "")
            found[each["address"] + along].update(each["rows"])
        return {place: dict(rows) for place, rows in found.items()}

    def _answer(self, request_id: str, given: dict[str, Any], preview: dict[str, dict[str, int]] | None) -> Answer:
        answer = Answer(given, read_request(self.installation, request_id), preview)
        answer.logs = logs(self.installation, request_id, size=100).items
        if answer.item["status"] == "complete":
            answer.receipt = dict(receipt(self.installation, request_id))
        file = self.data_dir / "packages" / f"{request_id}.json"
        if file.exists():
            answer.package = json.loads(file.read_bytes(), parse_float=Decimal)
            file.unlink()
        return answer


_BATCHES: dict[tuple[Any, str], int] = {
    (each, name): getattr(each, name)
    for each, name in (
        (reader, "CHUNK_ROWS"),
        (reader, "DOCUMENT_ROWS"),
        (reader, "LANDING_ROWS"),
        (access, "FRAME_BYTES"),
        (seeds, "VALUES_AT_ONCE"),
    )
}


def _set_batches(rows: int | None) -> None:
    """Let habeas take so many rows at once, None for as many as it does by itself."""
    for (module, name), usual in _BATCHES.items():
        setattr(module, name, rows * 40 if rows and name == "FRAME_BYTES" else rows or usual)


@contextmanager
def opened(data_dir: Path) -> Iterator[Habeas]:
    """An installation for a run."""
    habeas = Habeas(data_dir)
    try:
        yield habeas
    finally:
        habeas.close()
