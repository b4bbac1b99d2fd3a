"""Deadlines: months, days and business days of each regime; files of one's own and what is wrong with them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from habeas.core.deadline import load_regimes
from habeas.core.errors import BadInput, BadSyntax


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(hour=9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("regime", "asked", "due", "longest"),
    [
        ("gdpr", "2026-01-31", "2026-02-28", "2026-04-30"),
        ("gdpr", "2024-01-31", "2024-02-29", "2024-04-30"),
        ("gdpr", "2026-11-30", "2026-12-30", "2027-02-28"),
        ("uk_gdpr", "2026-03-15", "2026-04-15", "2026-06-15"),
        ("ccpa", "2026-01-02", "2026-02-16", "2026-04-02"),
        ("lgpd", "2026-01-02", "2026-01-17", None),
        ("pipeda", "2026-01-02", "2026-02-01", "2026-03-03"),
        ("quebec", "2026-01-02", "2026-02-01", None),
    ],
)
def test_each_regime(regime: str, asked: str, due: str, longest: str | None) -> None:
    regimes = load_regimes()
    assert regimes.due(regime, at(asked)) == at(due)
    assert regimes.longest(regime, at(asked)) == (None if longest is None else at(longest))


def test_a_receipt_is_confirmed_within_business_days() -> None:
    regimes = load_regimes()
    assert regimes.acknowledge("ccpa", at("2025-12-22")) == at("2026-01-07")  # without Christmas and New Year's Day
    assert regimes.acknowledge("gdpr", at("2025-12-22")) is None


def test_holidays_of_the_united_states() -> None:
    kept = load_regimes().calendars["us"]
    off = {date(2026, 1, 19), date(2026, 5, 25), date(2026, 7, 3), date(2026, 11, 26), date(2027, 12, 31)}
    assert not any(kept.is_business(day) for day in off)
    assert kept.is_business(date(2026, 7, 6))
    assert not kept.is_business(date(2026, 7, 5))


def test_a_file_of_ones_own_adds_and_replaces(tmp_path: Path) -> None:
    place = tmp_path / "regimes.toml"
    place.write_text(
        '[regime.house]\nname = "House rule"\nrespond = {business_days = 3}\ncalendar = "office"\n'
        '[regime.ccpa]\nname = "CCPA, sooner"\nrespond = {days = 30}\n'
        '[calendar.office]\nweekend = ["fri", "sat"]\nholidays = ["2026-01-04"]\n'
    )
    regimes = load_regimes(place)
    assert regimes.due("house", at("2026-01-01")) == at("2026-01-06") + (at("2026-01-02") - at("2026-01-01"))
    assert regimes.due("ccpa", at("2026-01-01")) == at("2026-01-31")
    assert regimes.longest("ccpa", at("2026-01-01")) is None
    assert "gdpr" in regimes.by_key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[regime.a]\nname = "A"\nrespond = {days = 1, months = 1}\n', "regime.a.respond"),
        ('[regime.a]\nname = "A"\nrespond = {days = 0}\n', "regime.a.respond.days"),
        ('[regime.a]\nname = "A"\nrespond = {business_days = 1}\n', "calendar"),
        ('[regime.a]\nname = "A"\nrespond = {days = 1}\ncalendar = "moon"\n', "calendar"),
        ('[regime.a]\nname = "A"\nanswer = {days = 1}\n', "regime.a"),
        ('[calendar.a]\nholidays = ["13-01"]\n', "calendar.a"),
        ('[calendar.a]\nholidays = ["always"]\n', "calendar.a.holidays.0"),
        ('[calendar.a]\nweekend = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]\n', "calendar.a"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    place = tmp_path / "regimes.toml"
    place.write_text(text)
    with pytest.raises(BadInput, match=said):
        load_regimes(place)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.toml"):
        load_regimes(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("regime = [")
    with pytest.raises(BadSyntax, match=r"bad\.toml"):
        load_regimes(tmp_path / "bad.toml")


def test_an_unknown_regime_names_those_there_are() -> None:
    with pytest.raises(BadInput, match="gdpr"):
        load_regimes().find("gpdr")
