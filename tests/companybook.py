"""The company of `shopbook` as a customer of habeas: declared over the API, and what must be left after an erasure.

The mask is value-dependent, so that a mask applied twice would show; what it makes of a value is computed here
anew from the request's sealed seed.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

import shopbook
from flowbook import Flow
from habeas.core.settings import Settings
from habeas.masking.secrets import derive_secret
from habeas.requests.sealing import open_seed
from habeas.store.secrets import open_vault
from serving import Server

ROWS = {"shop:customer": 2, "shop:purchase": 2, "shop:purchase_line": 3, "shop:message": 2} | {
    "desk:ticket": 3,
    "desk:note": 3,
}
STRATEGY = {"strategy": "hmac", "configuration": {"algorithm": "SHA-256"}}


class Company:
    """The two stores, and what they must hold once the subject is erased."""

    def __init__(self, folder: Path, shop: str) -> None:
        self.shop, self.desk = shop, f"sqlite:///{folder / 'desk.db'}"
        shopbook.build_shop(self.shop)
        shopbook.build_desk(folder / "desk.db")

    def dump(self) -> dict[str, Any]:
        return shopbook.dump(self.shop, shopbook.TABLES["shop"]) | shopbook.dump(self.desk, shopbook.TABLES["desk"])

    def declare(self, server: Server | Flow) -> None:
        """Connections, datasets, and the policy `both`: access, and erasure by `STRATEGY`."""
        api = server.api
        api.http.request("DELETE", "/api/v1/connection/shop")  # an earlier company's, maybe of another kind
        kind = self.shop.partition(":")[0].replace("postgresql", "postgres")
        api.connect("shop", kind, {"url": self.shop})
        api.connect("desk", "sqlite", {"url": self.desk})
        shop, desk = shopbook.datasets()
        api.describe("shop", shop)
        api.describe("desk", desk)
        api.access_policy("both", shopbook.TARGETS)
        api.erasure_policy("both", shopbook.TARGETS, STRATEGY)


def erased(masked: Callable[[str], str]) -> dict[str, list[tuple[Any, ...]]]:
    """The company's rows with the subject's targeted values masked once."""
    m = masked
    return {
        "customer": [
            (1, m("ada.one@example.com"), m("202-555-0101")[:40], m("Ada One"), 7),
            (2, "ada.two@example.com", "202-555-0102", "Ada One", 8),
            (3, None, m("(202) 555 0101")[:40], m("A. One"), None),
            (4, "bda.one@example.com", None, "Ada One", 0),
        ],
        "purchase": [
            (10, 1, m("ada.one@example.com"), m("leave at door")),
            (11, 2, "ada.two@example.com", "ring"),
            (12, 3, None, m("gift")),
        ],
        "purchase_line": [(10, 1, m("for Ada")), (10, 2, None), (11, 1, "for A2"), (12, 1, m("for A3"))],
        "message": [(100, 1, None, m("hello")), (101, 2, None, "other hello"), (102, 1, 100, m("me again"))],
        "ticket": [
            (1, 1, m("ada.one@example.com"), m("broken")),
            (2, 2, "ada.two@example.com", "late"),
            (3, 3, None, m("lost")),
            (4, None, m("ADA.ONE@example.com "), m("by mail")),
        ],
        "note": [(1, 1, m("called Ada")), (2, 2, "called A2"), (3, 3, m("called A3")), (4, 4, m("wrote Ada"))],
    }


def masker(server: Server | Path, app: str, request_id: str) -> Callable[[str], str]:
    """The request's own mask, from its sealed seed; `server`, or its data directory."""
    data_dir = server if isinstance(server, Path) else server.data_dir
    query = "SELECT sealed_seed FROM privacy_request WHERE id = "
    if app.startswith("postgresql"):
        with psycopg.connect(app) as connection:
            (sealed,) = connection.execute(query + "%s", (request_id,)).fetchone() or ()
    else:
        with sqlite3.connect(data_dir / "habeas.sqlite") as connection:
            (sealed,) = connection.execute(query + "?", (request_id,)).fetchone()
    vault = open_vault(Settings(data_dir=data_dir))
    seed = open_seed(vault, request_id, bytes(sealed))
    key, salt = derive_secret(seed, "hmac", "key"), derive_secret(seed, "hmac", "salt")
    return lambda value: hmac.new(key.encode(), (value + salt).encode(), hashlib.sha256).hexdigest()
