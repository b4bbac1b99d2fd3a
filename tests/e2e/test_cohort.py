"""Several requests as one execution: each gets its own, and what two of them own together is judged apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import Server, serving

SCHEMA = """
CREATE TABLE address (id integer PRIMARY KEY, street text);
CREATE TABLE person (id integer PRIMARY KEY, email text, address_id integer REFERENCES address(id));
INSERT INTO address VALUES (1, 'Shared Street 1'), (2, 'Lonely Lane 2'), (3, 'Half Way 3');
INSERT INTO person VALUES (1, 'a@example.com', 1), (2, 'b@example.com', 1), (3, 'c@example.com', 2),
                          (4, 'd@example.com', 3), (5, 'not-asked@example.com', 3);
"""
DATASET = {
    "fides_key": "town",
    "collections": [
        {
            "name": "address",
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": True}},
                {"name": "street", "data_categories": ["user.contact.address.street"]},
            ],
        },
        {
            "name": "person",
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": True}},
                {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}},
                {
                    "name": "address_id",
                    "fides_meta": {"references": [{"dataset": "town", "field": "address.id", "direction": "to"}]},
                },
            ],
        },
    ],
}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    path = tmp_path / "town.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
    with serving(tmp_path / "data") as server:
        server.api.connect("town", "sqlite", {"path": str(path)})
        server.api.describe("town", DATASET)
        server.api.access_policy("both", ["user"])
        server.api.erasure_policy(
            "both", ["user"], {"strategy": "string_rewrite", "configuration": {"rewrite_value": "X"}}
        )
        yield server, path


def test_members_share_an_erasure_and_read_alone(town: tuple[Server, Path]) -> None:
    server, path = town
    api = server.api
    api.call("PUT", "/execution", {"paused": True})
    people = [{"email": f"{letter}@example.com"} for letter in "abcd"]
    a, b, c, d = [api.submit("both", person)[0] for person in people]
    api.call("PUT", "/execution", {"paused": False})
    ends = {name: api.wait(each) for name, each in zip("abcd", (a, b, c, d), strict=True)}
    assert {name: (end["status"], end["outcome"], end["kept"]) for name, end in ends.items()} == {
        "a": ("complete", "erased", None),
        "b": ("complete", "erased", None),
        "c": ("complete", "erased", None),
        "d": ("complete", "erased_with_kept", {"shared_row": 1}),
    }
    assert len({cohort_of(server, each) for each in (a, b, c, d)}) == 1
    # the address of two people: each reads it without what identifies, since the other lives there too
    assert server.package(a) == {"town:address": [{}], "town:person": [{"email": "a@example.com"}]}
    assert server.package(c)["town:address"] == [{"street": "Lonely Lane 2"}]
    assert server.package(d)["town:address"] == [{}]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT * FROM address").fetchall() == [(1, "X"), (2, "X"), (3, "Half Way 3")]
        assert connection.execute("SELECT email FROM person").fetchall() == [("X",)] * 4 + [("not-asked@example.com",)]


def cohort_of(server: Server, request_id: str) -> Any:
    """The cohort that the request's receipt was signed with."""
    document = server.api.call("GET", f"/privacy-request/{request_id}/receipt")
    return document["head"]["number"]
