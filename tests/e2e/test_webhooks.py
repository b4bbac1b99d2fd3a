"""Webhooks from end to end: told before and after, halting, given up and told again with the receipt kept; and a worker
killed at every boundary of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from companybook import Company
from flowbook import Flow, flowing, opened
from habeas.durable.boundary import OF_WEBHOOKS
from hookbook import Receiver, receiving
from workerbook import WorkerProcess

SETTINGS: dict[str, Any] = {"egress_allow": "127.0.0.0/8", "webhook_attempts": 1}
ADA = {"email": "ada.one@example.com"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("hooks")
    with flowing(folder / "data", **SETTINGS) as made:
        declare(made, folder, receiver)
        yield made


def declare(flow: Flow, folder: Path, receiver: Receiver) -> None:
    """A company whose policy `download` tells one system before and one after."""
    Company(folder, f"sqlite:///{folder / 'shop.db'}").declare(flow)
    for key in ("before", "asked", "after"):
        flow.api.patch_all("/connection", [{"name": key, "key": key, "connection_type": "https", "access": "read"}])
        secrets = {"url": receiver.url(f"/{key}"), "authorization": "Bearer of-the-tests"}
        flow.api.call("PUT", f"/connection/{key}/secret", secrets, verify=False)
    put(flow, "pre_execution", ("before", "one_way"), ("asked", "two_way"))
    put(flow, "post_execution", ("after", "one_way"))


def put(flow: Flow, phase: str, *hooks: tuple[str, str]) -> None:
    given = [{"connection_config_key": key, "key": key, "direction": direction} for key, direction in hooks]
    flow.api.call("PUT", f"/policy/download/webhook/{phase}", given)


def reach(flow: Flow, request_id: str, status: str, seconds: float = 30) -> dict[str, Any]:
    """The request once it has the status."""
    deadline = time.monotonic() + seconds
    while (shown := flow.api.show(request_id))["status"] != status:
        assert time.monotonic() < deadline, (shown["status"], shown["stage"], shown["reason_detail"])
        time.sleep(0.05)
    return shown


def resume(flow: Flow, request_id: str, token: str | None, body: Any = None) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}" if token else ""}
    return flow.api.http.request("POST", f"/api/v1/privacy-request/{request_id}/resume", json=body, headers=headers)


def test_told_before_and_after_in_this_order(flow: Flow, receiver: Receiver) -> None:
    receiver.reset()
    receiver.by_path["/asked"] = {"halt": False}
    (request_id,) = flow.api.submit("download", ADA)
    shown = flow.api.wait(request_id)
    assert (shown["status"], shown["stage"], shown["outcome"]) == ("complete", "done", "delivered")
    assert [(each.path, each.body["callback_type"]) for each in receiver.calls] == [
        ("/before", "pre"),
        ("/asked", "pre"),
        ("/after", "post"),
    ]
    assert flow.package(request_id)
    told = flow.api.call("GET", "/webhook/delivery", privacy_request_id=request_id)
    assert [each["state"] for each in told["items"]] == ["delivered"] * 3
    one = told["items"][0]
    assert flow.api.call("GET", f"/webhook/delivery/{one['id']}") == one
    again = flow.api.call("POST", f"/webhook/delivery/{one['id']}/replay")
    assert [each["status_code"] for each in again["attempts"]] == [200, 200]
    assert receiver.calls[-1].id == one["id"]


def test_a_halted_request_is_paused_and_resumed_with_what_was_derived(flow: Flow, receiver: Receiver) -> None:
    receiver.reset()
    receiver.by_path["/asked"] = {"halt": True}
    (request_id,) = flow.api.submit("download", ADA)
    shown = reach(flow, request_id, "paused")
    assert (shown["stage"], shown["plan_digest"]) == ("pre_webhooks", None)
    token = receiver.calls[-1].headers["reply-to-token"]
    assert resume(flow, request_id, None).status_code == 401
    assert resume(flow, request_id, "nonsense").status_code == 403
    assert resume(flow, "pri_other", token).status_code == 403
    assert resume(flow, request_id, token, {"derived_identity": {"shoe_size": "44"}}).status_code == 422
    assert resume(flow, request_id, token, {"halt": False}).status_code == 422
    answer = resume(flow, request_id, token, {"derived_identity": {"email": "ada.two@example.com"}})
    assert (answer.status_code, answer.json()["status"]) == (200, "in_processing")
    assert flow.api.wait(request_id)["status"] == "complete"
    assert resume(flow, request_id, token).status_code == 400
    entries = flow.api.call("GET", "/audit-trail", subject=request_id)["items"]
    assert {"privacy_request.resumed", "privacy_request.identities_derived"} <= {each["action"] for each in entries}


def test_one_that_is_not_told_after_keeps_its_work_and_a_retry_only_tells(flow: Flow, receiver: Receiver) -> None:
    receiver.reset()
    receiver.by_path |= {"/asked": {"halt": False}, "/after": 500}
    (request_id,) = flow.api.submit("download", ADA)
    shown = flow.api.wait(request_id)
    assert (shown["status"], shown["reason"], shown["outcome"]) == ("error", "webhook", None)
    assert shown["reason_detail"]["address"] == "webhook:after"
    receipt = flow.api.call("GET", f"/privacy-request/{request_id}/receipt")
    package = flow.package(request_id)
    refused = flow.api.http.request("POST", f"/api/v1/privacy-request/{request_id}/cancel")
    assert refused.status_code == 400
    del receiver.by_path["/after"]
    retried = flow.api.call("POST", f"/privacy-request/{request_id}/retry")
    assert (retried["status"], retried["stage"]) == ("in_processing", "post_webhooks")
    shown = flow.api.wait(request_id)
    assert (shown["status"], shown["outcome"], shown["attempt"]) == ("complete", "delivered", 0)
    assert [each.path for each in receiver.calls] == ["/before", "/asked", "/after", "/after"]
    assert len(receiver.effects()) == 3
    assert flow.api.call("GET", f"/privacy-request/{request_id}/receipt") == receipt
    assert flow.package(request_id) == package


def test_a_webhook_that_is_deleted_lets_what_is_done_end(flow: Flow, receiver: Receiver) -> None:
    receiver.reset()
    receiver.by_path |= {"/asked": {"halt": False}, "/after": 500}
    (request_id,) = flow.api.submit("download", ADA)
    assert flow.api.wait(request_id)["reason"] == "webhook"
    put(flow, "post_execution")
    assert flow.api.call("POST", f"/privacy-request/{request_id}/retry")["status"] == "complete"
    put(flow, "post_execution", ("after", "one_way"))


def test_one_that_is_not_told_before_never_runs(flow: Flow, receiver: Receiver) -> None:
    receiver.reset()
    receiver.by_path["/before"] = 500
    (request_id,) = flow.api.submit("download", ADA)
    shown = flow.api.wait(request_id)
    assert (shown["status"], shown["reason"], shown["plan_digest"]) == ("error", "webhook", None)
    assert [each.path for each in receiver.calls] == ["/before"]


def test_killed_at_every_boundary_each_system_is_told_under_one_id(tmp_path: Path, receiver: Receiver) -> None:
    """One request, asked about before approval, told before and after; a worker dies at each boundary in turn."""
    receiver.reset()
    receiver.by_path["/asked"] = {"halt": False}
    settings = {**SETTINGS, "webhook_attempts": 8, "require_manual_request_approval": True}
    with opened(tmp_path / "data", **settings) as flow:
        declare(flow, tmp_path, receiver)
        flow.api.call("PUT", "/dsr/webhook/pre_approval", [{"connection_config_key": "before", "key": "first"}])
        (request_id,) = flow.api.submit("download", ADA)
        given = {"data_dir": tmp_path / "data"} | settings
        for boundary in OF_WEBHOOKS:
            if boundary == "webhook.answered":  # by a call of the webhook's own, below
                continue
            if boundary == "webhook.entered":
                worker = WorkerProcess(given)
                call = receiver.await_calls(1)[0]
                worker.kill()
                answer = flow.api.http.request(
                    "POST",
                    f"/api/v1{call.headers['reply-to-eligible']}",
                    headers={"Authorization": f"Bearer {call.headers['reply-to-token']}"},
                )
                assert answer.status_code == 200, answer.text
                assert flow.api.show(request_id)["status"] == "approved"
            WorkerProcess(given, crash_at=boundary).wait_for_death()
        worker = WorkerProcess(given)
        try:
            shown = flow.api.wait(request_id)
        finally:
            worker.kill()
    assert (shown["status"], shown["outcome"]) == ("complete", "delivered")
    assert {path: len(receiver.effects(path)) for path in ("/asked", "/after")} == {"/asked": 1, "/after": 1}
    assert len(receiver.effects("/before")) == 2  # asked before approval, told before execution
    order = [each.body["callback_type"] for each in receiver.calls]
    assert order == sorted(order, key=["pre_approval", "pre", "post"].index)
