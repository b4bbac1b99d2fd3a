"""A company with a shop in a database and papers that only people can read: a cabinet and boxes that it names."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from flowbook import Flow, flowing

CATEGORY = "user.name"


def field(name: str, *categories: str, **meta: Any) -> dict[str, Any]:
    return {"name": name, "data_categories": list(categories), "fides_meta": meta}


def reference(dataset: str, path: str) -> list[dict[str, str]]:
    return [{"dataset": dataset, "field": path, "direction": "from"}]


SHOP = {
    "fides_key": "shop",
    "collections": [
        {
            "name": "customer",
            "fields": [
                field("id", primary_key=True),
                field("email", "user.contact.email", identity="email"),
                field("name", CATEGORY),
            ],
        },
        {
            "name": "stay",
            "fields": [
                field("id", primary_key=True),
                field("box", references=reference("papers", "box.number")),
                field("guest", CATEGORY),
            ],
        },
    ],
}
PAPERS = {
    "fides_key": "papers",
    "collections": [
        {
            "name": "cabinet",
            "fields": [
                field("id", primary_key=True, data_type="integer"),
                field("customer", references=reference("shop", "customer.id"), data_type="integer"),
                field("holder", CATEGORY, data_type="string"),
            ],
        },
        {
            "name": "box",
            "fields": [
                field("number", primary_key=True, data_type="integer"),
                field("cabinet", references=reference("papers", "cabinet.id"), data_type="integer"),
                field("label", CATEGORY, data_type="string"),
            ],
        },
    ],
}


def describe(flow: Flow, file: Path, papers: Mapping[str, Any] = PAPERS) -> None:
    """The company, its policies, and three customers."""
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT, name TEXT)")
        shop.execute("CREATE TABLE stay (id INTEGER PRIMARY KEY, box INTEGER, guest TEXT)")
        shop.executemany(
            "INSERT INTO customer VALUES (?, ?, ?)",
            [(number, f"{name}@example.com", name) for number, name in enumerate(("ada", "bob", "cyd", "dan", "eve"))],
        )
        shop.executemany("INSERT INTO stay VALUES (?, ?, ?)", [(1, 71, "ada"), (2, 72, "bob"), (3, 73, "cyd")])
    api = flow.api
    api.connect("shop", "sqlite", {"path": str(file)})
    api.patch_all("/connection", [{"name": "papers", "key": "papers", "connection_type": "manual", "access": "write"}])
    api.describe("papers", papers)
    api.describe("shop", SHOP)
    api.access_policy("see", ["user"])
    api.erasure_policy("forget", [CATEGORY])
    api.access_policy("both", ["user"])
    api.erasure_policy("both", [CATEGORY])


@contextmanager
def company(directory: Path) -> Iterator[Flow]:
    """The company with a worker."""
    with flowing(directory / "data") as flow:
        describe(flow, directory / "shop.db")
        yield flow


def paused(flow: Flow, request_id: str) -> dict[str, Any]:
    """The request once it waits for a person, with all that a person has to know."""
    item = flow.api.wait(request_id)
    assert item["status"] == "paused", item
    assert item["reason"] == "manual"
    return flow.api.call("GET", f"/privacy-request/{request_id}", include_identities=True)


def answer(flow: Flow, request_id: str, *rows: Mapping[str, Any]) -> dict[str, Any]:
    return flow.api.call("POST", f"/privacy-request/{request_id}/manual_input", list(rows))


def confirm(flow: Flow, request_id: str, rows: int) -> dict[str, Any]:
    return flow.api.call("POST", f"/privacy-request/{request_id}/erasure_confirm", {"row_count": rows})
