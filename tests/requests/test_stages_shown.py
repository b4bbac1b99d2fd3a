"""The stage that a request shows, told while its worker stands still: it killed itself at a boundary."""

from __future__ import annotations

from pathlib import Path

import pytest

import shopbook
from flowbook import opened
from workerbook import WorkerProcess

# Delivering shows as `access`; the second look and the signing show as `mask`.
MOMENTS = [
    ("look", "access.read", "access"),
    ("look", "package.written", "access"),
    ("wipe", "freeze.recorded", "freeze"),
    ("wipe", "verify.chunk", "mask"),
    ("wipe", "end.before", "mask"),
]


@pytest.mark.parametrize(("policy", "boundary", "shown"), MOMENTS, ids=[boundary for _, boundary, _ in MOMENTS])
def test_the_stage_of_a_request_whose_worker_stands_still(
    tmp_path: Path, policy: str, boundary: str, shown: str
) -> None:
    assert shown in ("access", "freeze", "mask")
    shopbook.build_desk(tmp_path / "desk.db")
    ticket = dict(shopbook.datasets()[1]["collections"][0])
    ticket["fields"] = [each for each in ticket["fields"] if each["name"] != "customer_id"]
    with opened(tmp_path / "data") as flow:
        flow.api.connect("desk", "sqlite", {"url": f"sqlite:///{tmp_path / 'desk.db'}"})
        flow.api.describe("desk", {"fides_key": "desk", "collections": [ticket]})
        flow.api.access_policy("look", ["user"])
        flow.api.erasure_policy("wipe", ["user.content"], {"strategy": "hash", "configuration": {}})
        (request_id,) = flow.api.submit(policy, {"email": "ada.one@example.com"})
        WorkerProcess({"data_dir": tmp_path / "data"}, boundary).wait_for_death()
        item = flow.api.show(request_id)
        assert (item["status"], item["stage"]) == ("in_processing", shown)
