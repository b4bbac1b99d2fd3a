"""What fides was advised of, one test each, named by its advisory. Those of verification and sign-in are next door."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import habeas
from apibook import ROOT_ID, Api, open_api
from habeas.api.docs import page_of
from habeas.api.reference import scope_of
from habeas.cli.serve import _await_database
from habeas.core.errors import BadInput, Unavailable
from habeas.core.settings import Settings, load_settings
from habeas.deliver.messages.wording import write
from habeas.egress.policy import EgressPolicy
from habeas.requests.scopes import ROLES
from requestbook import MAIL

MARK = "marker-of-a-secret-7f3a"
PASSWORD = "Correct-horse-7"
SOURCE = Path(habeas.__file__).parent


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    yield from open_api(tmp_path_factory.mktemp("advisories"))


@cache
def imported() -> dict[str, set[str]]:
    """The modules that each file of habeas imports, by their first name."""
    found: dict[str, set[str]] = {}
    for file in SOURCE.rglob("*.py"):
        names = found.setdefault(str(file.relative_to(SOURCE)), set())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    assert len(found) > 100
    return found


def importers(*modules: str) -> set[str]:
    return {file for file, names in imported().items() if names & set(modules)}


@pytest.mark.parametrize("start", ["/", "/docs/", "/api/v1/", "/.well-known/", "/privacy/", "/static/"])
@pytest.mark.parametrize("step", ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..%252f"])
def test_cve_2023_36827_no_path_leads_to_a_file(api: Api, start: str, step: str) -> None:
    """Also PR 2330: nothing is served from a folder."""
    answer = api.call("GET", f"http://habeas.test{start}{step * 8}etc/passwd", token=None)
    assert answer.status_code in (400, 401, 404), answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("key", ["../../etc", "a/b", "a\\b", "a\x00b", "/etc"])
def test_cve_2023_36827_no_key_holds_a_path(api: Api, key: str) -> None:
    item = {"name": "elsewhere", "key": key, "type": "local", "details": {}}
    assert api.call("PATCH", "/storage/config", json=[item]).status_code == 422
    assert api.call("PATCH", "/policy", json=[{"name": "elsewhere", "key": key}]).status_code == 422


def test_cve_2023_37480_no_archive_is_unpacked() -> None:
    """Archives are only written."""
    assert importers("tarfile", "gzip", "bz2", "lzma") == set()
    for file in importers("zipfile"):
        text = (SOURCE / file).read_text(encoding="utf-8")
        assert not re.search(r"\.(extract|extractall|read|open)\(.*\b(ZipFile|archive)\b|extractall", text), file


def test_cve_2023_37481_no_xml_is_read() -> None:
    assert importers("xml", "lxml", "defusedxml", "html5lib") == set()


def test_cve_2023_41319_nothing_uploaded_is_executed() -> None:
    assert importers("RestrictedPython", "pickle", "marshal", "shelve", "code", "codeop", "dill") == set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), file
            if isinstance(node, ast.keyword) and node.arg == "shell":
                assert isinstance(node.value, ast.Constant), file
                assert node.value.value is False, file


def test_cve_2023_46125_the_configuration_is_the_owners_and_shows_nothing_inner(api: Api) -> None:
    assert [role for role, scopes in ROLES.items() if "config:read" in scopes] == ["owner"]
    settings = api.installation.settings
    told = json.dumps(api.ok("GET", "/config"))
    for inner in (str(settings.data_dir), settings.oauth_root_client_secret, settings.host, str(settings.port)):
        assert str(inner) not in told


def test_cve_2023_48224_codes_come_from_no_predictable_source() -> None:
    assert importers("random") == set()
    assert "requests/codes.py" in importers("secrets")


@contextmanager
def quoting_server(text: str) -> Iterator[int]:
    """A PostgreSQL server that refuses everybody and quotes what it shouldn't; its port."""
    told = b"SFATAL\0C28P01\0M" + f"no pg_hba.conf entry for {text}".encode() + b"\0\0"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                with link:
                    while (asked := link.recv(8192)) and len(asked) == 8:  # TLS or GSS?
                        link.sendall(b"N")
                    link.sendall(b"E" + (len(told) + 4).to_bytes(4, "big") + told)

        threading.Thread(target=refuse, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_cve_2024_34715_no_part_of_a_password_is_in_output_or_log(tmp_path: Path) -> None:
    """A password of characters that mean something in a URL, escaped or not, and a server that quotes it."""
    with quoting_server(f"someone:{MARK}@#/{MARK}") as port:
        for url in (
            f"postgresql://someone:{MARK}%40%23%2F{MARK}@127.0.0.1:{port}/habeas",
            f"postgresql://someone:{MARK}@#/{MARK}@127.0.0.1:{port}/habeas",
        ):
            done = subprocess.run(
                [sys.executable, "-m", "habeas", "serve", "--data-dir", str(tmp_path / "data")],
                env={"PATH": "/usr/bin", "HABEAS_DATABASE_URL": url, "PYTHONPATH": str(SOURCE.parent)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode != 0
            assert done.stderr
            assert MARK not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "place",
    [
        f"someone:{MARK}@#/{MARK}@127.0.0.1:5432/habeas",
        f"someone:{MARK}/{MARK}@127.0.0.1:5432/habeas",
        f"someone:{MARK}@{MARK}@127.0.0.1:5432/habeas",
        f"someone:{MARK}?{MARK}@127.0.0.1:5432/habeas",
        f"someone:12?{MARK}@127.0.0.1:5432/habeas",
        f"someone:{MARK}#{MARK}@127.0.0.1:5432/habeas",
        f"someone:{MARK}[x@127.0.0.1:port/habeas",
        f"someone:x@{MARK} x/habeas",
    ],
)
def test_cve_2024_34715_a_url_that_can_be_read_wrongly_is_refused(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a part of the password is taken for the host, which is said."""
    monkeypatch.setenv("HABEAS_DATABASE_URL", f"postgresql://{place}")
    with pytest.raises(BadInput, match=r"HABEAS_DATABASE_URL.*escape") as caught:
        load_settings()
    assert MARK not in str(caught.value)


def test_cve_2024_34715_nor_while_a_server_is_awaited(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(database_url=f"postgresql://someone:{MARK}%40%23%2Fx@127.0.0.1:9/habeas")
    with pytest.raises(Unavailable) as caught:
        _await_database(settings, wait_seconds=1.5)
    seen = capfd.readouterr()
    assert "waiting" in seen.out + seen.err
    assert MARK not in seen.out + seen.err + str(caught.value) + repr(settings)


def test_cve_2024_35189_no_answer_shows_a_secret(api: Api) -> None:
    """At any depth: connections with secrets, then every GET there is."""
    made = {"name": "secretive", "key": "secretive", "connection_type": "postgres", "access": "write"}
    api.saved("/connection", made)
    secrets = {"host": "127.0.0.1", "port": 9, "username": "someone", "password": MARK, "dbname": "nothing"}
    told = api.call("PUT", "/connection/secretive/secret", params={"verify": "false"}, json=secrets)
    assert told.status_code == 200
    assert MARK not in told.text
    document = api.ok("GET", "/openapi.json", token=None)
    seen = 0
    for path, methods in document["paths"].items():
        if "get" in methods:
            answer = api.call("GET", re.sub(r"{connection_key}", "secretive", path), params={"follow": "false"})
            assert MARK not in answer.text, path
            assert answer.status_code != 500, path
            seen += "secretive" in answer.text
    assert seen >= 2


def test_cve_2024_31223_open_answers_tell_nothing_inner(api: Api) -> None:
    document = api.ok("GET", "/openapi.json", token=None)
    settings = api.installation.settings
    paths = [path for path, methods in document["paths"].items() if "get" in methods and not scope_of(methods["get"])]
    assert "/health" in paths
    for path in [*paths, "/docs", "/openapi.json"]:
        answer = api.call("GET", path, token=None)
        assert answer.status_code in (200, 404, 501), path
        assert str(settings.data_dir) not in answer.text
        assert "sqlite:" not in answer.text or path in ("/docs", "/openapi.json")
        assert "server" not in answer.headers


def test_cve_2024_38537_no_page_loads_anything_from_elsewhere(api: Api) -> None:
    answer = api.call("GET", "/docs", token=None)
    assert not re.search(r"(src|href|url\()\s*=?\s*[\"']?(https?:)?//", answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("text", ["{{7*7}}", "{% print(7*7) %}", "${7*7}", "{code.__class__}", "%(code)s", "{0}"])
def test_cve_2024_45053_text_is_never_a_template(text: str) -> None:
    assert importers("jinja2", "mako", "chevron") == set()
    wording = write("verification_code", "en", {"code": text, "minutes": "10"})
    assert text in wording.text
    assert "49" not in wording.text.replace(text, "")


def test_cve_2024_52008_an_invitation_sets_no_weak_password(api: Api) -> None:
    invited = api.call("POST", "/user", json={"username": "invited"}).json()
    body = {"username": "invited", "invite_code": invited["invite_code"], "new_password": "weak"}
    assert api.call("POST", "/user/accept-invite", token=None, json=body).status_code == 422
    body["new_password"] = PASSWORD  # the refusal used nothing up
    assert api.call("POST", "/user/accept-invite", token=None, json=body).status_code == 200


def test_cve_2025_57766_no_session_survives_another_password(api: Api) -> None:
    made = api.ok("POST", "/user", json={"username": "surviving", "password": PASSWORD})
    login = {"username": "surviving", "password": PASSWORD}
    tokens = [api.ok("POST", "/login", token=None, json=login)["token_data"]["access_token"] for _ in range(2)]
    body = {"old_password": PASSWORD, "new_password": "Battery-staple-8"}
    api.ok("POST", f"/user/{made['id']}/reset-password", token=tokens[0], json=body)
    assert [api.call("GET", "/privacy-request", token=each).status_code for each in tokens] == [401, 401]


def test_cve_2025_57817_no_client_or_user_gives_what_it_lacks(api: Api) -> None:
    every = ("client:create", "client:update", "user:create", "user-permission:create", "user-permission:update")
    token = api.token_with(*every)
    assert api.call("POST", "/oauth/client", token=token, json=["policy:read"]).status_code == 403
    mine = api.ok("POST", "/oauth/client", token=token, json=["client:create"])["client_id"]
    assert api.call("PUT", f"/oauth/client/{mine}/scope", token=token, json=["policy:read"]).status_code == 403
    assert api.call("PUT", f"/oauth/client/{ROOT_ID}/scope", token=token, json=[]).status_code == 403
    user = api.ok("POST", "/user", token=token, json={"username": "puppet", "password": PASSWORD})["id"]
    bodies: list[dict[str, Any]] = [{"roles": ["owner"]}, {"scopes": ["policy:read"]}]
    for method in ("POST", "PUT"):
        for body in bodies:
            assert api.call(method, f"/user/{user}/permission", token=token, json=body).status_code == 403


def test_cve_2023_46124_no_client_but_ours_calls_outside() -> None:
    """SSRF: every call goes through the client that judges addresses (`test_egress.py`). The command line calls the
    server that its user names.
    """
    other = ("requests", "urllib3", "aiohttp", "httpx", "pycurl", "http", "ftplib")
    assert importers(*other) <= {"api/errors.py", "api/metrics_listener.py"}  # HTTPStatus; a server
    for file in importers("httpx2", "httpcore2"):
        text = (SOURCE / file).read_text(encoding="utf-8")
        made = re.findall(
            r"\b(?:httpx2|httpcore2)\.(?:Client|AsyncClient|ConnectionPool|HTTPTransport|get|post)\(", text
        )
        assert not made or file in ("egress/client.py", "cli/client.py"), file
        assert "follow_redirects=True" not in text, file
    for file in SOURCE.rglob("*.py"):
        assert "urlopen" not in file.read_text(encoding="utf-8"), file


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,<script>1</script>", "vbscript:x", " https://x"]
)
def test_cve_2023_46126_no_script_is_an_address(api: Api, url: str) -> None:
    api.saved("/connection", {"name": "called", "key": "called", "connection_type": "https", "access": "read"})
    body = {"url": url, "authorization": "x"}
    assert api.call("PUT", "/connection/called/secret", json=body).status_code == 422
    with pytest.raises(BadInput):
        EgressPolicy().check_url(url)


def test_cve_2023_47114_text_stays_text_in_what_people_open(api: Api) -> None:
    """No package is HTML yet; the one page there is escapes its words, has no script and lets none run."""
    bad = {"name": "page", "key": "page", "type": "local", "details": {"naming": "request_id"}, "format": "html"}
    assert api.call("PATCH", "/storage/config", json=[bad]).status_code == 422
    document = json.loads(json.dumps(api.ok("GET", "/openapi.json", token=None)))
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    document["info"]["title"] = document["info"]["description"] = evil
    operation = document["paths"]["/health"]["get"]
    operation["summary"] = operation["description"] = evil
    operation["tags"] = [evil]
    page = page_of(document)
    assert "&lt;script&gt;" in page
    assert not re.search(r"<(script|img|iframe|object|svg)\b", page)


def test_ghsa_qx5f_ghc2_7g5c_a_duplicate_is_no_way_around_verification(tmp_path: Path) -> None:
    """Handed in again and again it waits for its code, and nobody can approve, retry or undo it into running."""
    verifying = {"subject_identity_verification_required": True, "duplicate_window_days": 7, **MAIL}
    for api in open_api(tmp_path / "data", **verifying):
        item = {"policy_key": "delete", "identity": {"email": "someone@example.com"}}
        made = [api.ok("POST", "/privacy-request", token=None, json=[item])["succeeded"][0] for _ in range(3)]
        assert {each["status"] for each in made} == {"identity_unverified"}
        ids = [each["id"] for each in made]
        told = api.ok("PATCH", "/privacy-request/administrate/approve", json={"request_ids": ids})
        assert told["succeeded"] == []
        for one in ids:
            assert api.call("POST", f"/privacy-request/{one}/retry").status_code >= 400
        items = api.ok("GET", "/privacy-request")["items"]
        assert {each["status"] for each in items} == {"identity_unverified"}
