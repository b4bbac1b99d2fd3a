"""Data categories of one's own over the API, files and the command line: selecting, identifying, refusing."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowbook import Flow, flowing, opened
from habeas.cli.main import run
from serving import ROOT

LOYALTY, ROOT_KEY, SECRET = "user.contact.loyalty_number", "acme", "acme.secret"
DATASET: dict[str, Any] = {
    "fides_key": "shop",
    "collections": [
        {
            "name": "person",
            "fields": [
                {"name": "id", "data_categories": ["user.unique_id"], "fides_meta": {"primary_key": True}},
                {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}},
                {"name": "card", "data_categories": [LOYALTY]},
                {"name": "word", "data_categories": [SECRET]},
                {"name": "other", "data_categories": ["acme_more"]},
                {
                    "name": "rep_id",
                    "fides_meta": {
                        "references": [
                            {"dataset": "shop", "field": "rep.id", "direction": "to", "ownership": "context"},
                        ]
                    },
                },
            ],
        },
        {
            "name": "rep",
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": True}},
                {"name": "card", "data_categories": [LOYALTY]},
                {"name": "word", "data_categories": [SECRET]},
            ],
        },
    ],
}
ROWS = [
    (1, "ada@example.com", "L-1", "blue", "kept", 7),
    (2, "bob@example.com", "L-2", "red", "kept too", 7),
]


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    with opened(tmp_path / "data") as bare:
        bare.api.patch_all(
            "/connection", [{"key": "shop", "name": "shop", "connection_type": "sqlite", "access": "write"}]
        )
        yield bare


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Flow]:
    place = tmp_path / "shop.db"
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        columns = "id integer PRIMARY KEY, email text, card text, word text, other text, rep_id integer"
        connection.execute(f"CREATE TABLE person ({columns})")
        connection.execute("CREATE TABLE rep (id integer PRIMARY KEY, card text, word text)")
        connection.executemany("INSERT INTO person VALUES (?, ?, ?, ?, ?, ?)", ROWS)
        connection.execute("INSERT INTO rep VALUES (7, 'L-7', 'green')")
    with flowing(tmp_path / "data") as running:
        running.api.connect("shop", "sqlite", {"url": f"sqlite:///{place}"})
        yield running


def answer(flow: Flow, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    told = flow.api.http.request(method, f"/api/v1{path}", json=body)
    return told.status_code, told.json()


def make(flow: Flow, *keys: str) -> None:
    for key in keys:
        flow.api.call("POST", "/data_category", {"fides_key": key})


def rows(tmp_path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        return connection.execute("SELECT * FROM person ORDER BY id").fetchall()


def test_a_category_from_its_making_to_its_end(flow: Flow) -> None:
    given = {"fides_key": LOYALTY, "name": "Loyalty number", "description": "On the card"}
    made = flow.api.call("POST", "/data_category", given | {"organization_fides_key": "acme", "tags": []})
    assert {name: made[name] for name in given} == given
    assert (made["parent_key"], made["is_default"]) == ("user.contact", False)
    assert flow.api.call("GET", f"/data_category/{LOYALTY}") == made
    listed = {each["fides_key"]: each for each in flow.api.call("GET", "/data_category")}
    assert listed[LOYALTY] == made
    assert listed["user.contact"]["is_default"]
    assert listed["user"]["parent_key"] is None
    changed = flow.api.call("PUT", "/data_category", made | {"description": "On the new card"})
    assert (changed["name"], changed["description"]) == ("Loyalty number", "On the new card")
    assert flow.api.call("PUT", "/data_category", {"fides_key": LOYALTY, "name": "N"})["description"] is not None
    gone = flow.api.call("DELETE", f"/data_category/{LOYALTY}")
    assert (gone["message"], gone["resource"]["fides_key"]) == ("resource deleted", LOYALTY)
    assert answer(flow, "GET", f"/data_category/{LOYALTY}")[0] == 404
    assert answer(flow, "DELETE", f"/data_category/{LOYALTY}")[0] == 404
    assert answer(flow, "PUT", "/data_category", {"fides_key": LOYALTY})[0] == 404


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"fides_key": "user.contact"}, 409, "of the taxonomy"),
        ({"fides_key": "acme"}, 409, "already exists"),
        ({"fides_key": "user.contcat.card"}, 422, "did you mean user.contact?"),
        ({"fides_key": "elsewhere.card"}, 422, "the parent elsewhere is no data category"),
        ({"fides_key": "user.provided.identifiable.contact.card"}, 422, "former key"),
        ({"fides_key": "user.provided.identifiable.contact"}, 422, "former key of user.contact"),
        ({"fides_key": "user..card"}, 422, "empty part"),
        ({"fides_key": "user.card", "parent_key": "user.contact"}, 422, "write user, or leave it out"),
        ({"fides_key": "card", "parent_key": "user"}, 422, "leave it out"),
        ({"fides_key": "user card"}, 422, "fides_key"),
        ({"fides_key": "user.card", "is_default": True}, 422, "is_default"),
        ({"fides_key": "user.card", "active": False}, 422, "active"),
        ({"fides_key": "user.card", "descripton": "x"}, 422, "descripton"),
    ],
)
def test_categories_that_are_refused(flow: Flow, given: dict[str, Any], status: int, said: str) -> None:
    make(flow, "acme")
    before = flow.api.call("GET", "/data_category")
    got, told = answer(flow, "POST", "/data_category", given)
    assert got == status
    assert said in json.dumps(told)
    assert flow.api.call("GET", "/data_category") == before


def test_the_taxonomy_stays_as_it_is(flow: Flow) -> None:
    assert answer(flow, "PUT", "/data_category", {"fides_key": "user", "name": "Anybody"})[0] == 403
    assert answer(flow, "DELETE", "/data_category/user.contact")[0] == 403


def test_scopes(flow: Flow) -> None:
    made = flow.api.call("POST", "/oauth/client", ["data_category:read"])
    form = {"grant_type": "client_credentials", "client_id": made["client_id"], "client_secret": made["client_secret"]}
    token = flow.api.http.request("POST", "/api/v1/oauth/token", data=form).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    call = flow.api.http.request
    assert call("GET", "/api/v1/data_category", headers=headers).status_code == 200
    assert call("POST", "/api/v1/data_category", headers=headers, json={"fides_key": "acme"}).status_code == 403
    assert call("PUT", "/api/v1/data_category", headers=headers, json={"fides_key": "acme"}).status_code == 403
    assert call("DELETE", "/api/v1/data_category/acme", headers=headers).status_code == 403


def test_access_and_erasure_by_a_category_of_ones_own(working: Flow, tmp_path: Path) -> None:
    """`acme` takes `acme.secret` and not `acme_more`; `user.contact` takes what was added below it, and
    identifies by it: it is withheld in a row that shows for context.
    """
    make(working, LOYALTY, ROOT_KEY, SECRET, "acme_more")
    working.api.describe("shop", DATASET)
    working.api.access_policy("copy", [ROOT_KEY, "user.contact"])
    working.api.erasure_policy("wipe", [SECRET, LOYALTY])
    item = working.api.run("copy", {"email": "ada@example.com"})
    assert (item["status"], item["reason"]) == ("complete", None)
    package = working.package(item["id"])
    assert package["shop:person"] == [{"email": "ada@example.com", "card": "L-1", "word": "blue"}]
    assert package["shop:rep"] == [{"word": "green"}]
    item = working.api.run("wipe", {"email": "ada@example.com"})
    assert item["status"] == "complete"
    assert rows(tmp_path) == [(1, "ada@example.com", None, None, "kept", 7), ROWS[1]]


def test_one_in_use_is_not_deleted(flow: Flow) -> None:
    make(flow, LOYALTY, ROOT_KEY, SECRET, "acme_more")
    flow.api.describe("shop", DATASET)
    flow.api.access_policy("copy", [ROOT_KEY])
    for key, where in (
        (SECRET, "field shop:person:word"),
        (LOYALTY, "field shop:person:card"),
        (ROOT_KEY, "data category acme.secret, target copy_access_acme of rule copy_access of policy copy"),
    ):
        status, told = answer(flow, "DELETE", f"/data_category/{key}")
        assert status == 409
        assert where in told["detail"]
    flow.api.call("DELETE", "/connection/shop/dataset/shop")
    flow.api.call("DELETE", "/policy/copy")
    for key in (SECRET, ROOT_KEY, LOYALTY, "acme_more"):
        flow.api.call("DELETE", f"/data_category/{key}")


def test_an_unknown_one_is_refused_with_the_nearest_of_ones_own(flow: Flow) -> None:
    make(flow, LOYALTY, ROOT_KEY, SECRET, "acme_more")
    text = json.dumps(DATASET).replace(SECRET, "acme.secrte")
    status, told = answer(flow, "PATCH", "/connection/shop/dataset", [json.loads(text)])
    assert status == 422
    assert "acme.secret?" in told["detail"][0]["msg"]
    flow.api.access_policy("copy", [ROOT_KEY])
    wrong = [{"data_category": "user.name"}, {"data_category": "acme.secrte"}]
    status, told = answer(flow, "PATCH", "/policy/copy/rule/copy_access/target", wrong)
    assert status == 422
    assert told["detail"][0]["loc"] == ["body", 1, "data_category"]
    assert "acme.secret?" in told["detail"][0]["msg"]
    assert len(flow.api.call("GET", "/policy/copy/rule/copy_access/target")["items"]) == 1


def test_the_example_of_the_page(flow: Flow) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    example = re.search(r"^    data_category:\n(?:      .*\n)+", page, re.MULTILINE)
    assert example
    for each in yaml.safe_load(example[0])["data_category"]:
        flow.api.call("POST", "/data_category", each)


def test_files_and_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (ROOT | {"HABEAS_DATA_DIR": str(tmp_path / "data")}).items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "all.yml"
    categories = [
        {"fides_key": SECRET, "description": "A word", "organization_fides_key": "acme"},
        {"fides_key": ROOT_KEY, "is_default": False},
        {"fides_key": "user.contact", "is_default": True, "name": "Contact"},
        {"fides_key": LOYALTY, "parent_key": "user.contact"},
        {"fides_key": "acme_more"},
    ]
    declared = {
        "data_category": categories,
        "connection": [{"key": "shop", "name": "shop", "connection_type": "sqlite", "access": "write"}],
        "dataset": [DATASET],
        "policy": [
            {
                "key": "copy",
                "name": "copy",
                "rules": [
                    {
                        "key": "copy_rule",
                        "name": "copy rule",
                        "action_type": "access",
                        "storage_destination_key": "local_packages",
                        "targets": [SECRET],
                    }
                ],
            }
        ],
    }
    file.write_text(yaml.safe_dump(declared))
    assert run(["dataset", "check", "--no-stored", str(file)]) == 0
    assert run(["apply", str(file)]) == 0
    assert "+ data_category acme.secret" in capsys.readouterr().out
    assert run(["apply", str(file)]) == 0
    assert "0 done" in capsys.readouterr().out
    assert run(["category", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["fides_key"] for each in listed] == [ROOT_KEY, SECRET, "acme_more", LOYALTY]
    alone = tmp_path / "shop.yml"
    alone.write_text(yaml.safe_dump({"dataset": [DATASET]}))
    assert run(["dataset", "check", str(alone)]) == 0
    assert run(["dataset", "check", "--no-stored", str(alone)]) == 1
    assert f"unknown data category '{SECRET}'" in capsys.readouterr().out
