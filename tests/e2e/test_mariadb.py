"""A company whose shop lives in MariaDB: access and erasure of one person and of several at once, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import shopbook
from companybook import ROWS, Company, erased, masker
from serving import Server, serving


@pytest.fixture
def company(tmp_path: Path, mariadb_url: str) -> Iterator[tuple[Server, Company]]:
    made = Company(tmp_path, mariadb_url)
    with serving(tmp_path / "data") as server:
        made.declare(server)
        yield server, made


def test_one_person_is_answered_and_erased(company: tuple[Server, Company]) -> None:
    server, stores = company
    before = stores.dump()
    item = server.api.run("both", shopbook.SUBJECT)
    assert (item["status"], item["outcome"]) == ("complete", "erased"), dict(item)
    package = server.package(item["id"])
    assert {address: len(rows) for address, rows in package.items()} == ROWS
    assert {"email": "ada.one@example.com", "phone": "202-555-0101", "name": "Ada One"} in package["shop:customer"]
    expected = erased(masker(server, "", item["id"]))
    after = stores.dump()
    assert after == {table: sorted(rows, key=repr) for table, rows in expected.items()}
    assert after != before
    again = server.api.run("both", shopbook.SUBJECT)
    assert (again["status"], again["outcome"]) == ("complete", "nothing_found"), dict(again)
    assert server.package(again["id"]) == {}


def test_several_people_are_one_cohort(company: tuple[Server, Company]) -> None:
    server, stores = company
    api = server.api
    people = [shopbook.SUBJECT, {"email": "ada.two@example.com"}, {"email": "bda.one@example.com"}]
    api.call("PUT", "/execution", {"paused": True})
    ids = [api.submit("both", person)[0] for person in people]
    api.call("PUT", "/execution", {"paused": False})
    items = [api.wait(each) for each in ids]
    assert [(item["status"], item["outcome"]) for item in items] == [("complete", "erased")] * 3, items
    counts = [{address: len(rows) for address, rows in server.package(each).items()} for each in ids]
    assert counts == [
        ROWS,
        {"shop:customer": 1, "shop:purchase": 1, "shop:purchase_line": 1, "shop:message": 1}
        | {"desk:ticket": 1, "desk:note": 1},
        {"shop:customer": 1},
    ]
    first, second, third = (masker(server, "", each) for each in ids)
    after = stores.dump()
    one = erased(first)
    assert after["customer"] == sorted(
        [
            one["customer"][0],
            (2, second("ada.two@example.com"), second("202-555-0102")[:40], second("Ada One"), 8),
            one["customer"][2],
            (4, third("bda.one@example.com"), None, third("Ada One"), 0),
        ],
        key=repr,
    )
    assert (11, 2, second("ada.two@example.com"), second("ring")) in after["purchase"]
    assert (2, 2, second("called A2")) in after["note"]
