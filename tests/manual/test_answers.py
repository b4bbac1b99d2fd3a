"""What may be answered, by whom, when: the routes' named errors, and answers given twice or never."""

from __future__ import annotations

import subprocess
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from driftbook import sqlite  # the library that habeas uses: another would drop its locks
from flowbook import Flow
from habeas.cli.main import run
from manualbook import answer, confirm, paused


def post(flow: Flow, request_id: str, verb: str, body: Any) -> tuple[int, str]:
    answered = flow.api.http.request("POST", f"/api/v1/privacy-request/{request_id}/{verb}", json=body)
    return answered.status_code, answered.text


@pytest.fixture
def waiting(flow: Flow) -> str:
    """A request that waits for the cabinet's rows."""
    (request_id,) = flow.api.submit("both", {"email": "dan@example.com"})
    paused(flow, request_id)
    return request_id


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([{"id": 1, "nonsense": 2}], "nonsense"),
        ([{"id": "one"}], "integer"),
        ([{"id": True}], "integer"),
        ([{"holder": 7}], "string"),
        ({"id": 1}, ""),
        ("rows", ""),
        ([[1]], ""),
    ],
)
def test_rows_that_the_collection_can_not_have_are_refused(flow: Flow, body: Any, told: str) -> None:
    (request_id,) = flow.api.submit("see", {"email": "eve@example.com"})
    paused(flow, request_id)
    status, text = post(flow, request_id, "manual_input", body)
    assert status == 422
    assert told in text
    assert flow.api.show(request_id)["status"] == "paused"


def test_each_answer_belongs_to_its_step(flow: Flow, waiting: str) -> None:
    status, text = post(flow, waiting, "erasure_confirm", {"row_count": 1})
    assert (status, "manual_input" in text) == (400, True)
    answer(flow, waiting, {"id": 40, "customer": 3, "holder": "Dan"})
    assert paused(flow, waiting)["action_required_details"]["collection"] == "papers:box"
    answer(flow, waiting)
    assert paused(flow, waiting)["stage"] == "mask"
    status, text = post(flow, waiting, "manual_input", [])
    assert (status, "erasure_confirm" in text) == (400, True)
    for wrong in ({"row_count": 0}, {"row_count": -1}, {"row_count": "1"}, {"row_count": None}, {}, []):
        assert post(flow, waiting, "erasure_confirm", wrong)[0] == 422, wrong
    status, text = post(flow, waiting, "retry", None)
    assert status == 400
    status, text = post(flow, waiting, "cancel", None)
    assert (status, "masking has begun" in text) == (400, True)
    confirm(flow, waiting, 2)
    item = flow.api.wait(waiting)
    assert (item["status"], item["confirmed"][0]["rows"]) == ("complete", 2)
    assert post(flow, waiting, "manual_input", [])[0] == 400
    assert post(flow, waiting, "erasure_confirm", {"row_count": 1})[0] == 400
    with closing(sqlite.connect(flow.installation.settings.data_dir / "habeas.sqlite")) as own:
        left = own.execute("SELECT count(*) FROM question WHERE privacy_request_id = ?", [waiting]).fetchone()
    assert left == (0,)


def test_unknown_and_running_requests(flow: Flow) -> None:
    assert post(flow, "pri_nothing", "manual_input", [])[0] == 404
    assert post(flow, "pri_nothing", "erasure_confirm", {"row_count": 1})[0] == 404


def test_of_two_answers_at_once_one_counts(flow: Flow) -> None:
    (request_id,) = flow.api.submit("see", {"email": "eve@example.com"})
    paused(flow, request_id)
    from habeas.core.errors import HabeasError
    from habeas.requests.clients import Actor
    from habeas.requests.manual import give_rows

    done: list[str] = []

    def give() -> None:
        try:
            give_rows(flow.installation, request_id, [], actor=Actor("cli_x", frozenset()))
            done.append("given")
        except HabeasError as problem:
            done.append(problem.code)

    threads = [threading.Thread(target=give) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(done) == ["conflict", "conflict", "conflict", "given"]
    item = flow.api.wait(request_id)
    assert (item["status"], item["outcome"]) == ("complete", "delivered")


def test_what_was_answered_is_not_asked_again_and_a_canceled_question_is_forgotten(flow: Flow, waiting: str) -> None:
    answer(flow, waiting, {"id": 41, "customer": 3, "holder": "Dan"})
    paused(flow, waiting)
    (item,) = flow.api.call("PATCH", "/privacy-request/administrate/deny", {"request_ids": [waiting]})["failed"]
    assert item["message"] == "Cannot transition status"
    assert flow.api.call("POST", f"/privacy-request/{waiting}/cancel")["status"] == "canceled"
    assert post(flow, waiting, "manual_input", [])[0] == 400
    with closing(sqlite.connect(flow.installation.settings.data_dir / "habeas.sqlite")) as own:
        left = own.execute("SELECT count(*) FROM question WHERE privacy_request_id = ?", [waiting]).fetchone()
    assert left == (0,)


def test_what_is_asked_and_answered_lies_sealed_and_is_audited(flow: Flow, tmp_path: Path) -> None:
    (request_id,) = flow.api.submit("see", {"email": "eve@example.com"})
    paused(flow, request_id)
    answer(flow, request_id, {"id": 90, "customer": 4, "holder": "Evelyn the Unmistakable"})
    paused(flow, request_id)
    data = flow.installation.settings.data_dir
    # By another process: closing a database's file here would drop the locks that SQLite holds on it.
    assert subprocess.run(["grep", "-rlaF", "Unmistakable", str(data)], check=False).returncode == 1
    audited = flow.api.call("GET", "/audit-trail", subject=request_id)["items"]
    (given,) = [each for each in audited if each["action"] == "privacy_request.manual_input"]
    assert given["detail"] == {"address": "papers:cabinet", "rows": 1}
    assert any(each["action"] == "privacy_request.revealed" for each in audited)


def test_a_preview_names_what_a_person_answers(flow: Flow) -> None:
    told = flow.api.call("PUT", "/privacy-request/preview", ["shop", "papers"])
    queries = {each["collectionAddress"]["collection"]: each["query"] for each in told}
    assert queries["cabinet"] == '{"locators": {"customer": "?"}, "get": ["id", "customer", "holder"], "update": null}'
    plan = flow.api.call(
        "POST", "/privacy-request/plan", {"policy_key": "both", "identity": {"email": "ada@example.com"}}
    )
    assert any("a person" in each["message"] for each in plan["warnings"] if each["address"] == "papers:cabinet")


def test_the_command_line_answers_and_confirms(flow: Flow, tmp_path: Path) -> None:
    def asked(*words: str) -> int:
        return run(["request", *words, "--data-dir", str(flow.installation.settings.data_dir)])

    (request_id,) = flow.api.submit("forget", {"email": "eve@example.com"})
    paused(flow, request_id)
    rows = tmp_path / "rows.json"
    rows.write_text('[{"id": 95, "customer": 4, "holder": "Eve"}]')
    half = tmp_path / "half.json"
    half.write_text("[{")
    assert asked("answer", request_id, str(half)) == 2
    assert asked("answer", request_id, str(rows)) == 0
    paused(flow, request_id)
    answer(flow, request_id)
    paused(flow, request_id)
    assert asked("confirm-erasure", request_id, "1") == 0
    assert flow.api.wait(request_id)["status"] == "complete"
