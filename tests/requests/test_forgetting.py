"""Hiding, purging and repeating requests that ended: nothing of the person is left, what runs isn't touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.clock import FixedClock
from habeas.core.errors import BadInput, Conflict
from habeas.core.settings import Settings
from habeas.requests import forgetting
from habeas.requests.clients import PUBLIC
from habeas.requests.forgetting import purge_old
from habeas.requests.installation import Installation, open_installation
from habeas.requests.model import Stage, Status
from habeas.requests.policies import PolicyInput, save_policies
from habeas.requests.sealing import open_alternatives
from habeas.requests.service import (
    RequestFilter,
    cancel,
    find,
    purge,
    read_request,
    resubmit,
    retry,
    soft_delete,
    submit,
)
from habeas.store import audit
from habeas.store import requests as store
from habeas.store.tables import idempotency, outbox, provided_identity, question, verification_code
from requestbook import CLIENT, MAIL, code_of, item

Open = Callable[..., Installation]
CANARY = "canary-4f1c9a7e"
DAY = 86_400


def declare(installation: Installation, **options: Any) -> None:
    fields = {"note": {"search": True}}
    given = {"key": "download", "name": "Download my data", "custom_fields": fields, **options}
    assert not save_policies(installation, CLIENT, [PolicyInput.model_validate(given)]).failed


def take(installation: Installation, key: str | None = None, **more: Any) -> str:
    given = item(custom_privacy_request_fields={"note": CANARY}, external_id=CANARY) | more
    return str(submit(installation, [given], actor=CLIENT, idempotency_key=key).succeeded[0]["id"])


def end(installation: Installation, request_id: str, status: Status, **more: Any) -> None:
    values = {"status": status, "stage": Stage.DONE, "finished_processing_at": installation.clock.now()}
    with installation.database.begin() as connection:
        store.move_request(connection, request_id, {}, values | more)


def row_of(installation: Installation, request_id: str) -> dict[str, Any]:
    with installation.database.read() as connection:
        return store.find_by_ids(connection, [request_id])[request_id]


def test_a_purge_leaves_nothing_of_the_person(installation: Installation) -> None:
    declare(installation)
    request_id = take(installation, "once")
    others = [take(installation, identity={"email": f"person{number}@example.com"}) for number in range(20)]
    before = row_of(installation, request_id)
    place = installation.settings.data_dir / "packages" / f"{request_id}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text("{}")
    package = [{"storage": "local_packages", "location": f"packages/{place.name}", "digest": "0", "size": 2}]
    end(installation, request_id, Status.COMPLETE, package=package, cancel_reason=CANARY)
    now = installation.clock.now()
    asked = {"id": "que_1", "created_at": now, "updated_at": now, "privacy_request_id": request_id, "action": "access"}
    with installation.database.begin() as connection:
        connection.execute(sa.insert(question).values(**asked, address="desk:card", sealed_question=CANARY.encode()))
    for each in others:
        end(installation, each, Status.COMPLETE)
        purge(installation, each, actor=CLIENT)
    shown = purge(installation, request_id, actor=CLIENT)
    assert (shown["purged_at"], shown["external_id"], shown["package"]) == (installation.clock.now(), None, [])
    assert not place.exists()
    after = row_of(installation, request_id)
    assert open_alternatives(installation.vault, request_id, after["sealed_identities"]) == ()
    assert after["sealed_seed"] == before["sealed_seed"]  # by which the ledger's masks are made again
    with installation.database.read() as connection:
        for table in (provided_identity, idempotency, outbox, verification_code, question):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0, table
        assert audit.verify_chain(connection).broken_at is None
    assert find(installation, RequestFilter(identity="ada@example.com")).items == []
    if installation.database.dialect == "sqlite":
        held = b"".join(each.read_bytes() for each in installation.settings.data_dir.glob("habeas.sqlite*"))
        for trace in (CANARY.encode(), before["sealed_identities"][40:72], before["sealed_custom_fields"][20:52]):
            assert trace not in held
    with pytest.raises(Conflict, match="purged already"):
        purge(installation, request_id, actor=CLIENT)
    with pytest.raises(Conflict, match="identities are gone"):
        resubmit(installation, request_id, actor=CLIENT)


def test_what_has_not_ended_is_never_purged_or_hidden(installation: Installation) -> None:
    request_id = take(installation)
    with pytest.raises(Conflict, match="it is pending"):
        purge(installation, request_id, actor=CLIENT)
    assert "it is pending" in soft_delete(installation, [request_id], actor=CLIENT).failed[0].message
    end(installation, request_id, Status.ERROR, reason="incomplete")
    assert soft_delete(installation, [request_id], actor=CLIENT).succeeded == []


def test_policies_and_the_setting_purge_by_themselves(opened: Open, clock: FixedClock) -> None:
    installation = opened()
    declare(installation, retention_days=10)
    kept, gone, open_one = take(installation, policy_key="delete"), take(installation), take(installation)
    for each in (kept, gone):
        end(installation, each, Status.COMPLETE)
    clock.advance(9 * DAY)
    assert purge_old(installation) == 0
    clock.advance(2 * DAY)
    assert (purge_old(installation), purge_old(installation)) == (1, 0)
    purged = {each: read_request(installation, each)["purged_at"] is not None for each in (kept, gone, open_one)}
    assert purged == {kept: False, gone: True, open_one: False}
    assert purge_old(opened(request_retention_days=11)) == 0
    clock.advance(DAY)
    assert purge_old(opened(request_retention_days=11)) == 1


def test_one_that_can_not_be_purged_holds_up_no_other(installation: Installation, clock: FixedClock) -> None:
    declare(installation, retention_days=1)
    stuck, free = take(installation), take(installation)
    elsewhere = [{"storage": "gone", "location": "x.json", "digest": "0", "size": 2}]
    end(installation, stuck, Status.COMPLETE, package=elsewhere)
    clock.advance(DAY / 2)
    end(installation, free, Status.COMPLETE)
    clock.advance(2 * DAY)
    with pytest.MonkeyPatch.context() as few:
        few.setattr(forgetting, "PURGED_AT_ONCE", 1)
        assert (purge_old(installation), purge_old(installation)) == (1, 0)
    assert read_request(installation, stuck)["purged_at"] is None
    assert read_request(installation, free)["purged_at"] is not None


def test_what_is_hidden_is_shown_when_asked_for_and_moves_no_more(installation: Installation) -> None:
    request_id = take(installation)
    end(installation, request_id, Status.ERROR, reason="refused", reason_detail={})
    assert soft_delete(installation, [request_id], actor=CLIENT).succeeded[0]["deleted_at"] is not None
    assert find(installation, RequestFilter(id=request_id)).items == []
    assert [each["id"] for each in find(installation, RequestFilter(id=request_id, include_deleted=True)).items]
    for act in (retry, cancel, soft_delete):
        assert "was deleted" in act(installation, [request_id], actor=CLIENT).failed[0].message


def test_a_request_is_handed_in_again_with_its_proof(opened: Open) -> None:
    installation = opened(subject_identity_verification_required=True, duplicate_window_days=30, **MAIL)
    declare(installation)
    first = take(installation, encryption_key="0123456789abcdef")
    with pytest.raises(Conflict, match="it is pending"):
        resubmit(installation, first, actor=CLIENT)
    end(installation, first, Status.COMPLETE)
    again = resubmit(installation, first, actor=CLIENT)
    assert (again["resubmits"], again["status"], again["duplicate_of"]) == (first, "pending", None)
    old, new = row_of(installation, first), row_of(installation, again["id"])
    for name in ("sealed_identities", "sealed_seed", "sealed_custom_fields"):
        assert new[name] != old[name]
    assert open_alternatives(installation.vault, new["id"], new["sealed_identities"])[0][0].value == "ada@example.com"
    assert len(find(installation, RequestFilter(custom_field=f"note:{CANARY}")).items) == 2
    (claim,) = submit(installation, [item()], actor=PUBLIC).succeeded
    assert code_of(installation, claim["id"])
    cancel(installation, [claim["id"]], actor=CLIENT)
    with pytest.raises(Conflict, match="never verified"):
        resubmit(installation, claim["id"], actor=CLIENT)


def test_a_wrong_file_of_regimes_is_said_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "regimes.toml"
    file.write_text("[regime.house]\nname = 'House'\nrespond = { weeks = 1 }\n")
    with pytest.raises(BadInput, match=r"regime\.house\.respond"):
        open_installation(Settings(data_dir=tmp_path / "data", regimes_file=file))
    assert not (tmp_path / "data").exists()
