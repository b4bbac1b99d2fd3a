"""Somebody changes the schema while a request is on its way: the end is true, or it says where it stopped.

Three moments: after the plan was made (`planned`); after the rows were frozen and an earlier attempt stopped before the
shop was written (`frozen`); while the erasure waits in another store (`half`). Never green with data left, never a
neighbour's row touched, never half done without saying so.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import sqlalchemy as sa

import driftbook
import flowbook
from conftest import fresh_database, fresh_mariadb, mariadb_connection
from driftbook import ADA, MUTATIONS, Desk, Mutation, Shop
from flowbook import Flow
from habeas.store.tables import privacy_request

MOMENTS = ("planned", "frozen", "half")
CHANGES = {mutation.name: mutation for mutation in MUTATIONS}


# A MariaDB server makes and drops tables slowly: there the changes that most differ stand for all, but where rows are
# already frozen.
ON_MARIADB = {"half": {"column renamed", "new foreign key with cascade", "privilege to write revoked"}}
ON_MARIADB["planned"] = ON_MARIADB["half"] | {
    "column retyped",
    "new not null",
    "table gone",
    "privilege to read revoked",
}


class Scene:
    """The shop and the desk behind a running installation, with the words that mutations fill in."""

    def __init__(self, flow: Flow, shop: Shop, desk: Desk, words: dict[str, str]) -> None:
        self.flow, self.api, self.shop, self.desk, self.words = flow, flow.api, shop, desk, words

    def begin(self) -> None:
        self.shop.fill()
        if user := self.words.get("user"):
            self.shop.run(*(f"GRANT SELECT, UPDATE, DELETE ON {table} TO {user}" for table in driftbook.TABLES))
        self.desk.fill()

    def change(self, statements: Any) -> None:
        self.shop.run(*(each.format(**self.words) for each in statements))

    def request(self, policy: str) -> dict[str, Any]:
        return self.api.run(policy, ADA)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowbook.flowing(tmp_path_factory.mktemp("drift") / "data") as running:
        running.api.access_policy("look", ["user"])
        running.api.erasure_policy("wipe", ["user"])
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def scene(
    request: pytest.FixtureRequest, flow: Flow, tmp_path_factory: pytest.TempPathFactory, worker_name: str
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp(f"drift-{request.param}")
    desk = Desk(folder / "desk.db")
    with ExitStack() as stores:
        made = {"sqlite": _sqlite, "postgres": _postgres, "mariadb": _mariadb}[request.param]
        shop, url, words = made(request, stores, folder, worker_name)
        flow.api.connect("shop", shop.kind, {"url": url})
        flow.api.connect("desk", "sqlite", {"path": str(desk.path)})
        described, ticket = driftbook.datasets()
        flow.api.describe("shop", described)
        flow.api.describe("desk", ticket)
        yield Scene(flow, shop, desk, words)
        for key in ("shop", "desk"):
            flow.api.call("DELETE", f"/connection/{key}")


def _sqlite(_: Any, __: Any, folder: Any, ___: str) -> tuple[Shop, str, dict[str, str]]:
    url = f"sqlite:///{folder / 'shop.db'}"
    shop = Shop("sqlite", url)
    shop.fill()
    return shop, url, {}


def _postgres(request: Any, stores: ExitStack, _: Any, worker: str) -> tuple[Shop, str, dict[str, str]]:
    url = stores.enter_context(fresh_database(request.getfixturevalue("postgres_server"), worker))
    user = f"drift_{uuid.uuid4().hex[:10]}"
    shop = Shop("postgres", url)
    shop.fill()
    shop.run(f"CREATE ROLE {user} LOGIN")
    stores.callback(shop.run, f"DROP OWNED BY {user}", f"DROP ROLE {user}")
    return shop, url.replace("postgres@", f"{user}@", 1), {"user": user}


def _mariadb(request: Any, stores: ExitStack, _: Any, worker: str) -> tuple[Shop, str, dict[str, str]]:
    server = request.getfixturevalue("mariadb_server")
    url = stores.enter_context(fresh_mariadb(server, worker))
    database, user = url.rpartition("/")[2], f"drift_{uuid.uuid4().hex[:10]}"
    shop = Shop("mariadb", url)
    shop.fill()
    with mariadb_connection(server) as admin:
        admin.query(f"CREATE USER {user} IDENTIFIED BY 'drift'")
        admin.query(f"GRANT CREATE TEMPORARY TABLES ON {database}.* TO {user}")
    stores.callback(shop.run, f"DROP USER {user}")
    return shop, url.replace("root@", f"{user}:drift@", 1), {"user": user}


def chosen(scene: Scene, name: str, moment: str) -> Mutation:
    mutation = CHANGES[name]
    if scene.shop.kind == "mariadb" and name not in ON_MARIADB.get(moment, CHANGES):
        pytest.skip("n/a: stood for by others")
    if mutation.statements(scene.shop.kind) is None:
        pytest.skip(f"n/a: {scene.shop.kind} has no such change")
    return mutation


def planned(scene: Scene, policy: str, mutation: Mutation) -> dict[str, Any]:
    """The plan is made and kept, then the schema changes, then the request comes."""
    assert scene.api.run(policy, {"email": "nobody@example.com"})["outcome"] == "nothing_found"
    scene.change(mutation.statements(scene.shop.kind))
    return scene.request(policy)


def frozen(scene: Scene, policy: str, mutation: Mutation) -> dict[str, Any]:
    """An attempt froze all rows and stopped at the desk; the schema changes; the next attempt goes on."""
    scene.desk.hold(True)
    item = scene.request(policy)
    assert (item["reason"], item["reason_detail"]["address"]) == ("incomplete", "desk:ticket"), item
    scene.change(mutation.statements(scene.shop.kind))
    scene.desk.hold(False)
    return retried(scene, item)


def half(scene: Scene, policy: str, mutation: Mutation) -> dict[str, Any]:
    """The erasure waits for the desk; meanwhile the schema of the shop changes."""
    with closing(driftbook.sqlite.connect(scene.desk.path, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        (request_id,) = scene.api.submit(policy, ADA)
        deadline = time.monotonic() + 30
        while scene.api.show(request_id)["stage"] != "mask":
            assert time.monotonic() < deadline, scene.api.show(request_id)
            time.sleep(0.01)
        scene.change(mutation.statements(scene.shop.kind))
        lock.execute("ROLLBACK")
    return scene.api.wait(request_id)


def retried(scene: Scene, item: dict[str, Any]) -> dict[str, Any]:
    scene.api.call("POST", f"/privacy-request/{item['id']}/retry")
    return scene.api.wait(item["id"])


BEGINNINGS: dict[str, Callable[[Scene, str, Mutation], dict[str, Any]]] = {
    "planned": planned,
    "frozen": frozen,
    "half": half,
}


def check_nobody_else(scene: Scene) -> None:
    """Bea's rows, and the shop's own photo, are there whatever happened; of a changed column only its other fields."""
    rows = scene.shop.rows()
    tables = scene.shop.tables()
    assert any("bea@example.com" in row for row in rows)
    assert "visit" not in tables or any("bea was here" in row for row in rows)
    assert any("the shop's own" in row for row in rows)


def check_gone(scene: Scene) -> None:
    left = " ".join(scene.shop.rows())
    for value in ("ada@", "'ada ", "Ada", "202-555-0101", "Ghent"):
        assert value not in left, (value, left)
    assert scene.desk.bodies() == [None, None]


def check_told(item: dict[str, Any], place: str) -> None:
    detail = item["reason_detail"]
    assert detail["address"].startswith(place), detail
    assert detail["problem"], detail
    assert detail["fix"], detail
    assert "example.com" not in str(detail)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", CHANGES)
def test_an_erasure_ends_true_or_says_where_it_stopped(scene: Scene, name: str, moment: str) -> None:
    mutation = chosen(scene, name, moment)
    scene.begin()
    before = scene.shop.rows()
    item = BEGINNINGS[moment](scene, "wipe", mutation)
    check_nobody_else(scene)
    ended = "complete" if item["status"] == "complete" else item["reason"]
    told = (scene.shop.kind, item["status"], item["reason_detail"])
    if mutation.moments[moment] != ended:
        # a store that takes what was frozen for the former schema may end well, if it is true
        assert moment != "planned", told
        assert ended == "complete", told
    if ended == "complete":
        check_gone(scene)
        return
    check_told(item, mutation.place)
    if ended == "incomplete" and item["reason_detail"]["code"] == "drift":
        assert mutation.word, item["reason_detail"]
        assert mutation.word in item["reason_detail"]["problem"], item["reason_detail"]
    if ended == "refused":
        mended = mutation.mending(scene.shop.kind)
        if mended is not None:
            scene.change(mended)
            assert scene.shop.rows() == before
            item = retried(scene, item)
            assert item["status"] == "complete", item
            check_gone(scene)
        return
    mended = mutation.mending(scene.shop.kind)
    if mended is None:
        return
    scene.change(mended)
    item = retried(scene, item)
    assert item["status"] == "complete", item
    check_gone(scene)
    check_nobody_else(scene)


@pytest.mark.parametrize("name", CHANGES)
def test_an_access_is_whole_or_refused(scene: Scene, name: str) -> None:
    mutation = chosen(scene, name, "planned")
    scene.begin()
    item = planned(scene, "look", mutation)
    ended = "complete" if item["status"] == "complete" else item["reason"]
    assert ended == mutation.access, item
    if ended == "refused":
        check_told(item, mutation.place)
        return
    package = scene.flow.package(item["id"])
    assert {address: len(rows) for address, rows in package.items()} == {
        "shop:customer": 1,
        "shop:visit": 1,
        "desk:note": 1,
        "desk:ticket": 1,
    }
    assert package["shop:visit"][0]["page"] == "ada was here"


def test_a_retry_counts_anew_how_often_the_schema_changed(scene: Scene) -> None:
    """Retries are no plans made anew: after two of them the first change of a schema is still followed."""
    if scene.shop.kind != "postgres":
        pytest.skip("n/a: said once")
    scene.begin()
    item = planned(scene, "look", CHANGES["column dropped"])
    assert (item["reason"], item["attempt"]) == ("refused", 1), item
    scene.change(["ALTER TABLE customer ADD COLUMN phone varchar(40)"])
    assert scene.api.run("look", {"email": "nobody@example.com"})["outcome"] == "nothing_found"
    scene.change(["ALTER TABLE customer ADD COLUMN another integer"])
    item = retried(scene, item)
    assert (item["status"], item["outcome"]) == ("complete", "delivered"), item
    assert item["attempt"] > 2


def test_a_schema_that_keeps_changing_is_refused(scene: Scene) -> None:
    """A request that was planned anew twice already isn't planned anew without end."""
    if scene.shop.kind != "postgres":
        pytest.skip("n/a: said once")
    scene.begin()
    assert scene.api.run("look", {"email": "nobody@example.com"})["outcome"] == "nothing_found"
    scene.api.call("PUT", "/execution", {"paused": True})
    try:
        (request_id,) = scene.api.submit("look", ADA)
        with scene.flow.installation.database.begin() as connection:  # as two changes leave it
            connection.execute(sa.update(privacy_request).where(privacy_request.c.id == request_id).values(replans=2))
        scene.change(["ALTER TABLE customer ADD COLUMN another integer"])
    finally:
        scene.api.call("PUT", "/execution", {"paused": False})
    item = scene.api.wait(request_id)
    assert (item["status"], item["reason"]) == ("error", "refused"), item
    assert item["reason_detail"]["code"] == "drift"
    check_told(item, "shop:customer")
    assert retried(scene, item)["outcome"] == "delivered"


def test_every_kind_of_change_is_tried() -> None:
    assert len(CHANGES) == len(MUTATIONS) >= 10
    assert all(set(mutation.moments) == set(MOMENTS) for mutation in MUTATIONS)
