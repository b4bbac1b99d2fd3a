"""Tampered receipts and chains: random changes, each of which every verifier must refuse.

Changes are made to parsed documents and to their bytes, and by taking parts of other genuine documents. `python
receiptbook.py --n 100000` runs many and prints what was tried; the tests run fewer.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from habeas.core.errors import BadInput
from habeas.store import receipt_format as form

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FOREIGN = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = KEY.public_key().public_bytes_raw()
KEYS = {form.key_id_of(PUBLIC): PUBLIC}
SCRIPT = Path(__file__).parent.parent / "docs" / "verify" / "verify_receipt.py"
SIZES = (1, 2, 3, 5, 8, 13)


def load_script() -> Any:
    """The stand-alone verifier as a module."""
    spec = importlib.util.spec_from_file_location("verify_receipt", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def body(head: int, index: int) -> dict[str, Any]:
    """A receipt of the form that habeas writes."""
    counts = {"frozen": index + 3, "masked": index + 2, "vanished": 1, "verified": index + 3, "kept": {"context": 2}}
    return {
        "format": "habeas-receipt/1",
        "request": f"pri_{head}_{index}",
        "attempt": index % 2,
        "outcome": "erased",
        "policy": "delete",
        "plan": form.head_digest(b"plan %d" % head),
        "identities": [["email", form.head_digest(b"%d" % index), "vouched"], ["phone_number", "ab" * 32, "claimed"]],
        "absent_kinds": [],
        "erasure": {"shop:customer": counts | {"fields": {"email": "hmac", "naïve ✓": "null_rewrite"}}},
        "kept": {},
        "finished": "2026-01-01T00:00:00.000000Z",
    }


def build_chain(key: Ed25519PrivateKey = KEY) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Documents of all receipts, and the chain of their heads."""
    documents, heads, previous = [], [], form.FIRST
    public = key.public_key().public_bytes_raw()
    for number, size in enumerate(SIZES, 1):
        bodies = [body(number, index) for index in range(size)]
        leaves = [form.leaf_hash(form.canonical_json(each)) for each in bodies]
        head = form.head_body(
            number=number,
            previous=previous,
            root=form.tree_root(leaves),
            size=size,
            time=f"2026-01-01T00:00:{number:02}.000000Z",
            key_id=form.key_id_of(public),
        )
        text = form.canonical_json(head)
        signature = form.sign_head(key, text)
        documents += [
            form.receipt_document(each, leaves=leaves, index=index, head=head, signature=signature, public_key=public)
            for index, each in enumerate(bodies)
        ]
        heads.append({"head": head, "signature": signature.hex()})
        previous = form.head_digest(text)
    return documents, heads


DOCUMENTS, HEADS = build_chain()
FOREIGN_DOCUMENTS, FOREIGN_HEADS = build_chain(FOREIGN)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, each in inner for place in places(each, (*path, key))]


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def _changed(value: Any, dice: random.Random) -> Any:
    """Another value, most often of the same type."""
    if dice.random() < 0.1:
        return dice.choice([None, True, False, 0, -1, 1, "", [], {}, 1.0, 2**53, "0" * 64, [value], {"a": value}])
    if isinstance(value, bool) or value is None:
        return dice.choice([0, 1, "x"])
    if isinstance(value, int):
        return value + dice.choice([-1, 1, 2, 2**32, -2 * value or 7])
    if isinstance(value, str):
        return _changed_text(value, dice)
    if isinstance(value, list):
        made = list(value)
        if len(made) > 1 and dice.random() < 0.5:
            dice.shuffle(made)
            return made
        return [*made, dice.choice([None, 0, "x", *made])] if dice.random() < 0.5 or not made else made[1:]
    return {**value, f"more{dice.randrange(9)}": dice.randrange(9)}


def _changed_text(value: str, dice: random.Random) -> str:
    if not value or dice.random() < 0.1:
        return value + dice.choice(["x", " ", "\x00", "é", "0"])
    at = dice.randrange(len(value))
    if dice.random() < 0.15:
        return value[:at] + value[at + 1 :]
    if dice.random() < 0.1 and value[at].upper() != value[at]:
        return value[:at] + value[at].upper() + value[at + 1 :]
    return value[:at] + dice.choice("0123456789abcdefz ") + value[at + 1 :]


def change_value(document: Any, dice: random.Random) -> str:
    """Change one value anywhere."""
    path = dice.choice(places(document))
    where = _at(document, path[:-1])
    where[path[-1]] = _changed(where[path[-1]], dice)
    return json.dumps(document)


def drop_part(document: Any, dice: random.Random) -> str:
    """Leave something out."""
    path = dice.choice([each for each in places(document) if each != ("public_key",)])
    del _at(document, path[:-1])[path[-1]]
    return json.dumps(document)


def change_byte(document: Any, dice: random.Random) -> str:
    """Flip, drop, double or insert one byte of the file."""
    raw = bytearray(json.dumps(document, ensure_ascii=False, indent=dice.choice([None, 2])).encode())
    at = dice.randrange(len(raw))
    act = dice.randrange(4)
    if act == 0:
        raw[at] ^= 1 << dice.randrange(8)
    elif act == 1:
        del raw[at]
    elif act == 2:
        raw.insert(at, raw[at])
    else:
        raw.insert(at, dice.randrange(256))
    return raw.decode("utf-8", "replace")


def take_part(document: Any, dice: random.Random) -> str:
    """Put in a part of another genuine receipt."""
    other = copy.deepcopy(dice.choice(DOCUMENTS))
    for name in dice.sample(["receipt", "proof", "head", "signature"], dice.randrange(1, 4)):
        document[name] = other[name]
    return json.dumps(document)


def sign_anew(document: Any, dice: random.Random) -> str:
    """Change something and sign it with a key of one's own."""
    other = copy.deepcopy(dice.choice(FOREIGN_DOCUMENTS))
    if dice.random() < 0.5:
        other["head"]["key_id"] = form.key_id_of(PUBLIC)
        other["public_key"] = PUBLIC.hex()
        other["signature"] = form.sign_head(FOREIGN, form.canonical_json(other["head"])).hex()
    return json.dumps(other)


def swap_path(document: Any, dice: random.Random) -> str:
    """Another proof: its hashes moved, doubled or shortened, or the place with them."""
    path = document["proof"]["path"]
    act = dice.randrange(4)
    if act == 0 and path:
        document["proof"]["path"] = path[:-1]
    elif act == 1 and len(path) > 1:
        path.reverse()
    elif act == 2 and path:
        document["proof"]["index"] = (document["proof"]["index"] + 1) % document["proof"]["size"]
    else:
        path.append(dice.choice([*path, document["head"]["root"]]))
    return json.dumps(document)


def change_chain(document: Any, dice: random.Random) -> str:
    """A head left out, doubled, moved, taken from elsewhere, or the beginning dropped; its end may be missing."""
    heads = document["heads"]
    at = dice.randrange(len(heads) - 1)  # never the end: that shows only against a published head
    act = dice.randrange(5)
    if act == 0:
        del heads[at]
    elif act == 1:
        heads.insert(at, heads[at])
    elif act == 2:
        other = dice.choice([each for each in range(len(heads)) if each != at])
        heads[at], heads[other] = heads[other], heads[at]
    elif act == 3:
        heads[at] = dice.choice(FOREIGN_HEADS)
    else:
        document["heads"] = heads[at + 1 :]
    return json.dumps(document)


def re_sign_chain(document: Any, dice: random.Random) -> str:
    """A head changed and all that follow signed anew, by somebody else."""
    at = dice.randrange(len(document["heads"]))
    previous = document["heads"][at - 1]["head"] if at else None
    for entry in document["heads"][at:]:
        entry["head"]["time"] = "2026-02-02T00:00:00.000000Z"
        if previous is not None:
            entry["head"]["previous"] = form.head_digest(form.canonical_json(previous))
        entry["signature"] = form.sign_head(FOREIGN, form.canonical_json(entry["head"])).hex()
        previous = entry["head"]
    return json.dumps(document)


ON_RECEIPTS = (change_value, change_value, change_value, drop_part, change_byte, take_part, sign_anew, swap_path)
ON_CHAINS = (change_value, change_value, drop_part, change_byte, change_chain, re_sign_chain)


def same(text: str, document: Any) -> bool:
    """Whether a file still says the same: then nothing was changed."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return False
    return json.dumps(parsed, sort_keys=True) == json.dumps(document, sort_keys=True)


def own_verdict(text: str, *, chain: bool) -> bool:
    """Whether habeas' own verifier takes it for genuine."""
    try:
        document = form.read_receipt_document(text)
        if not chain:
            form.verify_receipt_document(document, KEYS)
            return True
        previous = form.FIRST
        for number, entry in enumerate(form.chain_entries(document), 1):
            text_of_head = form.canonical_json(entry["head"])
            form.verify_head(text_of_head, bytes.fromhex(entry["signature"]), previous, number, KEYS)
            previous = form.head_digest(text_of_head)
    except (BadInput, ValueError, TypeError, KeyError):
        return False
    return True


def script_verdict(script: Any, text: str, *, chain: bool, published: Any = None) -> bool:
    """Whether the stand-alone verifier does."""
    try:
        document = script.read_json(text)
        if not chain:
            script.verify_receipt(document, KEYS)
        else:
            script.verify_chain(document, KEYS)
            script.check_published(published, KEYS, document["heads"])
    except script.Refused:
        return False
    return True


def run_mutations(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Try so many tampered files; how many by kind of change, and which a verifier let through."""
    dice, script = random.Random(seed), load_script()
    tried: Counter[str] = Counter()
    passed: list[str] = []
    chain = {"heads": HEADS}
    while tried.total() < count:
        on_chain = dice.random() < 0.25
        original = chain if on_chain else dice.choice(DOCUMENTS)
        mutate: Callable[[Any, random.Random], str] = dice.choice(ON_CHAINS if on_chain else ON_RECEIPTS)
        text = mutate(copy.deepcopy(original), dice)
        if same(text, original) or any(same(text, each) for each in (DOCUMENTS if mutate is take_part else ())):
            continue
        tried[f"{'chain' if on_chain else 'receipt'}: {mutate.__name__}"] += 1
        if script_verdict(script, text, chain=on_chain, published=HEADS[-1]):
            passed.append(f"{mutate.__name__} against the stand-alone verifier: {text}")
        if own_verdict(text, chain=on_chain) and not (on_chain and _only_shorter(text)):
            passed.append(f"{mutate.__name__} against habeas: {text}")
    return tried, passed


def _only_shorter(text: str) -> bool:
    """Whether only the end of the chain is missing, which its published head tells."""
    heads = json.loads(text).get("heads")
    return bool(heads == HEADS[: len(heads)])


def main() -> int:
    """Run many and print a summary; 1 if one came through."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    tried, passed = run_mutations(given.n, given.seed)
    told = [f"{number:9,}  {kind}" for kind, number in sorted(tried.items())]
    seconds = time.monotonic() - began
    told.append(f"{tried.total():9,}  in all, seed {given.seed}, {seconds:.0f} s; accepted: {len(passed)}")
    told += [f"ACCEPTED {each[:2000]}" for each in passed[:10]]
    sys.stdout.write("\n".join(told) + "\n")
    return bool(passed)


if __name__ == "__main__":
    sys.exit(main())
