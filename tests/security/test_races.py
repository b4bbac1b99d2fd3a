"""What two people do at the same moment happens once, or one of them is told no."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from apibook import Api, open_api
from habeas.requests import review, sign_in
from habeas.requests.bulk import Bulk
from habeas.requests.clients import Actor
from habeas.requests.scopes import SCOPES

T = TypeVar("T")
ROUNDS = 5
ADA, BOB = (Actor(name, frozenset(SCOPES)) for name in ("ada", "bob"))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder: Path = tmp_path_factory.mktemp("races")
    yield from open_api(folder, require_manual_request_approval=True)


def submitted(api: Api) -> str:
    item = {"policy_key": "download", "identity": {"email": "someone@example.com"}}
    return str(api.ok("POST", "/privacy-request", json=[item])["succeeded"][0]["id"])


def together(*calls: Callable[[], T]) -> list[T]:
    """The results of calls that begin at one moment, each in a thread of its own."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        gate.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def actions(api: Api, subject: str) -> list[str]:
    found = api.ok("GET", "/audit-trail", params={"subject": subject, "action": "privacy_request."})["items"]
    return [each["action"] for each in found]


def count(results: list[Bulk]) -> list[int]:
    return sorted(len(each.succeeded) for each in results)


def test_approving_twice(api: Api) -> None:
    for _ in range(ROUNDS):
        one, here = submitted(api), api.installation
        results = together(
            lambda: review.approve(here, [one], actor=ADA),  # noqa: B023 – used within the round
            lambda: review.approve(here, [one], actor=BOB),  # noqa: B023
        )
        assert count(results) == [0, 1]
        assert actions(api, one).count("privacy_request.approved") == 1


def test_approving_and_denying(api: Api) -> None:
    """A denied request stays denied; one that was approved first may still be denied before it began."""
    for _ in range(ROUNDS):
        one, here = submitted(api), api.installation
        approved, denied = together(
            lambda: review.approve(here, [one], actor=ADA),  # noqa: B023
            lambda: review.deny(here, [one], actor=BOB),  # noqa: B023
        )
        (item,) = api.ok("GET", "/privacy-request", params={"id": one})["items"]
        last = actions(api, one)[0]
        assert item["status"] == ("denied" if denied.succeeded else "approved")
        assert last == f"privacy_request.{item['status']}"
        assert approved.succeeded or denied.succeeded


def test_canceling_and_approving(api: Api) -> None:
    for _ in range(ROUNDS):
        one, here = submitted(api), api.installation
        together(
            lambda: review.approve(here, [one], actor=ADA),  # noqa: B023
            lambda: review.cancel(here, [one], actor=BOB),  # noqa: B023
        )
        (item,) = api.ok("GET", "/privacy-request", params={"id": one})["items"]
        assert item["status"] == "canceled"
        assert actions(api, one)[0] == "privacy_request.canceled"


def test_accepting_one_invitation_twice(api: Api) -> None:
    for number in range(2):
        code = api.call("POST", "/user", json={"username": f"guest{number}"}).json()["invite_code"]

        def accept(password: str, name: str = f"guest{number}", code: str = code) -> bool:
            try:
                sign_in.accept_invitation(api.installation, name, code, password)
            except sign_in.SignInRefused:
                return False
            return True

        assert sorted(together(lambda: accept("First-come-1"), lambda: accept("Second-come-2"))) == [False, True]
