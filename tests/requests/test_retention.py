"""What is deleted once it is over, and what never is: whatever a request, a proof or a repetition still needs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.durable.port import Steps
from habeas.requests.installation import Installation
from habeas.requests.model import Status
from habeas.requests.retention import PREVIEW_SECONDS, run_retention
from habeas.requests.service import RequestFilter, find, submit
from habeas.spool.frames import Spool
from habeas.store import audit, cohorts, ledger
from habeas.store import requests as store
from habeas.store.tables import audit_trail, cohort, execution_log, privacy_request, provided_identity
from requestbook import CLIENT, item, wait_until

DAYS = 30


class Nothing:
    """Ends at once."""

    def __call__(self, steps: Steps, subject: str) -> None:
        steps.run("step", lambda: "done")


@pytest.fixture
def installation(opened: Callable[..., Installation]) -> Installation:
    return opened(request_retention_days=DAYS)


@pytest.fixture
def engine(installation: Installation) -> Iterator[DbosEngine]:
    made = DbosEngine(engine_url(installation.database, installation.settings.data_dir), "exe-retention")
    made.register("nothing", Nothing())
    made.launch()
    yield made
    made.shutdown(5)


def end(installation: Installation, cohort_id: str | None, status: Status, **more: object) -> str:
    """A request of a cohort that ended so, with a log entry."""
    (taken,) = submit(installation, [item(external_id=str(status))], actor=CLIENT).succeeded
    now = installation.clock.now()
    with installation.database.begin() as connection:
        moved = {"status": status, "stage": "done", "updated_at": now, "cohort_id": cohort_id, "member": 0}
        store.move_request(connection, taken["id"], {}, moved | more)
        if cohort_id is not None:
            row = {"id": cohort_id, "created_at": now, "updated_at": now, "plan_digest": "0", "size": 1, "epoch": 1}
            cohorts.insert(connection, row | {"stage": "done", "finished_at": now})
            entry = {"created_at": now, "updated_at": now, "dataset_name": "d", "collection_name": "c"}
            told = {"action_type": "access", "status": "complete", "fields_affected": [], "cohort_id": cohort_id}
            connection.execute(sa.insert(execution_log), entry | told)
    return str(taken["id"])


def kept(installation: Installation) -> tuple[set[str], set[str], int, int]:
    """Requests, cohorts, how many log entries and identities."""
    with installation.database.read() as connection:
        return (
            set(connection.execute(sa.select(privacy_request.c.id)).scalars()),
            set(connection.execute(sa.select(cohort.c.id)).scalars()),
            connection.execute(sa.select(sa.func.count()).select_from(execution_log)).scalar_one(),
            connection.execute(sa.select(sa.func.count()).select_from(provided_identity)).scalar_one(),
        )


def test_only_finished_requests_that_nothing_needs_go(installation: Installation, engine: DbosEngine) -> None:
    gone = [end(installation, "coh_read", Status.COMPLETE), end(installation, None, Status.DENIED)]
    erased = end(installation, "coh_erased", Status.COMPLETE)
    failed = end(installation, "coh_failed", Status.ERROR)
    retried = end(installation, "coh_retried", Status.COMPLETE, earlier=[["coh_before", 0]])
    waiting = end(installation, None, Status.PENDING)
    with installation.database.begin() as connection:
        secret, clock = installation.vault.key(ledger.KEY_PURPOSE), installation.clock
        row = ledger.row_of("coh_erased", "d:c", 0, [[1]], [b"0" * 32], [0], {}, secret=secret, clock=clock)
        ledger.append_rows(connection, [row])
    run_retention(installation, engine)
    everything = kept(installation)
    assert everything[0] == {*gone, erased, failed, retried, waiting}
    installation.clock.advance(DAYS * 86_400 + 1)  # type: ignore[attr-defined]
    young = end(installation, "coh_young", Status.COMPLETE)
    run_retention(installation, engine)
    run_retention(installation, engine)
    requests, groups, logs, identities = kept(installation)
    assert requests == {erased, failed, retried, waiting, young}
    assert groups == {"coh_erased", "coh_failed", "coh_retried", "coh_young"}
    assert (logs, identities) == (4, 5)
    assert find(installation, RequestFilter(id=gone[0])).items == []
    with installation.database.read() as connection:
        assert audit.verify_chain(connection).broken_at is None
        deleted = sa.select(audit_trail.c.detail).where(audit_trail.c.action == "privacy_request.deleted")
        assert [each["count"] for each in connection.execute(deleted).scalars()] == [2]


def test_all_are_kept_where_no_setting_says_otherwise(opened: Callable[..., Installation]) -> None:
    installation = opened()
    made = end(installation, "coh_read", Status.COMPLETE)
    installation.clock.advance(10_000 * 86_400)  # type: ignore[attr-defined]
    engine = DbosEngine(engine_url(installation.database, installation.settings.data_dir), "exe-retention")
    try:
        run_retention(installation, engine)  # not launched: it has no records
    finally:
        engine.shutdown(0)
    assert kept(installation)[0] == {made}


def test_the_engine_forgets_what_ended_long_ago(installation: Installation, engine: DbosEngine) -> None:
    for number in range(3):
        engine.start("nothing", f"wf-{number}", "s")
    wait_until(lambda: engine.running() == 0)
    assert engine.prune(time.time() - timedelta(days=1).total_seconds()) == 0
    assert engine.prune(time.time() + 60) == 3
    assert engine.prune(time.time() + 60) == 0


def test_spools_of_dead_previews_go(installation: Installation, engine: DbosEngine) -> None:
    root = installation.settings.data_dir / "spool"
    for name in ("preview_dead", "preview_alive", "coh_of_others"):
        Spool(root, name, 1, bytes(32)).write("rows", b"x", durable=True)
    old = time.time() - PREVIEW_SECONDS - 60
    for name in ("preview_dead", "coh_of_others"):
        os.utime(root / name, (old, old))
    run_retention(installation, engine)
    assert sorted(os.listdir(root)) == ["coh_of_others", "preview_alive"]
