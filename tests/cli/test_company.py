"""The commands on the demo's company: on a local data directory and against a server, with the same answers."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import ENVIRONMENT, Habeas, Said
from cli.serving import Server
from habeas.cli.demo_data import EMAIL, HERS, PHONE, dump, write_company
from habeas.store.receipt_format import keys_document

IDENTITY = ("--identity", f"email={EMAIL}", "--identity", f"phone_number={PHONE}")


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """The folder of the company's databases and its declaration."""
    folder = tmp_path / "company"
    folder.mkdir()
    write_company(folder)
    return folder


@pytest.fixture(params=["local", "server"])
def anywhere(request: pytest.FixtureRequest, quick: Habeas, data_dir: Path) -> Iterator[Habeas]:
    """The command line on the data directory, then the same against a server of it."""
    if request.param == "local":
        yield quick
        return
    server = Server(data_dir, ENVIRONMENT)
    credentials = server.credentials
    try:
        yield lambda *arguments, **given: quick(*arguments, "--server", server.url, **credentials, **given)
    finally:
        server.end(signal.SIGTERM)


def _ok(said: Said) -> Said:
    assert said.code == 0, said.out + said.err
    return said


def test_apply_shows_the_difference_makes_it_and_is_idempotent(anywhere: Habeas, company: Path) -> None:
    file = company / "company.yml"
    planned = _ok(anywhere("apply", file, "--dry-run", "--json")).json
    assert {change["what"] for change in planned["changes"]} == {"create", "send"}
    assert _ok(anywhere("connection", "list", "--json")).json == []
    _ok(anywhere("apply", file))
    again = _ok(anywhere("apply", file, "--json")).json["changes"]
    assert {change["what"] for change in again} == {"same"}
    assert "0 done, " in _ok(anywhere("apply", file)).out

    text = file.read_text().replace("targets: [user]", "targets: [user.contact]", 1)
    file.write_text(text.replace("name: Shop\n", "name: Store\n", 1))
    changed = _ok(anywhere("apply", file, "--json")).json["changes"]
    told = {(change["noun"], change["key"], change["what"]) for change in changed}
    assert ("connection", "shop", "change") in told
    assert ("target", "demo_hand_over user", "remove") in told
    assert ("target", "demo_hand_over user.contact", "create") in told


def test_a_dry_run_on_a_fresh_directory_writes_nothing(quick: Habeas, company: Path, data_dir: Path) -> None:
    said = _ok(quick("apply", company / "company.yml", "--dry-run", "--json"))
    assert {change["what"] for change in said.json["changes"]} == {"create", "send"}
    assert not data_dir.exists()
    assert said.err == ""


def test_a_request_from_preview_to_verified_receipt(anywhere: Habeas, company: Path, tmp_path: Path) -> None:
    _ok(anywhere("apply", company / "company.yml"))
    tests = _ok(anywhere("connection", "test", "--json")).json
    assert [each["test_status"] for each in tests] == ["succeeded", "succeeded"]

    before = dump(company)
    explained = _ok(anywhere("plan", "explain", "demo_erasure", *IDENTITY, "--json")).json
    rows = {part["address"]: part["rows"] for part in explained["collections"]}
    assert rows["shop:customers"] == {"own": 1}
    assert dump(company) == before
    assert "shop:addresses" in _ok(anywhere("plan", "explain", "demo_erasure", *IDENTITY)).out

    submit = ("request", "submit", "demo_erasure", *IDENTITY, "--wait", "--json", "--external-id", "x1")
    ended = _ok(anywhere(*submit)).json
    assert (ended["status"], ended["outcome"]) == ("complete", "erased_with_kept")
    after = dump(company)
    changed = {
        table: frozenset(key[0] for key in rows if after[table][key] != rows[key]) for table, rows in before.items()
    }
    assert {table: keys for table, keys in changed.items() if keys} == HERS

    shown = _ok(anywhere("request", "show", ended["id"], "--json")).json
    assert shown["log"]
    listed = _ok(anywhere("request", "list", "--external-id", "x", "--status", "complete", "--json")).json
    assert [item["id"] for item in listed["items"]] == [ended["id"]]
    assert ended["id"] in _ok(anywhere("request", "list")).out

    receipt = tmp_path / "receipt.json"
    _ok(anywhere("receipt", "show", ended["id"], "-o", receipt))
    assert _ok(anywhere("receipt", "head", "--json")).json


def test_a_receipt_verifies_offline_and_a_changed_one_does_not(quick: Habeas, company: Path, tmp_path: Path) -> None:
    _ok(quick("apply", company / "company.yml"))
    ended = _ok(quick("request", "submit", "demo_access", *IDENTITY, "--wait", "--json")).json
    receipt = tmp_path / "receipt.json"
    _ok(quick("receipt", "show", ended["id"], "-o", receipt))
    told = _ok(quick("receipt", "verify", receipt, "--json")).json  # the data directory knows the key
    assert (told["genuine"], told["signer"]) == (True, "known")
    document = json.loads(receipt.read_text())
    document["receipt"]["policy"] = "another"
    receipt.write_text(json.dumps(document))
    said = quick("receipt", "verify", receipt)
    assert (said.code, said.out.partition(":")[0]) == (1, "NOT GENUINE")
    receipt.write_text("{")
    assert quick("receipt", "verify", receipt).code == 1


def test_a_receipt_is_genuine_only_by_a_key_that_is_known(quick: Habeas, company: Path, tmp_path: Path) -> None:
    """A forger signs with a key of his own: nothing is changed since, and nothing is proven."""
    _ok(quick("apply", company / "company.yml"))
    ended = _ok(quick("request", "submit", "demo_access", *IDENTITY, "--wait", "--json")).json
    forged, empty, keys = tmp_path / "receipt.json", tmp_path / "none", tmp_path / "keys.json"
    _ok(quick("receipt", "show", ended["id"], "-o", forged))
    said = quick("receipt", "verify", forged, "--data-dir", empty)
    assert said.code == 1
    assert "signer isn't known" in said.out
    assert "enuine" not in said.out
    told = quick("receipt", "verify", forged, "--data-dir", empty, "--json").json
    assert (told["genuine"], told["signer"]) == (None, "unknown")
    assert not empty.exists()
    document = json.loads(forged.read_text())
    keys.write_text(json.dumps(keys_document({document["head"]["key_id"]: bytes.fromhex(document["public_key"])})))
    assert _ok(quick("receipt", "verify", forged, "--keys", keys, "--data-dir", empty, "--json")).json["genuine"]
    keys.write_text('{"keys": []}')
    assert quick("receipt", "verify", forged, "--keys", keys).code == 1


def test_dataset_draft_is_a_dataset_and_check_names_file_line_and_field(
    anywhere: Habeas, company: Path, tmp_path: Path
) -> None:
    _ok(anywhere("apply", company / "company.yml"))
    draft = tmp_path / "draft.yml"
    _ok(anywhere("dataset", "draft", "shop", "-o", draft))
    assert "shipping_address_id" in draft.read_text()
    _ok(anywhere("dataset", "check", draft, "--no-stored"))
    draft.write_text(draft.read_text().replace("name: customers", "nmae: customers", 1))
    said = anywhere("dataset", "check", draft, "--no-stored", "--json")
    assert said.code == 1
    assert any(problem["line"] for problem in said.json["problems"])


def test_what_the_api_refuses_is_exit_code_1_with_its_words(anywhere: Habeas) -> None:
    said = anywhere("request", "submit", "nosuch", "--identity", "email=bo@example.net")
    assert said.code == 1
    assert "nosuch" in said.err
    assert "bo@example.net" not in said.err + said.out
    assert anywhere("request", "show", "pri_nosuch").code == 1
    assert anywhere("dataset", "draft", "nosuch").code == 1


def test_pausing_stops_new_executions_and_loses_none(quick: Habeas, company: Path) -> None:
    _ok(quick("apply", company / "company.yml"))
    assert _ok(quick("execution", "pause", "--json")).json["paused"] is True
    waiting = _ok(quick("request", "submit", "demo_access", *IDENTITY, "--json")).json
    assert "paused" in _ok(quick("execution", "status")).out
    assert _ok(quick("execution", "resume", "--json")).json["paused"] is False
    ended = _ok(quick("request", "watch", waiting["id"], "--json")).json
    assert ended["status"] == "complete"


def test_doctor_is_content_with_the_company_and_names_what_is_wrong(quick: Habeas, company: Path) -> None:
    _ok(quick("apply", company / "company.yml"))
    findings = _ok(quick("doctor", "--json")).json
    assert not [each for each in findings if each["level"] == "error"]
    assert {"connection shop", "policy demo_erasure"} <= {each["what"] for each in findings}
    (company / "support.db").unlink()
    said = quick("doctor", "--json")
    assert said.code == 1
    assert any(each["what"] == "connection support" and each["level"] == "error" for each in said.json)
