"""Runs companies, one after the other, and keeps what was covered, refused and found."""

from __future__ import annotations

import json
import os
import tempfile
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from truth.case import Finding
from truth.company import Company
from truth.drive import Habeas, Outcome, opened
from truth.judge import examine
from truth.stores import Servers, Stores

MARIADB = os.environ.get("HABEAS_TEST_MARIADB", "mariadb://root@127.0.0.1:3306")
SERVER = os.environ.get("HABEAS_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


@dataclass
class Report:
    """What a run did."""

    companies: int = 0
    served: int = 0  # of these, how many had a store on a server
    requests: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[Company, list[Finding]]] = field(default_factory=list)

    def to_json(self) -> str:
        """The counts, to be added up over runs, and the seeds that failed."""
        counts = {name: getattr(self, name) for name in ("companies", "served", "requests", "shapes", "refusals")}
        return json.dumps({**counts, "failed": [company.seed for company, _ in self.failures]}, ensure_ascii=False)


class Prover:
    """Means to run companies: an installation, a database for stores, a folder."""

    def __init__(self, habeas: Habeas, folder: Path, servers: Servers) -> None:
        self.habeas = habeas
        self.folder = folder
        self.servers = servers
        self.report = Report()
        self.tally: Path | None = None

    def outcomes(self, company: Company) -> list[Outcome]:
        """Build, run and drop one company."""
        stores = Stores(company, self.folder, self.servers)
        try:
            stores.build()
            return self.habeas.run(company, stores)
        finally:
            stores.drop()

    def run(self, company: Company) -> list[Finding]:
        """Run and examine one company. A fault of habeas or of this machine is a finding too."""
        try:
            outcomes = self.outcomes(company)
            findings = examine(company, outcomes)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be told
            lines = traceback.format_exception_only(error)
            return [Finding("crash", f"{type(error).__name__}: {lines[-1].strip()[:400]} at {_place(error)}")]
        for outcome in outcomes:
            for answer in outcome.answers:
                item = answer.item
                self.report.requests[f"{outcome.action} {item['status']} {item['outcome'] or item['reason']}"] += 1
                if item["reason"] == "refused":
                    self.report.refusals[(item["reason_detail"] or {}).get("code", "?")] += 1
        return findings

    def prove(
        self, companies: Iterable[Company], on_failure: Callable[[Company, list[Finding]], None] | None = None
    ) -> Report:
        """Run companies and count."""
        for company in companies:
            findings = self.run(company)
            self.report.companies += 1
            self.report.served += any(each.kind != "sqlite" for each in company.stores)
            self.report.shapes.update(company.shapes)
            if findings:
                self.report.failures.append((company, findings))
                if on_failure:
                    on_failure(company, findings)
            if self.tally is not None and self.report.companies % 10 == 0:
                self.tally.write_text(self.report.to_json())
        return self.report


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(frames[-4:]))


@contextmanager
def prover() -> Iterator[Prover]:
    """Everything a run needs, cleared away at the end."""
    name = f"habeas_truth_{uuid.uuid4().hex[:10]}"
    with ExitStack() as stack:
        with psycopg.connect(SERVER, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        stack.callback(_drop, name)
        memory = Path("/dev/shm")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)))
        habeas = stack.enter_context(opened(folder / "data"))
        yield Prover(habeas, folder, Servers(f"{SERVER.rsplit('/', 1)[0]}/{name}", MARIADB, name))


def _drop(name: str) -> None:
    with psycopg.connect(SERVER, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
