"""The audit trail tells who decided and saw what, can be asked, and shows any change of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import shopbook
from companybook import Company
from flowbook import Flow, opened
from habeas.store.tables import audit_trail


@pytest.fixture(params=["sqlite", "postgresql"])
def flow(request: pytest.FixtureRequest, tmp_path: Path, make_postgres: Callable[[], str]) -> Iterator[Flow]:
    more = {"database_url": make_postgres()} if request.param == "postgresql" else {}
    with opened(tmp_path / "data", require_manual_request_approval=True, **more) as made:
        Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}").declare(made)
        yield made


def entries(flow: Flow, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = flow.api.call("GET", "/audit-trail", size=100, **wanted)["items"]
    return found


def test_it_tells_who_decided_and_who_saw(flow: Flow) -> None:
    api = flow.api
    one, other = (api.submit("both", each)[0] for each in (shopbook.SUBJECT, {"email": "ada.two@example.com"}))
    api.call("PATCH", "/privacy-request/administrate/deny", {"request_ids": [one], "reason": "twice"})
    assert not entries(flow, action="privacy_request.revealed")
    api.call("GET", "/privacy-request", id=one)
    assert not entries(flow, action="privacy_request.revealed")
    api.call("GET", "/privacy-request", id=one, include_identities=True)
    (seen,) = entries(flow, action="privacy_request.revealed")
    assert (seen["subject"], seen["detail"]) == (one, {"kinds": ["email", "phone_number"]})
    assert api.http.request("GET", "/api/v1/privacy-request?download_csv=true").status_code == 200
    assert {each["subject"] for each in entries(flow, action="privacy_request.revealed")} == {one, other}
    about = entries(flow, subject=one)
    assert [each["action"] for each in about] == [*["privacy_request.revealed"] * 2, "privacy_request.denied"]
    assert len({each["actor"] for each in about}) == 1
    everything = entries(flow)
    assert {each["action"] for each in everything} >= {"policy.saved", "connection.secrets", "dataset.saved"}
    assert entries(flow, until=about[-1]["created_at"], subject=one) == []
    assert entries(flow, since=about[-1]["created_at"], subject=one) == about
    text = json.dumps(everything).lower()
    assert not [trace for trace in ("ada.", "555-01", "555 01", "example.com") if trace in text]


def test_any_change_breaks_the_chain(flow: Flow) -> None:
    whole = flow.api.call("GET", "/audit-trail/chain")
    assert (whole["verified"], whole["broken_at"]) == (True, None)
    rows = entries(flow)
    assert (whole["entries"], whole["digest"]) == (len(rows), rows[0]["digest"])
    middle = rows[len(rows) // 2]["id"]
    database = flow.installation.database
    for change in (
        sa.update(audit_trail).where(audit_trail.c.id == middle).values(actor="somebody"),
        sa.update(audit_trail).where(audit_trail.c.id == middle).values(detail={}),
        sa.update(audit_trail).where(audit_trail.c.id == middle).values(id=10_000),
        sa.delete(audit_trail).where(audit_trail.c.id == middle),
    ):
        with database.begin() as connection:
            kept = connection.execute(sa.select(audit_trail).where(audit_trail.c.id == middle)).one()._asdict()
            connection.execute(change)
        told = flow.api.call("GET", "/audit-trail/chain")
        assert (told["verified"], told["entries"]) == (False, len(rows) - len(rows) // 2 - 1)
        with database.begin() as connection:
            connection.execute(sa.delete(audit_trail).where(audit_trail.c.id.in_([middle, 10_000])))
            connection.execute(sa.insert(audit_trail), kept)
    assert flow.api.call("GET", "/audit-trail/chain") == whole


def test_it_needs_its_scope(flow: Flow) -> None:
    made = flow.api.call("POST", "/oauth/client", ["policy:read"])
    form = {"grant_type": "client_credentials", **made}
    token = flow.api.http.request("POST", "/api/v1/oauth/token", data=form).json()["access_token"]
    for path in ("/audit-trail", "/audit-trail/chain"):
        answer = flow.api.http.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 403
