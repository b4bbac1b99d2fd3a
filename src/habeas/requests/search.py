"""Looking at requests: lists with filters, the log, the receipt and the plan of one. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from habeas.core.errors import BadInput, BadQueryInput, NotFound
from habeas.requests.answer import identities_of, item_of, policies_of
from habeas.requests.bulk import DEFAULT_SIZE, Page
from habeas.requests.clients import Actor
from habeas.requests.custom_fields import open_fields, search_index
from habeas.requests.disclosure import REVEALED, note_disclosed
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.manual import action_required
from habeas.requests.model import Status
from habeas.requests.moves import RUNS
from habeas.requests.sealing import open_identities, search_indexes
from habeas.store import cohorts, receipts
from habeas.store import logs as log_store
from habeas.store import request_search as store
from habeas.store import requests as request_store
from habeas.store.request_search import SORTABLE, Wanted

LOGS_PER_DATASET = 50  # of a verbose list, as fidesops

# The audit trail's actions as fidesops names them among the results of a verbose list.
_DECISIONS = {
    "privacy_request.approved": ("Request approved", "approved"),
    "privacy_request.approved_first": ("Request approved by the first of two", "pending"),
    "privacy_request.denied": ("Request denied", "denied"),
    "privacy_request.canceled": ("Request canceled", "canceled"),
    "privacy_request.retried": ("Request retried", "retried"),
    "privacy_request.resumed": ("Request resumed", "resumed"),
    "privacy_request.verified": ("Request verified", "verified"),
}


@dataclass(frozen=True)
class RequestFilter:
    """What a list of requests is narrowed by, as the API's query names it; None and empty narrow nothing.

    `id` is exact, `request_id` and `external_id` are prefixes; bounds on times are strict, naive times are UTC.
    `completed_*` and `errored_*` look at the end of complete and failed requests. `overdue`: not answered and past
    their due date; `at_risk`: not answered and due within `at_risk_days`, not before. Neither while the clock stands.
    """

    id: str | None = None
    request_id: str | None = None
    external_id: str | None = field(default=None, repr=False)
    identity: str | None = field(default=None, repr=False)
    policy_key: str | None = None
    action: str | None = None
    status: Sequence[Status] = ()
    created_lt: datetime | None = None
    created_gt: datetime | None = None
    started_lt: datetime | None = None
    started_gt: datetime | None = None
    completed_lt: datetime | None = None
    completed_gt: datetime | None = None
    errored_lt: datetime | None = None
    errored_gt: datetime | None = None
    due_lt: datetime | None = None
    due_gt: datetime | None = None
    overdue: bool | None = None
    at_risk: bool | None = None
    at_risk_days: int = 7
    duplicates: bool | None = None
    include_deleted: bool = False
    custom_field: str | None = field(default=None, repr=False)


_COLUMNS = {
    "created": "created_at",
    "started": "started_processing_at",
    "completed": "finished_processing_at",
    "errored": "finished_processing_at",
    "due": "due_date",
}


Bounds = tuple[tuple[str, datetime], ...]

OPEN = frozenset(Status) - {Status.COMPLETE, Status.DENIED, Status.CANCELED}
"""Statuses of requests that wait for an answer; one that failed still does."""


class BadQuery(BadInput):
    """A list's query contradicts itself."""

    status = 400


def find(
    installation: Installation,
    wanted: RequestFilter | None = None,
    *,
    page: int = 1,
    size: int = DEFAULT_SIZE,
    sort_field: str = "created_at",
    sort_direction: str = "desc",
    revealed_to: Actor | None = None,
    fields_to: Actor | None = None,
    verbose: bool = False,
) -> Page:
    """One page of requests. Items are as `answer.item_of`; `results` where they are asked for, `identity` where they
    are `revealed_to` somebody, custom fields where they go `fields_to` somebody with the scope
    `privacy-request:view_data`: both are written to the audit trail.

    Raises BadQuery for filters that contradict each other, BadInput for an unknown sort field.
    """
    if sort_field not in SORTABLE:
        raise BadQueryInput(
            f"{sort_field} is not on PrivacyRequest", where="sort_field", fix=", ".join(sorted(SORTABLE))
        )
    if sort_direction not in ("asc", "desc"):
        raise BadQueryInput("must be asc or desc", where="sort_direction")
    if fields_to is not None:
        fields_to.require("privacy-request:view_data")
    narrowed = narrow(installation, wanted or RequestFilter())
    with installation.database.read() as connection:
        total = store.count(connection, narrowed)
        rows = store.page(
            connection,
            narrowed,
            sort=sort_field,
            descending=sort_direction == "desc",
            offset=(page - 1) * size,
            limit=size,
        )
        items = items_of(installation, connection, rows, values=revealed_to is not None)
        results = _results(connection, rows) if verbose else {}
    if revealed_to is not None:
        seen = {row["id"]: {"kinds": row["kinds"]} for row in rows}
        note_disclosed(installation, revealed_to, REVEALED, seen)
    fields = _fields_of(installation, rows, fields_to)
    for item, row in zip(items, rows, strict=True):
        if revealed_to is not None:
            item |= revealed_of(installation, row)
        if fields_to is not None:
            item["custom_privacy_request_fields"] = fields[row["id"]]
        if verbose:
            item["results"] = results.get(row["id"], {})
    return Page(items, total, page, size)


def read_request(installation: Installation, request_id: str, *, revealed_to: Actor | None = None) -> dict[str, Any]:
    """One request's item, with its identities where they are `revealed_to` somebody; raises NotFound."""
    with installation.database.read() as connection:
        row = found_request(connection, request_id)
        (item,) = items_of(installation, connection, [row], values=revealed_to is not None)
    if revealed_to is not None:
        note_disclosed(installation, revealed_to, REVEALED, {request_id: {"kinds": row["kinds"]}})
        item |= revealed_of(installation, row)
    return item


def logs(installation: Installation, request_id: str, *, page: int = 1, size: int = DEFAULT_SIZE) -> Page:
    """A request's execution log, oldest first, over all its attempts; raises NotFound."""
    with installation.database.read() as connection:
        row = found_request(connection, request_id)
        memberships = _memberships(row)
        total = log_store.count(connection, memberships)
        found = log_store.page(connection, memberships, (page - 1) * size, size)
    return Page([_log_item(each) | {"dataset_name": each["dataset_name"]} for each in found], total, page, size)


def receipt(installation: Installation, request_id: str) -> dict[str, object]:
    """The document of a request's last receipt; raises NotFound where it has none yet."""
    with installation.database.read() as connection:
        found_request(connection, request_id)
        document = receipts.find_receipt(connection, request_id)
    if document is None:
        raise NotFound("this request has no receipt yet", where=request_id, fix="a receipt is made when it completes")
    return document


def plan(installation: Installation, request_id: str) -> dict[str, Any]:
    """The plan a request was last executed with, as data with its `digest`; raises NotFound before it has one."""
    with installation.database.read() as connection:
        digest = found_request(connection, request_id)["plan_digest"]
        if digest is None:
            raise NotFound("this request has not been planned yet", where=request_id, fix="see its status and stage")
        made = installation.plan(connection, digest)
    data: dict[str, Any] = msgspec.to_builtins(made)
    return data | {"digest": digest}


def items_of(
    installation: Installation, connection: Connection, rows: Sequence[Mapping[str, Any]], *, values: bool = False
) -> list[dict[str, Any]]:
    """Items of rows, in order; each cohort and policy is read once. `values`: what people are asked to do is shown
    with the values that find the rows.
    """
    wanted = sorted({row["policy_id"] for row in rows})
    policies = policies_of(request_store.find_policies(connection, ids=wanted)) if wanted else {}
    running = sorted({row["cohort_id"] for row in rows if _runs(row)})
    stages = cohorts.stages_of(connection, running) if running else {}
    today = installation.clock.now().date()
    items = [item_of(row, policies, today) for row in rows]
    required = action_required(installation, connection, rows, values=values)
    for item, row in zip(items, rows, strict=True):
        if _runs(row):
            item["stage"] = stages.get(row["cohort_id"], row["stage"])  # members move with their cohort
        item["action_required_details"] = required.get(row["id"], item["action_required_details"])
    return items


def _fields_of(
    installation: Installation, rows: Sequence[Mapping[str, Any]], actor: Actor | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """By request, its custom fields, noted as seen; empty if nobody asks."""
    if actor is None:
        return {}
    found = {row["id"]: open_fields(installation.vault, row["id"], row["sealed_custom_fields"]) for row in rows}
    seen = {key: {"custom_fields": sorted(fields)} for key, fields in found.items() if fields}
    note_disclosed(installation, actor, REVEALED, seen)
    return found


def _runs(row: Mapping[str, Any]) -> bool:
    """Whether it runs in a cohort: not before its first, nor while webhooks are told."""
    return row["status"] == Status.IN_PROCESSING and row["stage"] in RUNS


def revealed_of(installation: Installation, row: Mapping[str, Any]) -> dict[str, Any]:
    """What an item shows besides to whom identities are revealed."""
    found = open_identities(installation.vault, row["id"], row["sealed_identities"])
    details = [
        {"kind": each.kind, "value": each.value, "label": each.label, "assurance": each.assurance} for each in found
    ]
    return {"identity": identities_of(found), "identities": details}


def _memberships(row: Mapping[str, Any]) -> list[log_store.Membership]:
    earlier = [(cohort, member) for cohort, member in row["earlier"] or ()]
    return earlier if row["cohort_id"] is None else [*earlier, (row["cohort_id"], row["member"])]


def _log_item(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("collection_name", "fields_affected", "message", "action_type", "status", "updated_at", "counts")
    return {name: row[name] for name in names}


def _results(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Per request: decisions about it, and per dataset the first entries of its log."""
    ids = [row["id"] for row in rows]
    results: dict[str, dict[str, list[dict[str, Any]]]] = {each: {} for each in ids}
    for entry in store.decisions_about(connection, ids):
        shown = _DECISIONS.get(entry["action"])
        if shown is not None:
            message = (entry["detail"] or {}).get("reason")
            item = {
                "status": shown[1],
                "message": message,
                "updated_at": entry["created_at"],
                "user_id": entry["actor"],
            }
            results[entry["subject"]].setdefault(shown[0], []).append(item)
    for entry in log_store.first_per_dataset(connection, ids, LOGS_PER_DATASET):
        results[entry["privacy_request_id"]].setdefault(entry["dataset_name"], []).append(_log_item(entry))
    return results


def narrow(installation: Installation, wanted: RequestFilter) -> Wanted:
    """What the store is asked for; raises BadQuery for filters that contradict each other."""
    statuses = {Status(each) for each in wanted.status}
    ended = _ended(wanted)
    if ended is not None:
        if statuses and ended not in statuses:
            return Wanted(ids=())
        statuses = {ended}
    after, before = _bounds(wanted, "gt"), _bounds(wanted, "lt")
    late = wanted.overdue or wanted.at_risk
    if late:
        statuses = statuses & OPEN if statuses else set(OPEN)
        if not statuses:
            return Wanted(ids=())
        low, high = _lateness(wanted, installation.clock.now())
        after, before = (*after, *low), (*before, *high)
    region = installation.settings.phone_region
    return Wanted(
        ids=None if wanted.id is None else (wanted.id,),
        id_prefix=wanted.request_id,
        external_prefix=wanted.external_id,
        statuses=tuple(sorted(statuses)),
        indexes=search_indexes(installation.vault, wanted.identity, region) if wanted.identity else None,
        policy_key=wanted.policy_key,
        action=wanted.action,
        after=after,
        before=before,
        running=bool(late),
        duplicates=wanted.duplicates,
        deleted=wanted.include_deleted,
        field_index=search_index(installation.vault, wanted.custom_field) if wanted.custom_field else None,
    )


def _lateness(wanted: RequestFilter, now: datetime) -> tuple[Bounds, Bounds]:
    """Bounds of due dates that are over, or nearly."""
    soon = now + timedelta(days=wanted.at_risk_days)
    low: Bounds = () if wanted.overdue else (("due_date", now),)
    return low, (("due_date", soon if wanted.at_risk else now),)


def _ended(wanted: RequestFilter) -> Status | None:
    """The status that the bounds on ends imply."""
    completed = wanted.completed_lt or wanted.completed_gt
    errored = wanted.errored_lt or wanted.errored_gt
    if completed and errored:
        raise BadQuery("Cannot specify both succeeded and failed query params.")
    if completed:
        return Status.COMPLETE
    return Status.ERROR if errored else None


def _bounds(wanted: RequestFilter, side: str) -> Bounds:
    found = []
    for name, column in _COLUMNS.items():
        given = _aware(getattr(wanted, f"{name}_{side}"))
        low, high = _aware(getattr(wanted, f"{name}_gt")), _aware(getattr(wanted, f"{name}_lt"))
        if low and high and high < low:
            raise BadQuery(f"Value specified for {name}_lt: must be after {name}_gt", where=f"{name}_lt")
        if given is not None:
            found.append((column, given))
    return tuple(found)


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
