"""Lists of requests: filters, literal prefixes, order, pages, identities, verbose results; logs, receipt, plan."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from habeas.core.errors import BadInput, NotFound
from habeas.requests.installation import Installation
from habeas.requests.model import Stage, Status
from habeas.requests.search import BadQuery
from habeas.requests.service import RequestFilter, approve, find, logs, plan, read_request, receipt, submit
from habeas.store import cohorts
from habeas.store import logs as log_store
from habeas.store import requests as store
from requestbook import CLIENT, START, item


def take(installation: Installation, **given: Any) -> str:
    (answer,) = submit(installation, [item(**given)], actor=CLIENT).succeeded
    return str(answer["id"])


def ids(installation: Installation, wanted: RequestFilter | None = None, **more: Any) -> list[str]:
    return [each["id"] for each in find(installation, wanted, **more).items]


def end(installation: Installation, request_id: str, status: Status) -> None:
    with installation.database.begin() as connection:
        store.move_request(
            connection,
            request_id,
            {},
            {"status": status, "stage": Stage.DONE, "finished_processing_at": installation.clock.now()},
        )


def test_an_id_is_exact_and_an_unknown_one_gives_an_empty_page(installation: Installation) -> None:
    known, _ = take(installation), take(installation)
    assert ids(installation, RequestFilter(id=known)) == [known]
    page = find(installation, RequestFilter(id="pri_unknown"))
    assert (page.items, page.total, page.page, page.size) == ([], 0, 1, 50)


def test_prefixes_are_literal_and_ignore_case(installation: Installation) -> None:
    plain, percent, under, slash = (
        take(installation, external_id=text) for text in ("Case 1", "100%_off", "a_b", "back\\slash")
    )

    def found(prefix: str) -> list[str]:
        return ids(installation, RequestFilter(external_id=prefix))

    assert found("case") == [plain]
    assert found("%") == []
    assert found("100%_") == [percent]
    assert found("100__") == []
    assert found("a_") == [under]
    assert found("back\\s") == [slash]
    assert ids(installation, RequestFilter(request_id=plain[:20].upper())) == [plain]
    assert ids(installation, RequestFilter(request_id=plain)) == [plain]
    assert ids(installation, RequestFilter(request_id="pri%")) == []


def test_an_identity_is_found_in_any_spelling_but_not_by_parts(installation: Installation) -> None:
    mail = take(installation, identity={"email": "Ada@Example.com"})
    phone = take(installation, identity={"phone_number": "(202) 555-0143"})
    other = take(installation, identity={"customer_id": "7", "email": "bob@example.org"})

    def found(value: str) -> list[str]:
        return ids(installation, RequestFilter(identity=value))

    assert found("ada@example.com ") == [mail]
    assert found("+12025550143") == [phone]
    assert found("7") == [other]
    assert found("ada@example") == []
    assert found("%") == []


def test_statuses_are_any_of(installation: Installation) -> None:
    waiting, failed, done = take(installation), take(installation), take(installation)
    end(installation, failed, Status.ERROR)
    end(installation, done, Status.COMPLETE)
    assert set(ids(installation, RequestFilter(status=(Status.ERROR, Status.COMPLETE)))) == {failed, done}
    assert ids(installation, RequestFilter(status=(Status.PENDING,))) == [waiting]


def test_times_are_strict_bounds(installation: Installation) -> None:
    first = take(installation)
    installation.clock.advance(60)  # type: ignore[attr-defined]
    second = take(installation)
    minute = START + timedelta(seconds=60)
    assert ids(installation, RequestFilter(created_gt=START)) == [second]
    assert ids(installation, RequestFilter(created_lt=minute)) == [first]
    assert ids(installation, RequestFilter(created_lt=minute.replace(tzinfo=None))) == [first]
    end(installation, first, Status.COMPLETE)
    end(installation, second, Status.ERROR)
    later = minute + timedelta(seconds=1)
    assert ids(installation, RequestFilter(completed_lt=later)) == [first]
    assert ids(installation, RequestFilter(errored_lt=later)) == [second]
    assert ids(installation, RequestFilter(errored_lt=later, status=(Status.COMPLETE,))) == []


def test_contradictions_are_named(installation: Installation) -> None:
    with pytest.raises(BadQuery, match="Cannot specify both"):
        find(installation, RequestFilter(completed_lt=START, errored_lt=START))
    with pytest.raises(BadQuery, match="Value specified for created_lt"):
        find(installation, RequestFilter(created_lt=START, created_gt=START + timedelta(1)))
    with pytest.raises(BadInput, match="sealed_seed is not on PrivacyRequest"):
        find(installation, sort_field="sealed_seed")
    with pytest.raises(BadInput, match="asc or desc"):
        find(installation, sort_direction="up")


def test_pages_cover_all_once_in_order(installation: Installation) -> None:
    taken = []
    for number in range(7):
        taken.append(take(installation, external_id=None if number % 3 == 0 else f"x{number}"))
        installation.clock.advance(1)  # type: ignore[attr-defined]
    pages = [find(installation, page=number, size=3) for number in (1, 2, 3, 4)]
    assert [each["id"] for page in pages for each in page.items] == taken[::-1]
    assert {page.total for page in pages} == {7}
    by_external = find(installation, sort_field="external_id", sort_direction="asc").items
    assert [each["external_id"] for each in by_external] == ["x1", "x2", "x4", "x5", None, None, None]


def test_identities_show_only_when_asked_for(installation: Installation) -> None:
    given = {"email": "ada@example.com", "card": {"label": "Card", "value": 12}}
    take(installation, identity=given)
    (hidden,) = find(installation).items
    assert hidden["identity"] is None
    assert hidden["identity_kinds"] == ["card", "email"]
    assert "ada" not in repr(hidden)
    (shown,) = find(installation, revealed_to=CLIENT).items
    assert shown["identity"] == {"card": {"label": "Card", "value": "12"}, "email": "ada@example.com"}
    assert {each["assurance"] for each in shown["identities"]} == {"vouched"}


def test_the_policy_is_shown_with_its_rules(installation: Installation) -> None:
    request_id = take(installation)
    policy = read_request(installation, request_id)["policy"]
    assert policy["key"] == "download"
    assert [rule["action_type"] for rule in policy["rules"]] == ["access"]


def run_in_cohort(installation: Installation, request_id: str, cohort_id: str, member: int) -> None:
    now = installation.clock.now()
    with installation.database.begin() as connection:
        row = {"id": cohort_id, "created_at": now, "updated_at": now, "plan_digest": "0", "size": 2, "epoch": 1}
        if cohorts.find(connection, cohort_id) is None:
            cohorts.insert(connection, row | {"stage": Stage.FREEZE, "executor_id": "e"})
        moved = {"status": Status.IN_PROCESSING, "stage": Stage.ACCESS, "cohort_id": cohort_id, "member": member}
        store.move_request(connection, request_id, {}, moved)


def log_entry(installation: Installation, cohort_id: str, collection: str, member: int | None = None) -> None:
    now = installation.clock.now()
    row = {"created_at": now, "updated_at": now, "cohort_id": cohort_id, "member": member, "dataset_name": "shop"}
    row |= {"collection_name": collection, "action_type": "access", "status": "complete", "fields_affected": []}
    with installation.database.begin() as connection:
        epoch = cohorts.present_epoch(connection, cohort_id)
        rows = [row | {"message": "", "counts": {"rows": 1}}]
        assert log_store.append(connection, cohort_id, epoch or 0, rows) is (epoch is not None)


def test_logs_are_those_of_the_cohort_and_of_the_member_alone(installation: Installation) -> None:
    first, second = take(installation), take(installation)
    run_in_cohort(installation, first, "coh_1", 0)
    run_in_cohort(installation, second, "coh_1", 1)
    log_entry(installation, "coh_1", "customers")
    log_entry(installation, "coh_1", "orders", member=1)
    run_in_cohort(installation, take(installation), "coh_2", 0)
    log_entry(installation, "coh_2", "elsewhere")
    assert [each["collection_name"] for each in logs(installation, first).items] == ["customers"]
    page = logs(installation, second, page=2, size=1)
    assert ([each["collection_name"] for each in page.items], page.total) == (["orders"], 2)
    with pytest.raises(NotFound):
        logs(installation, "pri_unknown")


def test_a_running_request_shows_its_cohorts_stage(installation: Installation) -> None:
    request_id = take(installation)
    run_in_cohort(installation, request_id, "coh_1", 0)
    assert read_request(installation, request_id)["stage"] == "freeze"


def test_verbose_results_are_by_dataset_and_bounded(installation: Installation) -> None:
    request_id = take(installation)
    approve(installation, [request_id], actor=CLIENT)
    run_in_cohort(installation, request_id, "coh_1", 0)
    for number in range(52):
        log_entry(installation, "coh_1", f"c{number}")
    (shown,) = find(installation, verbose=True).items
    assert [len(entries) for entries in shown["results"].values()] == [1, 50]
    assert shown["results"]["Request approved"][0]["user_id"] == CLIENT.client_id
    assert shown["results"]["shop"][0]["collection_name"] == "c0"
    assert "results" not in find(installation).items[0]


def test_receipt_and_plan_say_when_there_is_none_yet(installation: Installation) -> None:
    request_id = take(installation)
    with pytest.raises(NotFound, match="no receipt yet"):
        receipt(installation, request_id)
    with pytest.raises(NotFound, match="not been planned yet"):
        plan(installation, request_id)
    with pytest.raises(NotFound, match="No privacy request found"):
        plan(installation, "pri_unknown")
