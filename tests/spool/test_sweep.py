"""Housekeeping deletes the frames that no key opens any more, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from habeas.core.clock import FixedClock
from habeas.core.errors import BadInput, Unavailable
from habeas.core.settings import Settings
from habeas.durable.dbos_engine import DbosEngine, engine_url
from habeas.requests.dispatch import Dispatcher
from habeas.requests.installation import Installation, open_installation
from habeas.requests.recovery import Recovery
from habeas.spool.frames import Spool
from habeas.store import cohorts
from requestbook import START
from serving import free_port

KEY = bytes(32)


@pytest.fixture(params=["local", "s3"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    url = request.getfixturevalue("bucket").url if request.param == "s3" else None
    with open_installation(Settings(data_dir=tmp_path / "data", spool_url=url), clock=FixedClock(START)) as opened:
        yield opened


@pytest.fixture
def recovery(installation: Installation) -> Iterator[Recovery]:
    engine = DbosEngine(engine_url(installation.database, installation.settings.data_dir), "exe-test")
    yield Recovery(installation, engine, Dispatcher(installation, engine, "exe-test"), "exe-test")
    engine.shutdown(1.0)


def add(installation: Installation, cohort_id: str, *, ended: bool, key: bytes | None) -> None:
    now = installation.clock.now()
    row = {"id": cohort_id, "created_at": now, "updated_at": now, "plan_digest": "0", "size": 1, "epoch": 1}
    with installation.database.begin() as connection:
        finished = now if ended else None
        cohorts.insert(connection, row | {"stage": "mask", "finished_at": finished, "sealed_data_key": key})
    Spool(installation.medium, cohort_id, 1, KEY).write("frozen", b"x", durable=True)


def test_frames_without_a_key_go_and_all_others_stay(installation: Installation, recovery: Recovery) -> None:
    add(installation, "coh_purged", ended=True, key=None)
    add(installation, "coh_failed", ended=True, key=b"sealed")
    add(installation, "coh_runs", ended=False, key=b"sealed")
    Spool(installation.medium, "coh_of_others", 1, KEY).write("frozen", b"x", durable=True)
    recovery.clean()
    assert installation.medium.cohorts_with_frames() == ["coh_failed", "coh_of_others", "coh_runs"]
    installation.clock.advance(31 * 86_400)  # type: ignore[attr-defined]
    recovery.clean()
    recovery.clean()
    assert installation.medium.cohorts_with_frames() == ["coh_of_others", "coh_runs"]


def test_many_cohorts_are_asked_for_in_parts(installation: Installation) -> None:
    add(installation, "coh_purged", ended=True, key=None)
    asked = [*(f"coh_{number}" for number in range(2500)), "coh_purged"]
    with installation.database.read() as connection:
        assert cohorts.without_data_key(connection, asked) == ["coh_purged"]
        assert cohorts.without_data_key(connection, []) == []


def test_a_spool_that_is_away_is_told_once_the_rest_is_done(
    tmp_path: Path, bucket: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    settings = Settings(data_dir=tmp_path / "data", spool_url="s3://frames/spool")
    with open_installation(settings, clock=FixedClock(START)) as installation:
        engine = DbosEngine(engine_url(installation.database, settings.data_dir), "exe-test")
        recovery = Recovery(installation, engine, Dispatcher(installation, engine, "exe-test"), "exe-test")
        now = installation.clock.now()
        with installation.database.begin() as connection:
            row = {"id": "coh_failed", "created_at": now, "updated_at": now, "plan_digest": "0", "size": 1, "epoch": 1}
            cohorts.insert(connection, row | {"stage": "mask", "finished_at": now, "sealed_data_key": b"sealed"})
        installation.clock.advance(31 * 86_400)  # type: ignore[attr-defined]
        with pytest.raises(Unavailable, match="the spool can't be read"):
            recovery.clean()
        with installation.database.read() as connection:
            assert (cohorts.find(connection, "coh_failed") or {})["sealed_data_key"] is None
        engine.shutdown(1.0)


def test_a_wrong_spool_url_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="HABEAS_SPOOL_URL: names no place"):
        open_installation(Settings(data_dir=tmp_path / "data", spool_url="ftp://example.org/spool"))
    assert not list((tmp_path / "data").glob("*.sqlite"))
