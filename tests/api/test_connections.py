"""Connections: saved, given secrets, tested, listed, deleted; and secrets that never come out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from habeas.requests.secrets import open_secrets
from habeas.store.connections import find_connection

from .conftest import Api, open_api


def make(api: Api, key: str, kind: str = "sqlite", **more: Any) -> dict[str, Any]:
    [made] = api.saved(
        "/connection", {"name": f"Connection {key}", "key": key, "connection_type": kind, "access": "write", **more}
    )
    return made


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A SQLite database with one table."""
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT)")
    connection.close()
    return file


def test_a_connection_without_its_secrets(shared_api: Api, shop: Path) -> None:
    made = make(shared_api, "plain", description="Line one\nline two")
    assert "secrets" not in made
    assert shared_api.ok("GET", "/connection/plain") == made
    told = shared_api.ok("PUT", "/connection/plain/secret", json={"url": f"sqlite:///{shop}"})
    assert told["test_status"] == "succeeded"
    assert told["failure_reason"] is None
    after = shared_api.ok("GET", "/connection/plain")
    assert after["last_test_succeeded"] is True
    assert str(shop) not in str(after)
    assert str(shop) not in str(shared_api.ok("GET", "/connection"))
    assert shared_api.saved("/connection", after)[0]["last_test_succeeded"] is True
    assert shared_api.call("DELETE", "/connection/plain").status_code == 204
    assert shared_api.call("GET", "/connection/plain").json()["detail"] == (
        "No connection configuration found with key 'plain'."
    )


def test_a_test_that_fails_is_an_answer(shared_api: Api, tmp_path: Path) -> None:
    make(shared_api, "failing")
    told = shared_api.ok("GET", "/connection/failing/test")
    assert told["test_status"] == "failed"
    told = shared_api.ok("PUT", "/connection/failing/secret", json={"path": str(tmp_path / "nothing.db")})
    assert told["test_status"] == "failed"
    assert told["failure_reason"]
    assert not (tmp_path / "nothing.db").exists()
    told = shared_api.ok("PUT", "/connection/failing/secret?verify=false", json={"path": str(tmp_path / "x.db")})
    assert told["test_status"] is None
    assert shared_api.ok("GET", "/connection/failing")["last_test_succeeded"] is None


def test_secrets_replace_each_other_and_are_sealed(shared_api: Api, shop: Path) -> None:
    make(shared_api, "sealed")
    shared_api.ok("PUT", "/connection/sealed/secret", json={"url": "sqlite:////nowhere"})
    shared_api.ok("PUT", "/connection/sealed/secret", json={"path": str(shop)})
    with shared_api.installation.database.read() as connection:
        row = find_connection(connection, "sealed")
    assert row is not None
    assert row.sealed_secrets is not None
    assert str(shop).encode() not in row.sealed_secrets
    assert open_secrets(shared_api.installation.vault, row) == {"path": str(shop)}


def test_the_same_secrets_again_change_nothing(shared_api: Api, shop: Path) -> None:
    make(shared_api, "again")

    def put(secrets: dict[str, str]) -> tuple[bool, object]:
        told = shared_api.ok("PUT", "/connection/again/secret?verify=false", json=secrets)
        with shared_api.installation.database.read() as connection:
            return told["changed"], find_connection(connection, "again")

    changed, first = put({"path": str(shop)})
    assert changed
    shared_api.clock.advance(5)
    assert put({"path": str(shop)}) == (False, first)
    changed, other = put({"url": f"sqlite:///{shop}"})
    assert changed
    assert other != first


@pytest.mark.parametrize(
    ("kind", "secrets", "said"),
    [
        ("sqlite", {}, "must be supplied a 'url' or all of"),
        ("sqlite", {"pth": "/tmp/secret-path"}, "pth"),
        ("postgres", {"host": "db.example.com", "port": "secret-port"}, "port"),
        ("postgres", {"url": "mysql://u:secret-word@h/d"}, "postgresql://"),
        ("postgres", {"host": "db.example.com", "password": "env:NO_SUCH_VARIABLE_IS_SET"}, "secrets.password"),
        ("postgres", {"host": "db.example.com", "password": "env:HABEAS_APP_ENCRYPTION_KEY"}, "own settings"),
        ("postgres", {"host": "db.example.com", "password": "file:relative/secret"}, "absolute path"),
        ("postgres", {"host": "db.example.com", "password": "file:/run/secrets/no-such-secret-file"}, "can't be read"),
    ],
)
def test_secrets_that_are_refused(shared_api: Api, kind: str, secrets: dict[str, str], said: str) -> None:
    shared_api.ok(
        "PATCH",
        "/connection",
        json=[{"name": f"Refused {kind}", "key": f"refused_{kind}", "connection_type": kind, "access": "read"}],
    )
    answer = shared_api.call("PUT", f"/connection/refused_{kind}/secret", json=secrets)
    assert answer.status_code == 422
    assert said in str(answer.json()["detail"])
    for value in secrets.values():
        if "secret" in value:
            assert value not in answer.text


@pytest.fixture
def reading_api(tmp_path: Path) -> Iterator[Api]:
    """An application whose secrets may be files below `tmp_path / "secrets"`."""
    (tmp_path / "secrets").mkdir()
    yield from open_api(tmp_path / "data", secrets_dir=(tmp_path / "secrets",))


def test_secrets_may_be_references(
    reading_api: Api, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DATABASE", str(shop))
    (tmp_path / "secrets" / "shop").write_text(f"sqlite:///{shop}\n")
    make(reading_api, "by_reference")
    for secrets in ({"path": "env:SHOP_DATABASE"}, {"url": f"file:{tmp_path / 'secrets' / 'shop'}"}):
        assert reading_api.ok("PUT", "/connection/by_reference/secret", json=secrets)["test_status"] == "succeeded"
        with reading_api.installation.database.read() as connection:
            row = find_connection(connection, "by_reference")
        assert row is not None
        assert open_secrets(reading_api.installation.vault, row) == secrets
        assert reading_api.installation.sources.connector("by_reference").check().ok


def test_only_files_for_secrets_are_references(reading_api: Api, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    outside = tmp_path / "secrets-not" / "habeas.toml"
    outside.parent.mkdir()
    outside.write_text("hush\n")
    (secrets / "link").symlink_to(outside)
    (secrets / "folder").symlink_to(outside.parent)
    make(reading_api, "curious", "postgres")
    paths = [outside, secrets / "link", secrets / "folder" / outside.name, f"{secrets}/../secrets-not/habeas.toml"]
    for path in (*paths, "/no/such/file", "/proc/self/environ", "/proc/self/cmdline"):
        answer = reading_api.call("PUT", "/connection/curious/secret", json={"host": "h", "password": f"file:{path}"})
        assert answer.status_code == 422
        assert "HABEAS_SECRETS_DIR" in str(answer.json()["detail"])
        assert "hush" not in answer.text


def test_files_of_the_data_directory_are_no_references(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for api in open_api(data_dir, secrets_dir=(tmp_path,)):
        make(api, "curious", "postgres")
        link = tmp_path / "link"
        link.symlink_to(data_dir / "app.key")
        for path in (data_dir / "app.key", link, Path(f"{data_dir}/../{data_dir.name}/app.key")):
            secrets = {"host": "db.example.com", "password": f"file:{path}"}
            answer = api.call("PUT", "/connection/curious/secret", json=secrets)
            assert answer.status_code == 422
            assert "data directory" in str(answer.json()["detail"])


def test_our_own_database_is_refused(shared_api: Api, tmp_path: Path) -> None:
    data_dir = shared_api.installation.settings.data_dir
    make(shared_api, "own")
    (tmp_path / "link").symlink_to(data_dir)
    for secrets in (
        {"url": shared_api.installation.database.url},
        {"path": str(data_dir / "habeas.sqlite")},
        {"path": str(tmp_path / "link" / "habeas.sqlite")},
        {"path": str(data_dir / "engine.sqlite")},
    ):
        answer = shared_api.call("PUT", "/connection/own/secret", json=secrets)
        assert answer.status_code == 422
        assert "habeas' own database" in str(answer.json()["detail"])


def test_connections_that_are_refused(shared_api: Api, shop: Path) -> None:
    make(shared_api, "taken")
    base = {"name": "Other", "key": "other", "connection_type": "sqlite", "access": "read"}
    assert "sqlite" in shared_api.failure("/connection", base | {"connection_type": "oracle_of_delphi"})
    assert "already exists" in shared_api.failure("/connection", base | {"name": "Connection taken"})
    shared_api.ok("PUT", "/connection/taken/secret", json={"path": str(shop)})
    changed = base | {"name": "Connection taken", "key": "taken", "connection_type": "postgres"}
    assert "secrets of that type" in shared_api.failure("/connection", changed)
    for wrong in ({"access": "admin"}, {"secrets": {}}, {"disabled": "perhaps"}):
        assert shared_api.call("PATCH", "/connection", json=[base | wrong]).status_code == 422
    for method, path in (
        ("GET", "/connection/no/test"),
        ("DELETE", "/connection/no"),
        ("PUT", "/connection/no/secret"),
    ):
        assert shared_api.call(method, path, **({"json": {}} if method == "PUT" else {})).status_code == 404


def test_disabling_keeps_the_moment(shared_api: Api) -> None:
    make(shared_api, "switched")
    assert make(shared_api, "switched", disabled=True)["disabled"] is True
    assert make(shared_api, "switched")["disabled"] is True
    with shared_api.installation.database.read() as connection:
        row = find_connection(connection, "switched")
    assert row is not None
    assert row.disabled_at == shared_api.clock.now()
    assert make(shared_api, "switched", disabled=False)["disabled"] is False


def test_connections_are_filtered(api: Api, shop: Path) -> None:
    for key in ("alpha", "beta_1", "beta%2"):
        api.saved(
            "/connection", {"name": key, "key": key.replace("%", "."), "connection_type": "sqlite", "access": "read"}
        )
    make(api, "gamma", "postgres", disabled=True, description="The Beta of all")
    api.ok("PUT", "/connection/alpha/secret", json={"path": str(shop)})
    api.ok("GET", "/connection/beta_1/test")

    def found(**params: Any) -> list[str]:
        return [each["key"] for each in api.ok("GET", "/connection", params=params)["items"]]

    assert found() == ["gamma", "alpha", "beta.2", "beta_1"]
    assert found(search="BETA") == ["gamma", "beta.2", "beta_1"]
    assert found(search="beta%") == ["beta.2"]
    assert found(search="a_1") == ["beta_1"]
    assert found(connection_type=["postgres", "mongodb"]) == ["gamma"]
    assert found(disabled="true") == ["gamma"]
    assert found(test_status="passed") == ["alpha"]
    assert found(test_status="failed") == ["beta_1"]
    assert found(test_status="untested") == ["gamma", "beta.2"]
    assert found(system_type="database", disabled="false") == ["alpha", "beta.2", "beta_1"]
    assert found(system_type="saas") == []
    assert api.call("GET", "/connection", params={"test_status": "x"}).status_code == 422


def test_kinds_of_systems(shared_api: Api) -> None:
    page = shared_api.ok("GET", "/connection_type")
    kinds = {each["identifier"]: each for each in page["items"]}
    assert kinds["postgres"] == {"identifier": "postgres", "type": "database", "human_readable": "PostgreSQL"}
    assert [each["identifier"] for each in shared_api.ok("GET", "/connection_type?search=LITE")["items"]] == ["sqlite"]
    schema = shared_api.ok("GET", "/connection_type/postgres/secret")
    assert {"url", "host", "sslmode"} <= set(schema["properties"])
    assert shared_api.call("GET", "/connection_type/nothing/secret").status_code == 404


def test_postgres_is_tested_over_a_url(shared_api: Api, postgres_url: str) -> None:
    make(shared_api, "pg", "postgres")
    told = shared_api.ok("PUT", "/connection/pg/secret", json={"url": postgres_url})
    assert told["test_status"] == "succeeded"
    told = shared_api.ok("PUT", "/connection/pg/secret", json={"url": "postgresql://u:pass-word@127.0.0.1:1/d"})
    assert told["test_status"] == "failed"
    assert "pass-word" not in str(told)


@pytest.mark.parametrize("url", ["http://127.0.0.1/in", "https://169.254.169.254/latest", "https://[::1]/in"])
def test_a_service_at_a_private_address_is_refused_when_it_is_saved(shared_api: Api, url: str) -> None:
    make(shared_api, "inside", "https")
    answer = shared_api.call("PUT", "/connection/inside/secret", json={"url": url, "authorization": "Bearer s"})
    assert answer.status_code == 422, answer.text
    assert (answer.json()["code"], answer.json()["where"]) == ("egress_refused", "secrets.url")
    assert shared_api.ok("GET", "/connection/inside/test", params={})["test_status"] != "succeeded"


def test_a_service_takes_its_url_and_authorization(shared_api: Api) -> None:
    make(shared_api, "service", "https")
    told = shared_api.ok(
        "PUT", "/connection/service/secret", json={"url": "https://service.example.com/in", "authorization": "Bearer s"}
    )
    assert (told["test_status"], told["failure_reason"], told["changed"]) == ("skipped", None, True)
    assert shared_api.ok("GET", "/connection/service/test")["test_status"] == "skipped"
    assert shared_api.ok("GET", "/connection/service")["last_test_succeeded"] is None
    schema = shared_api.ok("GET", "/connection_type/https/secret")
    assert sorted(schema["required"]) == ["authorization", "url"]
    assert "https" not in {each["identifier"] for each in shared_api.ok("GET", "/connection_type")["items"]}


@pytest.mark.parametrize(
    "secrets",
    [
        {"url": "https://service.example.com"},
        {"url": "ftp://service.example.com", "authorization": "x"},
        {"url": "https://", "authorization": "x"},
        {"url": "https://user:secret@service.example.com", "authorization": "x"},
        {"url": "https://service.example.com:99999", "authorization": "x"},
        {"url": "https://service.example.com", "authorization": "a\r\nHost: b"},
        {"url": "https://service.example.com", "authorization": "x", "more": 1},
    ],
)
def test_a_service_with_wrong_secrets_is_refused(shared_api: Api, secrets: dict[str, Any]) -> None:
    make(shared_api, "misplaced", "https")
    answer = shared_api.call("PUT", "/connection/misplaced/secret", json=secrets)
    assert answer.status_code == 422
    assert "secret@" not in answer.text
