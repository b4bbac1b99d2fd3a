"""What two people do at the same moment happens once, or one of them is told no."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import sqlalchemy as sa

from apibook import Api, open_api
from flowbook import flowing
from habeas.core.errors import HabeasError
from habeas.requests import expiry, review, sign_in, verification
from habeas.requests.bulk import Bulk
from habeas.requests.clients import Actor
from habeas.requests.messages import Draft
from habeas.requests.scopes import SCOPES
from habeas.store.tables import outbox, privacy_request
from requestbook import MAIL, wait_until

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


def code_of(api: Api, subject: str) -> str:
    """The code in the message that waits to be sent."""
    here = api.installation
    with here.database.read() as connection:
        row = connection.execute(sa.select(outbox).where(outbox.c.subject == subject)).one()
    body = here.vault.open("message", row.sealed_body, f"{row.kind}/{row.subject}")
    return msgspec.json.decode(body, type=Draft).values["code"]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("public")
    yield from open_api(folder, subject_identity_verification_required=True, **MAIL)


def asked(api: Api, number: int) -> tuple[str, str]:
    item = {"policy_key": "download", "identity": {"email": f"person{number}@example.com"}}
    one = str(api.ok("POST", "/privacy-request", token=None, json=[item])["succeeded"][0]["id"])
    return one, code_of(api, one)


def verified(api: Api, one: str, code: str) -> bool:
    try:
        verification.verify(api.installation, one, code)
    except HabeasError:
        return False
    return True


def test_verifying_and_expiring(public: Api) -> None:
    """A code that was sent again on the last day, answered while the week ends."""
    for number in range(ROUNDS):
        one, code = asked(public, number)
        old = public.clock.now() - expiry.UNPROVEN_KEPT - timedelta(hours=1)
        with public.installation.database.begin() as connection:
            connection.execute(sa.update(privacy_request).where(privacy_request.c.id == one).values(created_at=old))
        right, canceled = together(
            lambda: verified(public, one, code),  # noqa: B023 – used within the round
            lambda: expiry.expire(public.installation),
        )
        (item,) = public.ok("GET", "/privacy-request", params={"id": one})["items"]
        told = actions(public, one)
        assert (right, canceled) in ((True, 0), (False, 1))
        assert item["status"] == ("pending" if right else "canceled")
        assert told.count("privacy_request.verified") == right
        assert told.count("privacy_request.expired") == canceled


def test_verifying_twice(public: Api) -> None:
    for number in range(ROUNDS):
        one, code = asked(public, 100 + number)
        twice = together(lambda: verified(public, one, code), lambda: verified(public, one, code))  # noqa: B023
        assert sorted(twice) == [False, True]
        assert actions(public, one).count("privacy_request.verified") == 1


def test_canceling_while_it_starts(tmp_path: Path) -> None:
    """Either it was canceled, and nothing was handed over, or it was too late and it ran to its end."""
    with flowing(tmp_path / "data") as flow:
        here, told = flow.installation, {}
        for number in range(2 * ROUNDS):
            item = {"policy_key": "download", "identity": {"email": "someone@example.com"}}
            one = str(flow.api.call("POST", "/privacy-request", [item])["succeeded"][0]["id"])
            time.sleep(0.004 * number)
            told[one] = bool(review.cancel(here, [one], actor=ADA).succeeded)
        for one, canceled in told.items():
            wait_until(lambda: flow.api.show(one)["status"] in ("complete", "canceled"), 60)  # noqa: B023
            assert flow.api.show(one)["status"] == ("canceled" if canceled else "complete")
            package = here.settings.data_dir / "packages" / f"{one}.json"
            assert package.exists() != canceled
