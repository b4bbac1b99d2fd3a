"""Receipts: the tree equals RFC 6962's definition, and any tampering is refused."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.errors import BadInput, BadSyntax
from habeas.store import receipt_format as form

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
KEYS = {form.key_id_of(PUBLIC): PUBLIC}
SIZE, INDEX = 5, 3


def document(size: int = SIZE, index: int = INDEX) -> dict[str, Any]:
    bodies = [{"request": f"pri_{n}", "erasure": {"shop:people": {"frozen": n, "kept": {}}}} for n in range(size)]
    leaves = [form.leaf_hash(form.canonical_json(body)) for body in bodies]
    head = form.head_body(
        number=7,
        previous="ab" * 32,
        root=form.tree_root(leaves),
        size=size,
        time="2026-01-01T00:00:00.000000Z",
        key_id=form.key_id_of(PUBLIC),
    )
    signature = form.sign_head(KEY, form.canonical_json(head))
    return form.receipt_document(
        bodies[index], leaves=leaves, index=index, head=head, signature=signature, public_key=PUBLIC
    )


def rfc6962_root(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return hashlib.sha256(b"\x01" + rfc6962_root(entries[:split]) + rfc6962_root(entries[split:])).digest()


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_the_tree_is_rfc_6962s_and_every_leaf_has_a_proof(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [form.leaf_hash(entry) for entry in entries]
    root = form.tree_root(leaves)
    assert root == rfc6962_root(entries)
    index = data.draw(st.integers(0, len(entries) - 1))
    path = form.inclusion_path(leaves, index)
    assert form.root_of_path(leaves[index], index, len(leaves), path) == root
    assert form.root_of_path(leaves[index], index, len(leaves), [*path, root]) != root
    assert form.root_of_path(leaves[index], len(leaves), len(leaves), path) is None


@pytest.mark.parametrize(("size", "index"), [(1, 0), (2, 1), (5, 4), (8, 3)])
def test_an_honest_receipt_is_verified(size: int, index: int) -> None:
    text = json.dumps(document(size, index), indent=2)
    found = form.verify_receipt_document(form.read_receipt_document(text), KEYS)
    assert (found.head, found.receipt["request"]) == (7, f"pri_{index}")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, each in inner for place in places(each, (*path, key))]


def replaced(path: tuple[Any, ...], new: Any) -> dict[str, Any]:
    made = copy.deepcopy(document())
    at: Any = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return made


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


def exactly_equal(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(st.sampled_from(places(document())), json_values)
def test_any_changed_field_is_refused(path: tuple[Any, ...], new: Any) -> None:
    tampered = replaced(path, new)
    if exactly_equal(tampered, document()):
        return
    with pytest.raises(BadInput):
        form.verify_receipt_document(tampered, KEYS)


@pytest.mark.parametrize("path", [p for p in places(document()) if p != ("public_key",)])
def test_any_removed_field_is_refused(path: tuple[Any, ...]) -> None:
    tampered = copy.deepcopy(document())
    at: Any = tampered
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    with pytest.raises(BadInput):
        form.verify_receipt_document(tampered, KEYS)


@pytest.mark.parametrize("path", [(), ("proof",), ("head",), ("receipt",)])
def test_any_added_field_is_refused(path: tuple[str, ...]) -> None:
    tampered = replaced((*path, "more"), 1)
    with pytest.raises(BadInput):
        form.verify_receipt_document(tampered, KEYS)


@given(st.data())
def test_any_changed_byte_is_refused_or_says_the_same(data: st.DataObject) -> None:
    text = bytearray(json.dumps(document()).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = form.read_receipt_document(bytes(text))
        form.verify_receipt_document(read, KEYS)
    except BadInput:
        return
    assert exactly_equal(read, document())


def test_another_key_is_refused_even_if_the_document_brings_it() -> None:
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(form.ReceiptRefused, match="key"):
        form.verify_receipt_document(document(), {form.key_id_of(other): other})
    with pytest.raises(form.ReceiptRefused, match="signature"):
        form.verify_receipt_document(document(), {form.key_id_of(PUBLIC): other})
    with pytest.raises(form.ReceiptRefused, match="public_key"):
        form.verify_receipt_document(replaced(("public_key",), other.hex()), KEYS)
    assert form.verify_receipt_document(document(), form.embedded_keys(document()))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": 1, "a": 2}', b"\xff\xfe\xff", "[" * 100_000, '{"receipt": {"a": {"b": 1, "b": 1}}}']
)
def test_text_that_is_no_document(text: str | bytes) -> None:
    with pytest.raises(BadSyntax):
        form.read_receipt_document(text)


@pytest.mark.parametrize("value", [1.5, float("nan"), {1: 2}, b"x", 2**60, {"a": object()}])
def test_canonical_json_takes_texts_and_integers_only(value: object) -> None:
    with pytest.raises(BadInput):
        form.canonical_json(value)


def test_keys_document_round_trip() -> None:
    assert form.read_keys_document(json.loads(json.dumps(form.keys_document(KEYS)))) == KEYS
    for broken in (
        {},
        {"keys": [1]},
        {"keys": [{"key_id": "0" * 16, "algorithm": "Ed25519", "public_key": PUBLIC.hex()}]},
    ):
        with pytest.raises(BadInput):
            form.read_keys_document(broken)


def test_verification_imports_no_database() -> None:
    code = "import sys, habeas.store.receipt_format; print({'sqlalchemy', 'psycopg', 'dbos'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
