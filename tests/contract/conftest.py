"""An installation that verifies identities: its API without a socket, its worker in a thread, a real mail server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flowbook import Flow, flowing
from mailbook import Mailbox, mail_server, settings_for
from serving import Api

DATASET = {
    "fides_key": "shop",
    "collections": [
        {
            "name": "person",
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": True}},
                {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}},
                {
                    "name": "phone",
                    "data_categories": ["user.contact.phone_number"],
                    "fides_meta": {"identity": "phone_number"},
                },
            ],
        }
    ],
}


@dataclass
class Office:
    """A flow with its mailbox, and calls that carry no token."""

    flow: Flow
    box: Mailbox
    domain: str = "example.com"

    @property
    def api(self) -> Api:
        return self.flow.api

    def public(self, method: str, path: str, body: Any = None, address: str | None = None) -> httpx2.Response:
        """A call without a token, by default from an address of its own, so that limits don't meet."""
        headers = {"X-Forwarded-For": address or f"2001:db8:{next(_numbers):x}::1", "Authorization": ""}
        return self.api.http.request(method, f"/api/v1{path}", json=body, headers=headers)

    def ask(self, policy: str, identity: Any, **more: Any) -> str:
        """A public request; its id."""
        answer = self.public("POST", "/privacy-request", [{"policy_key": policy, "identity": identity, **more}])
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["failed"] == [], told
        return str(told["succeeded"][0]["id"])

    def refuse(self, policy: str, identity: Any, **more: Any) -> str:
        """Why a public request wasn't taken."""
        answer = self.public("POST", "/privacy-request", [{"policy_key": policy, "identity": identity, **more}])
        (failure,) = answer.json()["failed"]
        return str(failure["message"])

    def prove(self, request_id: str, code: str) -> httpx2.Response:
        """Answer a code."""
        return self.public("POST", f"/privacy-request/{request_id}/verify", {"code": code})


def _count() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


_numbers = _count()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    place = folder / "shop.db"
    make_people(place)
    with mail_server() as box:
        # The in-process transport calls from 127.0.0.1.
        settings = settings_for(box, subject_identity_verification_required=True, trusted_proxies="127.0.0.0/8")
        with flowing(folder / "data", **settings) as flow:
            flow.api.connect("shop", "sqlite", {"url": f"sqlite:///{place}"})
            flow.api.describe("shop", DATASET)
            flow.api.access_policy("copy", ["user"])
            masks = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
            flow.api.erasure_policy("erase", ["user"], masks)
            yield Office(flow, box)


def make_people(place: Path) -> None:
    """The table of the examples: Ada has the number today, Bob had it until last year."""
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE person (id integer PRIMARY KEY, email varchar(40), phone varchar(40))")
        connection.executemany(
            "INSERT INTO person VALUES (?, ?, ?)",
            [
                (1, "ada@example.com", "+1 202 555 0101"),
                (2, "bob@example.com", "(202) 555-0101"),
                (3, "cyd@example.com", "+1 202 555 0103"),
            ],
        )
