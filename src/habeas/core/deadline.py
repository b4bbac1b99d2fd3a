"""Until when a request must be answered: legal regimes and business days, read from a table file. No clock.

Dates are those of UTC; a moment keeps its time of day. Never rolls a deadline that ends on a holiday to a later day:
answering before is always in time.
"""

from __future__ import annotations

import calendar
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from habeas.core.errors import BadInput, BadSyntax

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOLIDAY = r"\d{2}-\d{2}|\d{4}-\d{2}-\d{2}|([1-5]|last) (mon|tue|wed|thu|fri|sat|sun) \d{2}"
_LONGEST = 36_500

Count = Annotated[int, Field(ge=1, le=_LONGEST)]
Holiday = Annotated[str, StringConstraints(pattern=rf"^({_HOLIDAY})$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Period(_Entry):
    """A length of time: exactly one of these."""

    months: Count | None = None
    days: Count | None = None
    business_days: Count | None = None

    @model_validator(mode="after")
    def _one(self) -> Period:
        if sum(each is not None for each in (self.months, self.days, self.business_days)) != 1:
            raise ValueError("give one of months, days, business_days")
        return self


class Calendar(_Entry):
    """Which days are no business days."""

    weekend: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ("sat", "sun")
    observed: bool = False
    holidays: tuple[Holiday, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Calendar:
        if len(set(self.weekend)) == len(_DAYS):
            raise ValueError("a week needs a business day")
        self.days_off(2024)  # a leap year: raises ValueError for a date that no year has
        return self

    def is_business(self, day: date) -> bool:
        """Whether people work that day."""
        if _DAYS[day.weekday()] in self.weekend:
            return False
        # New Year's Day may be kept in the year before.
        return all(day not in self.days_off(year) for year in (day.year, min(day.year + 1, date.max.year)))

    def days_off(self, year: int) -> frozenset[date]:
        """The holidays of a year, as they are kept."""
        return _days_off(self, year)


class Regime(_Entry):
    """A law, or a rule of one's own. `key` is its name in the file."""

    key: str = ""
    name: Annotated[str, Field(min_length=1, max_length=255)]
    source: str = ""
    respond: Period
    extend: Period | None = None
    acknowledge: Period | None = None
    calendar: str | None = None


class _File(_Entry):
    regime: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,64}$")], Regime] = {}
    calendar: dict[str, Calendar] = {}


@dataclass(frozen=True)
class Regimes:
    """All regimes by key, with the calendars that they name."""

    by_key: Mapping[str, Regime]
    calendars: Mapping[str, Calendar]

    def find(self, key: str) -> Regime:
        """The regime of that key; raises BadInput that names those there are."""
        found = self.by_key.get(key)
        if found is None:
            raise BadInput("unknown regime", where="regime", fix=f"one of {', '.join(sorted(self.by_key))}")
        return found

    def due(self, key: str, requested_at: datetime) -> datetime:
        """When a request of that moment must be answered."""
        regime = self.find(key)
        return self._after(requested_at, regime, regime.respond)

    def longest(self, key: str, requested_at: datetime) -> datetime | None:
        """The latest due date that an extension may give; None where the regime knows none."""
        regime = self.find(key)
        more, respond = regime.extend, regime.respond
        if more is None:
            return None
        if more.months and respond.months:  # together: from the day of the request, not from a shortened month's end
            return self._after(requested_at, regime, Period(months=more.months + respond.months))
        return self._after(self.due(key, requested_at), regime, more)

    def acknowledge(self, key: str, requested_at: datetime) -> datetime | None:
        """Until when to confirm that a request came in; None where the regime doesn't ask."""
        regime = self.find(key)
        return None if regime.acknowledge is None else self._after(requested_at, regime, regime.acknowledge)

    def _after(self, moment: datetime, regime: Regime, period: Period) -> datetime:
        if period.months is not None:
            return add_months(moment, period.months)
        if period.days is not None:
            return moment + timedelta(days=period.days)
        return add_business_days(moment, period.business_days or 0, self.calendars[regime.calendar or ""])


def add_months(moment: datetime, months: int) -> datetime:
    """The same day of a later month, or its last day where it is shorter. Raises OverflowError after the year 9999."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if year > date.max.year:
        raise OverflowError("the date is too late")
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


def add_business_days(moment: datetime, days: int, kept: Calendar) -> datetime:
    """So many business days later; the day itself doesn't count."""
    while days:
        moment += timedelta(days=1)
        days -= kept.is_business(moment.date())
    return moment


@lru_cache(maxsize=4)
def load_regimes(own: Path | None = None) -> Regimes:
    """The regimes of habeas and those of one's own file, read once. Raises BadInput or BadSyntax with the place."""
    shipped = _check("regimes.toml", files("habeas.core").joinpath("regimes.toml").read_text(encoding="utf-8"))
    added = _File() if own is None else _check(str(own), _read(own))
    calendars = shipped.calendar | added.calendar
    regimes = {key: each.model_copy(update={"key": key}) for key, each in (shipped.regime | added.regime).items()}
    for key, regime in regimes.items():
        counted = any(each and each.business_days for each in (regime.respond, regime.extend, regime.acknowledge))
        if (counted or regime.calendar is not None) and regime.calendar not in calendars:
            raise BadInput(
                "business days need a calendar", where=f"{own}: regime.{key}", fix=f"one of {', '.join(calendars)}"
            )
    return Regimes(regimes, calendars)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "no UTF-8 text"
        raise BadInput(f"can't be read ({reason})", where=str(file)) from None


def _check(name: str, text: str) -> _File:
    try:
        return _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as problem:
        raise BadSyntax(f"is not TOML: {problem}", where=name) from None
    except ValidationError as problem:
        error = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(each) for each in error["loc"])
        raise BadInput(error["msg"].removeprefix("Value error, "), where=f"{name}: {where}") from None


@lru_cache(maxsize=256)
def _days_off(kept: Calendar, year: int) -> frozenset[date]:
    found = [_day_of(each, year) for each in kept.holidays]
    days = [each for each in found if each is not None]
    if kept.observed:
        days = [each + timedelta(days={5: -1, 6: 1}.get(each.weekday(), 0)) for each in days]
    return frozenset(days)


def _day_of(holiday: str, year: int) -> date | None:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", holiday):
        day = date.fromisoformat(holiday)
        return day if day.year == year else None
    if re.fullmatch(r"\d{2}-\d{2}", holiday):
        month, number = (int(each) for each in holiday.split("-"))
        leap_day = (month, number) == (2, 29) and not calendar.isleap(year)
        return None if leap_day else date(year, month, number)
    place, weekday, named = holiday.split(" ")
    first, length = calendar.monthrange(year, int(named))
    days = range(1 + (_DAYS.index(weekday) - first) % 7, length + 1, 7)
    index = -1 if place == "last" else int(place) - 1
    return date(year, int(named), days[index]) if index < len(days) else None
