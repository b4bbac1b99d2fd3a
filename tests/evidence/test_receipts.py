"""Receipts are checked without habeas, any change is refused, and nobody is found in one."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import receiptbook
import shopbook
from companybook import Company
from serving import Server, serving

MUTATIONS = 2_000  # `make prove-receipts` tries 100,000
SEED = 20261124
DICTIONARY = ("ada.one@example.com", "ada.two@example.com", "bda.one@example.com", "+12025550101", "+12025550102")


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[dict[str, Any]]]]:
    """A server that erased and answered requests, and their receipts."""
    folder = tmp_path_factory.mktemp("evidence")
    company = Company(folder, f"sqlite:///{folder / 'shop.db'}")
    with serving(folder / "data") as server:
        company.declare(server)
        ids = [server.api.run("both", shopbook.SUBJECT)["id"]]
        ids.append(server.api.run("both", {"email": "ada.two@example.com"})["id"])
        yield server, [server.api.call("GET", f"/privacy-request/{each}/receipt") for each in ids]


def run_script(*arguments: str | Path) -> tuple[int, str]:
    told = subprocess.run(
        [sys.executable, "-I", str(receiptbook.SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return told.returncode, told.stdout + told.stderr


def test_the_verifier_stands_alone() -> None:
    text = receiptbook.SCRIPT.read_text()
    assert text.count("\n") < 300
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in ([each.name for each in node.names] if isinstance(node, ast.Import) else [])
        + ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_a_real_receipt_and_chain_are_genuine_without_habeas(
    erased: tuple[Server, list[dict[str, Any]]], tmp_path: Path
) -> None:
    server, receipts = erased
    keys, file, head, chain = (tmp_path / f"{name}.json" for name in ("keys", "receipt", "head", "chain"))
    keys.write_bytes(server.api.http.get("/.well-known/habeas-receipt-keys.json").content)
    head.write_text(json.dumps(server.api.call("GET", "/receipt/head")))
    chain.write_text(json.dumps(server.api.call("GET", "/receipt/chain")))
    for number, receipt in enumerate(receipts, 1):
        file.write_text(json.dumps(receipt, indent=2))
        code, told = run_script("receipt", file, "--keys", keys, "--chain", chain)
        assert (code, f"head {number}" in told) == (0, True), told
    assert run_script("chain", chain, "--keys", keys, "--published", head)[0] == 0
    dropped = {"heads": json.loads(chain.read_text())["heads"][:-1]}
    chain.write_text(json.dumps(dropped))
    assert run_script("chain", chain, "--keys", keys)[0] == 0
    for dropped_end in (("chain", chain, "--published", head), ("receipt", file, "--chain", chain)):
        code, told = run_script(*dropped_end, "--keys", keys)
        assert (code, "its end was dropped" in told) == (1, True), told
    file.write_text(file.read_text().replace('"erased', '"Erased', 1))
    code, told = run_script("receipt", file, "--keys", keys)
    assert (code, "NOT GENUINE" in told) == (1, True), told


def test_the_chain_is_written_to_a_file(erased: tuple[Server, list[dict[str, Any]]], tmp_path: Path) -> None:
    server, _ = erased
    keys, chain = tmp_path / "keys.json", tmp_path / "chain.json"
    keys.write_bytes(server.api.http.get("/.well-known/habeas-receipt-keys.json").content)
    assert server.run("receipt", "chain", "-o", str(chain)).wait(60) == 0
    assert run_script("chain", chain, "--keys", keys)[0] == 0


def test_every_tampered_file_is_refused() -> None:
    for document in receiptbook.DOCUMENTS:
        text = json.dumps(document)
        assert receiptbook.own_verdict(text, chain=False)
        assert receiptbook.script_verdict(receiptbook.load_script(), text, chain=False)
    null_key = json.dumps(receiptbook.DOCUMENTS[0] | {"public_key": None})  # which habeas once took for genuine
    assert not receiptbook.own_verdict(null_key, chain=False)
    tried, passed = receiptbook.run_mutations(MUTATIONS, SEED)
    assert not passed
    assert len(tried) == len({*receiptbook.ON_RECEIPTS}) + len({*receiptbook.ON_CHAINS})


def test_nobody_is_found_in_a_receipt(erased: tuple[Server, list[dict[str, Any]]]) -> None:
    """Neither as they are, nor by trying all e-mails with everything that a holder of receipts knows."""
    server, receipts = erased
    public = json.dumps([receipts, server.api.http.get("/.well-known/habeas-receipt-keys.json").json()])
    for trace in ("ada.", "ada one", "2025550101", "555-0101", "leave at door", "called ada", "example.com"):
        assert trace not in public.lower()
    hashes = {hashed for each in receipts for _, hashed, _ in each["receipt"]["identities"]}
    assert len(hashes) == 3
    known = [b"", *texts_of(json.loads(public)), *(bytes.fromhex(each) for each in hexes_of(json.loads(public)))]
    assert len(known) > 50
    for word in DICTIONARY:
        for form in {word.encode(), f"email{word}".encode(), f"email:{word}".encode(), f"email\0{word}".encode()}:
            tries = {hashlib.sha256(salt + form).hexdigest() for salt in known}
            tries |= {hashlib.sha256(form + salt).hexdigest() for salt in known}
            tries |= {hmac.digest(salt, form, "sha256").hex() for salt in known}
            assert not {each[:size] for each in tries for size in (32, 64)} & {
                each[:size] for each in hashes for size in (32, 64)
            }


def test_the_same_person_has_another_hash_elsewhere(
    erased: tuple[Server, list[dict[str, Any]]], tmp_path: Path
) -> None:
    _, receipts = erased
    company = Company(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}")
    with serving(tmp_path / "data") as other:
        company.declare(other)
        request_id = other.api.run("both", shopbook.SUBJECT)["id"]
        elsewhere = other.api.call("GET", f"/privacy-request/{request_id}/receipt")
    here = {hashed for _, hashed, _ in receipts[0]["receipt"]["identities"]}
    assert not here & {hashed for _, hashed, _ in elsewhere["receipt"]["identities"]}


def texts_of(value: Any) -> Iterator[bytes]:
    """Every text inside."""
    if isinstance(value, str):
        yield value.encode()
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key.encode()
            yield from texts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)


def hexes_of(value: Any) -> list[str]:
    """Every text that is hex."""
    digits = set(b"0123456789abcdef")
    return [each.decode() for each in texts_of(value) if len(each) >= 32 and len(each) % 2 == 0 and set(each) <= digits]
