"""How requests go: what is open and late, how long answers took by regime and action, why some failed; and the table
that 11 CCR §7102 asks for each year.

Works on counts alone. Days are whole days of UTC, counted in a table of days, so memory doesn't grow with requests.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from habeas.store import request_counts as counts

ENDED = ("complete", "denied", "canceled")
ANSWERED = ("complete", "denied")
RISK_DAYS = 7
_GONE = frozenset({"unknown"})  # what a policy did that was deleted

_RIGHTS = {"know": "access", "delete": "erasure"}  # §7102's words for our actions; habeas answers no others


class Days:
    """How many days answers took."""

    def __init__(self) -> None:
        self._sizes: Counter[int] = Counter()

    def add(self, asked: datetime, answered: datetime) -> None:
        """One answer."""
        self._sizes[max(0, (answered.date() - asked.date()).days)] += 1

    def median(self) -> float | None:
        """The middle of all; between two of them, their mean. None without any."""
        total = self._sizes.total()
        if not total:
            return None
        return (self._at((total - 1) // 2) + self._at(total // 2)) / 2

    def mean(self) -> float | None:
        """Rounded to a tenth; None without any."""
        total = self._sizes.total()
        return round(sum(day * size for day, size in self._sizes.items()) / total, 1) if total else None

    def _at(self, place: int) -> int:
        passed = 0
        for day in sorted(self._sizes):
            passed += self._sizes[day]
            if passed > place:
                return day
        raise IndexError(place)


def build_summary(connection: Connection, now: datetime, since: datetime, until: datetime) -> dict[str, Any]:
    """Counts of now, and of the requests that came in a span."""
    statuses = counts.by_status(connection)
    oldest = counts.oldest_open(connection, ENDED)
    return {
        "statuses": statuses,
        "open": sum(size for status, size in statuses.items() if status not in ENDED),
        "overdue": counts.count_due(connection, ENDED, now),
        "at_risk": counts.count_due(connection, ENDED, now + timedelta(days=RISK_DAYS), now),
        "oldest_open_days": None if oldest is None else (now.date() - oldest.date()).days,
        "reasons": counts.by_reason(connection, ("error", "requires_input")),
        "groups": _groups(connection, since, until),
        "connections": counts.steps_by_connection(connection, since, until),
    }


def _groups(connection: Connection, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """By regime and action: how many requests came, how they ended, and how long that took."""
    actions = counts.actions_of_policies(connection)
    sizes: dict[tuple[str, str], Counter[str]] = {}
    days: dict[tuple[str, str], Days] = {}
    for each in counts.requested(connection, since, until):
        for action in actions.get(each.policy_id, _GONE):
            key = (each.regime or "", action)
            sizes.setdefault(key, Counter()).update(("received", each.status))
            took = days.setdefault(key, Days())
            if each.status in ANSWERED and each.finished_at is not None:
                took.add(each.requested_at, each.finished_at)
    return [
        {
            "regime": regime or None,
            "action": action,
            "received": size["received"],
            **{status: size[status] for status in (*ENDED, "error")},
            "median_days": days[regime, action].median(),
            "mean_days": days[regime, action].mean(),
        }
        for (regime, action), size in sorted(sizes.items())
    ]


def build_ccpa_table(connection: Connection, year: int, regime: str | None) -> list[dict[str, Any]]:
    """The table of a calendar year by 11 CCR §7102(a): a line a right, for requests that came in that year.

    What was kept by a rule makes an erasure complied with in part. `median_days` and `mean_days` are those until an
    answer, denials among them. A policy with both actions counts in both lines.
    """
    span = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    actions = counts.actions_of_policies(connection)
    lines = {right: (Counter[str](), Days()) for right in _RIGHTS}
    for each in counts.requested(connection, *span, regime):
        for right, action in _RIGHTS.items():
            if action not in actions.get(each.policy_id, _GONE):
                continue
            size, days = lines[right]
            size.update(("received", _fate(each)))
            if each.status in ANSWERED and each.finished_at is not None:
                days.add(each.requested_at, each.finished_at)
    fates = ("received", "complied_in_whole", "complied_in_part", "denied", "withdrawn", "open")
    return [
        {"right": right}
        | {name: size[name] for name in fates}
        | {"median_days": days.median(), "mean_days": days.mean()}
        for right, (size, days) in lines.items()
    ]


def _fate(each: counts.Answered) -> str:
    if each.status == "complete":
        return "complied_in_part" if each.outcome == "erased_with_kept" else "complied_in_whole"
    return {"denied": "denied", "canceled": "withdrawn"}.get(each.status, "open")
