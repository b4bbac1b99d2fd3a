"""Signing in: no guessing, no finding out who exists, from anywhere."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apibook import Api, open_api
from habeas.api.limits import CallLimit
from habeas.requests import passwords, sign_in

PASSWORD = "Correct-horse-7"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    for each in open_api(tmp_path / "data", trusted_proxies="127.0.0.0/8"):
        made = each.call("POST", "/user", json={"username": "known", "password": PASSWORD})
        assert made.status_code == 201
        yield each


def attempt(api: Api, username: str, number: int) -> tuple[int, object, str | None]:
    """Each from an address of its own, as a botnet does."""
    headers = {"X-Forwarded-For": f"2001:db8:{number:x}::1"}
    body = {"username": username, "password": "Wrong-guess-1"}
    answer = api.call("POST", "/login", token=None, json=body, headers=headers)
    return answer.status_code, answer.json(), answer.headers.get("retry-after")


def test_cve_2024_45052_no_enumeration_by_answer(api: Api) -> None:
    """The same answers, up to and beyond the lock, whether or not the name exists."""
    known = [attempt(api, "known", number) for number in range(sign_in.MOST_FAILURES + 3)]
    unknown = [attempt(api, "unknown", 1000 + number) for number in range(sign_in.MOST_FAILURES + 3)]
    assert known == unknown
    assert [each[0] for each in known] == [403] * sign_in.MOST_FAILURES + [429] * 3
    assert known[-1][2] is not None


def test_cve_2024_45052_no_enumeration_by_time(api: Api) -> None:
    """A password is compared for every name, so that the times lie close together."""
    stored = passwords.hash_password(PASSWORD, username="known", where="password")

    def taken(hashed: str | None) -> float:
        begun = time.process_time()
        assert not passwords.is_password("Wrong-guess-1", hashed)
        return time.process_time() - begun

    pairs = [(taken(stored), taken(None)) for _ in range(7)]
    known, nobody = (statistics.median(each) for each in zip(*pairs, strict=True))
    assert nobody > known / 3


def test_cve_2024_45052_the_hash_of_nobody_costs_what_others_cost() -> None:
    stored = passwords.hash_password(PASSWORD, username="known", where="password")
    assert stored.startswith("$argon2id$")
    assert stored.split("$")[:4] == passwords._NOBODY.split("$")[:4]


def test_cve_2025_57815_guessing_locks_the_account_for_a_while(api: Api) -> None:
    for number in range(sign_in.MOST_FAILURES + 1):
        attempt(api, "known", number)
    body = {"username": "known", "password": PASSWORD}
    headers = {"X-Forwarded-For": "2001:db8:ffff::1"}
    assert api.call("POST", "/login", token=None, json=body, headers=headers).status_code == 429
    api.clock.advance(15 * 60 + 1)
    assert api.call("POST", "/login", token=None, json=body, headers=headers).status_code == 200


def test_cve_2025_57815_one_address_is_held_back_over_all_accounts(api: Api) -> None:
    """Even where each account sees one attempt. The limit's clock stands still: a slow machine changes nothing."""
    app = api.http._transport.app  # type: ignore[attr-defined] # the application that the transport drives
    app.state.address_limit = CallLimit(5, 60.0, now=lambda: 0.0)
    headers = {"X-Forwarded-For": "2001:db8:aaaa::1"}
    seen = []
    for number in range(7):
        body = {"username": f"name{number}", "password": "x"}
        seen.append(api.call("POST", "/login", token=None, json=body, headers=headers).status_code)
    assert seen == [403] * 5 + [429] * 2


def test_cve_2025_57816_a_forged_forwarded_header_is_no_way_around(tmp_path: Path) -> None:
    """Without a trusted proxy the header says nothing."""
    for api in open_api(tmp_path / "data"):
        seen = [attempt(api, "known", number)[0] for number in range(12)]
        assert seen == [403] * 10 + [429] * 2


def test_a_success_forgets_the_failures_before_it(api: Api) -> None:
    for round_ in range(3):
        for number in range(sign_in.MOST_FAILURES - 1):
            assert attempt(api, "known", 100 * round_ + number)[0] == 403
        body = {"username": "known", "password": PASSWORD}
        headers = {"X-Forwarded-For": "2001:db8:ffff::1"}
        assert api.call("POST", "/login", token=None, json=body, headers=headers).status_code == 200


def test_names_that_were_tried_are_stored_as_keyed_digests_and_forgotten(api: Api) -> None:
    from habeas.store.tables import sign_in_failure

    attempt(api, "somebody@example.com", 1)
    with api.installation.database.read() as connection:
        rows = connection.execute(sign_in_failure.select()).all()
    assert len(rows) == 1
    assert "somebody" not in str(rows)
    api.clock.advance(3601)
    attempt(api, "other", 2)
    with api.installation.database.read() as connection:
        assert len(connection.execute(sign_in_failure.select()).all()) == 1
