"""Duplicates: a later request of the same person under the same policy waits for a person, linked to the first one.

Only identities that are verified or vouched for are compared, and only once the later request's own are: nothing that
is merely claimed attaches to a request or holds one up. Never takes a request for a duplicate that gives an identity
which the first one lacks, since what it alone would find would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from habeas.core.identity import Assurance, Identity
from habeas.core.settings import Settings
from habeas.requests.installation import Installation
from habeas.requests.model import Reason, Stage, Status
from habeas.requests.moves import move
from habeas.requests.sealing import identity_index
from habeas.store import audit
from habeas.store import duplicates as store
from habeas.store import requests as request_store

Known = tuple[str, bytes]
"""An identity's kind and blind index."""

CLOSED_AT_ONCE = 200


@dataclass(frozen=True)
class Window:
    """How long after the first request a later one counts as its duplicate; `kinds` must be the same, all if empty."""

    days: int
    kinds: frozenset[str]
    closes: bool

    def of_interest(self, proven: Iterable[Known]) -> frozenset[Known]:
        """The identities that must be the same."""
        return frozenset(each for each in proven if not self.kinds or each[0] in self.kinds)


class Asking(NamedTuple):
    """A request whose identities are proven now."""

    request_id: str
    policy_id: str
    window: Window
    proven: frozenset[Known]


@dataclass(frozen=True)
class _First:
    request_id: str
    policy_id: str
    created_at: datetime
    proven: frozenset[Known]


def window_of(settings: Settings, policy: Mapping[str, Any], actions: Iterable[str]) -> Window | None:
    """The window of a policy's requests: its own, else that of the settings; None where none is asked for."""
    own = policy["duplicates"]
    if own is not None:
        found = Window(own["window_days"], frozenset(own.get("identities") or ()), own.get("then") == "close")
    elif set(actions) <= set(settings.duplicate_actions):
        closes = settings.duplicate_then == "close"
        found = Window(settings.duplicate_window_days, frozenset(settings.duplicate_identities), closes)
    else:
        return None
    return found if found.days else None


def proven_of(installation: Installation, identities: Iterable[Identity]) -> frozenset[Known]:
    """The identities that may be compared."""
    vault, region = installation.vault, installation.settings.phone_region
    sure = (each for each in identities if each.assurance is not Assurance.CLAIMED)
    return frozenset((each.kind, identity_index(vault, each.kind, each.value, region)) for each in sure)


def find_first(connection: Connection, asking: Sequence[Asking], now: datetime) -> dict[str, str]:
    """By request, the one that it duplicates; in order, so that of one call's items the first is the first.

    Call it in the transaction that stores or proves them. Of two at once, the second waits for the first's commit.
    """
    wanted = [each for each in asking if each.window.of_interest(each.proven)]
    if not wanted:
        return {}
    indexes = {index for each in wanted for _, index in each.window.of_interest(each.proven)}
    store.take_turns(connection, indexes)
    longest = max(each.window.days for each in wanted)
    since = now - timedelta(days=longest)
    firsts = _firsts(store.earlier_of(connection, {each.policy_id for each in wanted}, indexes, since))
    found: dict[str, str] = {}
    for each in wanted:
        first = next((known for known in firsts if _repeats(each, known, now)), None)
        if first is None:
            firsts.append(_First(each.request_id, each.policy_id, now, each.proven))
        else:
            found[each.request_id] = first.request_id
    return found


def waiting_values(first: str) -> dict[str, Any]:
    """The columns of a request that waits since it duplicates the first one."""
    return {"status": Status.REQUIRES_INPUT, "duplicate_of": first, "reason": Reason.DUPLICATE} | _detail(first)


def close_answered(installation: Installation) -> int:
    """Cancel duplicates whose first request is complete, where policy or settings say so; how many."""
    with installation.database.begin() as connection:
        rows = store.answered(connection, CLOSED_AT_ONCE)
        policies = request_store.find_policies(connection, ids={row["policy_id"] for row in rows}) if rows else []
        closing = [row for row in rows if _closes(installation.settings, row, policies)]
        now = installation.clock.now()
        for row in closing:
            reason = f"a duplicate of {row['duplicate_of']}, which is complete"
            values: dict[str, Any] = {"canceled_at": now, "cancel_reason": reason, "finished_processing_at": now}
            move(connection, row, Status.CANCELED, Stage.DONE, now, reason=None, reason_detail=None, **values)
        entries = [
            audit.Entry("habeas", "privacy_request.canceled", row["id"], {"duplicate_of": row["duplicate_of"]})
            for row in closing
        ]
        audit.append_all(connection, installation.clock, entries)
    return len(closing)


def _closes(settings: Settings, row: Mapping[str, Any], policies: Sequence[Mapping[str, Any]]) -> bool:
    mine = [each for each in policies if each["id"] == row["policy_id"]]
    actions = [each["rule_action_type"] for each in mine if each["rule_id"] is not None]
    window = window_of(settings, mine[0], actions) if mine else None
    return window is not None and window.closes


def _firsts(rows: Iterable[Mapping[str, Any]]) -> list[_First]:
    proven: dict[str, set[Known]] = {}
    head: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        head.setdefault(row["id"], row)
        if row["kind"] in row["kinds"]:  # others were claimed only
            proven.setdefault(row["id"], set()).add((row["kind"], row["blind_index"]))
    return [
        _First(key, row["policy_id"], row["created_at"], frozenset(proven.get(key, ()))) for key, row in head.items()
    ]


def _repeats(asking: Asking, first: _First, now: datetime) -> bool:
    if first.request_id == asking.request_id or first.policy_id != asking.policy_id:
        return False
    if first.created_at < now - timedelta(days=asking.window.days) or not asking.proven <= first.proven:
        return False
    return asking.window.of_interest(asking.proven) == asking.window.of_interest(first.proven)


def _detail(first: str) -> dict[str, Any]:
    return {
        "reason_detail": {
            "address": first,
            "problem": "the same person asked for the same before",
            "fix": "see that request; then cancel or deny this one, or resume it to have it answered on its own",
            "code": str(Reason.DUPLICATE),
        }
    }
