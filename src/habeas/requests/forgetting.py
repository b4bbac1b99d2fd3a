"""Forgetting requests that ended: hidden from lists, or purged of all that we hold of the person.

A purge destroys identities, custom fields, packages, logs, messages and the spool's key, and in our SQLite file the
bytes too. Receipts, the audit trail and the ledger stay: they hold no personal data. Never touches a request that
hasn't ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from habeas.core.errors import BadInput, Conflict, NotFound
from habeas.core.log import get_logger
from habeas.deliver.base import DeliveryFailed
from habeas.requests.bulk import Bulk
from habeas.requests.clients import Actor
from habeas.requests.destinations import open_stored
from habeas.requests.finding import found_request
from habeas.requests.installation import Installation
from habeas.requests.model import FINAL
from habeas.requests.sealing import seal_identities
from habeas.requests.search import read_request
from habeas.store import audit, cohorts, destinations
from habeas.store import purge as store

PURGED_AT_ONCE = 200
HABEAS = Actor("habeas", frozenset())


def purge(installation: Installation, request_id: str, *, actor: Actor) -> dict[str, Any]:
    """Destroy what we hold of the person; the request's item then. Safe to call again after it was cut off.

    Raises NotFound, Conflict for one that hasn't ended, was purged, or whose package can't be reached.
    """
    with installation.database.read() as connection:
        row = found_request(connection, request_id)
    if row["status"] not in FINAL:
        raise Conflict(f"can't be purged: it is {row['status']}", where=request_id, fix="cancel it first")
    if row["purged_at"] is not None:
        raise Conflict("was purged already", where=request_id)
    packages = _discard_packages(installation, row)
    nobody = seal_identities(installation.vault, [(request_id, ())])[0]
    memberships = [(cohort, member) for cohort, member in row["earlier"] or ()]
    if row["cohort_id"] is not None:
        memberships.append((row["cohort_id"], row["member"]))
    with installation.database.begin() as connection:
        if not store.purge_request(connection, request_id, sorted(FINAL), nobody, installation.clock.now()):
            raise Conflict("the request moved on meanwhile", where=request_id, fix="look at it again")
        store.drop_logs(connection, memberships)
        closed = [each for each, _ in memberships if not store.others_wait(connection, each, sorted(FINAL))]
        for each in closed:
            cohorts.forget_data_key(connection, each)
        detail = {"packages": packages}
        audit.append(connection, installation.clock, actor.client_id, "privacy_request.purged", request_id, detail)
    for each in closed:
        installation.medium.clear(each)
    installation.database.empty_log()
    return read_request(installation, request_id)


def purge_old(installation: Installation) -> int:
    """Purge what policies, or the setting for all, keep no longer; how many, at most so many at once. One that can't
    be is passed over, and stays in sight by its missing `purged_at`.
    """
    days, done, failed = installation.settings.request_retention_days, 0, 0
    now = installation.clock.now()
    while done < PURGED_AT_ONCE:
        with installation.database.read() as connection:
            found = store.over(connection, sorted(FINAL), now, days, failed, PURGED_AT_ONCE)
        purged = len(_purge_each(installation, [each["id"] for each in found]).succeeded)
        done, failed = done + purged, failed + len(found) - purged
        if len(found) < PURGED_AT_ONCE:
            break
    return done


def _purge_each(installation: Installation, ids: Sequence[str]) -> Bulk:
    bulk = Bulk()
    for each in ids:
        try:
            bulk.succeeded.append(purge(installation, each, actor=HABEAS))
        except (BadInput, Conflict, DeliveryFailed, NotFound) as problem:
            get_logger(__name__).warning("purge.not_possible", request=each, reason=problem.code)
    return bulk


def _discard_packages(installation: Installation, row: Mapping[str, Any]) -> int:
    """Delete the request's packages where they are; how many. Raises Conflict where one can't be reached."""
    packages = row["package"] or ()
    keys = {each["storage"] for each in packages}
    with installation.database.read() as connection:
        found = destinations.find_many(connection, keys) if keys else {}
    for each in packages:
        if each["storage"] not in found:
            raise Conflict(
                "its package's destination is gone", where=f"storage {each['storage']}", fix="make it again, then purge"
            )
        place = open_stored(found[each["storage"]], installation.vault, installation.settings.data_dir)
        name = each["location"].rsplit("/", 1)[-1]
        place.discard([name])
    return len(packages)
