"""Plans, kept by their digest. A plan is written once and never changed."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.core.clock import Clock, SystemClock
from habeas.core.errors import HabeasError, NotFound
from habeas.plan.model import Plan
from habeas.store.session import insert_new
from habeas.store.tables import plan as plans

_SYSTEM = SystemClock()


def put(connection: Connection, plan: Plan, clock: Clock = _SYSTEM) -> str:
    """Keep a plan and give its digest; safe to call again."""
    body = plan.to_json()
    digest = hashlib.sha256(body).hexdigest()
    insert_new(connection, plans, [{"digest": digest, "body": body.decode(), "created_at": clock.now()}])
    return digest


def get(connection: Connection, digest: str) -> Plan:
    """The plan of a digest. Raises NotFound, and HabeasError where the stored body isn't the digest's."""
    body = connection.execute(sa.select(plans.c.body).where(plans.c.digest == digest)).scalar()
    if body is None:
        raise NotFound("no such plan", where=f"plan {digest[:12]}")
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        raise HabeasError("was changed after it was made", where=f"plan {digest[:12]}", fix="plan again by retry")
    return Plan.from_json(body)
