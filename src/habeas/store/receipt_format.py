"""The form of receipts: leaves, Merkle tree, signed heads, and the document that anyone can verify offline.

Receipts of a cohort are leaves of a Merkle tree (RFC 6962 §2.1, SHA-256); its root stands in a head, signed
with Ed25519 (RFC 8032); each head holds the digest of the one before. Bodies are canonical JSON (RFC 8785)
of texts and integers. Hashes, keys and signatures are lower-case hex. Pure, and light to import: it knows
no database, so that a receipt can be verified with the public key alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from habeas.core.errors import BadInput, BadSyntax

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PublicKeys = Mapping[str, bytes]
"""Raw Ed25519 public keys (32 bytes) by key id."""

FIRST = "0" * 64
"""What the first head of a chain has in place of a predecessor."""

HEAD_FORMAT = "habeas-head/1"
_SIGNED = b"habeas-head/1\n"  # keeps a head's signature from ever being one of something else


class ReceiptRefused(BadInput):
    """The receipt, its proof, its head or its signature don't agree, or the key isn't a known one."""

    code = "receipt_refused"


class VerifiedReceipt(NamedTuple):
    """What a verified document stands for: the receipt, and which head of the chain holds it."""

    receipt: Mapping[str, object]
    head: int
    key_id: str
    time: str


def canonical_json(value: object) -> bytes:
    """RFC 8785 bytes of texts, integers, booleans, null, lists and mappings. Raises BadInput for anything else."""
    import rfc8785

    _check_values(value, 0)
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type] # checked just above
    except rfc8785.CanonicalizationError:
        raise BadInput("holds a number or text that canonical JSON can't carry", where="receipt") from None


def leaf_hash(body: bytes) -> bytes:
    """The hash of one leaf: SHA-256 over 0x00 and the canonical body."""
    return hashlib.sha256(b"\x00" + body).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, in order. Raises ValueError without leaves."""
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    level = list(leaves)
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Sibling hashes from leaf `index` up to the root (RFC 6962 §2.1.1)."""
    path: list[bytes] = []
    level, position = list(leaves), index
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, position = _next_level(level), position // 2
    return path


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to; None where path, index and size don't fit each other (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return None
    node, position, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            return None
        if position & 1 or position == last:
            node = _node(sibling, node)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            node = _node(node, sibling)
        position, last = position >> 1, last >> 1
    return node if last == 0 else None


def head_body(*, number: int, previous: str, root: bytes, size: int, time: str, key_id: str) -> dict[str, object]:
    """The body of a head, to be signed. `previous` is `head_digest` of the one before, `FIRST` for the first."""
    return {
        "format": HEAD_FORMAT,
        "number": number,
        "previous": previous,
        "root": root.hex(),
        "size": size,
        "time": time,
        "key_id": key_id,
    }


def head_digest(body: bytes) -> str:
    """What the next head names as `previous`: hex SHA-256 of the canonical body."""
    return hashlib.sha256(body).hexdigest()


def sign_head(key: Ed25519PrivateKey, body: bytes) -> bytes:
    """The signature (64 bytes) of a head's canonical body."""
    return key.sign(_SIGNED + body)


def key_id_of(public_key: bytes) -> str:
    """The name of a public key: the first 16 hex digits of the SHA-256 of its raw bytes."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def receipt_document(
    receipt: Mapping[str, object],
    *,
    leaves: Sequence[bytes],
    index: int,
    head: Mapping[str, object],
    signature: bytes,
    public_key: bytes | None,
) -> dict[str, object]:
    """The document that goes out: receipt, proof, head, signature, and the public key where it is known."""
    document: dict[str, object] = {
        "receipt": receipt,
        "proof": {
            "index": index,
            "size": len(leaves),
            "path": [each.hex() for each in inclusion_path(leaves, index)],
        },
        "head": head,
        "signature": signature.hex(),
    }
    return document if public_key is None else document | {"public_key": public_key.hex()}


def read_receipt_document(text: str | bytes) -> dict[str, object]:
    """Parse a document; raises BadSyntax with line and column, or for a key that stands twice."""
    try:
        document = json.loads(text, object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError:
        raise BadSyntax("is not UTF-8 text", where="receipt") from None
    except json.JSONDecodeError as error:
        raise BadSyntax(error.msg, where=f"line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise BadSyntax("is nested too deeply", where="receipt") from None
    if not isinstance(document, dict):
        raise BadSyntax("is not a JSON object", where="receipt")
    return document


def verify_receipt_document(document: Mapping[str, object], public_keys: PublicKeys) -> VerifiedReceipt:
    """Check the whole document against trusted keys; raises ReceiptRefused for any disagreement.

    Nothing of it may differ from what was signed: unknown parts are refused too.
    """
    parts = _parts(document)
    head = parts.head
    key = public_keys.get(_text(head, "key_id"))
    if key is None:
        _refuse("is signed with a key that isn't among the given ones", "head.key_id")
    _check_signature(key, canonical_json(head), _hex(document["signature"], "signature", 64))
    if "public_key" in document and _hex(document["public_key"], "public_key", 32) != key:
        _refuse("is not the key that signed", "public_key")
    if parts.size != _integer(head, "size", "head"):
        _refuse("is not the size of the signed tree", "proof.size")
    root = root_of_path(leaf_hash(canonical_json(parts.receipt)), parts.position, parts.size, parts.path)
    if root is None or root.hex() != _text(head, "root"):
        _refuse("is not the one that was signed", "receipt")
    return VerifiedReceipt(parts.receipt, _integer(head, "number", "head"), _text(head, "key_id"), _text(head, "time"))


def embedded_keys(document: Mapping[str, object]) -> PublicKeys:
    """The key that a document carries itself. It proves that nothing was changed since, not who signed."""
    embedded = document.get("public_key")
    if embedded is None:
        return {}
    key = _hex(embedded, "public_key", 32)
    return {key_id_of(key): key}


def verify_head(
    body: bytes, signature: bytes, previous: str, number: int, public_keys: PublicKeys
) -> Mapping[str, object]:
    """One link of the chain: signed by a known key, with this number and predecessor. Gives the head's body.

    Raises ReceiptRefused naming the head by number only.
    """
    where = f"head {number}"
    try:
        head = json.loads(body)
    except ValueError:
        _refuse("is not JSON", where)
    if not isinstance(head, dict) or canonical_json(head) != body:
        _refuse("is not in canonical form", where)
    key = public_keys.get(str(head.get("key_id")))
    if key is None:
        _refuse("is signed with an unknown key", where)
    _check_signature(key, body, signature)
    if head.get("number") != number or head.get("previous") != previous:
        _refuse("does not follow the one before it", where)
    return head


def chain_entries(document: Mapping[str, object]) -> list[Mapping[str, Any]]:
    """The heads of a chain document with their signatures, oldest first. Raises ReceiptRefused for another form."""
    heads = document.get("heads")
    if document.keys() != {"heads"} or not isinstance(heads, list) or not heads:
        _refuse("has not exactly a list of heads", "chain")
    for number, entry in enumerate(heads, 1):
        if not isinstance(entry, Mapping) or entry.keys() != {"head", "signature"}:
            _refuse("has not exactly head and signature", f"head {number}")
        head = entry["head"]
        if not isinstance(head, Mapping) or head.keys() != _HEAD or head["format"] != HEAD_FORMAT:
            _refuse(f"is not of the form {HEAD_FORMAT}", f"head {number}")
        _hex(entry["signature"], f"head {number}: signature", 64)
    return heads


def keys_document(public_keys: PublicKeys) -> dict[str, object]:
    """What `/.well-known/habeas-receipt-keys.json` shows, ordered by key id."""
    return {
        "keys": [
            {"key_id": key_id, "algorithm": "Ed25519", "public_key": key.hex()}
            for key_id, key in sorted(public_keys.items())
        ]
    }


def read_keys_document(document: object) -> PublicKeys:
    """Read what `keys_document` made; raises BadInput for another form or a key under another's id."""
    entries = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        raise BadInput("has no list of keys", where="keys")
    keys: dict[str, bytes] = {}
    for position, entry in enumerate(entries):
        where = f"keys[{position}]"
        if not isinstance(entry, Mapping) or entry.get("algorithm") != "Ed25519":
            raise BadInput("is not an Ed25519 key", where=where)
        key = _hex(entry.get("public_key"), f"{where}.public_key", 32)
        if entry.get("key_id") != key_id_of(key):
            raise BadInput("is not the id of this key", where=f"{where}.key_id")
        keys[key_id_of(key)] = key
    return keys


class _Parts(NamedTuple):
    receipt: Mapping[str, object]
    position: int
    size: int
    path: list[bytes]
    head: Mapping[str, object]


_DOCUMENT = frozenset({"receipt", "proof", "head", "signature"})
_PROOF = frozenset({"index", "size", "path"})
_HEAD = frozenset({"format", "number", "previous", "root", "size", "time", "key_id"})


def _parts(document: Mapping[str, object]) -> _Parts:
    if document.keys() - {"public_key"} != _DOCUMENT:
        _refuse("has not exactly the parts receipt, proof, head, signature and public_key", "receipt")
    receipt = _mapping(document, "receipt")
    proof = _mapping(document, "proof")
    head = _mapping(document, "head")
    if proof.keys() != _PROOF:
        _refuse("has not exactly index, size and path", "proof")
    if head.keys() != _HEAD or head["format"] != HEAD_FORMAT:
        _refuse(f"is not of the form {HEAD_FORMAT}", "head")
    path = proof["path"]
    if not isinstance(path, list):
        _refuse("is not a list", "proof.path")
    hashes = [_hex(each, "proof.path", 32) for each in path]
    return _Parts(receipt, _integer(proof, "index", "proof"), _integer(proof, "size", "proof"), hashes, head)


def _check_signature(key: bytes, body: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _SIGNED + body)
    except (InvalidSignature, ValueError):
        _refuse("does not fit the head", "signature")


def _next_level(level: list[bytes]) -> list[bytes]:
    pairs = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _check_values(value: object, depth: int) -> None:
    if depth > 64:
        raise BadInput("is nested too deeply", where="receipt")
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise BadInput("has a key that is no text", where="receipt")
        _check_all(value.values(), depth)
    elif isinstance(value, list | tuple):
        _check_all(value, depth)
    else:
        raise BadInput("holds something other than texts and integers", where="receipt")


def _check_all(values: Iterable[object], depth: int) -> None:
    for each in values:
        _check_values(each, depth + 1)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadSyntax("a key stands twice in one object", where="receipt")
    return made


def _mapping(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = document[name]
    if not isinstance(value, Mapping):
        _refuse("is not an object", name)
    return value


def _text(head: Mapping[str, object], name: str) -> str:
    value = head[name]
    if not isinstance(value, str):
        _refuse("is not a text", f"head.{name}")
    return value


def _integer(part: Mapping[str, object], name: str, where: str) -> int:
    value = part[name]
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse("is not an integer", f"{where}.{name}")
    return value


def _hex(value: object, where: str, size: int) -> bytes:
    # One spelling only: a changed letter case would otherwise still verify.
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", value):
        _refuse(f"is not {2 * size} lower-case hex digits", where)
    return bytes.fromhex(value)


def _refuse(problem: str, where: str) -> NoReturn:
    raise ReceiptRefused(problem, where=where)
